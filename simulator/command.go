package simulator

import (
	"cmp"
	"slices"
	"strconv"
	"time"

	"github.com/deviceops/deviceops"
	"github.com/deviceops/deviceops/protocol"
)

// The ways in which an attempt may go wrong.
type fault int

const (
	noFault fault = iota
	failsRetryable
	failsForGood
	rejects
	defers
	losesCommand // on the way to the device
	losesAnswer  // on the way back: told only when asked again
	losesPower
)

// execution is a command under way.
type execution struct {
	entry *entry
	plan  plan
	fault fault
	at    int // the stage that is next
}

// command decides by the journal what a delivery means: every attempt of a
// command has its effect once, however often it is delivered.
func (d *device) command(c *protocol.Command) {
	if c.Child != "" { // no device of the fleet is a gateway
		d.fleet.count(func(s *Stats) { s.BadInbound++ })
		return
	}
	d.fleet.count(func(s *Stats) { s.Commands++ })
	e := d.memory.find(c.ID)
	switch {
	case e == nil:
		d.consider(c)
	case e.Attempt == 0: // its cancel overtook it
		e.Attempt = c.Attempt
		d.answer(e, &protocol.Result{Status: protocol.ResultCanceled})
	case c.Attempt < e.Attempt:
		d.fleet.count(func(s *Stats) { s.Stale++ })
	case c.Attempt > e.Attempt && e.Answer != nil && e.Answer.Status == protocol.ResultFailed:
		d.consider(c)
	default:
		d.repeat(e)
	}
}

// repeat says again what was said: the message that is still unacknowledged, or
// the answer under a new number.
func (d *device) repeat(e *entry) {
	d.fleet.count(func(s *Stats) { s.Repeated++ })
	if e.Answer == nil {
		d.tell(e, &protocol.Result{Status: protocol.ResultAccepted}, "")
		return
	}
	i := slices.IndexFunc(d.memory.Outbox, func(k *kept) bool { return k.Command == e.ID })
	if i < 0 {
		d.tell(e, e.Answer, e.ID)
		return
	}
	if d.welcomed {
		d.sendKept(d.memory.Outbox[i])
	}
}

// consider takes a command on, puts it off or refuses it. What was put off or
// got lost leaves no trace in the journal.
func (d *device) consider(c *protocol.Command) {
	f := d.draw(c)
	switch f {
	case losesCommand:
		d.lost[c.ID] = true
		return
	case defers:
		d.deferrals[c.ID]++
		d.tell(&entry{ID: c.ID, Attempt: c.Attempt}, d.deferral(), "")
		return
	}
	p, refusal := d.plan(c)
	if f == rejects {
		refusal = &protocol.DeviceError{Code: "not_allowed", Message: "the device refuses this command"}
	}
	e := d.enter(c)
	if refusal != nil {
		d.answer(e, &protocol.Result{Status: protocol.ResultRejected, Error: refusal})
		return
	}
	d.begin(c, &execution{entry: e, plan: p, fault: f})
}

// draw says what goes wrong with this attempt. It depends on the command alone,
// not on what else the device is doing.
func (d *device) draw(c *protocol.Command) fault {
	f := d.fleet.cfg.Behavior.Faults
	dice := chanceOf(d.fleet.cfg.Seed, d.ID, c.ID, strconv.Itoa(c.Attempt), strconv.Itoa(d.deferrals[c.ID]))
	roll, even := dice.Float64(), dice.happens(0.5)
	for _, option := range []struct {
		p float64
		f fault
	}{{f.Retryable, failsRetryable}, {f.Permanent, failsForGood}, {f.Rejected, rejects},
		{f.Deferred, defers}, {f.Silent, losesAnswer}, {f.PowerLoss, losesPower}} {
		if roll < option.p {
			return d.temper(option.f, c.ID, even)
		}
		roll -= option.p
	}
	return noFault
}

// temper ends deferrals and losses, which would otherwise go on for ever.
func (d *device) temper(f fault, id string, even bool) fault {
	switch {
	case f == defers && d.deferrals[id] >= 2, f == losesAnswer && d.lost[id]:
		return noFault
	case f == losesAnswer && even:
		return losesCommand
	}
	return f
}

func (d *device) deferral() *protocol.Result {
	most := d.fleet.cfg.Behavior.Faults.DeferFor
	return &protocol.Result{Status: protocol.ResultDeferred, Reason: "in use",
		RetryIn: protocol.SecondsOf(d.chance.between(most/10, most))}
}

// enter writes the attempt into the journal, in place of a failed earlier one.
func (d *device) enter(c *protocol.Command) *entry {
	d.memory.Journal = slices.DeleteFunc(d.memory.Journal, func(e *entry) bool { return e.ID == c.ID })
	e := &entry{ID: c.ID, Attempt: c.Attempt}
	d.memory.note(e)
	d.dirty = true
	return e
}

// begin starts the effect, once journal and ledger have it. One that holds first
// is no effect before that is over.
func (d *device) begin(c *protocol.Command, x *execution) {
	if !d.save() || !x.plan.held && !d.record(x, c.Name) {
		return
	}
	d.running[c.ID] = x
	total := x.plan.duration()
	if total > 2*time.Second || x.plan.held {
		d.tell(x.entry, &protocol.Result{Status: protocol.ResultAccepted}, "")
	}
	if x.fault == losesPower {
		d.after(total/2, func() { d.whileRunning(x, d.losePower) })
	}
	d.advance(x)
}

// record counts an effect, before it begins.
func (d *device) record(x *execution, name string) bool {
	e := Effect{Device: d.ID, Command: x.entry.ID, Attempt: x.entry.Attempt, Name: name, At: time.Now().UTC()}
	if err := d.fleet.ledger.Record(e); err != nil {
		d.fleet.fail(err)
		return false
	}
	d.fleet.count(func(s *Stats) { s.Effects++ })
	return true
}

func (d *device) whileRunning(x *execution, do func()) {
	if d.running[x.entry.ID] == x {
		do()
	}
}

// advance goes through the stages, and then to the end.
func (d *device) advance(x *execution) {
	if x.at == len(x.plan.stages) {
		d.complete(x)
		return
	}
	s := x.plan.stages[x.at]
	if s.hold != nil {
		d.hold(x, s)
		return
	}
	d.after(s.wait, func() {
		d.whileRunning(x, func() {
			if s.fetch == nil {
				d.pass(x, s)
				return
			}
			d.elsewhere(x, func() func() {
				failure := s.fetch()
				return func() { d.fetched(x, s, failure) }
			})
		})
	})
}

// hold waits for the time of the effect. When that is over the device asks to be
// asked again: what it prepared is kept, and the journal forgets the command.
func (d *device) hold(x *execution, s stage) {
	wait, late := s.hold()
	if late {
		d.memory.Journal = slices.DeleteFunc(d.memory.Journal, func(e *entry) bool { return e == x.entry })
		delete(d.running, x.entry.ID)
		d.dirty = true
		d.tell(x.entry, &protocol.Result{Status: protocol.ResultDeferred, Reason: "downloaded; too late to install", RetryIn: 60}, "")
		return
	}
	d.after(wait, func() {
		d.whileRunning(x, func() {
			if d.record(x, deviceops.CommandInstall) {
				d.pass(x, s)
			}
		})
	})
}

// pass ends a stage.
func (d *device) pass(x *execution, s stage) {
	if s.stores != "" {
		d.stored[s.stores] = true
	}
	x.at++
	if s.phase != "" {
		d.progress(x, s)
	}
	d.advance(x)
}

func (d *device) fetched(x *execution, s stage, failure *protocol.DeviceError) {
	if failure != nil {
		d.answer(x.entry, &protocol.Result{Status: protocol.ResultFailed, Component: s.component, Phase: protocol.PhaseDownloading, Error: failure})
		return
	}
	d.pass(x, s)
}

func (d *device) progress(x *execution, s stage) {
	percent := float64(100 * x.at / len(x.plan.stages))
	d.tell(x.entry, &protocol.Result{Status: protocol.ResultProgress, Component: s.component, Phase: s.phase, Percent: &percent}, "")
}

// complete is the moment of the effect.
func (d *device) complete(x *execution) {
	if failure := cmp.Or(x.plan.failure, x.fault.failure()); failure != nil {
		if x.plan.fall != nil {
			x.plan.fall()
		}
		d.answer(x.entry, &protocol.Result{Status: protocol.ResultFailed, Error: failure})
		return
	}
	if x.plan.outside != nil {
		d.outside(x)
		return
	}
	done := &protocol.Result{Status: protocol.ResultSucceeded, Output: x.plan.apply()}
	d.dirty = true
	switch {
	case x.plan.reboots:
		d.restart(x, done)
	case x.fault == losesAnswer:
		x.entry.Answer = done
		delete(d.running, x.entry.ID)
	default:
		d.answer(x.entry, done)
	}
}

func (f fault) failure() *protocol.DeviceError {
	switch f {
	case failsRetryable:
		return &protocol.DeviceError{Code: "busy", Message: "something else was in the way", Retryable: true}
	case failsForGood:
		return &protocol.DeviceError{Code: "broken", Message: "the device can't do this"}
	}
	return nil
}

// restart keeps the answer for after the boot.
func (d *device) restart(x *execution, done *protocol.Result) {
	if len(x.plan.stages) > 1 { // an install
		done.Phase = protocol.PhaseConfirming
	}
	x.entry.Planned = done
	d.fleet.count(func(s *Stats) { s.Reboots++ })
	d.powerOff(false)
}

// outside is an effect that takes another party.
func (d *device) outside(x *execution) {
	d.elsewhere(x, func() func() {
		output, failure := x.plan.outside()
		return func() {
			if failure != nil {
				d.answer(x.entry, &protocol.Result{Status: protocol.ResultFailed, Error: failure})
				return
			}
			d.answer(x.entry, &protocol.Result{Status: protocol.ResultSucceeded, Output: output})
		}
	})
}

// elsewhere does what takes another party, without holding a worker up, and then
// what that gives, unless the command has ended by then.
func (d *device) elsewhere(x *execution, do func() func()) {
	powered := d.powered
	d.fleet.spawn(func() {
		then := do()
		d.post(func() {
			if d.powered == powered && d.running[x.entry.ID] == x {
				then()
			}
		})
	})
}

// answer gives the last word on an attempt.
func (d *device) answer(e *entry, r *protocol.Result) {
	final := *r
	e.Answer, e.Planned = &final, nil
	delete(d.running, e.ID)
	d.tell(e, r, e.ID)
}

// tell sends a numbered result; final names the command if it is the last word.
func (d *device) tell(e *entry, r *protocol.Result, final string) {
	m := *r
	m.Header, m.ID, m.Attempt = d.header(), e.ID, e.Attempt
	d.fleet.count(func(s *Stats) { s.Results[m.Status]++ })
	d.keep(&m, final)
}

// cancel gives a command up if its effect has not passed the point of no
// return. A cancel that overtakes its command is remembered.
func (d *device) cancel(c *protocol.Cancel) {
	d.fleet.count(func(s *Stats) { s.Cancels++ })
	e := d.memory.find(c.ID)
	if e == nil {
		d.memory.note(&entry{ID: c.ID})
		d.dirty = true
		return
	}
	if e.Attempt == 0 {
		return
	}
	if x := d.running[c.ID]; x != nil && x.at < x.plan.point {
		d.answer(e, &protocol.Result{Status: protocol.ResultCanceled})
		return
	}
	if e.Answer == nil || e.Answer.Status != protocol.ResultCanceled {
		d.tell(e, &protocol.Result{Status: protocol.ResultCancelRefused}, "")
		return
	}
	d.repeat(e)
}

package deviceops

import (
	"encoding/json"
	"slices"
	"time"
)

// A window decides which of the samples of one key make an automation start a
// run. There are five words for it, and they mean different things:
//
//	for       the condition must hold that long, without a sample that says no
//	debounce  wait until samples are quiet, or for at most max; the last one wins
//	collect   so many samples within a time
//	dedupe    after a sample that fired, silence; it goes with all the others
//	once      only the first sample that holds after one before which it did not
//
// All of it is pure: (state, sample, time) → (state, decisions, deadline), so
// that the event engine, a replay of old events and a rehearsal on a virtual
// clock decide alike. The state is JSON; a restart changes nothing.
//
// Samples are judged by the time at which they happened, not at which they came
// in, since a device that was away uploads what it kept. Of what may come out of
// order:
//
//   - a sample that is older than the last decision changes nothing
//   - samples that say yes may come in any order before the decision
//   - a no that comes late, but before the decision, breaks a hold off: it then
//     fires no sooner than if the no had come in time
//   - after a sample that came in when its hold should have ended, the clock waits
//     for those that were kept with it, and lets them decide as if in time
type Window struct {
	For      time.Duration `json:"for,omitempty"`
	Gap      time.Duration `json:"gap,omitempty"` // of `for`; 0: three heartbeats of the device, and of the default at least
	Debounce Debounce      `json:"debounce,omitzero"`
	Collect  Collect       `json:"collect,omitzero"`
	Dedupe   time.Duration `json:"dedupe,omitempty"`

	// Once fires only after a sample that arms, which goes with all the others: of
	// what goes on and on, its beginning.
	Once bool `json:"once,omitempty"`
}

// Debounce fires when no sample came for Quiet, at the latest Max after the
// first one. Quiet 0: none; Max 0: as long as it takes.
type Debounce struct {
	Quiet time.Duration `json:"quiet,omitempty"`
	Max   time.Duration `json:"max,omitempty"`
}

// Collect fires at the sample that makes AtLeast within Within. AtLeast 0: none.
type Collect struct {
	Within  time.Duration `json:"within,omitempty"`
	AtLeast int           `json:"at_least,omitempty"`
}

// HoldGrace is how long `for` waits past its end for a sample that was on its
// way, before the clock alone decides. MaxCollect bounds what Collect keeps.
const (
	HoldGrace  = 30 * time.Second
	MaxCollect = 100
)

// Sample is one event as a window sees it.
type Sample struct {
	At    time.Time       `json:"at"`              // when it happened
	Holds bool            `json:"holds,omitempty"` // what the condition says of it
	Event json.RawMessage `json:"event,omitempty"` // what a run is told of it; not looked at
	ID    int64           `json:"id,omitempty"`    // of the event, where it has one
	Arms  bool            `json:"arms,omitempty"`  // what Once waits for did not hold before it
	Beat  time.Duration   `json:"beat,omitempty"`  // how often its device has to be heard of, where that decides: see Window.Beat
}

// WindowState is what a window remembers of one key. The zero value is a key
// that was never seen.
type WindowState struct {
	Decided time.Time `json:"decided,omitzero"` // what happened before this is over
	Silent  time.Time `json:"silent,omitzero"`  // until then dedupe wants silence
	Since   time.Time `json:"since,omitzero"`   // the first sample of an open hold or burst
	No      time.Time `json:"no,omitzero"`      // the newest sample that said no
	Samples []Sample  `json:"samples,omitempty"`
	Heard   time.Time `json:"heard,omitzero"`  // when the newest sample came in that came too late for its hold
	Armed   bool      `json:"armed,omitempty"` // Once may fire
}

// WindowOutcome is what a window makes of a sample or of the time.
type WindowOutcome string

// Outcomes.
const (
	WindowFired    WindowOutcome = "fired"
	WindowHolding  WindowOutcome = "holding"  // the condition holds, not yet long enough; the burst goes on; too few yet
	WindowNo       WindowOutcome = "no"       // the condition does not hold
	WindowBroken   WindowOutcome = "broken"   // nor any longer: it had begun to hold, not long enough
	WindowSilenced WindowOutcome = "silenced" // by dedupe
	WindowStale    WindowOutcome = "stale"    // older than the last decision
	WindowLapsed   WindowOutcome = "lapsed"   // samples stopped before `for` was over
)

// WindowDecision is one outcome. Samples are those that fired, the deciding one
// last.
type WindowDecision struct {
	Outcome WindowOutcome
	At      time.Time // of the sample, or the moment that the clock decided
	Since   time.Time // of a hold that broke off or lapsed: when it began
	Samples []Sample
}

// WindowStep is what a sample or the clock led to. Deadline is when Tick is to be
// called next; zero: not before the next sample.
type WindowStep struct {
	State     WindowState
	Decisions []WindowDecision
	Deadline  time.Time
}

// Fired gives the decisions to fire among those of the step.
func (s WindowStep) Fired() []WindowDecision {
	return slices.DeleteFunc(slices.Clone(s.Decisions), func(d WindowDecision) bool { return d.Outcome != WindowFired })
}

// Take judges a sample that came in at now. The clock was at the sample's time
// before it was at now, so what was due until then is decided first.
func (w Window) Take(s WindowState, sample Sample, now time.Time) WindowStep {
	s.Samples = slices.Clone(s.Samples)
	if !w.remembers() {
		return w.step(s, w.stateless(sample))
	}
	if sample.At.Before(s.Decided) {
		return w.step(s, WindowDecision{Outcome: WindowStale, At: sample.At})
	}
	before := w.tick(s, earlier(sample.At, now), w.due)
	s = before.State
	decision := w.sample(&s, sample)
	if w.For > 0 && !s.Since.IsZero() && now.After(w.holdEnd(s)) {
		s.Heard = now
	}
	after := w.Tick(s, now)
	after.Decisions = slices.Concat(before.Decisions, []WindowDecision{decision}, after.Decisions)
	return after
}

// Tick judges that the clock reads now.
func (w Window) Tick(s WindowState, now time.Time) WindowStep { return w.tick(s, now, w.deadline) }

func (w Window) tick(s WindowState, now time.Time, deadline func(WindowState) time.Time) WindowStep {
	s.Samples = slices.Clone(s.Samples)
	var decisions []WindowDecision
	for {
		if end := deadline(s); end.IsZero() || now.Before(end) {
			return w.step(s, decisions...)
		}
		if w.For > 0 {
			decisions = append(decisions, w.holdEnds(&s)...)
			continue
		}
		decisions = append(decisions, w.fire(&s, w.burstEnd(s)))
	}
}

// remembers reports whether a sample can change what is made of a later one.
func (w Window) remembers() bool {
	return w.For > 0 || w.Debounce.Quiet > 0 || w.Collect.AtLeast > 0 || w.Dedupe > 0 || w.Once
}

func (w Window) stateless(sample Sample) WindowDecision {
	if !sample.Holds {
		return WindowDecision{Outcome: WindowNo, At: sample.At}
	}
	return WindowDecision{Outcome: WindowFired, At: sample.At, Samples: []Sample{sample}}
}

func (w Window) step(s WindowState, decisions ...WindowDecision) WindowStep {
	return WindowStep{State: s, Decisions: decisions, Deadline: w.deadline(s)}
}

// sample enters a sample that is not stale.
func (w Window) sample(s *WindowState, sample Sample) WindowDecision {
	outcome := WindowDecision{Outcome: WindowHolding, At: sample.At}
	s.Armed = s.Armed || sample.Arms
	switch {
	case !sample.Holds:
		outcome.Outcome = WindowNo
		if since := s.refuse(sample.At, w.For > 0); !since.IsZero() {
			outcome.Outcome, outcome.Since = WindowBroken, since
		}
	case w.Once && !s.Armed: // its beginning has fired
		outcome.Outcome = WindowNo
	case w.For > 0:
		return w.hold(s, sample)
	case sample.At.Before(s.Silent):
		outcome.Outcome = WindowSilenced
	case w.Debounce.Quiet > 0:
		s.extend(sample)
	case w.Collect.AtLeast > 0:
		return w.collect(s, sample)
	default:
		s.Samples = []Sample{sample}
		return w.fire(s, sample.At)
	}
	return outcome
}

// deadline is when the clock decides.
func (w Window) deadline(s WindowState) time.Time {
	due := w.due(s)
	if due.IsZero() || w.For == 0 {
		return due
	}
	return later(due, s.Heard.Add(HoldGrace))
}

// due is when the clock would decide if all samples came in as they happened.
func (w Window) due(s WindowState) time.Time {
	switch {
	case s.Since.IsZero():
		return time.Time{}
	case w.For > 0:
		return w.holdEnd(s).Add(HoldGrace)
	case w.Debounce.Quiet > 0:
		return w.burstEnd(s)
	}
	return time.Time{}
}

// hold enters a sample that says yes into a hold.
func (w Window) hold(s *WindowState, sample Sample) WindowDecision {
	if !sample.At.After(s.No) { // a no was heard that is newer
		return WindowDecision{Outcome: WindowNo, At: sample.At}
	}
	s.extend(sample)
	last := s.last()
	switch {
	case !last.At.Before(w.holdEnd(*s)):
		return w.fire(s, last.At)
	case !last.At.Before(s.Since.Add(w.For)):
		return WindowDecision{Outcome: WindowSilenced, At: sample.At}
	}
	return WindowDecision{Outcome: WindowHolding, At: sample.At}
}

// holdEnd is the first moment at which a hold may fire.
func (w Window) holdEnd(s WindowState) time.Time { return later(s.Since.Add(w.For), s.Silent) }

// holdEnds decides a hold by the clock: no sample said no. If samples stopped,
// nobody knows whether the condition held to the end. A hold that has fired ends
// without a word when no sample came since.
func (w Window) holdEnds(s *WindowState) []WindowDecision {
	end := w.holdEnd(*s)
	switch {
	case len(s.Samples) == 0:
		s.Since = time.Time{}
		return nil
	case end.Sub(s.last().At) > w.gap(s.last()):
		lapsed := WindowDecision{Outcome: WindowLapsed, At: end, Since: s.Since}
		s.Decided, s.Since, s.Samples = end, time.Time{}, nil
		return []WindowDecision{lapsed}
	}
	return []WindowDecision{w.fire(s, end)}
}

// gap is for how long samples may stop after the last one.
func (w Window) gap(last Sample) time.Duration {
	if w.Gap > 0 {
		return w.Gap
	}
	return 3 * max(last.Beat, DefaultHeartbeat.Every)
}

// Beat gives what samples of a device that has this policy have to say of it.
func (w Window) Beat(policy HeartbeatPolicy) time.Duration {
	if w.For == 0 || w.Gap > 0 {
		return 0
	}
	return policy.Every
}

// burstEnd is when a burst of samples is over.
func (w Window) burstEnd(s WindowState) time.Time {
	end := s.last().At.Add(w.Debounce.Quiet)
	if w.Debounce.Max > 0 {
		return earlier(end, s.Since.Add(w.Debounce.Max))
	}
	return end
}

// collect enters a sample that says yes among those that are collected.
func (w Window) collect(s *WindowState, sample Sample) WindowDecision {
	at, _ := slices.BinarySearchFunc(s.Samples, sample, func(a, b Sample) int { return a.At.Compare(b.At) })
	s.Samples = slices.Insert(s.Samples, at, sample)
	first := s.last().At.Add(-w.Collect.Within)
	s.Samples = slices.DeleteFunc(s.Samples, func(old Sample) bool { return old.At.Before(first) })
	if len(s.Samples) < w.Collect.AtLeast {
		return WindowDecision{Outcome: WindowHolding, At: sample.At}
	}
	return w.fire(s, s.last().At)
}

// fire ends what is open at the given time. Silence counts from the sample that
// fired; where the clock decided a hold, from the end of that.
//
// A hold begins anew: the condition may go on to hold, and fires once more when
// it did so as long again. That takes another sample, not the clock alone.
func (w Window) fire(s *WindowState, at time.Time) WindowDecision {
	decision := WindowDecision{Outcome: WindowFired, At: at, Samples: s.Samples}
	from := s.last().At
	s.Decided, s.Since, s.Samples = at, time.Time{}, nil
	if w.For > 0 {
		from = at
		if !w.Once {
			s.Since = at
		}
	}
	if w.Dedupe > 0 {
		s.Silent = from.Add(w.Dedupe)
	}
	s.Armed = false
	return decision
}

func (s *WindowState) last() Sample { return s.Samples[len(s.Samples)-1] }

// extend enters a sample of which only the first time and the last one count.
func (s *WindowState) extend(sample Sample) {
	switch {
	case s.Since.IsZero():
		s.Since, s.Samples = sample.At, []Sample{sample}
	case len(s.Samples) == 0:
		s.Samples = []Sample{sample}
	case sample.At.Before(s.Since):
		s.Since = sample.At
	case !sample.At.Before(s.last().At):
		s.Samples = []Sample{sample}
	}
}

// refuse enters a no. One that lies in the middle of a hold leaves only the
// newest yes as certain; one that ends it tells since when it had held.
func (s *WindowState) refuse(at time.Time, breaks bool) (held time.Time) {
	s.No = later(s.No, at)
	switch {
	case !breaks || s.Since.IsZero() || at.Before(s.Since):
	case len(s.Samples) > 0 && at.Before(s.last().At):
		s.Since = s.last().At
	default:
		if len(s.Samples) > 0 {
			held = s.Since
		}
		s.Since, s.Samples = time.Time{}, nil
	}
	return held
}

func earlier(a, b time.Time) time.Time {
	if b.Before(a) {
		return b
	}
	return a
}

func later(a, b time.Time) time.Time {
	if b.After(a) {
		return b
	}
	return a
}

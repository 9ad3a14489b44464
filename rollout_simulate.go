package deviceops

import (
	"fmt"
	"math"
	"math/rand/v2"
	"time"
)

// simTick is how often the pump of a simulated rollout looks.
const simTick = time.Second

// SimulateRollout takes a change to devices on a virtual clock, by the very rules
// that decide in earnest: assignment, admission, rate, retries, gates and
// NextStep. Whether devices are ready, and their health condition, are not
// simulated: options say how many do not fare well. The same arguments give the
// same report.
func SimulateRollout(spec *RolloutSpec, fleet []Device, o SimOptions) (SimReport, error) {
	s, err := newSimulation(spec, fleet, o.withDefaults())
	if err != nil {
		return SimReport{}, err
	}
	s.run()
	return s.report(), nil
}

// simulation is a rollout on a virtual clock.
type simulation struct {
	spec    *RolloutSpec
	options SimOptions
	start   time.Time
	view    RolloutView
	bucket  Bucket

	devices  []simDevice
	index    map[string]int // by id
	children map[string]int // gateway → devices behind it in flight
	groups   map[string]*simGroup
	due      []simQueue // by ring: rows that may be looked at
	happens  simQueue   // what will happen to devices

	approveAt map[string]time.Time
	succeeded []time.Time
	asked     []string
	notes     []string
	stop      *SimStop
	wedged    string // why nothing more happens, if the rollout did not end
}

// simDevice is a device of a simulated fleet.
type simDevice struct {
	Device
	row      RolloutDevice
	hash     uint64
	group    *simGroup
	name     string // of the group
	away     bool   // offline now
	atStart  bool   // it was offline when the rollout began
	counted  bool   // as unavailable in its group
	expelled bool   // it was excused as a straggler
}

// simGroup is a group of the budget.
type simGroup struct {
	size, unavailable int
	waiting           []int // devices that wait for it
}

func newSimulation(spec *RolloutSpec, fleet []Device, o SimOptions) (*simulation, error) {
	own := *spec
	own.Ready, own.Targets.Judge, own.KeepOpen = nil, nil, 0
	s := &simulation{
		spec: &own, options: o, start: o.Start, index: make(map[string]int, len(fleet)), children: map[string]int{},
		groups: map[string]*simGroup{}, due: make([]simQueue, len(spec.Rings)), approveAt: map[string]time.Time{},
	}
	if spec.Ready != nil {
		s.notes = append(s.notes, "whether devices are ready is not simulated: "+spec.Ready.Source)
	}
	fleet = s.targeted(spec.Targets, fleet)
	s.view = RolloutView{Spec: &own, Rollout: own.NewRollout("", "", "simulated", Engine.Name, "", o.Start), Now: o.Start}
	assign := make([]AssignDevice, len(fleet))
	for i := range fleet {
		var err error
		if assign[i], err = NewAssignDevice(s.view.Rollout.ID+fmt.Sprint(o.Seed), &own, &fleet[i]); err != nil {
			return nil, err
		}
	}
	rings := AssignRings(&own, assign)
	s.notes = append(s.notes, rings.Notes...)
	for i := range fleet {
		if rings.Rings[i] != NoRing {
			s.add(fleet[i], assign[i].Hash, rings.Rings[i])
		}
	}
	return s, nil
}

// targeted gives the devices that meet the targets, or may: virtual devices have
// no metrics.
func (s *simulation) targeted(targets Condition, fleet []Device) []Device {
	if targets.Judge == nil {
		return fleet
	}
	var met []Device
	unknown := 0
	for i := range fleet {
		verdict, err := targets.Judge(&fleet[i])
		if err == nil && verdict == No {
			continue
		}
		if err != nil || verdict == Unknown {
			unknown++
		}
		met = append(met, fleet[i])
	}
	if n := len(fleet) - len(met); n > 0 {
		s.notes = append(s.notes, fmt.Sprintf("%s do not meet the targets: %s", devices(n), targets.Source))
	}
	if unknown > 0 {
		s.notes = append(s.notes, fmt.Sprintf("of %s it cannot be told whether they meet the targets, since a value is missing; they are taken in: %s", devices(unknown), targets.Source))
	}
	return met
}

// add gives a device its row, and says whether it is there at the start.
func (s *simulation) add(d Device, hash uint64, ring int) {
	i := len(s.devices)
	s.index[d.ID] = i
	s.devices = append(s.devices, simDevice{Device: d, hash: hash, row: RolloutDevice{Device: d.ID, Ring: ring, Status: DevicePending}})
	x := &s.devices[i]
	if b := s.spec.Budget; b != nil {
		if value, known := fieldOf(&d, b.Per); known {
			x.name = fmt.Sprint(value)
		}
		if s.groups[x.name] == nil {
			s.groups[x.name] = &simGroup{}
		}
		x.group = s.groups[x.name]
		x.group.size++
	}
	counts := &s.view.Rollout.Rings[ring].Counts
	counts.Targeted++
	counts.Pending++
	x.Session.Connectivity = Online
	r := s.chance(i, "offline", 0)
	if r.Float64() < s.options.OfflineRate {
		x.Session.Connectivity, x.Session.Since, x.away, x.atStart = Offline, s.start, true, true
		if r.Float64() >= s.options.NeverRate {
			s.happens.at(s.start.Add(exponential(r, s.options.BackMean)), 0, i, simHello)
		}
	}
	s.due[ring].at(s.start, hash, i, simLook)
}

// chance gives the dice of a device for one purpose.
func (s *simulation) chance(i int, purpose string, n int) *rand.Rand {
	return rand.New(rand.NewPCG(s.options.Seed, stableHash(s.devices[i].ID, purpose, fmt.Sprint(n))))
}

func exponential(r *rand.Rand, mean time.Duration) time.Duration {
	return time.Duration(r.ExpFloat64() * float64(mean))
}

// z99 is the 99th percentile of the standard normal distribution.
const z99 = 2.3263

func logNormal(r *rand.Rand, median, p99 time.Duration) time.Duration {
	sigma := math.Log(float64(p99)/float64(median)) / z99
	return time.Duration(float64(median) * math.Exp(sigma*r.NormFloat64()))
}

// run lets time pass until the rollout has ended or nothing more happens.
func (s *simulation) run() {
	for s.turn() {
	}
}

// turn takes one step, and lets time pass to the next one. It reports whether
// there is one.
func (s *simulation) turn() bool {
	s.happen()
	wake, again := s.decide(NextStep(s.view))
	if s.view.Rollout.Status.Ended() || s.stop != nil || s.wedged != "" {
		return false
	}
	if again {
		return true
	}
	if len(s.happens) > 0 {
		wake = sooner(wake, s.happens[0].time)
	}
	wake = sooner(wake, s.spec.Deadline)
	if wake.IsZero() {
		s.wedged = s.nothing()
		return false
	}
	s.view.Now = later(s.view.Now.Add(simTick), wake.Add(simTick-1).Truncate(simTick))
	return true
}

// nothing says why nothing more happens.
func (s *simulation) nothing() string {
	i := s.view.Rollout.Present()
	if i < 0 {
		return "nothing more happens"
	}
	ring := s.view.Rollout.Rings[i]
	return fmt.Sprintf("ring %s stays open: %s not heard of, and nobody excuses them", ring.Name, are(ring.Counts.Open(), "device"))
}

// decide carries a step out, and tells when to look again; again: at once.
func (s *simulation) decide(step RolloutStep) (wake time.Time, again bool) {
	switch step.Do {
	case DoAsk:
		return s.askPerson(step)
	case DoOpen:
		s.view.Take(step)
		if after := s.spec.Stragglers.After; after > 0 && s.spec.Stragglers.Then != StragglerWait {
			s.happens.at(s.view.Now.Add(after), 0, step.Ring, simStragglers)
		}
		return time.Time{}, true
	case DoKeep:
		return s.pump(step.Ring), false
	case DoSoak:
		s.view.Take(step)
		return step.Until, false
	case DoFail:
		s.failed(step)
		return time.Time{}, true
	case DoWait:
		return step.Until, false
	default: // a ring passes, or all ends
		s.view.Take(step)
		return time.Time{}, true
	}
}

// askPerson has somebody agree to what manifests ask before anything begins.
// What a gate asks is for a person to tell.
func (s *simulation) askPerson(step RolloutStep) (wake time.Time, again bool) {
	q := *step.Question
	if q.Kind != AskPlan && q.Kind != AskRing {
		s.wedged = "it waits for a person: " + q.Text
		return time.Time{}, true
	}
	at, asked := s.approveAt[q.Key()]
	if !asked {
		at = s.view.Now.Add(s.options.ApproveAfter)
		s.approveAt[q.Key()], s.asked = at, append(s.asked, q.Text)
		s.view.Take(step)
	}
	if s.view.Now.Before(at) {
		return at, false
	}
	s.view.Answer(RolloutAnswer{Question: q.Key(), Status: ApprovalApproved, By: "somebody", Hash: s.view.Rollout.Hash})
	return time.Time{}, true
}

// failed notes how far the release got, and takes it back where the manifest says
// so.
func (s *simulation) failed(step RolloutStep) {
	total, ring := s.view.Rollout.Total(), s.view.Rollout.Rings[step.Ring]
	s.view.Take(step)
	s.stop = &SimStop{
		Ring: ring.Name, Reason: step.Reason, After: s.view.Now.Sub(s.start), Action: step.Action,
		Touched: total.Reached(), Harmed: total.Unsuccessful() + total.Unhealthy,
	}
	if step.Action == FailRollback || step.Action == FailRollbackAll {
		s.revert(step)
	}
}

// revert takes devices back by a rollout of its own.
func (s *simulation) revert(step RolloutStep) {
	var fleet []Device
	for i := range s.devices {
		x := &s.devices[i]
		if x.row.Attempt > 0 && (step.Action == FailRollbackAll || x.row.Ring == step.Ring) {
			fleet = append(fleet, x.Device)
		}
	}
	o := s.options
	o.Start, o.UnhealthyRate, o.OfflineRate = s.view.Now, 0, 0
	back, err := newSimulation(s.spec.simulatedRollback(), fleet, o)
	if err != nil {
		return // it has no conditions that could be at fault
	}
	back.run()
	s.stop.Reverted = back.view.Rollout.Total().Succeeded
	s.stop.Left, s.stop.Back = len(fleet)-s.stop.Reverted, back.view.Now.Sub(o.Start)
}

// simulatedRollback is the rollout that takes devices back, as far as time goes.
func (s *RolloutSpec) simulatedRollback() *RolloutSpec {
	all := &GateCondition{Source: "all are done", Judge: func(GateFacts) (Verdict, error) { return Yes, nil }}
	back := *s
	back.Name += "-rollback"
	back.Change.Revert = true
	back.Rings = []RingSpec{{Name: "all"}}
	back.Health, back.Approve, back.Urgent, back.Start, back.Deadline = nil, nil, "", time.Time{}, time.Time{}
	back.Gate = Gate{Pass: all}
	if s.Rollback.Gate != nil {
		back.Gate = *s.Rollback.Gate
	}
	if s.Rollback.MaxRate {
		back.Limits.Rate = RateSpec{}
	}
	if s.Rollback.InFlight > 0 {
		back.Limits.InFlight = s.Rollback.InFlight
	}
	return &back
}

// report sums up.
func (s *simulation) report() SimReport {
	r := &s.view.Rollout
	report := SimReport{
		Status: r.Status, Reason: r.StatusReason, Devices: len(s.devices), Counts: r.Total(), Took: s.view.Now.Sub(s.start),
		Asked: s.asked, Notes: s.notes, Stop: s.stop,
	}
	if s.wedged != "" {
		report.Reason = s.wedged
	}
	for _, share := range []struct {
		percent int
		to      *time.Duration
	}{{50, &report.To50}, {90, &report.To90}, {99, &report.To99}} {
		if n := (len(s.devices)*share.percent + 99) / 100; n > 0 && n <= len(s.succeeded) {
			*share.to = s.succeeded[n-1].Sub(s.start)
		}
	}
	for _, ring := range r.Rings {
		sim := SimRing{Name: ring.Name, Status: ring.Status, Counts: ring.Counts, Opened: !ring.OpenedAt.IsZero(), Waiting: ring.Counts.Open()}
		if sim.Opened {
			end := ring.ClosedAt
			if end.IsZero() {
				end = s.view.Now
			}
			sim.Began, sim.Took = ring.OpenedAt.Sub(s.start), end.Sub(ring.OpenedAt)
		}
		report.Rings = append(report.Rings, sim)
	}
	return report
}

package deviceops

import (
	"slices"
	"time"
)

// WellnessStatus is how a device does, whatever its state is and whether it can
// be reached.
type WellnessStatus string

// Statuses of wellness. A device that is degraded and flaps counts as degraded.
const (
	Well     WellnessStatus = "well"
	Degraded WellnessStatus = "degraded" // what its profile calls degraded holds
	Flapping WellnessStatus = "flapping" // its connection is lost and found again and again
)

// Wellness is how a device does and since when. It is stored apart from the
// session, since it changes seldom.
type Wellness struct {
	Status        WellnessStatus `json:"status"`
	DegradedSince time.Time      `json:"degraded_since,omitzero"`
	Because       []string       `json:"because,omitempty"` // the reasons that hold, also before they make it degraded
	FlappingSince time.Time      `json:"flapping_since,omitzero"`

	// TurningSince is since when the condition says otherwise than what counts;
	// zero: it does not.
	TurningSince time.Time `json:"-"`
	// StableAt is when a device that flaps is stable if it does not change any
	// more.
	StableAt time.Time `json:"stable_at,omitzero"`
	// DueAt is when the clock decides something; zero: it does not.
	DueAt time.Time `json:"-"`
}

// WellnessPolicy says when devices of a profile are degraded, and when they
// flap.
type WellnessPolicy struct {
	Degraded []DegradedReason
	For      time.Duration // how long it has to hold, and then not to hold, to count
	Flap     FlapPolicy
}

// DegradedReason is one condition under which a device is degraded.
type DegradedReason struct {
	Name  string // as events call it: a word, or the condition itself
	Holds DevicePredicate
}

// FlapPolicy says when the connectivity of a device is told no more: at so many
// changes to or from offline within a time, until there is none for Quiet.
// Changes 0: never.
type FlapPolicy struct {
	Changes int
	Within  time.Duration
	Quiet   time.Duration
}

// DefaultWellness applies where a profile says nothing: to the third loss of the
// connection within ten minutes.
var DefaultWellness = WellnessPolicy{
	For: 5 * time.Minute, Flap: FlapPolicy{Changes: 5, Within: 10 * time.Minute, Quiet: 15 * time.Minute},
}

// MaxFlapChanges bounds FlapPolicy.Changes, and what is remembered of a device.
const MaxFlapChanges = 50

// FlapState is what is remembered of the connectivity of a device. The zero value
// is a device that did not change lately.
type FlapState struct {
	Changes []time.Time  // the last ones that count
	Told    Connectivity // while it flaps: what automations heard last
	Count   int          // while it flaps: all changes
}

// Empty reports whether nothing is remembered.
func (f FlapState) Empty() bool { return len(f.Changes) == 0 }

// ConnectivityChange is one change of connectivity.
type ConnectivityChange struct {
	From, To Connectivity
	At       time.Time
}

// Counts reports whether a change is one of those of which many are flapping. A
// device that sleeps said so before, and one behind a lost gateway is not at fault.
func (c ConnectivityChange) Counts() bool { return c.From == Offline || c.To == Offline }

// WellnessStep is what a change, a judgement or the clock led to.
type WellnessStep struct {
	Wellness Wellness
	Flap     FlapState
	Damped   bool // the change is not told to automations
	Events   []WellnessEvent
}

// WellnessEvent is an event about a device to be told.
type WellnessEvent struct {
	Type     string
	Severity string
	At       time.Time
	Data     map[string]any
}

// Judge gives what the conditions say of a device: Yes with the reasons that
// hold; Unknown if none holds and one of them cannot be judged.
func (p WellnessPolicy) Judge(d *Device) (v Verdict, because []string) {
	v = No
	for _, reason := range p.Degraded {
		switch held, err := reason.Holds(d); {
		case err != nil, held == Unknown:
			v = Unknown
		case held == Yes:
			because = append(because, reason.Name)
		}
	}
	if len(because) > 0 {
		v = Yes
	}
	return v, because
}

// Take takes in what Judge said at now. Unknown changes nothing.
func (p WellnessPolicy) Take(w Wellness, v Verdict, because []string, now time.Time) WellnessStep {
	counts := !w.DegradedSince.IsZero()
	if v == Unknown {
		return WellnessStep{Wellness: w}
	}
	if v == Yes {
		w.Because = because
	}
	switch {
	case (v == Yes) == counts:
		w.TurningSince = time.Time{}
		if !counts {
			w.Because = nil
		}
	case w.TurningSince.IsZero():
		w.TurningSince = now
	}
	step := WellnessStep{Wellness: w}
	p.turn(&step, now)
	return p.settled(step)
}

// Change takes in a change of connectivity.
func (p WellnessPolicy) Change(w Wellness, f FlapState, c ConnectivityChange) WellnessStep {
	step := WellnessStep{Wellness: w, Flap: f}
	flapping := !w.FlappingSince.IsZero()
	if !c.Counts() {
		if flapping {
			step.Flap.Told = c.To
		}
		return step
	}
	step.Flap.Changes = p.Flap.recent(f.Changes, c.At)
	switch {
	case flapping:
		step.Flap.Count++
	case p.Flap.Changes > 0 && len(step.Flap.Changes) >= p.Flap.Changes:
		step.Wellness.FlappingSince = c.At
		step.Flap.Told, step.Flap.Count = c.From, len(step.Flap.Changes)
		step.tell(EventFlapping, "warning", c.At, map[string]any{
			"changes": step.Flap.Count, "within_s": int64(p.Flap.Within.Seconds()), "connectivity": string(c.To),
		})
	default:
		return step
	}
	step.Wellness.StableAt = c.At.Add(p.Flap.Quiet)
	// What breaks off is told: who waits for a device that is offline long enough
	// would otherwise wait on, although it was back.
	if step.Damped = c.To != Online || step.Flap.Told != Offline; !step.Damped {
		step.Flap.Told = Online
	}
	return p.settled(step)
}

// recent adds a change and forgets those that are too old to count.
func (p FlapPolicy) recent(changes []time.Time, at time.Time) []time.Time {
	kept := slices.DeleteFunc(slices.Clone(changes), func(c time.Time) bool { return c.Before(at.Add(-p.Within)) })
	kept = append(kept, at)
	return kept[max(0, len(kept)-max(p.Changes, 1)):]
}

// Tick judges that the clock reads now. Of a device that cannot be heard nobody
// knows whether a condition goes on to hold: its next sample begins anew, that of
// a device that sleeps decides.
func (p WellnessPolicy) Tick(w Wellness, f FlapState, s Session, now time.Time) WellnessStep {
	step := WellnessStep{Wellness: w, Flap: f}
	if !w.FlappingSince.IsZero() && (p.Flap.Changes == 0 || !now.Before(w.StableAt)) {
		step.calm(s, now)
	}
	switch s.Connectivity {
	case Online:
		p.turn(&step, now)
	case Sleeping:
		step = p.settled(step)
		step.Wellness.DueAt = step.Wellness.StableAt
		return step
	default:
		step.Wellness.TurningSince = time.Time{}
		if step.Wellness.DegradedSince.IsZero() {
			step.Wellness.Because = nil
		}
	}
	return p.settled(step)
}

// calm ends the flapping and tells what was not told meanwhile.
func (s *WellnessStep) calm(session Session, now time.Time) {
	flapped := now.Sub(s.Wellness.FlappingSince)
	s.tell(EventStable, "info", now, map[string]any{
		"connectivity": string(session.Connectivity), "changes": s.Flap.Count, "flapping_s": int64(flapped.Seconds()),
	})
	if to := session.Connectivity; to != s.Flap.Told && to != Unreachable { // of that its gateway tells
		severity := "info"
		if session.Connectivity == Offline {
			severity = "warning"
		}
		s.tell(EventDeviceConnectivity, severity, session.Since, map[string]any{
			"from": string(s.Flap.Told), "to": string(session.Connectivity), "because": "it is stable again",
		})
	}
	s.Wellness.FlappingSince, s.Wellness.StableAt, s.Flap = time.Time{}, time.Time{}, FlapState{}
}

// turn makes count what the condition has said for long enough.
func (p WellnessPolicy) turn(s *WellnessStep, now time.Time) {
	w := &s.Wellness
	if w.TurningSince.IsZero() || now.Before(w.TurningSince.Add(p.For)) {
		return
	}
	since := w.TurningSince
	w.TurningSince = time.Time{}
	if w.DegradedSince.IsZero() {
		w.DegradedSince = since
		s.tell(EventDegraded, "warning", now, map[string]any{"because": slices.Clone(w.Because), "since": since.UTC().Format(time.RFC3339)})
		return
	}
	s.tell(EventRecovered, "info", now, map[string]any{"because": w.Because, "degraded_s": int64(now.Sub(w.DegradedSince).Seconds())})
	w.DegradedSince, w.Because = time.Time{}, nil
}

func (s *WellnessStep) tell(kind, severity string, at time.Time, data map[string]any) {
	s.Events = append(s.Events, WellnessEvent{Type: kind, Severity: severity, At: at, Data: data})
}

// settled gives the step with the status and deadline that follow.
func (p WellnessPolicy) settled(s WellnessStep) WellnessStep {
	w := &s.Wellness
	switch {
	case !w.DegradedSince.IsZero():
		w.Status = Degraded
	case !w.FlappingSince.IsZero():
		w.Status = Flapping
	default:
		w.Status = Well
	}
	w.DueAt = w.StableAt
	if !w.TurningSince.IsZero() {
		if turns := w.TurningSince.Add(p.For); w.DueAt.IsZero() || turns.Before(w.DueAt) {
			w.DueAt = turns
		}
	}
	return s
}

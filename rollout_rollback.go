package deviceops

import (
	"slices"
	"time"
)

// RollbackSuffix ends the names of rollbacks.
const RollbackSuffix = "-rollback"

// CodeIrreversible is the error code of devices that could not be taken back
// because nothing is known that would.
const CodeIrreversible = "irreversible"

// RollbackID gives the id of the rollout that takes r back.
func (r *Rollout) RollbackID() string { return RolloutID(r.Account, r.Name+RollbackSuffix) }

// NewRollback gives the rollout that takes back what r did in some of its rings,
// in reverse order. It has the same manifest: see RolloutSpec.Of.
func (r *Rollout) NewRollback(s *RolloutSpec, rings []int, by, reason string, now time.Time) Rollout {
	name := r.Name + RollbackSuffix
	back := Rollout{
		ID: r.RollbackID(), Account: r.Account, Name: name, Kind: r.Kind, Source: r.Source, Hash: r.Hash,
		Status: RolloutPlanning, StatusBy: by, StatusSince: now, RollbackOf: r.ID, CreatedBy: by, Reason: reason, CreatedAt: now,
		Limits: s.rollbackLimits(r.Limits), HealthBySuccess: true,
	}
	order := slices.Sorted(slices.Values(rings))
	slices.Reverse(order)
	for i, ring := range order {
		back.Rings = append(back.Rings, Ring{Index: i, Name: r.Rings[ring].Name, Status: RingPending})
	}
	return back
}

func (s *RolloutSpec) rollbackLimits(now Limits) Limits {
	if s.Rollback.InFlight > 0 {
		now.InFlight = s.Rollback.InFlight
	}
	if s.Rollback.MaxRate {
		now.Rate = RateSpec{}
	}
	return now
}

// Of gives the manifest as it holds for r: as it is, unless r takes back what the
// manifest did. Then every device returns to its Origin, ring by ring, at once:
// nobody is asked, nothing soaks, and devices that are not ready, or that another
// change would leave alone, are not left with what has failed.
func (s *RolloutSpec) Of(r *Rollout) *RolloutSpec {
	if r.RollbackOf == "" {
		return s
	}
	back := &RolloutSpec{
		// A device may meet the targets no more because of what is taken back.
		Name: r.Name, Targets: Condition{Source: s.Targets.Source, Filter: s.Targets.Filter}, Rollback: s.Rollback, Limits: s.rollbackLimits(s.Limits), Change: s.Change,
		Budget: s.Budget, Phases: s.Phases, AnswerWithin: s.AnswerWithin, Retry: s.Retry,
		Deferrals: DeferralSpec{Max: s.Deferrals.Max, Then: DeferralWait}, Stragglers: StragglerSpec{After: s.Stragglers.After, Then: StragglerFail},
		Gate: Gate{Pass: always}, OnFail: FailPause, Conflict: ConflictWait,
	}
	back.Change.Revert = true
	if s.Stragglers.Then == StragglerWait {
		back.Stragglers = s.Stragglers
	}
	if s.Rollback.Gate != nil {
		back.Gate = *s.Rollback.Gate
	}
	if !s.Rollback.IgnoreWindow {
		back.Window, back.Blackouts, back.Calendars = s.Window, s.Blackouts, s.Calendars
	}
	for _, ring := range r.Rings {
		back.Rings = append(back.Rings, RingSpec{Name: ring.Name})
	}
	return back
}

// always is a condition that holds.
var always = &GateCondition{Source: "all of its devices are done", Judge: func(GateFacts) (Verdict, error) { return Yes, nil }}

// Changed reports whether the rollout may have changed the device of this row,
// so that a rollback has to see to it: it was sent the change, and did not refuse
// or put it off. Whoever failed counts, since the effect of that is not known.
func (d *RolloutDevice) Changed() bool {
	switch d.Status {
	case DeviceSent, DeviceAccepted, DeviceSucceeded, DeviceFailed, DeviceTimedOut, DeviceRevertFailed:
		return d.Attempt > 0
	default:
		return false
	}
}

// RollbackScope gives the rings that a rollback takes back: the given one, or
// all, as far as they were opened.
func (r *Rollout) RollbackScope(ring int, all bool) (rings []int) {
	for i := range r.Rings {
		if !r.Rings[i].OpenedAt.IsZero() && (all || i == ring) {
			rings = append(rings, i)
		}
	}
	return rings
}

// TakenBack gives the rings that a person wants to have taken back: all, or the
// present one, or the one before if that has not begun. Where all have passed none
// is present, and all are meant.
func (r *Rollout) TakenBack(all bool) []int {
	present := r.Present()
	all = all || present < 0
	if !all && r.Rings[present].OpenedAt.IsZero() {
		present = r.LastOpened()
	}
	return r.RollbackScope(present, all)
}

// LastOpened gives the index of the last ring that was opened; -1: none was.
func (r *Rollout) LastOpened() int {
	for i := len(r.Rings) - 1; i >= 0; i-- {
		if !r.Rings[i].OpenedAt.IsZero() {
			return i
		}
	}
	return -1
}

package deviceops

import (
	"slices"
	"time"
)

// CheckControl says why a control cannot be carried out on a rollout as it
// stands, to the person who asked. EINVALID, ECONFLICT.
func (r *Rollout) CheckControl(c RolloutControl) error {
	if c.Rollout != r.ID {
		return Errorf(EINVALID, "this control is about rollout %s, and this is %s", c.Rollout, r.ID)
	}
	switch c.Action {
	case RolloutPause:
		return r.must(c, r.Status == RolloutWaiting || r.Status == RolloutRunning)
	case RolloutResume:
		return r.must(c, r.Status == RolloutPaused)
	case RolloutCancel:
		return r.must(c, !r.Status.Ended() && r.Status != RolloutReverting)
	case RolloutSkip:
		return r.checkSkip(c)
	case RolloutRetry:
		return r.checkRetry(c)
	case RolloutSet:
		return r.checkSet(c)
	case RolloutRollback:
		return r.checkRollback(c)
	default:
		return Errorf(EINVALID, "%q is nothing that can be done to a rollout: pause, resume, cancel, skip, retry, set or rollback", c.Action)
	}
}

// must gives ECONFLICT unless ok.
func (r *Rollout) must(c RolloutControl, ok bool) error {
	if ok {
		return nil
	}
	return Errorf(ECONFLICT, "rollout %s is %s: %s does not apply", r.Name, r.Status, c.Action)
}

func (r *Rollout) checkSkip(c RolloutControl) error {
	if err := r.must(c, r.Status == RolloutRunning || r.Status == RolloutPaused || r.Status == RolloutWaiting); err != nil {
		return err
	}
	if r.Present() < 0 {
		return Errorf(ECONFLICT, "all rings of rollout %s have passed; there is none to skip", r.Name)
	}
	return nil
}

func (r *Rollout) checkRetry(c RolloutControl) error {
	if err := r.must(c, r.Status == RolloutRunning || r.Status == RolloutPaused); err != nil {
		return err
	}
	if total := r.Total(); total.Failed+total.TimedOut == 0 {
		return Errorf(ECONFLICT, "no device of rollout %s failed or timed out; one that rejected the change is never asked again", r.Name)
	}
	return nil
}

func (r *Rollout) checkSet(c RolloutControl) error {
	if err := r.must(c, !r.Status.Ended() && r.Status != RolloutReverting); err != nil {
		return err
	}
	if c.Limits == nil || *c.Limits == (Limits{}) {
		return Errorf(EINVALID, "say what is to be set: devices in flight, or a rate")
	}
	l := *c.Limits
	if l.InFlight < 0 || l.Rate.Start < 0 || l.Rate.Max < 0 || l.Rate.Every < 0 || l.Rate.Factor != 0 && l.Rate.Factor < 1 {
		return Errorf(EINVALID, "limits are not negative, and the factor of a rate is at least 1")
	}
	return nil
}

func (r *Rollout) checkRollback(c RolloutControl) error {
	switch {
	case r.RollbackOf != "":
		return Errorf(ECONFLICT, "rollout %s is a rollback itself: create a rollout with the release that the devices should have", r.Name)
	case r.StartedAt.IsZero():
		return Errorf(ECONFLICT, "rollout %s has not begun, so that nothing can be taken back; cancel it", r.Name)
	case r.Status.Ended() && r.Rollback != "":
		return Errorf(ECONFLICT, "rollout %s was taken back already, by %s", r.Name, r.Name+RollbackSuffix)
	}
	return r.must(c, r.Status != RolloutReverting && r.Status != RolloutReverted)
}

// Steer gives the rollout as a control that CheckControl let pass leaves it, with
// the next epoch.
func (r Rollout) Steer(c RolloutControl, now time.Time) Rollout {
	r.Rings = slices.Clone(r.Rings)
	r.Epoch++
	switch c.Action {
	case RolloutPause:
		r.steered(RolloutPaused, c, now)
	case RolloutResume:
		r.resume(c, now)
	case RolloutCancel:
		r.steered(RolloutCanceled, c, now)
	case RolloutSkip:
		r.skip(c, now)
	case RolloutRetry:
		r.reopen()
	case RolloutSet:
		r.Limits = r.Limits.with(*c.Limits)
	case RolloutRollback:
		r.TakeBack = r.TakenBack(c.All)
		r.steered(RolloutReverting, c, now)
		r.FinishedAt = time.Time{} // one that had ended goes on
	}
	return r
}

func (r *Rollout) steered(status RolloutStatus, c RolloutControl, now time.Time) {
	r.become(status, c.Reason, now)
	r.StatusBy = c.By.Name
}

// resume lets a rollout go on where it was paused: before its start, or in its
// ring, also if the gate of that had failed. What failed by then is let pass.
func (r *Rollout) resume(c RolloutControl, now time.Time) {
	status := RolloutRunning
	if r.StartedAt.IsZero() {
		status = RolloutWaiting
	}
	r.steered(status, c, now)
	for i := range r.Rings {
		if r.Rings[i].Status == RingFailed {
			ring := r.ring(i, RingRunning, c.By.Name+" let it go on")
			ring.ClosedAt, ring.Pardoned = time.Time{}, new(ring.bad())
		}
	}
}

// skip counts the present ring as passed.
func (r *Rollout) skip(c RolloutControl, now time.Time) {
	if i := r.Present(); i >= 0 {
		r.ring(i, RingSkipped, c.By.Name+" skipped it").ClosedAt = now
	}
}

// reopen has rings in which devices are asked again go on.
func (r *Rollout) reopen() {
	for i := range r.Rings {
		ring := &r.Rings[i]
		if ring.Counts.Failed+ring.Counts.TimedOut > 0 && !ring.OpenedAt.IsZero() {
			ring.Status, ring.Reason, ring.SoakAt, ring.ClosedAt = RingRunning, "devices are asked again", time.Time{}, time.Time{}
		}
	}
}

// with gives the limits with those of o that are not zero.
func (l Limits) with(o Limits) Limits {
	if o.InFlight > 0 {
		l.InFlight = o.InFlight
	}
	if o.Rate != (RateSpec{}) {
		l.Rate = o.Rate
	}
	return l
}

// Present gives the index of the first ring that has not passed; -1: all have.
func (r *Rollout) Present() int {
	for i := range r.Rings {
		if s := r.Rings[i].Status; s != RingPassed && s != RingSkipped {
			return i
		}
	}
	return -1
}

// Total sums up the counts of the rings.
func (r *Rollout) Total() (sum Counts) {
	for i := range r.Rings {
		sum = sum.Add(r.Rings[i].Counts)
	}
	return sum
}

// bad is how many devices of the ring did not make it, or are not well.
func (r *Ring) bad() int { return r.Counts.Unsuccessful() + r.Counts.Unhealthy }

// Steer takes over the rollout as a control left it. Whoever resumes is asked again
// what was answered with no.
func (v *RolloutView) Steer(c RolloutControl, steered Rollout) {
	v.Rollout = steered
	if c.Action == RolloutResume {
		v.forget(func(a RolloutAnswer) bool { return a.Status != ApprovalApproved })
	}
}

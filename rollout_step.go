package deviceops

import (
	"fmt"
	"slices"
	"time"
)

// Take carries a step out on what is known of the rollout: its statuses and
// times, and the answers that it used up.
func (v *RolloutView) Take(s RolloutStep) {
	v.Rollout = v.Rollout.after(s, v.Now)
	if s.Do == DoPause || s.Do == DoFail {
		v.forget(func(a RolloutAnswer) bool { return a.Status != ApprovalApproved }) // whoever resumes is asked again
	}
}

// Answer keeps the answer to a question.
func (v *RolloutView) Answer(a RolloutAnswer) {
	v.forget(func(old RolloutAnswer) bool { return old.Question == a.Question })
	v.Memory.Answers = append(v.Memory.Answers, a)
}

// Forget drops the answer to a question, so that it is asked again.
func (v *RolloutView) Forget(q RolloutQuestion) {
	v.forget(func(a RolloutAnswer) bool { return a.Question == q.Key() })
}

func (v *RolloutView) forget(which func(RolloutAnswer) bool) {
	v.Memory.Answers = slices.DeleteFunc(slices.Clone(v.Memory.Answers), which)
}

// after gives the rollout as a step leaves it.
func (r Rollout) after(s RolloutStep, now time.Time) Rollout {
	r.Rings = slices.Clone(r.Rings)
	switch s.Do {
	case DoAsk:
		if s.Question.Kind == AskRing && r.Rings[s.Ring].Status != RingAsking {
			r.ring(s.Ring, RingAsking, s.Question.Text)
		}
		r.waits(s.Question.Text, now)
	case DoWait:
		r.waits(s.Reason, now)
	case DoOpen:
		r.open(s, now)
	case DoSoak:
		if r.Rings[s.Ring].SoakAt.IsZero() {
			r.ring(s.Ring, RingSoaking, s.Reason).SoakAt = now
		}
	case DoPass:
		r.ring(s.Ring, RingPassed, s.Reason).ClosedAt = now
	case DoFail:
		r.fail(s, now)
	case DoPause:
		r.become(RolloutPaused, s.Reason, now)
	case DoFinish:
		r.become(s.Status, s.Reason, now)
	}
	return r
}

// SameState reports whether two states of a rollout differ in nothing but counts.
func (r *Rollout) SameState(o *Rollout) bool {
	return r.Status == o.Status && r.StatusReason == o.StatusReason && r.StartedAt.Equal(o.StartedAt) &&
		slices.EqualFunc(r.Rings, o.Rings, func(a, b Ring) bool {
			return a.Status == b.Status && a.Reason == b.Reason && a.OpenedAt.Equal(b.OpenedAt) && a.SoakAt.Equal(b.SoakAt) && a.ClosedAt.Equal(b.ClosedAt)
		})
}

// waits notes why a rollout has not begun.
func (r *Rollout) waits(reason string, now time.Time) {
	if r.Status == RolloutPlanning || r.Status == RolloutWaiting && r.StatusReason != reason {
		r.become(RolloutWaiting, reason, now)
	}
}

func (r *Rollout) open(s RolloutStep, now time.Time) {
	if r.Status != RolloutRunning {
		r.become(RolloutRunning, "", now)
	}
	if r.StartedAt.IsZero() {
		r.StartedAt = now
	}
	if ring := r.ring(s.Ring, RingRunning, s.Reason); ring.OpenedAt.IsZero() {
		ring.OpenedAt = now
	}
}

// fail has the ring fail, and the rollout do what its manifest says of that.
func (r *Rollout) fail(s RolloutStep, now time.Time) {
	ring := r.ring(s.Ring, RingFailed, s.Reason)
	ring.ClosedAt = now
	reason := "ring " + ring.Name + " failed: " + s.Reason
	switch s.Action {
	case FailStop:
		r.become(RolloutFailed, reason, now)
	case FailRollback, FailRollbackAll:
		r.TakeBack = r.RollbackScope(s.Ring, s.Action == FailRollbackAll)
		r.become(RolloutReverting, reason, now)
	default:
		r.become(RolloutPaused, reason, now)
	}
}

func (r *Rollout) ring(i int, status RingStatus, reason string) *Ring {
	ring := &r.Rings[i]
	ring.Status, ring.Reason = status, reason
	return ring
}

// become gives the rollout a status by the engine.
func (r *Rollout) become(status RolloutStatus, reason string, now time.Time) {
	r.Status, r.StatusReason, r.StatusBy, r.StatusSince = status, reason, Engine.Name, now
	if status.Ended() && r.FinishedAt.IsZero() {
		r.FinishedAt = now
	}
}

// wait waits for something to happen, and for devices that are at it.
func (v *RolloutView) wait(reason string) RolloutStep {
	until := v.Spec.Deadline
	if v.Rollout.Total().InFlight() > 0 {
		until = v.soon(until)
	}
	return RolloutStep{Do: DoWait, Ring: -1, Until: until, Reason: reason}
}

// waitUntil waits for a time, which the deadline may precede.
func (v *RolloutView) waitUntil(t time.Time, reason string) RolloutStep {
	return RolloutStep{Do: DoWait, Ring: -1, Until: sooner(t, v.Spec.Deadline), Reason: reason}
}

func (v *RolloutView) keep(i int, reason string) RolloutStep {
	return RolloutStep{Do: DoKeep, Ring: i, Until: v.soon(v.Spec.Deadline), Reason: reason}
}

func (v *RolloutView) ask(q RolloutQuestion) RolloutStep {
	until := v.Spec.Deadline
	if !v.Rollout.StartedAt.IsZero() {
		until = v.soon(until) // its devices go on meanwhile
	}
	return RolloutStep{Do: DoAsk, Ring: q.Ring, Until: until, Question: &q, Reason: q.Text}
}

func finish(status RolloutStatus, reason string) RolloutStep {
	return RolloutStep{Do: DoFinish, Ring: -1, Status: status, Reason: reason}
}

// soon is t, or when the numbers are looked at again or the deadline passes if
// that is earlier.
func (v *RolloutView) soon(t time.Time) time.Time {
	return sooner(sooner(v.Now.Add(RolloutLook), t), v.Spec.Deadline)
}

// sooner gives the earlier of two times; the zero time is never.
func sooner(a, b time.Time) time.Time {
	if a.IsZero() || !b.IsZero() && b.Before(a) {
		return b
	}
	return a
}

// GateOf gives the gate of a ring: its own, or the rollout's.
func (s *RolloutSpec) GateOf(ring int) Gate {
	if ring < len(s.Rings) && s.Rings[ring].Gate != nil {
		return *s.Rings[ring].Gate
	}
	return s.Gate
}

func (v *RolloutView) gate(i int) Gate { return v.Spec.GateOf(i) }

func (v *RolloutView) ringSpec(i int) RingSpec {
	if i >= len(v.Spec.Rings) {
		return RingSpec{}
	}
	return v.Spec.Rings[i]
}

func (v *RolloutView) facts(i int) GateFacts {
	return GateFacts{Ring: v.Rollout.Rings[i].Counts, Rollout: v.Rollout.Total()}
}

// summary says in words how the devices of a ring or rollout fared.
func summary(c Counts) string {
	text := fmt.Sprintf("%d of %d devices succeeded", c.Succeeded, c.Targeted)
	for _, part := range []struct {
		n    int
		what string
	}{
		{c.Unhealthy, "are unhealthy"}, {c.Failed, "failed"}, {c.Rejected, "rejected it"}, {c.TimedOut, "gave no answer in time"},
		{c.Excused, "are excused"}, {c.Canceled, "were canceled"}, {c.Open(), "are open"},
	} {
		if part.n > 0 {
			text += fmt.Sprintf(", %d %s", part.n, part.what)
		}
	}
	return text
}

func devices(n int) string { return count(n, "device") }

// are is count with its verb: "1 device is", "2 devices are".
func are(n int, what string) string {
	if n == 1 {
		return count(n, what) + " is"
	}
	return count(n, what) + " are"
}

func count(n int, what string) string {
	if n == 1 {
		return "1 " + what
	}
	return fmt.Sprintf("%d %ss", n, what)
}

package activities

import (
	"context"
	"slices"
	"time"

	"github.com/deviceops/deviceops"
)

const (
	// reviewPage is how many devices are judged by one statement, and reviewLimit
	// how many by one call that is not thorough.
	reviewPage  = 1000
	reviewLimit = 2000

	// errorsShown is how many kinds of errors are told to people who decide.
	errorsShown = 10
)

// CountInput asks how the devices of a rollout fare.
type CountInput struct {
	Rollout string `json:"rollout"`
	// Thorough judges the health of every device of the rings that are open, not
	// only of the next ones after Cursor.
	Thorough bool         `json:"thorough,omitempty"`
	Cursor   ReviewCursor `json:"cursor,omitzero"`
	// Deferrals is what a person decided about the devices that wait for that
	// because they put the change off too often: "" nothing so far.
	Deferrals DeferralsDecision `json:"deferrals,omitempty"`
	// DecidedAt is when: who put the change off later is not decided about.
	DecidedAt time.Time `json:"decided_at,omitzero"`
}

// DeferralsDecision is what becomes of devices that put the change off too often.
type DeferralsDecision string

// Decisions.
const (
	DeferralsAskAgain DeferralsDecision = "ask_again"
	DeferralsFail     DeferralsDecision = "fail"
)

// ReviewCursor is a place among the devices whose health is judged by and by.
type ReviewCursor struct {
	Ring   int    `json:"ring"`
	Device string `json:"device"`
}

// CountOutput tells it.
type CountOutput struct {
	Counts   []deviceops.Counts      `json:"counts"`             // by ring
	Epoch    int64                   `json:"epoch,omitempty"`    // of the rollout before it was counted
	Deferred int                     `json:"deferred,omitempty"` // devices that wait for a person because they put the change off too often
	Rollback deviceops.RolloutStatus `json:"rollback,omitempty"` // of the rollout that takes this one back
	Cursor   ReviewCursor            `json:"cursor,omitzero"`    // where to go on to judge
	More     bool                    `json:"more,omitempty"`     // there was more than one call may do: count again
	Errors   []deviceops.ErrorCount  `json:"errors,omitempty"`   // most first; only if Thorough
}

// Count brings the rows of a rollout up to date, as far as nobody else does: those
// that are overdue, the health of those that succeeded, those that wait for an
// answer of a person, and those of a rollout that has ended. Then it counts.
func (a *Rollouts) Count(ctx context.Context, in CountInput) (CountOutput, error) {
	ctx, stop := withPulse(ctx, bulkPatience)
	defer stop()
	out, err := a.count(ctx, in)
	return out, Failure(err)
}

func (a *Rollouts) count(ctx context.Context, in CountInput) (out CountOutput, err error) {
	r, err := a.deps.Store.FindRollout(ctx, in.Rollout)
	if err != nil {
		return out, err
	}
	spec, err := a.deps.Catalog.Rollout(ctx, r)
	if err != nil {
		return out, err
	}
	out.Epoch = r.Epoch
	call := &counting{a: a, r: r, spec: spec, in: in, out: &out}
	for _, do := range []func(context.Context) error{call.overdue, call.review, call.deferred, call.leftovers, call.numbers} {
		if err := do(ctx); err != nil {
			return out, err
		}
	}
	return out, nil
}

// counting is one call of Count.
type counting struct {
	a    *Rollouts
	r    deviceops.Rollout
	spec *deviceops.RolloutSpec
	in   CountInput
	out  *CountOutput
}

// review judges the health of devices that succeeded in rings that are open: of
// all, or of the next ones.
func (c *counting) review(ctx context.Context) error {
	c.out.Cursor = c.in.Cursor
	if !c.in.Thorough {
		return c.reviewSome(ctx)
	}
	for i := range c.r.Rings {
		if !c.reviewed(i) {
			continue
		}
		for after, more := "", true; more; {
			var err error
			if after, more, err = c.judge(ctx, i, after); err != nil {
				return err
			}
		}
	}
	return nil
}

// reviewSome goes on where the call before stopped, and from the first ring again
// after the last.
func (c *counting) reviewSome(ctx context.Context) error {
	at := c.in.Cursor
	for left := reviewLimit; left > 0; left -= reviewPage {
		if at.Ring >= len(c.r.Rings) {
			at = ReviewCursor{}
			break
		}
		more := false
		if c.reviewed(at.Ring) {
			var err error
			if at.Device, more, err = c.judge(ctx, at.Ring, at.Device); err != nil {
				return err
			}
		} else {
			left += reviewPage // it cost nothing
		}
		if !more {
			at = ReviewCursor{Ring: at.Ring + 1}
		}
	}
	c.out.Cursor = at
	return nil
}

// reviewed reports whether the health of a ring's devices matters.
func (c *counting) reviewed(ring int) bool {
	r := c.r.Rings[ring]
	if r.Counts.Succeeded == 0 || r.OpenedAt.IsZero() {
		return false
	}
	unknown := r.Counts.Healthy+r.Counts.Unhealthy < r.Counts.Succeeded
	return unknown || c.spec.Health != nil && !c.r.Status.Ended() && (r.ClosedAt.IsZero() || c.spec.KeepOpen > 0)
}

// judge judges the next devices of a ring and gives the last of them.
func (c *counting) judge(ctx context.Context, ring int, after string) (last string, more bool, err error) {
	found, err := c.a.deps.Store.ReviewRollout(ctx, deviceops.RolloutReview{
		Rollout: c.r.ID, Ring: ring, After: after, Limit: reviewPage, Unjudged: c.spec.Health == nil, Facts: c.spec.Health != nil,
	})
	if err != nil || len(found) == 0 {
		return "", false, err
	}
	var judged []deviceops.RolloutDevice
	for _, candidate := range found {
		health, err := c.health(&candidate.Device)
		if err != nil {
			return "", false, err
		}
		if health != candidate.Row.Health {
			row := candidate.Row
			row.Health = health
			judged = append(judged, row)
		}
	}
	beat(ctx)
	return found[len(found)-1].Row.Device, len(found) == reviewPage, c.a.deps.Store.JudgeRollout(ctx, judged)
}

func (c *counting) health(d *deviceops.Device) (deviceops.Verdict, error) {
	if c.spec.Health == nil {
		return deviceops.Yes, nil
	}
	verdict, err := c.spec.Health.Judge(d)
	if err != nil {
		return deviceops.Unknown, deviceops.Errorf(deviceops.EINVALID, "health (%s): %w", c.spec.Health.Source, err)
	}
	return verdict, nil
}

// deferred counts the devices that wait for a person because they put the change
// off too often, or does with them what was decided.
func (c *counting) deferred(ctx context.Context) error {
	if c.r.Total().Deferred == 0 {
		return nil
	}
	f := deviceops.RolloutDeviceFilter{Rollout: c.r.ID, Status: deviceops.DeviceDeferred, Limit: reviewPage}
	for {
		rows, err := c.a.deps.Store.ListRolloutDevices(ctx, f)
		if err != nil {
			return err
		}
		parked := slices.DeleteFunc(slices.Clone(rows), func(r deviceops.RolloutDevice) bool { return !r.DueAt.IsZero() })
		if err := c.decided(ctx, parked); err != nil {
			return err
		}
		if len(rows) < reviewPage {
			return nil
		}
		f.After = rows[len(rows)-1].Device
	}
}

// decided carries out the decision about devices that wait for one.
func (c *counting) decided(ctx context.Context, parked []deviceops.RolloutDevice) error {
	if c.in.Deferrals == "" {
		c.out.Deferred += len(parked)
		return nil
	}
	now := c.a.deps.now()
	later := func(r deviceops.RolloutDevice) bool { return r.Wait != nil && r.Wait.Since.After(c.in.DecidedAt) }
	before := slices.DeleteFunc(slices.Clone(parked), later)
	c.out.Deferred += len(parked) - len(before)
	var moves []deviceops.RolloutMove
	for _, r := range before {
		m := deviceops.RolloutMove{Rollout: r.Rollout, Device: r.Device, From: []deviceops.RolloutDeviceStatus{deviceops.DeviceDeferred}, At: now}
		if c.in.Deferrals == DeferralsAskAgain {
			m.To, m.DueAt = deviceops.DeviceDeferred, now
		} else {
			m.To, m.Error = deviceops.DeviceFailed, &deviceops.CommandError{Code: deviceops.CodeDeferrals, Message: "it put the change off too often, and a person decided not to ask it again"}
		}
		moves = append(moves, m)
	}
	return c.end(ctx, before, moves)
}

// leftovers ends rows that were about to be published when the rollout ended, and
// were not.
func (c *counting) leftovers(ctx context.Context) error {
	over := c.r.Status == deviceops.RolloutReverting || c.r.Status.Ended() && c.r.Status != deviceops.RolloutSucceeded
	if total := c.r.Total(); !over || total.Pending+total.Deferred == 0 {
		return nil
	}
	return c.a.deps.Store.InTx(ctx, func(ctx context.Context, tx deviceops.Tx) error {
		_, err := c.a.endWaiting(ctx, tx, &c.r)
		return err
	})
}

// numbers counts.
func (c *counting) numbers(ctx context.Context) error {
	rings, err := c.a.deps.Store.RolloutCounts(ctx, c.r.ID)
	if err != nil {
		return err
	}
	for _, ring := range rings {
		c.out.Counts = append(c.out.Counts, ring.Counts)
	}
	if c.r.Rollback != "" {
		back, err := c.a.deps.Store.FindRollout(ctx, c.r.Rollback)
		if err != nil {
			return err
		}
		c.out.Rollback = back.Status
	}
	if c.in.Thorough {
		errors, err := c.a.deps.Store.RolloutErrors(ctx, c.r.ID)
		c.out.Errors = errors[:min(len(errors), errorsShown)]
		return err
	}
	return nil
}

package activities

import (
	"context"

	"github.com/deviceops/deviceops"
)

// Codes of the failures of rollout.wait, by how the rollout ended.
const (
	CodeRolloutFailed   = "rollout_failed"
	CodeRolloutReverted = "rollout_reverted"
	CodeRolloutCanceled = "rollout_canceled"
	CodeRolloutEnded    = "rollout_ended"
)

var _ = addAction(NewAction(About{
	Name: "rollout.wait", Summary: "waits until a rollout has succeeded, or one of its rings has passed", Idempotent: true, Waits: true,
	Description: "The step's `timeout` bounds how long; a paused rollout is waited for, too. When the rollout ends otherwise, the step fails with `rollout_failed`, " +
		"`rollout_reverted` or `rollout_canceled`; `error.data` holds what the output would. What ends without the status that was waited for, " +
		"as one that succeeds while `status: reverted` is waited for, fails with `rollout_ended`.",
	Example: `
- action: rollout.wait
  with: { rollout: kiosk-2.4.0, ring: canary }
  timeout: 2d`,
}, waitRollout))

type waitRolloutArgs struct {
	Rollout string                  `json:"rollout" required:"true" doc:"the rollout: the id that rollout.start gave, or a name in the account of the run"`
	Ring    string                  `json:"ring" doc:"wait until this ring has passed; left out: for the status"`
	Status  deviceops.RolloutStatus `json:"status" enum:"waiting,running,paused,reverting,succeeded,failed,canceled,reverted" default:"succeeded" doc:"the status to wait for; one that has succeeded was waiting and running before"`
}

type waitRolloutOutput struct {
	ID        string                  `json:"id" doc:"the rollout"`
	Name      string                  `json:"name" doc:"its name"`
	Status    deviceops.RolloutStatus `json:"status" doc:"its status"`
	Reason    string                  `json:"reason" doc:"why it has that status"`
	Targeted  int                     `json:"targeted" doc:"devices that it is for"`
	Succeeded int                     `json:"succeeded" doc:"devices that have the change"`
	Failed    int                     `json:"failed" doc:"devices that failed, rejected it or timed out"`
	Unhealthy int                     `json:"unhealthy" doc:"devices that have it and are not well"`
}

func waitRollout(ctx context.Context, c *Call, args waitRolloutArgs) (waitRolloutOutput, error) {
	r, err := c.rollout(ctx, args.Rollout)
	if err != nil {
		return waitRolloutOutput{}, err
	}
	reached, err := args.reached(&r)
	total := r.Total()
	out := waitRolloutOutput{
		ID: r.ID, Name: r.Name, Status: r.Status, Reason: r.StatusReason,
		Targeted: total.Targeted, Succeeded: total.Succeeded, Failed: total.Unsuccessful(), Unhealthy: total.Unhealthy,
	}
	switch {
	case err != nil:
		return waitRolloutOutput{}, err
	case reached:
		return out, nil
	case r.Status.Ended():
		return waitRolloutOutput{}, Fail(deviceops.RunError{Code: endedCode(r.Status), Message: "rollout " + r.Name + " " + string(r.Status) + ": " + r.StatusReason, Data: out.data()})
	default:
		return waitRolloutOutput{}, notYet("rollout %s is %s", r.Name, r.Status)
	}
}

// reached reports whether a rollout is where it is waited for. ENOTFOUND for a
// ring that it does not have.
func (a waitRolloutArgs) reached(r *deviceops.Rollout) (bool, error) {
	if a.Ring == "" {
		past := r.Status == deviceops.RolloutSucceeded && (a.Status == deviceops.RolloutWaiting || a.Status == deviceops.RolloutRunning) ||
			a.Status == deviceops.RolloutWaiting && !r.StartedAt.IsZero()
		return r.Status == a.Status || past, nil
	}
	for _, ring := range r.Rings {
		if ring.Name == a.Ring {
			return ring.Status == deviceops.RingPassed || ring.Status == deviceops.RingSkipped, nil
		}
	}
	return false, deviceops.Errorf(deviceops.ENOTFOUND, "rollout %s has no ring %s", r.Name, a.Ring)
}

func endedCode(s deviceops.RolloutStatus) string {
	switch s {
	case deviceops.RolloutFailed:
		return CodeRolloutFailed
	case deviceops.RolloutReverted:
		return CodeRolloutReverted
	case deviceops.RolloutCanceled:
		return CodeRolloutCanceled
	default:
		return CodeRolloutEnded
	}
}

func (o waitRolloutOutput) data() map[string]any {
	return map[string]any{
		"id": o.ID, "name": o.Name, "status": string(o.Status), "reason": o.Reason,
		"targeted": o.Targeted, "succeeded": o.Succeeded, "failed": o.Failed, "unhealthy": o.Unhealthy,
	}
}

// rollout gives a rollout that the run may see, by id or by name in its account.
// One of another account is not found.
func (c *Call) rollout(ctx context.Context, name string) (deviceops.Rollout, error) {
	for _, id := range []string{name, deviceops.RolloutID(c.Account, name)} {
		found, err := c.Store().FindRollout(ctx, id)
		switch {
		case deviceops.ErrorCode(err) == deviceops.ENOTFOUND:
		case err != nil:
			return deviceops.Rollout{}, err
		case deviceops.AccountWithin(found.Account, c.Account):
			return found, nil
		}
	}
	return deviceops.Rollout{}, deviceops.Errorf(deviceops.ENOTFOUND, "account %s has no rollout %s", c.Account, name)
}

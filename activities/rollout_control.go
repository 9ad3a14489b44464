package activities

import (
	"context"
	"fmt"
	"time"

	"github.com/deviceops/deviceops"
)

// retryChunk is how many devices are moved by one statement.
const retryChunk = 1000

// ControlInput is what a person does to a rollout.
type ControlInput struct {
	Control deviceops.RolloutControl `json:"control"`
	// Epoch is the one that the workflow knows: a control that finds the next one
	// has been carried out before, and was repeated.
	Epoch int64 `json:"epoch"`
}

// ControlOutput says what a control did, and what the rollout is then, without
// its manifest.
type ControlOutput struct {
	Controlled deviceops.RolloutControlled `json:"controlled"`
	Rollout    deviceops.Rollout           `json:"rollout"`
}

// Control carries a control out in one transaction: the rollout's row first, so
// that no claim of before leaves after it, then its devices, then the audit log.
// ECONFLICT when the rollout does not admit it.
func (a *Rollouts) Control(ctx context.Context, in ControlInput) (out ControlOutput, err error) {
	err = a.deps.Store.InTx(ctx, func(ctx context.Context, tx deviceops.Tx) error {
		before, err := tx.LockRollout(ctx, in.Control.Rollout)
		if err != nil {
			return err
		}
		switch before.Epoch {
		case in.Epoch:
			out.Controlled, err = a.steer(ctx, tx, &before, in.Control)
		case in.Epoch + 1: // this is a repetition
			out.Controlled, err = a.describe(ctx, tx, &before, in.Control)
		default:
			err = deviceops.Errorf(deviceops.ECONFLICT, "rollout %s is in epoch %d, and its workflow knows epoch %d", before.Name, before.Epoch, in.Epoch)
		}
		if err != nil {
			return err
		}
		out.Rollout, err = tx.FindRollout(ctx, before.ID)
		out.Rollout.Source = ""
		return err
	})
	return out, Failure(err)
}

// SteerEnded carries out a control on a rollout that has ended, which has no
// workflow that would. It belongs in the transaction that asks for one. ECONFLICT
// when the rollout, which tx has locked, does not admit it.
func SteerEnded(ctx context.Context, d Deps, tx deviceops.Tx, r deviceops.Rollout, c deviceops.RolloutControl) (deviceops.RolloutControlled, error) {
	return (&Rollouts{deps: d}).steer(ctx, tx, &r, c)
}

func (a *Rollouts) steer(ctx context.Context, tx deviceops.Tx, before *deviceops.Rollout, c deviceops.RolloutControl) (deviceops.RolloutControlled, error) {
	if err := before.CheckControl(c); err != nil {
		return deviceops.RolloutControlled{}, err
	}
	now := a.deps.now()
	after := before.Steer(c, now)
	err := tx.SaveRollout(ctx, after)
	said := deviceops.RolloutControlled{Status: after.Status, Epoch: after.Epoch}
	if err == nil {
		err = a.steerDevices(ctx, tx, before, &after, c, now, &said)
	}
	if err == nil {
		said.Text = controlText(&after, c, said)
		err = a.audit(ctx, tx, before, &after, c, said)
	}
	return said, err
}

// steerDevices does to the devices of a rollout what a control means to them.
func (a *Rollouts) steerDevices(ctx context.Context, tx deviceops.Tx, before, after *deviceops.Rollout, c deviceops.RolloutControl, now time.Time, said *deviceops.RolloutControlled) (err error) {
	switch c.Action {
	case deviceops.RolloutPause:
		var w deviceops.Withdrawal
		w, err = tx.WithdrawRollout(ctx, after.ID, now)
		said.Withdrawal = &w
		return err
	case deviceops.RolloutCancel, deviceops.RolloutRollback:
		said.Devices, err = a.endWaiting(ctx, tx, after)
	case deviceops.RolloutSkip:
		cause := &deviceops.CommandError{Code: deviceops.ECANCELED, Message: c.By.Name + " skipped its ring" + reasonText(c.Reason)}
		said.Devices, err = tx.EndRolloutDevices(ctx, after.ID, before.Present(), deviceops.DeviceCanceled, cause, now)
	case deviceops.RolloutRetry:
		said.Devices, err = a.askAgain(ctx, tx, after.ID, now)
		return err
	default:
		return nil
	}
	if err != nil {
		return err
	}
	w, err := withdrawal(ctx, tx, after.ID)
	w.Withdrawn = said.Devices
	said.Withdrawal = &w
	return err
}

// askAgain makes the devices of a rollout pending that failed or gave no answer.
func (a *Rollouts) askAgain(ctx context.Context, tx deviceops.Tx, rollout string, now time.Time) (asked int, err error) {
	for _, status := range []deviceops.RolloutDeviceStatus{deviceops.DeviceFailed, deviceops.DeviceTimedOut} {
		f := deviceops.RolloutDeviceFilter{Rollout: rollout, Status: status, Limit: retryChunk}
		for {
			rows, err := tx.ListRolloutDevices(ctx, f)
			if err != nil {
				return asked, err
			}
			moves := make([]deviceops.RolloutMove, len(rows))
			for i, r := range rows {
				moves[i] = deviceops.RolloutMove{
					Rollout: rollout, Device: r.Device, From: []deviceops.RolloutDeviceStatus{status}, To: deviceops.DevicePending, At: now, DueAt: now,
				}
			}
			moved, err := tx.AdvanceRollout(ctx, moves)
			if asked += len(moved); err != nil {
				return asked, err
			}
			if len(rows) < retryChunk {
				break
			}
			f.After = rows[len(rows)-1].Device
		}
	}
	return asked, nil
}

// withdrawal counts what goes on after nothing new leaves.
func withdrawal(ctx context.Context, tx deviceops.Tx, rollout string) (w deviceops.Withdrawal, err error) {
	rings, err := tx.RolloutCounts(ctx, rollout)
	for _, r := range rings {
		w.Running += r.Counts.Accepted
		w.Unknown += r.Counts.Sent + r.Counts.Leased
	}
	return w, err
}

// describe says what a control did when that is not known any more.
func (a *Rollouts) describe(ctx context.Context, tx deviceops.Tx, r *deviceops.Rollout, c deviceops.RolloutControl) (deviceops.RolloutControlled, error) {
	w, err := withdrawal(ctx, tx, r.ID)
	said := deviceops.RolloutControlled{Status: r.Status, Epoch: r.Epoch}
	if c.Action != deviceops.RolloutResume && c.Action != deviceops.RolloutSet && c.Action != deviceops.RolloutRetry {
		said.Withdrawal = &w
	}
	said.Text = controlText(r, c, said)
	return said, err
}

// controlText says in one sentence what a control did.
func controlText(r *deviceops.Rollout, c deviceops.RolloutControl, said deviceops.RolloutControlled) string {
	text := fmt.Sprintf("rollout %s is %s", r.Name, r.Status)
	switch c.Action {
	case deviceops.RolloutRetry:
		text += fmt.Sprintf("; asked again: %d of its devices", said.Devices)
	case deviceops.RolloutSet:
		text += fmt.Sprintf("; up to %d devices are at it at once, %s", r.Limits.InFlight, rateText(r.Limits.Rate))
	}
	if w := said.Withdrawal; w != nil {
		text += fmt.Sprintf("; withdrawn %d, running %d, unknown %d (asked, and silent since)", w.Withdrawn, w.Running, w.Unknown)
	}
	return text
}

func rateText(r deviceops.RateSpec) string {
	if r.Start == 0 {
		return "at any rate"
	}
	return fmt.Sprintf("%g a minute at first", r.Start)
}

// audit writes down who did what, and which statuses that changed.
func (a *Rollouts) audit(ctx context.Context, tx deviceops.Tx, before, after *deviceops.Rollout, c deviceops.RolloutControl, said deviceops.RolloutControlled) error {
	evidence := map[string]any{"name": after.Name, "epoch": after.Epoch, "said": said.Text, "counts": countsMap(before.Total())}
	if c.Limits != nil {
		evidence["in_flight"], evidence["rate"] = after.Limits.InFlight, rateText(after.Limits.Rate)
	}
	err := tx.AppendAudit(ctx, deviceops.AuditEntry{
		At: a.deps.now(), Account: after.Account, Actor: c.By.Name, Action: "rollout.control." + string(c.Action), Target: rolloutTarget(after.ID),
		Reason: c.Reason, Evidence: evidence,
	})
	if err != nil {
		return err
	}
	return a.record(ctx, tx, after, deviceops.RolloutChanges(before, after, c.By.Name), nil)
}

func reasonText(reason string) string {
	if reason == "" {
		return ""
	}
	return ": " + reason
}

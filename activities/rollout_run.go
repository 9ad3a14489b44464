package activities

import (
	"context"
	"strings"

	"github.com/deviceops/deviceops"
)

// saveRun writes the state of a run. Where a rollout started it the device's row
// moves in the same transaction when the run ends.
func (a *Runs) saveRun(ctx context.Context, r deviceops.Run) error {
	rollout, ok := strings.CutPrefix(r.StartedBy, "rollout:")
	if !ok || !r.Status.Ended() {
		return a.deps.Store.SaveRun(ctx, r)
	}
	return a.deps.Store.InTx(ctx, func(ctx context.Context, tx deviceops.Tx) error {
		if err := tx.SaveRun(ctx, r); err != nil {
			return err
		}
		return a.moveRow(ctx, tx, rollout, r)
	})
}

// moveRow applies the end of a run to the row of its device as if the device had
// answered. A run of an attempt that was given up changes nothing.
func (a *Runs) moveRow(ctx context.Context, tx deviceops.Tx, id string, r deviceops.Run) error {
	row, err := tx.FindRolloutDevice(ctx, id, r.Device)
	if deviceops.ErrorCode(err) == deviceops.ENOTFOUND || err == nil && r.ID != rolloutRunID(id, r.Device, row.Attempt) {
		return nil
	}
	if err != nil {
		return err
	}
	rollout, err := tx.FindRollout(ctx, id)
	if err != nil {
		return err
	}
	spec, err := a.deps.Catalog.Rollout(ctx, rollout)
	if err != nil {
		spec = nil // a manifest that can't be read any more asks for nothing
	}
	over := rollout.Status.Ended() && rollout.Status != deviceops.RolloutSucceeded || rollout.Status == deviceops.RolloutReverting
	answered := runAnswer(r, row)
	_, err = tx.AdvanceRollout(ctx, []deviceops.RolloutMove{deviceops.RolloutOutcome(spec, &answered, over, a.deps.now())})
	return err
}

// runAnswer gives the end of a run in the terms of a command.
func runAnswer(r deviceops.Run, row deviceops.RolloutDevice) deviceops.Command {
	c := deviceops.Command{Rollout: row.Rollout, Device: row.Device, Ring: row.Ring, Attempt: row.Attempt}
	switch r.Status {
	case deviceops.RunSucceeded, deviceops.RunSkipped:
		c.Status, c.Percent = deviceops.CommandSucceeded, 100
	case deviceops.RunCanceled:
		c.Status = deviceops.CommandCanceled
	default:
		c.Status = deviceops.CommandFailed
	}
	if r.Error != nil {
		c.Error = &deviceops.CommandError{Code: r.Error.Code, Message: r.Error.Message, Retryable: r.Error.Retryable}
	}
	return c
}

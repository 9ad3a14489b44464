package activities

import (
	"context"
	"fmt"

	"github.com/deviceops/deviceops"
)

// Rollouts keeps rollouts and what happens in them. What each does next is
// decided by its workflow.
type Rollouts struct{ deps Deps }

// PinRolloutInput names a rollout.
type PinRolloutInput struct {
	Rollout string `json:"rollout"`
}

// PinRolloutOutput is the rollout with its manifest, as it goes into the history,
// and what its workflow has asked people so far: there is something only if Temporal
// lost the execution that asked. What was shown is left out of those that have ended.
type PinRolloutOutput struct {
	Rollout deviceops.Rollout    `json:"rollout"`
	Asked   []deviceops.Approval `json:"asked,omitempty"`
}

// Pin reads a rollout. ENOTFOUND.
func (a *Rollouts) Pin(ctx context.Context, in PinRolloutInput) (out PinRolloutOutput, err error) {
	if out.Rollout, err = a.deps.Store.FindRollout(ctx, in.Rollout); err != nil {
		return out, Failure(err)
	}
	out.Asked, err = a.deps.Store.WorkflowApprovals(ctx, deviceops.RolloutWorkflowID(in.Rollout))
	for i := range out.Asked {
		if out.Asked[i].Status != deviceops.ApprovalOpen {
			out.Asked[i].Show = nil
		}
	}
	return out, Failure(err)
}

// SaveRolloutInput is a rollout as it stands after a step of its workflow.
type SaveRolloutInput struct {
	Rollout deviceops.Rollout `json:"rollout"` // with rings; the manifest may be left out
	// Evidence is what the step was decided on, for the audit log.
	Evidence map[string]any `json:"evidence,omitempty"`
}

// Save writes the statuses of a rollout and its rings, and what follows from
// them: events, audit entries and, when nothing more is to begin, the end of
// devices that have not begun. Repeated it changes nothing. ECONFLICT if the
// rollout was changed by others than its workflow.
func (a *Rollouts) Save(ctx context.Context, in SaveRolloutInput) error {
	err := a.deps.Store.InTx(ctx, func(ctx context.Context, tx deviceops.Tx) error {
		stored, err := tx.LockRollout(ctx, in.Rollout.ID)
		if err != nil {
			return err
		}
		if stored.Epoch != in.Rollout.Epoch {
			return deviceops.Errorf(deviceops.ECONFLICT, "rollout %s is in epoch %d, and this step was decided in epoch %d", stored.Name, stored.Epoch, in.Rollout.Epoch)
		}
		next := in.Rollout
		next.Limits, next.Rollback, next.Notes = stored.Limits, stored.Rollback, stored.Notes
		return a.write(ctx, tx, &stored, &next, in.Evidence)
	})
	return Failure(err)
}

// write stores what a rollout became.
func (a *Rollouts) write(ctx context.Context, tx deviceops.Tx, before, after *deviceops.Rollout, evidence map[string]any) error {
	if err := tx.SaveRollout(ctx, *after); err != nil {
		return err
	}
	changes := deviceops.RolloutChanges(before, after, deviceops.Engine.Name)
	if len(changes) == 0 {
		return nil
	}
	if before.Status != after.Status {
		if _, err := a.endWaiting(ctx, tx, after); err != nil {
			return err
		}
	}
	return a.record(ctx, tx, after, changes, evidence)
}

// record puts changes of statuses into events and audit log.
func (a *Rollouts) record(ctx context.Context, tx deviceops.Tx, r *deviceops.Rollout, changes []deviceops.RolloutChange, evidence map[string]any) error {
	now := a.deps.now()
	events := make([]deviceops.Event, 0, len(changes))
	entries := make([]deviceops.AuditEntry, 0, len(changes))
	for _, c := range changes {
		data := changeData(r, c)
		events = append(events, deviceops.Event{
			Account: r.Account, Type: c.Event, Severity: c.Severity, Data: data, At: now, ReceivedAt: now,
		})
		entries = append(entries, deviceops.AuditEntry{
			At: now, Account: r.Account, Actor: c.By, Action: c.Event, Target: rolloutTarget(r.ID), Reason: c.Reason,
			Evidence: merged(data, evidence),
		})
	}
	if err := tx.AppendAudit(ctx, entries...); err != nil {
		return err
	}
	return tx.AppendEvents(ctx, events)
}

func rolloutTarget(id string) string { return "rollout:" + id }

func changeData(r *deviceops.Rollout, c deviceops.RolloutChange) map[string]any {
	data := map[string]any{"rollout": r.ID, "name": r.Name, "status": c.Status, "by": c.By, "reason": c.Reason}
	if c.Ring >= 0 {
		data["ring"], data["index"], data["counts"] = r.Rings[c.Ring].Name, c.Ring, countsMap(r.Rings[c.Ring].Counts)
	}
	return data
}

// countsMap gives the counts that a person wants to see, as plain values.
func countsMap(c deviceops.Counts) map[string]any {
	return map[string]any{
		"targeted": c.Targeted, "reached": c.Reached(), "succeeded": c.Succeeded, "failed": c.Failed, "rejected": c.Rejected,
		"timed_out": c.TimedOut, "excused": c.Excused, "canceled": c.Canceled, "healthy": c.Healthy, "unhealthy": c.Unhealthy, "open": c.Open(),
	}
}

func merged(a, b map[string]any) map[string]any {
	all := make(map[string]any, len(a)+len(b))
	for _, m := range []map[string]any{a, b} {
		for k, v := range m {
			all[k] = v
		}
	}
	return all
}

// endWaiting ends the devices that have not begun when the rollout has: they
// never will, unless it succeeded, in which case they get the change when they
// come back. It gives their number.
func (a *Rollouts) endWaiting(ctx context.Context, tx deviceops.Tx, r *deviceops.Rollout) (int, error) {
	switch {
	case r.Status == deviceops.RolloutSucceeded:
		cause := &deviceops.CommandError{Code: deviceops.CodeStraggler, Message: "the rollout ended before its turn; it gets the change when it comes back"}
		return tx.EndRolloutDevices(ctx, r.ID, -1, deviceops.DeviceExcused, cause, a.deps.now())
	case r.Status.Ended() || r.Status == deviceops.RolloutReverting:
		cause := &deviceops.CommandError{Code: deviceops.ECANCELED, Message: fmt.Sprintf("the rollout became %s before its turn: %s", r.Status, r.StatusReason)}
		return tx.EndRolloutDevices(ctx, r.ID, -1, deviceops.DeviceCanceled, cause, a.deps.now())
	default:
		return 0, nil
	}
}

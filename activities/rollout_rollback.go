package activities

import (
	"context"
	"slices"

	"github.com/deviceops/deviceops"
)

// RollbackInput asks for the rollout that takes another one back.
type RollbackInput struct {
	Rollout string `json:"rollout"`
	Rings   []int  `json:"rings"` // of the rollout that is taken back
	By      string `json:"by"`
	Reason  string `json:"reason,omitempty"`
}

// RollbackOutput tells what there is to take back.
type RollbackOutput struct {
	Rollback     string `json:"rollback,omitempty"`     // id of the rollout; "": there is nothing to take back
	Devices      int    `json:"devices"`                // that return to what they were
	Irreversible int    `json:"irreversible,omitempty"` // that can't
}

// CreateRollback makes the rollout by which devices return to what they were
// before another one reached them, with a row for each of them; the rings come in
// reverse order. What can't be taken back is written into the rows of the
// original. Repeated it goes on where it was.
func (a *Rollouts) CreateRollback(ctx context.Context, in RollbackInput) (RollbackOutput, error) {
	ctx, stop := withPulse(ctx, bulkPatience)
	defer stop()
	out, err := a.createRollback(ctx, in)
	return out, Failure(err)
}

func (a *Rollouts) createRollback(ctx context.Context, in RollbackInput) (out RollbackOutput, err error) {
	original, err := a.deps.Store.FindRollout(ctx, in.Rollout)
	if err != nil {
		return out, err
	}
	spec, err := a.deps.Catalog.Rollout(ctx, original)
	if err != nil {
		return out, err
	}
	way, err := a.wayBack(ctx, original, spec)
	if err != nil {
		return out, err
	}
	back := original.NewRollback(spec, in.Rings, in.By, in.Reason, a.deps.now())
	if way.obstacle == "" {
		if back, err = a.link(ctx, original.ID, &back); err != nil {
			return out, err
		}
		out.Rollback = back.ID
	}
	for i, taken := range back.Rings {
		ring := slices.IndexFunc(original.Rings, func(r deviceops.Ring) bool { return r.Name == taken.Name })
		f := deviceops.RolloutDeviceFilter{Rollout: original.ID, Ring: &ring}
		err := eachRolloutDevice(ctx, a.deps.Store, f, func(rows []deviceops.RolloutDevice) error {
			return a.takeBack(ctx, back, i, way, rows, &out)
		})
		if err != nil {
			return out, err
		}
	}
	return out, nil
}

// NoWayBack says why no device of a rollout can be taken back; "": nothing keeps
// them from it. Errors are those of deviceops.Catalog.Rollout.
func NoWayBack(ctx context.Context, d Deps, r deviceops.Rollout) (string, error) {
	spec, err := d.Catalog.Rollout(ctx, r)
	if err != nil {
		return "", err
	}
	way, err := (&Rollouts{deps: d}).wayBack(ctx, r, spec)
	return way.obstacle, err
}

// wayBack is how devices can be taken back.
type wayBack struct {
	obstacle string // why no device at all can be; "": nothing keeps them from it
	software bool   // to the release that they ran, which has to be known
}

func (a *Rollouts) wayBack(ctx context.Context, r deviceops.Rollout, spec *deviceops.RolloutSpec) (wayBack, error) {
	switch spec.Change.Kind {
	case deviceops.ChangeRelease:
		ref, err := deviceops.ParseReleaseRef(spec.Change.Release)
		if err != nil {
			return wayBack{}, err
		}
		release, err := a.deps.Store.FindRelease(ctx, r.Account, ref)
		if err == nil && !release.Reversible {
			return wayBack{obstacle: "release " + ref.String() + " is not reversible"}, nil
		}
		return wayBack{software: len(release.Components) > 0}, err
	case deviceops.ChangeConfig:
		return wayBack{}, nil
	default:
		return wayBack{obstacle: "what a " + string(spec.Change.Kind) + " did cannot be taken back by itself"}, nil
	}
}

// link stores the rollback and names it in the original. It gives the rollback as
// it is stored: one that was made before keeps its rings.
func (a *Rollouts) link(ctx context.Context, original string, back *deviceops.Rollout) (stored deviceops.Rollout, err error) {
	err = a.deps.Store.InTx(ctx, func(ctx context.Context, tx deviceops.Tx) error {
		r, err := tx.LockRollout(ctx, original)
		if err != nil {
			return err
		}
		var created bool
		if stored, created, err = tx.CreateRollout(ctx, *back); err != nil {
			return err
		}
		if stored.RollbackOf != original {
			return deviceops.Errorf(deviceops.ECONFLICT, "there is a rollout %s already, which is not the rollback of %s", back.Name, r.Name)
		}
		r.Rollback = back.ID
		if err := tx.SaveRollout(ctx, r); err != nil || !created {
			return err
		}
		return tx.AppendAudit(ctx, deviceops.AuditEntry{
			At: a.deps.now(), Account: r.Account, Actor: back.CreatedBy, Action: "rollout.rollback", Target: rolloutTarget(back.ID), Reason: back.Reason,
			Evidence: map[string]any{"of": original, "name": back.Name},
		})
	})
	return stored, err
}

// takeBack gives rows of the original their rows in a ring of the rollback, or
// writes into them why they have none.
func (a *Rollouts) takeBack(ctx context.Context, back deviceops.Rollout, ring int, way wayBack, rows []deviceops.RolloutDevice, out *RollbackOutput) error {
	now := a.deps.now()
	var added []deviceops.RolloutDevice
	var stuck []deviceops.RolloutMove
	for i := range rows {
		r := &rows[i]
		if !r.Changed() {
			continue
		}
		why := way.obstacle
		if why == "" && way.software && r.From.Release == "" {
			why = "no release is known that is what it ran before"
		}
		if why == "" {
			added = append(added, deviceops.RolloutDevice{
				Rollout: back.ID, Device: r.Device, Account: r.Account, Ring: ring, Status: deviceops.DevicePending, DueAt: now, From: r.From,
			})
			continue
		}
		stuck = append(stuck, deviceops.RolloutMove{
			Rollout: r.Rollout, Device: r.Device, From: []deviceops.RolloutDeviceStatus{r.Status}, To: deviceops.DeviceRevertFailed, At: now,
			Error: &deviceops.CommandError{Code: deviceops.CodeIrreversible, Message: why},
		})
	}
	if _, err := a.deps.Store.AddRolloutDevices(ctx, added); err != nil {
		return err
	}
	_, err := a.deps.Store.AdvanceRollout(ctx, stuck)
	out.Devices += len(added)
	out.Irreversible += len(stuck)
	beat(ctx, out.Devices)
	return err
}

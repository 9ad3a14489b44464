package activities

import (
	"context"
	"fmt"
	"slices"

	"github.com/deviceops/deviceops"
)

// conflicts finds other rollouts that hold targeted devices. It gives why this one
// must not begin, if the manifest says so, and has the others give up what they
// have not begun if it says that.
func (p *planning) conflicts(ctx context.Context, all []targeted) (refused string, err error) {
	if p.spec.Conflict != deviceops.ConflictRefuse && p.spec.Conflict != deviceops.ConflictSupersede {
		return "", nil
	}
	mine := make(map[string]bool, len(all))
	for _, t := range all {
		mine[t.assign.ID] = t.excuse == nil
	}
	others, err := p.others(ctx)
	if err != nil {
		return "", err
	}
	for _, o := range others {
		held, err := p.held(ctx, o, mine)
		if err != nil {
			return "", err
		}
		switch {
		case len(held) == 0:
		case p.spec.Conflict == deviceops.ConflictRefuse:
			return fmt.Sprintf("rollout %s holds %d of its devices, %s among them, and the manifest says conflict: refuse", o.Name, len(held), held[0].Device), nil
		default:
			err = p.giveUp(ctx, held, "rollout "+p.r.Name+" supersedes this one")
		}
		if err != nil {
			return "", err
		}
	}
	return "", nil
}

// others gives the other rollouts that have not ended, whatever their account: a
// device may be targeted from any account above it.
func (p *planning) others(ctx context.Context) (others []deviceops.Rollout, err error) {
	f := deviceops.RolloutFilter{Open: true, Limit: 200}
	for {
		page, err := p.a.deps.Store.ListRollouts(ctx, f)
		if err != nil {
			return nil, err
		}
		for _, o := range page {
			if o.ID != p.r.ID && o.RollbackOf == "" {
				others = append(others, o)
			}
		}
		if len(page) < f.Limit {
			return others, nil
		}
		f.After = page[len(page)-1].ID
	}
}

// held gives the open rows of another rollout for devices of this one.
func (p *planning) held(ctx context.Context, o deviceops.Rollout, mine map[string]bool) (held []deviceops.RolloutDevice, err error) {
	err = eachRolloutDevice(ctx, p.a.deps.Store, deviceops.RolloutDeviceFilter{Rollout: o.ID}, func(rows []deviceops.RolloutDevice) error {
		for _, r := range rows {
			if mine[r.Device] && r.Status.Open() {
				held = append(held, r)
			}
		}
		beat(ctx)
		return nil
	})
	return held, err
}

// giveUp cancels rows of other rollouts that have not begun, or were given up
// until their devices come back.
func (p *planning) giveUp(ctx context.Context, rows []deviceops.RolloutDevice, why string) error {
	for chunk := range slices.Chunk(rows, planChunk) {
		var moves []deviceops.RolloutMove
		for _, r := range chunk {
			moves = append(moves, deviceops.RolloutMove{
				Rollout: r.Rollout, Device: r.Device, To: deviceops.DeviceCanceled, At: p.a.deps.now(),
				From:  []deviceops.RolloutDeviceStatus{deviceops.DevicePending, deviceops.DeviceDeferred, deviceops.DeviceExcused},
				Error: &deviceops.CommandError{Code: CodeSuperseded, Message: why},
			})
		}
		if _, err := p.a.letGo(ctx, moves); err != nil {
			return err
		}
	}
	return nil
}

// CodeSuperseded is the error code of devices that another rollout sees to.
const CodeSuperseded = "superseded"

// supersede keeps older rollouts of the same project from bringing devices that
// come back late to a release that is not the present one any more.
func (p *planning) supersede(ctx context.Context) error {
	project, ok := projectOf(p.spec)
	if !ok {
		return nil
	}
	f := deviceops.RolloutFilter{Account: p.r.Account, Limit: 200}
	for {
		page, err := p.a.deps.Store.ListRollouts(ctx, f)
		if err != nil {
			return err
		}
		for _, o := range page {
			if err := p.supersedeOne(ctx, o, project); err != nil {
				return err
			}
		}
		if len(page) < f.Limit {
			return nil
		}
		f.After = page[len(page)-1].ID
	}
}

func (p *planning) supersedeOne(ctx context.Context, o deviceops.Rollout, project string) error {
	if o.ID == p.r.ID || o.Kind != deviceops.ChangeRelease || !o.CreatedAt.Before(p.r.CreatedAt) {
		return nil
	}
	found, err := p.a.deps.Store.FindRollout(ctx, o.ID) // with its manifest
	if err != nil {
		return err
	}
	spec, err := p.a.deps.Catalog.Rollout(ctx, found)
	if err != nil {
		return nil // it can bring no device anywhere
	}
	if theirs, _ := projectOf(spec); theirs != project {
		return nil
	}
	f := deviceops.RolloutDeviceFilter{Rollout: o.ID, Status: deviceops.DeviceExcused}
	return eachRolloutDevice(ctx, p.a.deps.Store, f, func(rows []deviceops.RolloutDevice) error {
		stragglers := slices.DeleteFunc(rows, func(r deviceops.RolloutDevice) bool { return r.Error == nil || r.Error.Code != deviceops.CodeStraggler })
		return p.giveUp(ctx, stragglers, "rollout "+p.r.Name+" brings a newer release of "+project)
	})
}

// projectOf gives the project whose releases a rollout brings.
func projectOf(s *deviceops.RolloutSpec) (string, bool) {
	if s.Change.Kind != deviceops.ChangeRelease {
		return "", false
	}
	ref, err := deviceops.ParseReleaseRef(s.Change.Release)
	return ref.Project, err == nil
}

package activities

import (
	"context"

	"github.com/deviceops/deviceops"
)

// transitionDevice moves the step's device to another state. Its output is
// {state, previous}.
type transitionDevice struct {
	To     deviceops.State `json:"to"`
	Reason string          `json:"reason"`
}

func (t *transitionDevice) perform(ctx context.Context, d Deps, in ActionInput) (ActionOutput, error) {
	device, err := in.target(ctx, d)
	if err != nil {
		return ActionOutput{}, err
	}
	profile, err := deviceops.ProfileOf(ctx, d.Catalog, &device)
	if err != nil {
		return ActionOutput{}, err
	}
	move := deviceops.Transition{
		Device: device.ID, To: t.To, By: in.By, Reason: t.Reason,
		Evidence: map[string]any{"run": in.RunID, "step": in.Step},
	}
	err = d.Store.InTx(ctx, func(ctx context.Context, tx deviceops.Tx) error {
		_, _, err := move.Apply(ctx, tx, profile, d.now())
		return err
	})
	return ActionOutput{Output: map[string]any{"state": t.To, "previous": device.State}}, err
}

package activities

import (
	"context"

	"github.com/deviceops/deviceops"
)

var _ = addAction(NewAction(About{
	Name: "device.transition", Summary: "brings the device into another state", Device: true, Idempotent: true, Quick: true,
	Description: "A transition that the state machine or a guard of the profile does not allow fails with `conflict`.",
	Example: `
- action: device.transition
  with: { to: maintenance, reason: panel is dark }`,
}, transitionDevice))

type transitionArgs struct {
	To     deviceops.State `json:"to" required:"true" enum:"escrow,discovered,provisioning,active,maintenance,quarantined,retired" doc:"the state"`
	Reason string          `json:"reason" doc:"shown on the timeline of the device and in the audit log"`
}

type transitionOutput struct {
	State    deviceops.State `json:"state" doc:"the state that the device is in now"`
	Previous deviceops.State `json:"previous" doc:"the state that it was in before"`
}

func transitionDevice(ctx context.Context, c *Call, args transitionArgs) (transitionOutput, error) {
	device, err := c.Device(ctx)
	if err != nil {
		return transitionOutput{}, err
	}
	profile, err := deviceops.ProfileOf(ctx, c.deps.Catalog, &device)
	if err != nil {
		return transitionOutput{}, err
	}
	move := deviceops.Transition{
		Device: device.ID, To: args.To, By: c.By, Reason: args.Reason,
		Evidence: map[string]any{"run": c.Run, "step": c.Step},
	}
	err = c.deps.Store.InTx(ctx, func(ctx context.Context, tx deviceops.Tx) error {
		_, _, err := move.Apply(ctx, tx, profile, c.Now())
		return err
	})
	return transitionOutput{State: args.To, Previous: device.State}, err
}

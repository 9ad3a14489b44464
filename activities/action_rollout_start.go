package activities

import (
	"context"
	"encoding/json"

	"github.com/deviceops/deviceops"
)

var _ = addAction(NewAction(About{
	Name: "rollout.start", Summary: "creates a rollout in the account of the run, and has it begin", Idempotent: true,
	Description: "The manifest is checked against what is published, as `deviceops rollout create` does; `invalid` says what is wrong. " +
		"The name makes it one rollout of the account: the same content again gives the rollout that there is, other content is refused with `conflict`. " +
		"A manifest without a name makes one rollout of each execution of the step. The step ends at once; `rollout.wait` waits for the rollout.",
	Example: `
- id: roll
  action: rollout.start
  with:
    name: kiosk-2.4.0
    release: kiosk-os@2.4.0
    manifest:
      targets: device.profile == "kiosk"
      rings:
        - { name: canary, take: 10, soak: 30m }
        - { name: everyone }
      on_fail: rollback`,
}, startRollout))

type startRolloutArgs struct {
	Manifest json.RawMessage `json:"manifest" required:"true" doc:"the manifest: its keys, or a text that is YAML"`
	Name     string          `json:"name" max:"200" doc:"of the rollout, in place of the manifest's"`
	Release  string          `json:"release" max:"200" doc:"PROJECT@VERSION, the change in place of the manifest's"`
	Reason   string          `json:"reason" max:"2000" doc:"shown at the rollout and in the audit log"`
}

type startRolloutOutput struct {
	ID      string                  `json:"id" doc:"the rollout"`
	Name    string                  `json:"name" doc:"its name"`
	Status  deviceops.RolloutStatus `json:"status" doc:"how far it is: planning, when it has just been created"`
	Created bool                    `json:"created" doc:"false when there was such a rollout"`
}

func startRollout(ctx context.Context, c *Call, args startRolloutArgs) (startRolloutOutput, error) {
	spec, source, err := c.deps.Catalog.ReadManifest(ctx, c.Store(), c.Account, deviceops.ManifestDraft{
		Manifest: args.Manifest, Name: args.Name, Unnamed: "rollout-" + deviceops.ShortHash(8, c.ID), Release: args.Release,
	})
	if err != nil {
		return startRolloutOutput{}, err
	}
	wanted := spec.NewRollout(c.Account, source, deviceops.ManifestHash(source), c.By, args.Reason, c.Now())
	var stored deviceops.Rollout
	var created bool
	err = c.Store().InTx(ctx, func(ctx context.Context, tx deviceops.Tx) error {
		if stored, created, err = tx.CreateRollout(ctx, wanted); err != nil || !created {
			return err
		}
		if err := tx.RequestStarts(ctx, []deviceops.Start{deviceops.RolloutStart(stored.ID)}, c.Now()); err != nil {
			return err
		}
		return c.audit(ctx, tx, stored.Account, "rollout.create", rolloutTarget(stored.ID), stored.Reason, map[string]any{
			"id": stored.ID, "name": stored.Name, "hash": stored.Hash, "change": string(stored.Kind),
		})
	})
	return startRolloutOutput{ID: stored.ID, Name: stored.Name, Status: stored.Status, Created: created && err == nil}, err
}

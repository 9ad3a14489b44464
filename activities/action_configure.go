package activities

import (
	"context"
	"maps"

	"github.com/deviceops/deviceops"
)

// configureDevice changes what is desired of the step's device and has it
// configured. The given keys replace those of the same name, null removes one,
// all others stay. Its output is {version}.
type configureDevice struct {
	Configuration map[string]any `json:"configuration"`
}

func (c *configureDevice) perform(ctx context.Context, d Deps, in ActionInput) (ActionOutput, error) {
	device, err := in.target(ctx, d)
	if err != nil {
		return ActionOutput{}, err
	}
	var desired deviceops.Desired
	err = d.Store.InTx(ctx, func(ctx context.Context, tx deviceops.Tx) error {
		locked, err := tx.LockDevices(ctx, []string{device.ID})
		if err != nil {
			return err
		}
		current, ok := locked[device.ID]
		if !ok {
			return deviceops.Errorf(deviceops.ENOTFOUND, "there is no device %s", device.ID)
		}
		desired = c.apply(current.Twin.Desired)
		if desired.Version == current.Twin.Desired.Version {
			return nil
		}
		current.Twin.Desired, current.UpdatedAt = desired, d.now()
		return saveConfigured(ctx, tx, current, in, d)
	})
	if err != nil {
		return ActionOutput{}, err
	}
	return ActionOutput{
		Output:  map[string]any{"version": desired.Version},
		Command: &FollowUp{Name: deviceops.CommandConfigure, Args: configureArgs(desired)},
	}, nil
}

// apply gives what is desired after the change; the same version if nothing
// changes.
func (c *configureDevice) apply(desired deviceops.Desired) deviceops.Desired {
	merged := maps.Clone(desired.Configuration)
	if merged == nil {
		merged = map[string]any{}
	}
	for key, value := range c.Configuration {
		if value == nil {
			delete(merged, key)
			continue
		}
		merged[key] = value
	}
	if !sameConfiguration(merged, desired.Configuration) {
		desired.Configuration = merged
		desired.Version++
	}
	if desired.Heartbeat.Every <= 0 {
		desired.Heartbeat = deviceops.DefaultHeartbeat
	}
	desired.Version = max(desired.Version, 1)
	return desired
}

func saveConfigured(ctx context.Context, tx deviceops.Tx, device *deviceops.Device, in ActionInput, d Deps) error {
	if err := tx.SaveDevice(ctx, device); err != nil {
		return err
	}
	return tx.AppendAudit(ctx, deviceops.AuditEntry{
		At: d.now(), Account: device.Account, Actor: in.By, Action: "device.configure", Target: "device:" + device.ID,
		Evidence: map[string]any{"run": in.RunID, "step": in.Step, "version": device.Twin.Desired.Version},
	})
}

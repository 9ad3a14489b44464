package activities

import (
	"context"
	"maps"

	"github.com/deviceops/deviceops"
)

var _ = addAction(NewAction(About{
	Name: "device.configure", Summary: "changes the desired configuration and waits until the device confirms it", Device: true, Idempotent: true,
	Description: "The given settings replace those of the same name, `null` removes one, all others stay. The step ends when the device has confirmed.",
	Example: `
- action: device.configure
  with:
    configuration: { brightness: 40, night_mode: null }`,
}, configureDevice))

type configureChange struct {
	Configuration map[string]any `json:"configuration" required:"true" doc:"settings to change; null removes one"`
}

type configureOutput struct {
	Version int64 `json:"version" doc:"of the desired configuration"`
}

func configureDevice(ctx context.Context, c *Call, change configureChange) (configureOutput, error) {
	device, err := c.Device(ctx)
	if err != nil {
		return configureOutput{}, err
	}
	var desired deviceops.Desired
	err = c.deps.Store.InTx(ctx, func(ctx context.Context, tx deviceops.Tx) error {
		current, err := lockDevice(ctx, tx, device.ID)
		if err != nil {
			return err
		}
		desired = change.apply(current.Twin.Desired)
		if desired.Version == current.Twin.Desired.Version {
			return nil
		}
		current.Twin.Desired, current.UpdatedAt = desired, c.Now()
		if err := tx.SaveDevice(ctx, current); err != nil {
			return err
		}
		return c.audit(ctx, tx, current.Account, "device.configure", "device:"+current.ID, "", map[string]any{"version": desired.Version})
	})
	c.Follow(FollowUp{Name: deviceops.CommandConfigure, Args: configureArgs(desired)})
	return configureOutput{Version: desired.Version}, err
}

func lockDevice(ctx context.Context, tx deviceops.Tx, id string) (*deviceops.Device, error) {
	locked, err := tx.LockDevices(ctx, []string{id})
	if err != nil {
		return nil, err
	}
	device, ok := locked[id]
	if !ok {
		return nil, deviceops.Errorf(deviceops.ENOTFOUND, "there is no device %s", id)
	}
	return device, nil
}

// apply gives what is desired after the change; the same version if nothing
// changes.
func (c configureChange) apply(desired deviceops.Desired) deviceops.Desired {
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

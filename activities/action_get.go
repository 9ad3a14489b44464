package activities

import (
	"context"

	"github.com/deviceops/deviceops"
)

// getDevice gives what is known about the step's device now.
type getDevice struct{}

func (*getDevice) perform(ctx context.Context, d Deps, in ActionInput) (ActionOutput, error) {
	device, err := in.target(ctx, d)
	if err != nil {
		return ActionOutput{}, err
	}
	return ActionOutput{Output: deviceFacts(device)}, nil
}

// deviceFacts gives a device as expressions see it.
func deviceFacts(d deviceops.Device) map[string]any {
	return map[string]any{
		"id": d.ID, "account": d.Account, "serial": d.Serial, "profile": d.Profile, "parent": d.Parent,
		"tags": d.Tags, "labels": d.Labels, "attributes": d.Attributes, "zone": d.Zone,
		"state": d.State, "connectivity": d.Session.Connectivity, "metrics": d.Metrics,
		"desired":  map[string]any{"version": d.Twin.Desired.Version, "configuration": d.Twin.Desired.Configuration, "software": d.Twin.Desired.Software},
		"reported": map[string]any{"config_version": d.Twin.Reported.ConfigVersion, "software": d.Twin.Reported.Software, "attributes": d.Twin.Reported.Attributes},
	}
}

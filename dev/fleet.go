package dev

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"

	"github.com/deviceops/deviceops"
	"github.com/deviceops/deviceops/client"
	"github.com/deviceops/deviceops/simulator"
)

// Fleet is a simulated fleet that is registered with the engine.
type Fleet struct {
	Simulator *simulator.Simulator
	Devices   []simulator.Identity
}

// NewFleet registers the devices of a simulated fleet by the API, as an owner
// would, and makes the fleet; Simulator.Run switches it on. Registering it
// again changes nothing.
func NewFleet(ctx context.Context, c *client.Client, cfg simulator.Config) (*Fleet, error) {
	fleet, err := simulator.New(cfg)
	if err != nil {
		return nil, err
	}
	devices := fleet.Devices()
	rows, err := registrations(devices)
	if err != nil {
		return nil, err
	}
	report, err := c.ImportDevices(ctx, "application/x-ndjson", rows, "a simulated fleet")
	if err != nil {
		return nil, err
	}
	if len(report.Bad) > 0 {
		return nil, deviceops.Errorf(deviceops.ECONFLICT, "device %s could not be registered: %s", report.Bad[0].ID, report.Bad[0].Reason)
	}
	return &Fleet{Simulator: fleet, Devices: devices}, nil
}

// registrations writes what an import takes, one JSON object a line.
func registrations(devices []simulator.Identity) (*bytes.Buffer, error) {
	var rows bytes.Buffer
	enc := json.NewEncoder(&rows)
	for _, d := range devices {
		row := map[string]string{"id": d.ID, "serial": d.Serial, "profile": d.Profile, "claim": d.Claim}
		if err := enc.Encode(row); err != nil {
			return nil, err
		}
	}
	return &rows, nil
}

// misplaced tells what is wrong with where the devices are: an honest one
// should be active, a liar quarantined with a reason. Empty when all is well.
func misplaced(identities []simulator.Identity, devices map[string]deviceops.Device) []string {
	var wrong []string
	for _, identity := range identities {
		d, known := devices[identity.ID]
		switch {
		case !known:
			wrong = append(wrong, identity.ID+" is not registered")
		case identity.Lie == "" && d.State != deviceops.Active:
			wrong = append(wrong, fmt.Sprintf("%s is %s: %s", d.ID, d.State, d.StateReason))
		case identity.Lie != "" && d.State != deviceops.Quarantined:
			wrong = append(wrong, fmt.Sprintf("%s lies (%s) and is %s", d.ID, identity.Lie, d.State))
		case identity.Lie != "" && d.StateReason == "":
			wrong = append(wrong, d.ID+" was quarantined without a reason")
		}
	}
	return wrong
}

// allDevices gives every device of the fleet's profile, by id.
func allDevices(ctx context.Context, c *client.Client, profile string) (map[string]deviceops.Device, error) {
	devices := map[string]deviceops.Device{}
	for cursor := ""; ; {
		page, err := c.ListDevices(ctx, deviceops.DeviceFilter{Profile: profile, Limit: 1000}, cursor)
		if err != nil {
			return nil, err
		}
		for _, d := range page.Items {
			devices[d.ID] = d
		}
		if cursor = page.Next; cursor == "" {
			return devices, nil
		}
	}
}

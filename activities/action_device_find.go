package activities

import (
	"context"

	"github.com/deviceops/deviceops"
)

var _ = addAction(NewAction(About{
	Name: "device.find", Summary: "finds devices of the account", Idempotent: true, Quick: true,
	Description: "All conditions have to hold. Devices come in the order of their ids; `more` tells that there are others beyond the limit.",
	Example: `
- id: dark
  action: device.find
  with: { profile: kiosk, state: active, tag: canary, labels: { site: paris }, limit: 50 }`,
}, findDevices))

type findArgs struct {
	Profile      string                   `json:"profile" doc:"the profile that they have"`
	State        deviceops.State          `json:"state" enum:"escrow,discovered,provisioning,active,maintenance,quarantined,retired" doc:"the state that they are in"`
	Connectivity deviceops.Connectivity   `json:"connectivity" enum:"never,online,offline,sleeping,unreachable" doc:"how they are reachable"`
	Wellness     deviceops.WellnessStatus `json:"wellness" enum:"well,degraded,flapping" doc:"how they do"`
	Tag          string                   `json:"tag" doc:"a tag that they have"`
	Labels       map[string]string        `json:"labels" doc:"labels that they have, all of them"`
	Parent       string                   `json:"parent" doc:"the gateway through which they are reached"`
	Limit        int                      `json:"limit" default:"100" min:"1" max:"1000" doc:"how many at most"`
}

type findOutput struct {
	Devices []foundDevice `json:"devices" doc:"the devices, by id"`
	Count   int           `json:"count" doc:"how many these are"`
	More    bool          `json:"more" doc:"whether there are more than the limit allows"`
}

type foundDevice struct {
	ID           string            `json:"id"`
	Serial       string            `json:"serial"`
	Account      string            `json:"account"`
	Profile      string            `json:"profile"`
	State        string            `json:"state"`
	Connectivity string            `json:"connectivity"`
	Wellness     string            `json:"wellness"`
	Tags         []string          `json:"tags"`
	Labels       map[string]string `json:"labels"`
	Attributes   map[string]any    `json:"attributes"`
}

func findDevices(ctx context.Context, c *Call, args findArgs) (findOutput, error) {
	found, err := c.deps.Store.ListDevices(ctx, deviceops.DeviceFilter{
		Account: c.Account, Profile: args.Profile, State: args.State, Connectivity: args.Connectivity, Wellness: args.Wellness,
		Tag: args.Tag, Labels: args.Labels, Parent: args.Parent, Limit: args.Limit + 1,
	})
	out := findOutput{Devices: []foundDevice{}, More: len(found) > args.Limit}
	for _, d := range found[:min(len(found), args.Limit)] {
		out.Devices = append(out.Devices, foundDevice{
			ID: d.ID, Serial: d.Serial, Account: d.Account, Profile: d.Profile, State: string(d.State),
			Connectivity: string(d.Session.Connectivity), Wellness: string(d.Wellness.Status), Tags: d.Tags, Labels: d.Labels, Attributes: d.Attributes,
		})
	}
	out.Count = len(out.Devices)
	return out, err
}

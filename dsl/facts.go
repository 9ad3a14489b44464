package dsl

import (
	"cmp"
	"time"

	"github.com/expr-lang/expr/types"

	"github.com/deviceops/deviceops"
)

func stateNames() []string {
	states := deviceops.States()
	names := make([]string, len(states))
	for i, s := range states {
		names[i] = string(s)
	}
	return names
}

// DeviceFacts gives a device as expressions see it, in canonical form. Maps are
// there even when they are empty; values that are not known are absent.
func DeviceFacts(d *deviceops.Device) map[string]any {
	tags := make([]any, len(d.Tags))
	for i, tag := range d.Tags {
		tags[i] = tag
	}
	reported := d.Twin.Reported
	desired := d.Twin.Desired
	return map[string]any{
		"id": d.ID, "serial": d.Serial, "profile": d.Profile, "account": d.Account, "parent": d.Parent,
		"zone": d.Zone, "state": string(d.State), "connectivity": string(d.Session.Connectivity),
		"wellness": string(cmp.Or(d.Wellness.Status, deviceops.Well)),
		"tags":     tags, "labels": textMap(d.Labels), "attributes": anyMap(d.Attributes), "metrics": anyMap(d.Metrics),
		"desired": map[string]any{
			"version": desired.Version, "configuration": anyMap(desired.Configuration), "software": textMap(desired.Software),
		},
		"reported": map[string]any{
			"config_version": reported.ConfigVersion, "software": textMap(reported.Software), "attributes": anyMap(reported.Attributes),
		},
		"last_seen": factTime(d.Session.LastSeen), "place": placeFact(d.Place),
	}
}

func textMap(m map[string]string) map[string]any {
	out := make(map[string]any, len(m))
	for k, v := range m {
		out[k] = v
	}
	return out
}

func anyMap(m map[string]any) map[string]any {
	out, _ := Canonical(m).(map[string]any)
	return orEmpty(out)
}

func placeFact(p *deviceops.Place) any {
	if p == nil {
		return nil
	}
	return map[string]any{"latitude": p.Latitude, "longitude": p.Longitude}
}

func factTime(t time.Time) any {
	if t.IsZero() {
		return nil
	}
	return Canonical(t)
}

// openMap is the type of a map whose keys are not known.
var openMap = types.Map{types.Extra: types.Any}

// deviceType gives the type of `device`. With a profile, its attributes and
// metrics are the only ones there are.
func deviceType(p *deviceops.Profile) types.Map {
	attributes, metrics := openMap, openMap
	if p != nil {
		attributes, metrics = types.Map{}, types.Map{}
		for name, t := range p.Attributes {
			attributes[name] = factType(t)
		}
		for name, m := range p.Metrics {
			metrics[name] = factType(m.Type)
		}
	}
	return types.Map{
		"id": types.String, "serial": types.String, "profile": types.String, "account": types.String, "parent": types.String,
		"zone": types.String, "state": types.String, "connectivity": types.String, "wellness": types.String,
		"tags": types.Array(types.String), "labels": openMap, "attributes": attributes, "metrics": metrics,
		"desired":   types.Map{"version": types.Int64, "configuration": openMap, "software": openMap},
		"reported":  types.Map{"config_version": types.Int64, "software": openMap, "attributes": openMap},
		"last_seen": types.Any, "place": types.Map{"latitude": types.Float, "longitude": types.Float},
	}
}

// factType gives the type of a declared attribute or metric. One that is absent
// is nil at run time, which every operator of the machine notices.
func factType(name string) types.Type {
	t, message := parseType(name)
	if message != "" {
		return types.Any
	}
	return t.exprType()
}

package activities

import (
	"fmt"
	"maps"
	"reflect"
	"slices"
	"strings"
	"time"

	"github.com/deviceops/deviceops"
)

// baseline is what a profile's template makes of a device.
type baseline struct {
	desired    deviceops.Desired
	changed    bool // desired is not what is stored
	components []deviceops.ComponentChange
	want       map[string]deviceops.Constraint
}

// planBaseline compares a device with its profile's template. The template
// replaces what was desired before: provisioning starts a device afresh. The
// version of what is desired rises only when there is something new to
// configure. EFAILED names a component that differs and cannot be installed.
func planBaseline(d deviceops.Device, p *deviceops.Profile) (baseline, error) {
	b := baseline{desired: d.Twin.Desired, want: map[string]deviceops.Constraint{}}
	heartbeat := p.Heartbeat
	if heartbeat.Every <= 0 {
		heartbeat = deviceops.DefaultHeartbeat
	}
	if !p.Takes(deviceops.CommandConfigure) {
		// It has the configuration that it was made with, and no version of it.
		b.changed = b.desired.Heartbeat != heartbeat || b.desired.Version != d.Twin.Reported.ConfigVersion
		b.desired.Heartbeat, b.desired.Version = heartbeat, d.Twin.Reported.ConfigVersion
	} else if !sameConfiguration(b.desired.Configuration, p.Provision.Configuration) || b.desired.Heartbeat != heartbeat || b.desired.Version == 0 {
		b.desired.Version++
		b.desired.Configuration, b.desired.Heartbeat, b.changed = p.Provision.Configuration, heartbeat, true
	}
	if reported := d.Twin.Reported.ConfigVersion; reported > b.desired.Version {
		// It was counted by another engine, in an earlier life of the device, and
		// must not pass for ours.
		b.desired.Version, b.changed = reported+1, true
	}
	software := map[string]string{}
	for _, name := range slices.Sorted(maps.Keys(p.Provision.Software)) {
		spec, has := p.Provision.Software[name], d.Twin.Reported.Software[name]
		b.want[name] = spec.Want
		if spec.Want.Allows(has) {
			software[name] = has
			continue
		}
		component, err := install(name, has, spec)
		if err != nil {
			return b, err
		}
		software[name] = component.To
		b.components = append(b.components, component)
	}
	if !maps.Equal(b.desired.Software, software) {
		b.desired.Software, b.changed = software, true
	}
	return b, nil
}

func install(name, has string, spec deviceops.SoftwareSpec) (deviceops.ComponentChange, error) {
	if spec.Install == nil {
		return deviceops.ComponentChange{}, deviceops.Errorf(deviceops.EFAILED,
			"its %s is at %s, the profile wants %s and names nothing to install", name, orNothing(has), spec.Want)
	}
	component := *spec.Install
	component.Name, component.From = name, has
	return component, nil
}

func orNothing(version string) string {
	if version == "" {
		return "no version"
	}
	return version
}

// sameConfiguration compares two JSON objects; none and an empty one are the
// same, and so are numbers that JSON writes alike.
func sameConfiguration(a, b map[string]any) bool {
	if len(a) == 0 && len(b) == 0 {
		return true
	}
	return reflect.DeepEqual(plain(a), plain(b))
}

// plain gives a JSON value with every number as a float64: what came from a
// document has int64 where what came from the store may have float64.
func plain(v any) any {
	switch v := v.(type) {
	case map[string]any:
		out := make(map[string]any, len(v))
		for k, item := range v {
			out[k] = plain(item)
		}
		return out
	case []any:
		out := make([]any, len(v))
		for i, item := range v {
			out[i] = plain(item)
		}
		return out
	case int:
		return float64(v)
	case int64:
		return float64(v)
	default:
		return v
	}
}

// unmet says in words what a device has yet to show before it counts as
// provisioned; "" when nothing. since is when its provisioning began.
func unmet(d deviceops.Device, want map[string]deviceops.Constraint, since time.Time) string {
	var missing []string
	reported := d.Twin.Reported
	if reported.ConfigVersion < d.Twin.Desired.Version {
		missing = append(missing, fmt.Sprintf("a report of configuration version %d (it reported %d)", d.Twin.Desired.Version, reported.ConfigVersion))
	}
	for _, name := range slices.Sorted(maps.Keys(want)) {
		if !want[name].Allows(reported.Software[name]) {
			missing = append(missing, fmt.Sprintf("a report of %s %s (it reported %s)", name, want[name], orNothing(reported.Software[name])))
		}
	}
	if !beats(d.Session, since) {
		missing = append(missing, "a heartbeat")
	}
	return strings.Join(missing, ", ")
}

// beats reports whether a device gave a heartbeat since its provisioning began
// or, while it is online, since it said hello: a heartbeat sent right after the
// hello may be there before the provisioning that this hello begins.
func beats(s deviceops.Session, since time.Time) bool {
	if s.Connectivity == deviceops.Online && s.HelloAt.Before(since) {
		since = s.HelloAt
	}
	return !s.LastHeartbeat.IsZero() && !s.LastHeartbeat.Before(since)
}

// configureArgs gives the arguments of the command that brings a device to
// what is desired.
func configureArgs(d deviceops.Desired) map[string]any {
	args := map[string]any{
		"version":   d.Version,
		"heartbeat": map[string]any{"every": d.Heartbeat.Every.Seconds(), "offline_after": d.Heartbeat.OfflineAfter},
	}
	if len(d.Configuration) > 0 {
		args["configuration"] = d.Configuration
	}
	return args
}

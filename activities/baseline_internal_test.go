package activities

import (
	"maps"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/deviceops/deviceops"
)

func TestPlanBaseline(t *testing.T) {
	t.Parallel()
	policy := deviceops.HeartbeatPolicy{Every: time.Minute, OfflineAfter: 3}
	configured := deviceops.Desired{Version: 4, Configuration: map[string]any{"brightness": 80.0}, Software: map[string]string{}, Heartbeat: policy}
	os24 := &deviceops.ComponentChange{To: "2.4.0", URL: "https://example.com/os"}
	for name, c := range map[string]struct {
		desired    deviceops.Desired
		software   map[string]string
		reports    int64 // configuration version
		template   deviceops.ProvisionSpec
		version    int64
		changed    bool
		components []deviceops.ComponentChange
		wanted     map[string]string
	}{
		"a new device gets version 1": {
			template: deviceops.ProvisionSpec{Configuration: map[string]any{"brightness": int64(80)}}, version: 1, changed: true, wanted: map[string]string{},
		},
		"version 1 is ours even where the device was faster":  {reports: 1, version: 1, changed: true, wanted: map[string]string{}},
		"a version of an earlier life does not pass for ours": {reports: 7, version: 8, changed: true, wanted: map[string]string{}},
		"nor does one above what was ever asked for": {
			desired: configured, reports: 9, template: deviceops.ProvisionSpec{Configuration: map[string]any{"brightness": int64(80)}},
			version: 10, changed: true, wanted: map[string]string{},
		},
		"so does one without configuration": {version: 1, changed: true, wanted: map[string]string{}},
		"what is desired already keeps its version": {
			desired: configured, template: deviceops.ProvisionSpec{Configuration: map[string]any{"brightness": int64(80)}},
			version: 4, wanted: map[string]string{},
		},
		"another configuration is a new version": {
			desired: configured, template: deviceops.ProvisionSpec{Configuration: map[string]any{"brightness": int64(60)}},
			version: 5, changed: true, wanted: map[string]string{},
		},
		"software that differs is installed and is no new version": {
			desired: configured, software: map[string]string{"os": "2.2.0"},
			template: deviceops.ProvisionSpec{
				Configuration: map[string]any{"brightness": int64(80)},
				Software:      map[string]deviceops.SoftwareSpec{"os": {Want: ">=2.3.0", Install: os24}},
			},
			version: 4, changed: true, wanted: map[string]string{"os": "2.4.0"},
			components: []deviceops.ComponentChange{{Name: "os", From: "2.2.0", To: "2.4.0", URL: "https://example.com/os"}},
		},
		"software that is good enough stays": {
			desired: configured, software: map[string]string{"os": "2.9.0"},
			template: deviceops.ProvisionSpec{
				Configuration: map[string]any{"brightness": int64(80)},
				Software:      map[string]deviceops.SoftwareSpec{"os": {Want: ">=2.3.0", Install: os24}},
			},
			version: 4, changed: true, wanted: map[string]string{"os": "2.9.0"},
		},
		"components come in the order of their names": {
			desired: configured,
			template: deviceops.ProvisionSpec{
				Configuration: map[string]any{"brightness": int64(80)},
				Software: map[string]deviceops.SoftwareSpec{
					"os": {Want: "2", Install: &deviceops.ComponentChange{To: "2"}}, "app": {Want: "1", Install: &deviceops.ComponentChange{To: "1"}},
				},
			},
			version: 4, changed: true, wanted: map[string]string{"app": "1", "os": "2"},
			components: []deviceops.ComponentChange{{Name: "app", To: "1"}, {Name: "os", To: "2"}},
		},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			d := deviceops.Device{Twin: deviceops.Twin{Desired: c.desired, Reported: deviceops.Reported{Software: c.software, ConfigVersion: c.reports}}}
			b, err := planBaseline(d, &deviceops.Profile{Name: "kiosk", Heartbeat: policy, Provision: c.template})
			require.NoError(t, err)
			require.Equal(t, c.version, b.desired.Version)
			require.Equal(t, c.changed, b.changed)
			require.Equal(t, c.components, b.components)
			require.True(t, maps.Equal(c.wanted, b.desired.Software), b.desired.Software)
			require.Equal(t, policy, b.desired.Heartbeat)
		})
	}
}

func TestPlanBaselineUsesTheDefaultHeartbeat(t *testing.T) {
	t.Parallel()
	b, err := planBaseline(deviceops.Device{}, &deviceops.Profile{Name: "kiosk"})
	require.NoError(t, err)
	require.Equal(t, deviceops.DefaultHeartbeat, b.desired.Heartbeat)
}

func TestSameConfiguration(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct {
		a, b map[string]any
		same bool
	}{
		"none and empty":     {nil, map[string]any{}, true},
		"numbers as written": {map[string]any{"n": int64(1)}, map[string]any{"n": 1.0}, true},
		"inside lists":       {map[string]any{"l": []any{int64(1), 2}}, map[string]any{"l": []any{1.0, 2.0}}, true},
		"inside maps":        {map[string]any{"m": map[string]any{"n": 1}}, map[string]any{"m": map[string]any{"n": 1.5}}, false},
		"text is no number":  {map[string]any{"n": "1"}, map[string]any{"n": 1.0}, false},
		"one key more":       {map[string]any{"a": true}, map[string]any{"a": true, "b": nil}, false},
	} {
		require.Equal(t, c.same, sameConfiguration(c.a, c.b), name)
	}
}

func TestConfigureDeviceMerges(t *testing.T) {
	t.Parallel()
	desired := deviceops.Desired{Version: 3, Configuration: map[string]any{"a": 1.0, "b": 2.0}, Heartbeat: deviceops.DefaultHeartbeat}
	for name, c := range map[string]struct {
		change  map[string]any
		want    map[string]any
		version int64
	}{
		"a change":    {map[string]any{"a": 5.0}, map[string]any{"a": 5.0, "b": 2.0}, 4},
		"a removal":   {map[string]any{"b": nil}, map[string]any{"a": 1.0}, 4},
		"nothing new": {map[string]any{"a": int64(1), "c": nil}, map[string]any{"a": 1.0, "b": 2.0}, 3},
	} {
		after := configureChange{Configuration: c.change}.apply(desired)
		require.Equal(t, c.want, after.Configuration, name)
		require.Equal(t, c.version, after.Version, name)
		require.Len(t, desired.Configuration, 2, "what was desired is not changed in place")
	}
	first := configureChange{}.apply(deviceops.Desired{})
	require.EqualValues(t, 1, first.Version)
	require.Equal(t, deviceops.DefaultHeartbeat, first.Heartbeat)
}

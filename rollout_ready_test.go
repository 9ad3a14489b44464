package deviceops_test

import (
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/deviceops/deviceops"
)

// TestReadyNamesTheFacts holds what people are told of a device that is not
// ready: the facts that keep it, and no others.
func TestReadyNamesTheFacts(t *testing.T) {
	t.Parallel()
	type F = deviceops.Filter
	battery := F{Op: deviceops.FilterGt, Field: "metrics.battery_pct", Value: 30.0}
	idle := F{Op: deviceops.FilterNot, Args: []F{{Op: deviceops.FilterEq, Field: "metrics.in_use", Value: true}}}
	device := deviceops.Device{
		ID: "k1", State: deviceops.Active, Profile: "kiosk", Account: "acme", Serial: "S1", Parent: "gw1", Zone: berlin, Tags: []string{"canary"},
		Labels: map[string]string{"site": "berlin-3"}, Attributes: map[string]any{"ram_mb": int64(512)},
		Metrics: map[string]any{"battery_pct": 18.5, "in_use": true},
		Session: deviceops.Session{Connectivity: deviceops.Online},
		Twin: deviceops.Twin{
			Desired:  deviceops.Desired{Version: 4, Software: map[string]string{"os": "2.4.0"}, Configuration: map[string]any{"brightness": int64(80)}},
			Reported: deviceops.Reported{ConfigVersion: 3, Software: map[string]string{"os": "2.3.0"}, Attributes: map[string]any{"panel": "21in"}},
		},
	}
	for name, c := range map[string]struct {
		source string
		filter *F
		want   string
	}{
		"a number":            {"", &battery, "battery_pct is 18.5: ready wants device.metrics.battery_pct > 30"},
		"a flag":              {"", &idle, "in_use is true: ready wants !device.metrics.in_use"},
		"a bare flag":         {"", &F{Op: deviceops.FilterNot, Args: []F{{Op: deviceops.FilterTrue, Field: "metrics.in_use"}}}, "in_use is true: ready wants !device.metrics.in_use"},
		"a flag that is none": {"", &F{Op: deviceops.FilterTrue, Field: "metrics.battery_pct"}, "battery_pct is 18.5: ready wants device.metrics.battery_pct"},
		"equal to another kind": {"", &F{Op: deviceops.FilterAnd, Args: []F{{Op: deviceops.FilterNe, Field: "metrics.battery_pct", Value: "low"}, idle}},
			"in_use is true: ready wants !device.metrics.in_use"},
		"both of two":       {"", &F{Op: deviceops.FilterAnd, Args: []F{battery, idle}}, "battery_pct is 18.5, in_use is true: ready wants device.metrics.battery_pct > 30 and !device.metrics.in_use"},
		"one of two":        {"", &F{Op: deviceops.FilterAnd, Args: []F{{Op: deviceops.FilterEq, Field: "profile", Value: "kiosk"}, idle}}, "in_use is true: ready wants !device.metrics.in_use"},
		"neither of two":    {"", &F{Op: deviceops.FilterOr, Args: []F{battery, idle}}, "battery_pct is 18.5, in_use is true: ready wants device.metrics.battery_pct > 30 and !device.metrics.in_use"},
		"not both":          {"", &F{Op: deviceops.FilterNot, Args: []F{{Op: deviceops.FilterAnd, Args: []F{{Op: deviceops.FilterAll}, {Op: deviceops.FilterLe, Field: "metrics.battery_pct", Value: int64(20)}}}}}, "battery_pct is 18.5: ready wants !(true && device.metrics.battery_pct <= 20)"},
		"a missing value":   {"", &F{Op: deviceops.FilterLt, Field: "metrics.crashes", Value: int64(1)}, "crashes is not known: ready wants device.metrics.crashes < 1"},
		"another kind":      {"", &F{Op: deviceops.FilterLt, Field: "labels.site", Value: int64(1)}, "site is berlin-3: ready wants device.labels.site < 1"},
		"a list":            {"", &F{Op: deviceops.FilterIn, Field: "labels.site", Value: []any{"a", "b"}}, `site is berlin-3: ready wants device.labels.site in ["a", "b"]`},
		"a tag":             {"", &F{Op: deviceops.FilterHas, Field: "tags", Value: "calm"}, `tags is [canary]: ready wants "calm" in device.tags`},
		"what is there":     {"", &F{Op: deviceops.FilterPresent, Field: "labels.floor"}, "floor is not known: ready wants device.labels.floor != nil"},
		"a prefix":          {"", &F{Op: deviceops.FilterPrefix, Field: "serial", Value: "X"}, `serial is S1: ready wants device.serial startsWith "X"`},
		"a version":         {"", &F{Op: deviceops.FilterNe, Field: "reported.software.os", Value: "2.3.0"}, `os is 2.3.0: ready wants device.reported.software.os != "2.3.0"`},
		"the configuration": {"", &F{Op: deviceops.FilterGe, Field: "reported.config_version", Value: int64(4)}, "config_version is 3: ready wants device.reported.config_version >= 4"},

		"without a filter": {"hour() > 3 && device.desired.version == device.reported.config_version", nil,
			"config_version is 3, version is 4: ready wants hour() > 3 && device.desired.version == device.reported.config_version"},
		"without a filter, of missing things": {"(device.labels?.floor ?? device.attributes.ram_mb) > 600", nil,
			"floor is not known, ram_mb is 512: ready wants (device.labels?.floor ?? device.attributes.ram_mb) > 600"},
		"without any field":              {"false", nil, "ready wants false"},
		"where the filter is of no help": {"device.state == device.zone", &F{Op: deviceops.FilterAll}, "state is active, zone is Europe/Berlin: ready wants device.state == device.zone"},
		"of all fields": {"device.id + device.account + device.parent + device.connectivity + device.reported.attributes.panel + device.last_seen + device.desired.software.os", nil,
			"account is acme, connectivity is online, id is k1, last_seen is not known, os is 2.4.0, panel is 21in, parent is gw1: ready wants " +
				"device.id + device.account + device.parent + device.connectivity + device.reported.attributes.panel + device.last_seen + device.desired.software.os"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			spec := installs(time.Hour, time.Hour)
			spec.Ready = &deviceops.Condition{Source: c.source, Filter: c.filter, Judge: func(*deviceops.Device) (deviceops.Verdict, error) { return deviceops.No, nil }}
			wait := deviceops.NewAdmitter(&spec, deviceops.AdmitFacts{}, midday).Admit(&deviceops.Candidate{Device: device})
			require.Equal(t, c.want, wait.Text)
		})
	}
}

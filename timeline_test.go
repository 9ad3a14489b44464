package deviceops_test

import (
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/deviceops/deviceops"
)

func TestEventsTellWhatHappened(t *testing.T) {
	t.Parallel()
	for want, e := range map[string]deviceops.Event{
		"provisioning → quarantined by engine: it lied": {Type: deviceops.EventDeviceState, Data: map[string]any{
			"from": "provisioning", "to": "quarantined", "by": "engine", "reason": "it lied"}},
		"active → retired by user:maria": {Type: deviceops.EventDeviceState, Data: map[string]any{
			"from": "active", "to": "retired", "by": "user:maria", "reason": ""}},
		"never → online: hello":      {Type: deviceops.EventDeviceConnectivity, Data: map[string]any{"from": "never", "to": "online", "because": "hello"}},
		"it started, boot b1":        {Type: deviceops.EventDeviceBooted, Data: map[string]any{"boot": "b1"}},
		"configure: pushed":          {Type: deviceops.EventProvision, Data: map[string]any{"phase": "configure", "text": "pushed"}},
		"reboot accepted, attempt 1": {Type: deviceops.EventCommand, Data: map[string]any{"name": "reboot", "status": "accepted", "attempt": int64(1)}},
		"install failed, attempt 2: flash (no room), installing": {Type: deviceops.EventCommand, Data: map[string]any{
			"name": "install", "status": "failed", "attempt": int64(2), "phase": "installing", "error": map[string]any{"code": "flash", "message": "no room"}}},
		"configuration 3, app 1.0, os 2.4.0": {Type: deviceops.EventDeviceReported, Data: map[string]any{
			"config_version": int64(3), "software": map[string]any{"os": "2.4.0", "app": "1.0"}, "attributes": nil}},
		"online → offline: silence": {Type: deviceops.EventConnectivityDamped, Data: map[string]any{"from": "online", "to": "offline", "because": "silence"}},
		"since 2026-01-05T06:00:00Z: disk, crashes": {Type: deviceops.EventDegraded, Data: map[string]any{
			"since": "2026-01-05T06:00:00Z", "because": []string{"disk", "crashes"}}},
		"well again after 90 s: disk": {Type: deviceops.EventRecovered, Data: map[string]any{"degraded_s": int64(90), "because": []any{"disk"}}},
		"5 changes within 600 s, now offline: they are told no more": {Type: deviceops.EventFlapping, Data: map[string]any{
			"changes": int64(5), "within_s": int64(600), "connectivity": "offline"}},
		"online, after 42 changes in 3600 s": {Type: deviceops.EventStable, Data: map[string]any{
			"connectivity": "online", "changes": int64(42), "flapping_s": int64(3600)}},
		"it is at 53.5, 9.9": {Type: deviceops.EventPlace, Data: map[string]any{"latitude": 53.5, "longitude": 9.9}},
		"420 m away, at 53.5, 9.9": {Type: deviceops.EventPlace, Data: map[string]any{
			"latitude": 53.5, "longitude": 9.9, "moved_m": 420.0, "from": map[string]any{"latitude": 53.4, "longitude": 9.8}}},
		"battery_pct=18 charging=false": {Type: "device.battery", Data: map[string]any{"charging": false, "battery_pct": int64(18)}},
		"":                              {Type: "device.door"},
	} {
		require.Equal(t, want, e.Tell())
	}
}

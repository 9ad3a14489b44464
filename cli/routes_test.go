package cli_test

import (
	"encoding/json"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/deviceops/deviceops/cli"
)

// What the example makes of an event, without a server.
func TestRoutesTest(t *testing.T) {
	t.Parallel()
	m := &terminal{T: t, dir: t.TempDir()}
	event := m.file("event.json", `{"id": 7, "type": "device.battery", "severity": "info", "device": "k1", "at": "2026-06-01T12:00:00Z", "data": {"battery_pct": 12}}`)
	device := m.file("device.json", `{"id": "k1", "state": "active", "labels": {"site": "paris"}}`)
	var tried []cli.RouteTried
	require.NoError(t, json.Unmarshal([]byte(m.run("routes", "test", "../examples/routes.yaml", "--event", event, "--device", device, "-o", "json").done()), &tried))
	require.Equal(t, []cli.RouteTried{
		{
			Route: "battery-to-lake", Outcome: "forwarded", Topics: map[string]string{"dashboard": "plant/batteries/k1"},
			Values: []any{map[string]any{"event_id": "7", "device": "k1", "site": "paris", "at": "2026-06-01T12:00:00Z", "battery_pct": 12.0}},
		},
		{Route: "alarms", Outcome: "passed over"},
	}, tried)
	require.Contains(t, m.run("routes", "test", "../examples/routes.yaml", "--event", event).done(), "passed over", "nothing is known of the device")
	require.Contains(t, m.run("routes", "test", "../examples/routes.yaml").failed(cli.ExitUsage), "--event FILE or by --id NUMBER")
}

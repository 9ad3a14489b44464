package cli_test

import (
	"encoding/json"
	"fmt"
	"strconv"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/deviceops/deviceops"
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

// The server's own event, however many came after it.
func TestRoutesTestOfAStoredEvent(t *testing.T) {
	t.Parallel()
	m := newTerminal(t)
	now := time.Now()
	_, err := m.store.RegisterDevices(t.Context(), []deviceops.Registration{{ID: "k1", Account: deviceops.RootAccount, Profile: "kiosk", Labels: map[string]string{"site": "paris"}}}, now)
	require.NoError(t, err)
	m.online("k1")
	events := make([]deviceops.Event, 3)
	for i := range events {
		events[i] = deviceops.Event{
			Account: deviceops.RootAccount, Device: "k1", Type: "device.battery", Severity: "info", Data: map[string]any{"battery_pct": 10 + i}, At: now, ReceivedAt: now,
		}
	}
	require.NoError(t, m.store.AppendEvents(t.Context(), events))
	for i, e := range events {
		out := m.run("routes", "test", "../examples/routes.yaml", "--id", strconv.FormatInt(e.ID, 10)).done()
		require.Contains(t, out, "forwarded")
		require.Contains(t, out, `"site": "paris"`)
		require.Contains(t, out, fmt.Sprintf(`"battery_pct": %d`, 10+i))
	}
	require.Contains(t, m.run("routes", "test", "../examples/routes.yaml", "--id", "9999").failed(cli.ExitFailed), "there is no event 9999")
	require.Contains(t, m.run("routes", "test", "../examples/routes.yaml", "--id", "-1").failed(cli.ExitUsage), "--id is a number from 1 on")
}

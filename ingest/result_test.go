package ingest

import (
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/deviceops/deviceops"
)

func TestResultsAdvanceCommands(t *testing.T) {
	t.Parallel()
	b := newBundle(t, nil)
	b.device("k1", deviceops.Active)
	b.say("k1", "hello", fullHello)
	b.settle()
	b.command(deviceops.Command{ID: "c1", Status: deviceops.CommandSent, SentAt: noon})
	b.say("k1", "result", `{"id":"c1","attempt":1,"status":"accepted"}`, "result", `{"id":"c1","attempt":1,"status":"progress","percent":40}`)
	require.Equal(t, deviceops.CommandAccepted, b.status("c1"))
	b.say("k1", "result", `{"id":"c1","attempt":1,"status":"succeeded","output":{"n":9007199254740993}}`,
		"result", `{"id":"c1","attempt":1,"status":"failed","error":{"code":"late"}}`)
	b.settle()
	c, err := b.store.FindCommand(t.Context(), "c1")
	require.NoError(t, err)
	require.Equal(t, deviceops.CommandSucceeded, c.Status)
	require.Equal(t, map[string]any{"n": int64(9007199254740993)}, c.Output)
	require.Equal(t, []string{"c1"}, b.engine.completions())
	told := b.events("k1", deviceops.EventCommand)
	require.Len(t, told, 2, "accepted and succeeded; progress is no change")
	require.Equal(t, "succeeded", told[1].Data["status"])
}

func TestResultsThatDoNotCount(t *testing.T) {
	t.Parallel()
	b := newBundle(t, nil)
	b.device("k1", deviceops.Active)
	b.device("k2", deviceops.Active)
	b.command(deviceops.Command{ID: "c1", Attempt: 2, Status: deviceops.CommandSent, SentAt: noon})
	for _, attempt := range []string{"1", "3"} {
		b.say("k1", "result", `{"id":"c1","attempt":`+attempt+`,"status":"succeeded"}`)
	}
	b.say("k2", "result", `{"id":"c1","attempt":2,"status":"succeeded"}`)
	b.say("k1", "result", `{"id":"c9","attempt":1,"status":"succeeded"}`)
	b.settle()
	require.Equal(t, deviceops.CommandSent, b.status("c1"))
	require.Empty(t, b.engine.completions())
	require.Equal(t, map[string]int64{codeNotItsOwn: 1, codeNoCommand: 1}, b.rejected())
}

func TestTheEndOfAnExclusiveCommandLetsTheNextGo(t *testing.T) {
	t.Parallel()
	b := newBundle(t, nil)
	b.device("k1", deviceops.Active)
	b.say("k1", "hello", fullHello)
	b.settle()
	b.command(deviceops.Command{ID: "first", Exclusive: true, Status: deviceops.CommandSent, SentAt: noon})
	b.command(deviceops.Command{ID: "second", Exclusive: true})
	b.say("k1", "result", `{"id":"first","attempt":1,"status":"deferred","retry_in":60,"reason":"busy"}`)
	b.settle()
	require.Equal(t, deviceops.CommandDeferred, b.status("first"))
	b.say("k1", "result", `{"id":"first","attempt":1,"status":"rejected","error":{"code":"never"}}`)
	b.settle()
	require.Equal(t, []string{"second"}, b.gateway.published())
	require.Equal(t, []string{"first"}, b.engine.completions())
}

func TestReportsConfirmCommands(t *testing.T) {
	t.Parallel()
	components := []any{map[string]any{"name": "os", "to": "2.0"}}
	install := map[string]any{"components": components}
	both := map[string]any{"components": components, "configure": map[string]any{"version": int64(3)}}
	for name, test := range map[string]struct {
		command deviceops.Command
		said    []string
		want    deviceops.CommandStatus
	}{
		"configure": {deviceops.Command{Name: "configure", Args: map[string]any{"version": int64(3)}},
			[]string{"reported", `{"config_version":3}`}, deviceops.CommandSucceeded},
		"configure, other version": {deviceops.Command{Name: "configure", Args: map[string]any{"version": int64(3)}},
			[]string{"reported", `{"config_version":2}`}, deviceops.CommandSent},
		"install without reboot": {deviceops.Command{Name: "install", Args: install},
			[]string{"reported", `{"software":{"os":"2.0"}}`}, deviceops.CommandSucceeded},
		"install after reboot": {deviceops.Command{Name: "install", Args: install},
			[]string{"hello", `{"boot":"b2","profile":"kiosk","software":{"os":"2.0"}}`}, deviceops.CommandSucceeded},
		"install that went back": {deviceops.Command{Name: "install", Args: install},
			[]string{"hello", `{"boot":"b2","profile":"kiosk","software":{"os":"1.0"}}`}, deviceops.CommandSent},
		"install, reconnected": {deviceops.Command{Name: "install", Args: install},
			[]string{"hello", `{"boot":"b1","profile":"kiosk","software":{"os":"2.0"}}`}, deviceops.CommandSent},
		"install, said and not shown": {deviceops.Command{Name: "install", Args: install},
			[]string{"result", `{"id":"c1","attempt":1,"status":"succeeded"}`}, deviceops.CommandAccepted},
		"install, said and then shown": {deviceops.Command{Name: "install", Args: install},
			[]string{"result", `{"id":"c1","attempt":1,"status":"succeeded"}`, "reported", `{"software":{"os":"2.0"}}`}, deviceops.CommandSucceeded},
		"install with configuration": {deviceops.Command{Name: "install", Args: both},
			[]string{"hello", `{"boot":"b2","profile":"kiosk","software":{"os":"2.0"},"config_version":3}`}, deviceops.CommandSucceeded},
		"install with configuration, half of it": {deviceops.Command{Name: "install", Args: both},
			[]string{"reported", `{"software":{"os":"2.0"}}`, "result", `{"id":"c1","attempt":1,"status":"succeeded"}`}, deviceops.CommandAccepted},
		"install with configuration, by and by": {deviceops.Command{Name: "install", Args: both},
			[]string{"result", `{"id":"c1","attempt":1,"status":"succeeded"}`, "reported", `{"software":{"os":"2.0"}}`, "reported", `{"config_version":3}`}, deviceops.CommandSucceeded},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			b := newBundle(t, nil)
			b.device("k1", deviceops.Active)
			b.say("k1", "hello", fullHello)
			b.settle()
			test.command.ID, test.command.Status, test.command.SentAt, test.command.Boot = "c1", deviceops.CommandSent, noon, "b1"
			b.command(test.command)
			b.say("k1", test.said...)
			b.settle()
			require.Equal(t, test.want, b.status("c1"))
			require.Equal(t, test.want.Terminal(), len(b.engine.completions()) == 1)
		})
	}
}

func TestTelemetryKeepsLatestValues(t *testing.T) {
	t.Parallel()
	b := newBundle(t, nil)
	b.device("k1", deviceops.Active)
	b.say("k1", "telemetry", `[{"metrics":{"battery_pct":70},"age_ms":1000},{"metrics":{"battery_pct":60},"age_ms":60000},{"metrics":{"other":1}}]`)
	require.Equal(t, map[string]any{"battery_pct": int64(70)}, b.find("k1").Metrics)
	b.clock.advance(time.Minute)
	b.say("k1", "telemetry", `{"metrics":{"battery_pct":50}}`)
	require.Equal(t, map[string]any{"battery_pct": int64(50)}, b.find("k1").Metrics)
	require.Len(t, b.events("k1", deviceops.EventTelemetry), 4)
}

// Every declared value becomes history where it was measured: once, whatever
// was sent again, and summed up by whichever sweeper comes first.
func TestTelemetryBecomesHistory(t *testing.T) {
	t.Parallel()
	b := newBundle(t, nil)
	b.device("k1", deviceops.Active)
	for range 2 {
		b.say("k1", "telemetry", `[{"metrics":{"battery_pct":70},"age_ms":1000,"boot":"b1","seq":1},{"metrics":{"battery_pct":60,"other":1},"age_ms":600000,"boot":"b1","seq":2}]`)
	}
	now := b.clock.Now()
	points := func(source deviceops.MetricSource) (n int) {
		found, err := b.store.DeviceMetric(t.Context(), "k1", "battery_pct", deviceops.MetricWindow{
			Since: now.Add(-time.Hour), Until: now.Add(time.Second), Step: 5 * time.Minute, Source: source,
		})
		require.NoError(t, err)
		for _, p := range found {
			n += int(p.Count)
		}
		return n
	}
	require.Equal(t, 2, points(deviceops.MetricRaw))
	sweeper := b.sweeper()
	require.Eventually(t, func() bool {
		b.clock.advance(2 * time.Minute)
		require.NoError(t, sweeper.Sweep(t.Context()))
		return points(deviceops.MetricFives) == 2
	}, time.Minute, time.Millisecond)
}

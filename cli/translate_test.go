package cli_test

import (
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/deviceops/deviceops"
	"github.com/deviceops/deviceops/cli"
)

const exampleSensor = "../examples/translated-sensor.yaml"

func TestTranslate(t *testing.T) {
	t.Parallel()
	m := newTerminal(t)
	const payload = `{"ts":1767225600,"n":7,"temp_f":70.7,"bat":0.87}` + "\n"
	require.Equal(t, `device s1
SAYS       WHAT
telemetry  {"metrics":{"battery_pct":87,"temp_c":21.5},"time":1767225600000}
`, m.runWith(payload, "translate", exampleSensor, "--profile", "acme-sensor", "--topic", "acme/s1/telemetry").done())
	require.Contains(t, m.runWith("00 d7 57 81", "translate", exampleSensor, "--topic", "acme/s1/compact", "--hex", "-o", "json").done(), `"type": "device.door"`)
	require.Contains(t, m.runWith(`{"n":1,"bat":1}`, "translate", exampleSensor, "--topic", "acme/s1/telemetry").done(), "left out, since the payload lacks them: time, metrics.temp_c")
	require.Contains(t, m.runWith("60", "translate", exampleSensor, "--topic", "acme/s1/interval").done(), "reply to set_interval")
	require.Contains(t, m.runWith("x", "translate", exampleSensor, "--topic", "acme/s1/debug/wifi").done(), "Nothing is wanted of it.")
	require.Equal(t, "topic    acme/s1/set/interval\npayload  60\n",
		m.run("translate", exampleSensor, "--command", "set_interval", "-i", "seconds=60", "--device", "s1").done())

	require.Contains(t, m.runWith("{", "translate", exampleSensor, "--topic", "acme/s1/telemetry").failed(cli.ExitFailed), "rejected: malformed JSON")
	for payload, why := range map[string]string{
		`{"n":1,"temp_f":70,"bat":2}`:      "rejected: metric battery_pct is 200, outside of 0..100, which its profile allows (invalid_metric)",
		`{"v":2,"readings":[{"h":"wet"}]}`: `rejected: metric humidity_pct is "wet": send a number (invalid_metric)`,
	} {
		require.Contains(t, m.runWith(payload, "translate", exampleSensor, "--topic", "acme/s1/telemetry").failed(cli.ExitFailed), why, "as it would be when it comes in")
	}
	require.Contains(t, m.runWith("{}", "translate", exampleSensor, "--topic", "acme/s 1/door").failed(cli.ExitFailed), "is no id of a device")
	require.Contains(t, m.run("translate", exampleSensor).failed(cli.ExitUsage), "the profile hears acme/+/ack, ")
	require.Contains(t, m.run("translate", exampleSensor, "--command", "install").failed(cli.ExitFailed), "has no command")
	require.Contains(t, m.run("translate", exampleSensor, "--command", "set_interval", "-i", "seconds=5").failed(cli.ExitFailed), "seconds")
	require.Contains(t, m.run("translate", m.file("kiosk.yaml", kioskYAML), "--topic", "x").failed(cli.ExitFailed), "it has no translate:")
}

func TestRejectedReplay(t *testing.T) {
	t.Parallel()
	m := newTerminal(t)
	require.Contains(t, m.run("events", "rejected", "replay").done(), "There is no such rejected message.")
	for _, command := range [][]string{{"events", "rejected"}, {"events", "rejected", "replay"}} {
		for _, topic := range []string{"#/x", "acme/s+/x", "acme/x#"} {
			require.Contains(t, m.run(append(command, "--topic", topic)...).failed(cli.ExitFailed), "is no MQTT filter: write + for one whole level")
		}
	}
	require.NoError(t, m.store.AppendRejected(t.Context(), []deviceops.Rejected{
		{ReceivedAt: time.Now(), Topic: "acme/s1/x", Code: "untranslated", Size: 1, Payload: []byte("1")},
		{ReceivedAt: time.Now(), Topic: "acme/s1/x", Code: "untranslated", Size: 9000, Payload: []byte("1")},
		{ReceivedAt: time.Now(), Topic: "acme/s1/y", Code: "malformed", Size: 1, Payload: []byte("1")},
	}))
	out := m.run("events", "rejected", "replay", "--code", "untranslated", "--topic", "acme/+/x", "--reason", "mended").done()
	require.Contains(t, out, "1 message taken in again within seconds.")
	require.Contains(t, out, "1 message not kept whole")
	claimed, err := m.store.ClaimReplays(t.Context(), time.Now(), 10)
	require.NoError(t, err)
	require.Len(t, claimed, 1)
	entries, err := m.store.ListAudit(t.Context(), deviceops.AuditFilter{Target: "rejected"})
	require.NoError(t, err)
	require.Equal(t, "rejected.replay", entries[0].Action)
	require.Equal(t, "mended", entries[0].Reason)
}

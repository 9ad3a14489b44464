package ingest

import (
	"context"
	"os"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/deviceops/deviceops"
	"github.com/deviceops/deviceops/dsl"
)

// ownBundle is a bundle whose devices know only their own topics.
type ownBundle struct {
	*testBundle
	translations *dsl.Translations
}

func newOwnBundle(t *testing.T) *ownBundle {
	t.Helper()
	b := &ownBundle{}
	b.testBundle = newBundle(t, func(c *Config) {
		b.translations = &dsl.Translations{Documents: c.Store, Now: c.Now}
		c.Translations = b.translations
	})
	text, err := os.ReadFile("../examples/translated-sensor.yaml")
	require.NoError(t, err)
	b.publish("acme", string(text))
	return b
}

// publish publishes the profile that a file begins with.
func (b *ownBundle) publish(account, text string) {
	b.t.Helper()
	docs, found := dsl.CheckFile("x.yaml", text, dsl.Options{})
	require.NoError(b.t, found.Err())
	require.NoError(b.t, b.store.EnsureAccount(context.Background(), deviceops.Account{Path: account, Name: account, CreatedAt: noon}))
	_, _, err := b.store.PublishDocument(context.Background(), deviceops.Document{
		Account: account, Kind: docs[0].Kind, Name: docs[0].Name, Hash: docs[0].Hash, Source: docs[0].Source, PublishedAt: noon,
	})
	require.NoError(b.t, err)
	b.translations.Refresh()
}

// sensor registers a sensor in a state.
func (b *ownBundle) sensor(id string, state deviceops.State) {
	b.t.Helper()
	_, err := b.store.RegisterDevices(context.Background(), []deviceops.Registration{
		{ID: id, Account: "acme", Profile: "acme-sensor", Serial: "sn-" + id},
	}, noon)
	require.NoError(b.t, err)
	d := b.find(id)
	d.State = state
	require.NoError(b.t, b.store.SaveDevice(context.Background(), &d))
}

// hear delivers messages, alternately topic and payload, as one batch.
func (b *ownBundle) hear(said ...string) {
	b.t.Helper()
	var batch []deviceops.Message
	for i := 0; i < len(said); i += 2 {
		batch = append(batch, deviceops.Message{Topic: said[i], Payload: []byte(said[i+1])})
	}
	require.NoError(b.t, b.inbox.Deliver(context.Background(), batch))
}

func TestOwnTopicsAreOrdinaryTelemetryAndEvents(t *testing.T) {
	t.Parallel()
	b := newOwnBundle(t)
	b.sensor("s1", deviceops.Escrow)
	b.hear("acme/s1/telemetry", `{"n":1,"temp_f":70.7,"bat":0.87}`, "acme/s1/door", `{"open":true}`)
	b.settle()

	d := b.find("s1")
	require.Equal(t, map[string]any{"temp_c": 21.5, "battery_pct": 87.0}, plainNumbers(d.Metrics))
	require.Equal(t, deviceops.Online, d.Session.Connectivity)
	require.Equal(t, noon, d.Session.HelloAt, "what it says is its hello: it knows no other")
	require.Equal(t, deviceops.Presented{Profile: "acme-sensor", Serial: "sn-s1"}, d.Session.Presented)
	require.Equal(t, noon, d.Session.LastHeartbeat)
	require.Equal(t, map[string]int{"provision/s1": 1}, b.engine.started())
	events := b.events("s1", "device.door")
	require.Len(t, events, 1)
	require.Equal(t, "warning", events[0].Severity)
	require.Equal(t, map[string]any{"open": true, "door": 1.0}, plainNumbers(events[0].Data))
	require.Empty(t, b.gateway.welcomes, "nobody would hear a welcome")
	require.Empty(t, b.rejected())
}

// plainNumbers makes all numbers float64, whatever the store gives.
func plainNumbers(m map[string]any) map[string]any {
	out := map[string]any{}
	for k, v := range m {
		if n, ok := number(v); ok {
			v = n
		}
		out[k] = v
	}
	return out
}

func TestOwnHelloIsSaidOnce(t *testing.T) {
	t.Parallel()
	b := newOwnBundle(t)
	b.sensor("s1", deviceops.Active)
	info := `{"sn":"sn-s1","boot":"b1","fw":"1.9"}`
	b.hear("acme/s1/info", info)
	require.Equal(t, map[string]string{"os": "1.9"}, b.find("s1").Twin.Reported.Software)
	b.clock.advance(time.Minute)
	b.hear("acme/s1/info", info)
	d := b.find("s1")
	require.Equal(t, noon, d.Session.HelloAt, "it says nothing new")
	require.Equal(t, noon.Add(time.Minute), d.Session.LastHeartbeat)
	require.Len(t, b.events("s1", deviceops.EventDeviceBooted), 1)

	b.hear("acme/s1/state", "down")
	require.Equal(t, deviceops.Offline, b.find("s1").Session.Connectivity)
	b.hear("acme/s1/info", strings.Replace(info, "b1", "b2", 1))
	d = b.find("s1")
	require.Equal(t, deviceops.Online, d.Session.Connectivity)
	require.Len(t, b.events("s1", deviceops.EventDeviceBooted), 2)
}

func TestOwnMessagesAreRejectedAsAWhole(t *testing.T) {
	t.Parallel()
	b := newOwnBundle(t)
	b.sensor("s1", deviceops.Active)
	b.sensor("gone", deviceops.Retired)
	b.register(deviceops.Registration{ID: "k1"})
	for _, c := range []struct{ topic, payload, code, reason string }{
		{"acme/s1/telemetry", `{"temp`, codeUntranslated, "malformed JSON: unexpected EOF"},
		{"acme/s1/telemetry", `{"n":1,"temp_f":70.7,"bat":2}`, codeMetric, "metric battery_pct is 200, outside of 0..100, which its profile allows"},
		{"acme/s1/nowhere", `{}`, codeTopic, "no published profile translates this topic"},
		{"acme/s 1/door", `{}`, codeUntranslated, `"s 1" is no id of a device: use A-Z a-z 0-9 . _ : - and at most 128 characters`},
		{"acme/k1/door", `{}`, codeForeignTopic, "the device is a kiosk, and that profile does not translate this topic"},
		{"acme/nobody/door", `{"open":true}`, codeUnknown, "the device is not registered: register it, or map a message to hello"},
		{"acme/gone/door", `{"open":true}`, codeRetired, "the device is retired: register it under a new id to use it again"},
		{"acme/s1/ack", `{"ref":"c9","rc":0}`, codeNoCommand, "no command has the id c9"},
		{"acme/s1/interval", `60`, codeNoCommand, "no command has the id set_interval"},
	} {
		before := b.rejected()[c.code]
		b.hear(c.topic, c.payload)
		require.Equal(t, before+1, b.rejected()[c.code], c.topic)
		found, _, err := b.store.ListRejected(t.Context(), deviceops.RejectedFilter{}, 1)
		require.NoError(t, err)
		require.Equal(t, c.reason, found[0].Reason)
		require.Equal(t, c.payload, string(found[0].Payload))
	}
	require.Empty(t, b.find("s1").Metrics, "of the message with one bad metric nothing was taken")
	b.hear("acme/s1/debug/wifi", "rssi -70")
	require.Len(t, b.rejected(), 7)
}

func TestRepetitionsAreToldByDedupe(t *testing.T) {
	t.Parallel()
	b := newOwnBundle(t)
	b.sensor("s1", deviceops.Active)
	one := `{"n":1,"temp_f":70.7,"bat":0.87}`
	b.hear("acme/s1/telemetry", one, "acme/s1/telemetry", one)
	b.hear("acme/s1/telemetry", one)
	require.Len(t, b.events("s1", deviceops.EventTelemetry), 1)
	b.hear("acme/s1/telemetry", strings.Replace(one, `"n":1`, `"n":2`, 1))
	require.Len(t, b.events("s1", deviceops.EventTelemetry), 2)
	b.hear("acme/s1/door", `{"open":true}`, "acme/s1/door", `{"open":true}`)
	require.Len(t, b.events("s1", "device.door"), 2, "nothing tells these apart")
	require.Empty(t, b.gateway.acked(), "there is nothing to acknowledge")
}

func TestRepliesEndCommands(t *testing.T) {
	t.Parallel()
	b := newOwnBundle(t)
	b.sensor("s1", deviceops.Active)
	b.hear("acme/s1/state", "up")
	b.settle() // what the greeting sends holds the device for a moment
	b.command(deviceops.Command{ID: "c1", Device: "s1", Name: "reboot", Status: deviceops.CommandSent})
	b.command(deviceops.Command{ID: "c2", Device: "s1", Name: "set_interval", Exclusive: true, Status: deviceops.CommandSent})
	b.command(deviceops.Command{ID: "c3", Device: "s1", Name: "set_interval", Exclusive: true})
	b.hear("acme/s1/ack", `{"ref":"c1","rc":7,"text":"busy"}`, "acme/s1/interval", "60")
	b.settle()

	c1, err := b.store.FindCommand(t.Context(), "c1")
	require.NoError(t, err)
	require.Equal(t, &deviceops.CommandError{Code: "rc_7", Message: "busy", Retryable: true}, c1.Error)
	c2, err := b.store.FindCommand(t.Context(), "c2")
	require.NoError(t, err)
	require.Equal(t, deviceops.CommandSucceeded, c2.Status)
	require.Equal(t, map[string]any{"seconds": 60.0}, plainNumbers(c2.Output))
	require.Equal(t, deviceops.CommandSent, b.status("c3"), "it is the next one, and was not answered")
	require.Equal(t, []string{"c1", "c2"}, b.engine.completions())
	b.hear("acme/s1/ack", `{"ref":"c1","rc":0}`)
	require.Equal(t, deviceops.CommandFailed, b.status("c1"), "states only advance")
	require.Empty(t, b.rejected(), "a late reply is no mistake")
}

func TestConfigurationIsReportedByTheReply(t *testing.T) {
	t.Parallel()
	b := newOwnBundle(t)
	b.publish("acme", `profile: acme-sensor
translate: [ { on: "acme/{device}/x", heartbeat: true } ]
commands:
  configure:
    send: { topic: "acme/{device}/conf", payload: "${{ args }}" }
    reply: { on: "acme/{device}/conf/ack", ok: payload.ok }
`)
	b.sensor("s1", deviceops.Active)
	b.command(deviceops.Command{ID: "c1", Device: "s1", Name: deviceops.CommandConfigure, Args: map[string]any{"version": 3}, Exclusive: true, Status: deviceops.CommandSent})
	b.hear("acme/s1/conf/ack", `{"ok":true}`)
	require.Equal(t, deviceops.CommandSucceeded, b.status("c1"))
	require.Equal(t, int64(3), b.find("s1").Twin.Reported.ConfigVersion)
}

func TestRejectedAreTakenInAgainWhenTheProfileIsMended(t *testing.T) {
	t.Parallel()
	b := newOwnBundle(t)
	b.sensor("s1", deviceops.Active)
	b.hear("acme/s1/telemetry", `{"temperature":21.5}`, "acme/s1/door", "broken")
	require.Equal(t, map[string]int64{codeUntranslated: 2}, b.rejected())
	b.publish("acme", `profile: acme-sensor
metrics: { temp_c: number }
translate:
  - { on: "acme/{device}/telemetry", metrics: { temp_c: payload.temperature } }
  - { on: "acme/{device}/door", heartbeat: true }
`)
	n, err := b.inbox.Replay(t.Context())
	require.NoError(t, err)
	require.Zero(t, n, "nobody asked for it")
	report, err := b.store.RequestReplays(t.Context(), deviceops.RejectedReplay{RejectedFilter: deviceops.RejectedFilter{Code: codeUntranslated}}, noon)
	require.NoError(t, err)
	require.Equal(t, deviceops.RejectedReplayReport{Requested: 2}, report)
	b.clock.advance(time.Hour)
	n, err = b.inbox.Replay(t.Context())
	require.NoError(t, err)
	require.Equal(t, 2, n)

	require.Equal(t, map[string]any{"temp_c": 21.5}, plainNumbers(b.find("s1").Metrics))
	require.Equal(t, noon, b.events("s1", deviceops.EventTelemetry)[0].ReceivedAt, "it came in when it came in")
	found, _, err := b.store.ListRejected(t.Context(), deviceops.RejectedFilter{}, 10)
	require.NoError(t, err)
	require.Len(t, found, 1, "what is rejected again is listed again")
	require.Equal(t, "acme/s1/door", found[0].Topic)
	n, err = b.inbox.Replay(t.Context())
	require.NoError(t, err)
	require.Zero(t, n, "and not taken in for ever")
}

func TestUnregisteredDevicesAreDiscoveredByTheirHello(t *testing.T) {
	t.Parallel()
	b := newOwnBundle(t)
	b.hear("acme/new/info", `{"sn":"7","boot":"b1","fw":"1.9"}`)
	d := b.find("new")
	require.Equal(t, deviceops.Discovered, d.State)
	require.Equal(t, "acme-sensor", d.Profile)
	require.Equal(t, "7", d.Serial)
	b.hear("acme/new/door", `{"open":true}`)
	require.Len(t, b.events("new", "device.door"), 1, "it is understood while it waits for a person")
}

//go:build !lean

package main

import (
	"encoding/json"
	"fmt"
	"maps"
	"strings"
	"sync"
	"testing"
	"time"

	mqtt "github.com/eclipse/paho.mqtt.golang"
	"github.com/stretchr/testify/require"

	"github.com/deviceops/deviceops"
	"github.com/deviceops/deviceops/protocol"
)

// piece is a piece of garbage. Its code is that of the rejection that it has to
// lead to; "" when the broker is to refuse it before the engine sees it.
type piece struct{ topic, payload, code string }

const canary = "canary-claim-c0ffee"

// malformed are payloads that are wrong on every leaf.
func malformed() []string {
	return []string{
		"", "{", "null", "5", `"text"`, "[[[]]]", `{"boot":5}`, `{"boot":"#"}`, `{"boot":"two words"}`,
		`{"boot":"` + strings.Repeat("b", 200) + `"}`, "\xff\xfe{}", "{\"boot\":\"\xc3\x28\"}", `{"boot":"\u0000"}`,
		`{"seq":1e400}`, `{"seq":-1}`, `{"seq":"1"}`, `{"time":"soon"}`, `{"age_ms":-5}`, `{"child":"a/b"}`, `{"child":"+"}`,
		`{"claim":"` + canary + `","boot":["x"]}`, strings.Repeat("[", 10_000), `{"data":` + strings.Repeat(`{"a":`, 40) + "1" + strings.Repeat("}", 41),
	}
}

// garbage is what is sent on every topic, most of it in the name of a device
// that behaves.
func garbage(device string, brokerTakes1MiB bool) []piece {
	var topics protocol.Topics
	var all []piece
	large := ""
	if brokerTakes1MiB {
		large = "too_large"
	}
	for _, leaf := range protocol.UpLeaves() {
		up := topics.Up(device, leaf)
		for _, payload := range malformed() {
			all = append(all, piece{up, payload, "malformed"})
		}
		all = append(all,
			piece{up, strings.Repeat("x", 200<<10), "too_large"},
			piece{up, `{"data":"` + strings.Repeat("y", 1<<20) + `"}`, large},
			piece{topics.Up("my device", leaf), "{}", "bad_device_id"},
			piece{topics.Up(strings.Repeat("d", 129), leaf), "{}", "bad_device_id"},
			piece{topics.Up("ä", leaf), "{}", "bad_device_id"},
			piece{topics.Up("+", leaf), "{}", ""}, piece{topics.Up("a#", leaf), "{}", ""}, piece{topics.Up("\xff", leaf), "{}", ""})
		if leaf != protocol.LeafHeartbeat && leaf != protocol.LeafTelemetry && leaf != protocol.LeafEvent {
			all = append(all, piece{up, "[{}]", "malformed"})
		}
	}
	return append(all, misplaced(device)...)
}

// misplaced is what is well-formed and may not be said.
func misplaced(device string) []piece {
	var topics protocol.Topics
	return []piece{
		{topics.Up(device, "gossip"), "{}", "unknown_leaf"},
		{topics.Up(device, "welcome"), "{}", "unknown_leaf"},
		{topics.Up("nobody", protocol.LeafHeartbeat), `{"uptime_s":5}`, "unknown_device"},
		{topics.Up("nobody", protocol.LeafTelemetry), `{"metrics":{"battery_pct":5}}`, "unknown_device"},
		{topics.Up("nobody", protocol.LeafStatus), `{"status":"online"}`, "unknown_device"},
		{topics.Up("nobody", protocol.LeafHello), `{"boot":"b","digest":"` + strings.Repeat("0", 64) + `"}`, "unknown_device"},
		{topics.Up("retired-1", protocol.LeafHeartbeat), `{"uptime_s":5}`, "retired"},
		{topics.Up(device, protocol.LeafHeartbeat), `{"child":"retired-1","uptime_s":5}`, "foreign_child"},
		{topics.Up(device, protocol.LeafTelemetry), `{"metrics":{"battery_pct":500}}`, "invalid_metric"},
		{topics.Up(device, protocol.LeafEvent), `{"type":"device.state_changed","data":{"to":"retired"}}`, "reserved_type"},
		{topics.Up(device, protocol.LeafEvent), `[{"type":"first"},{"type":7},{"type":"last"}]`, "malformed"},
		{topics.Up(device, protocol.LeafResult), `{"id":"no-such","attempt":1,"status":"succeeded"}`, "unknown_command"},
	}
}

// throw sends pieces, each over a connection of its own, since brokers end the
// connection of whoever breaks their rules.
func throw(t *testing.T, broker string, pieces []piece) {
	const hands = 4
	work := make(chan piece)
	var throwers sync.WaitGroup
	for range hands {
		throwers.Go(func() {
			for p := range work {
				throwOne(t, broker, p)
			}
		})
	}
	for _, p := range pieces {
		work <- p
	}
	close(work)
	throwers.Wait()
}

func throwOne(t *testing.T, broker string, p piece) {
	c := mqtt.NewClient(mqtt.NewClientOptions().AddBroker(broker).SetAutoReconnect(false))
	if token := c.Connect(); !token.WaitTimeout(20*time.Second) || token.Error() != nil {
		t.Errorf("the broker does not take a connection: %v", token.Error())
		return
	}
	defer c.Disconnect(100)
	if p.code == "" {
		c.Publish(p.topic, 0, false, p.payload)
		return
	}
	if token := c.Publish(p.topic, 1, false, p.payload); !token.WaitTimeout(30*time.Second) || token.Error() != nil {
		t.Errorf("the broker does not take %.60q on %.60q: %v", p.payload, p.topic, token.Error())
	}
}

// codes counts the rejections that pieces have to lead to.
func codes(pieces []piece) map[string]int64 {
	counts := map[string]int64{}
	for _, p := range pieces {
		if p.code != "" {
			counts[p.code]++
		}
	}
	return counts
}

// rejected gives what `deviceops events rejected` says.
func (h home) rejected() (report deviceops.RejectedReport) {
	out := h.must("events", "rejected", "--limit", "1000", "-o", "json")
	require.NoError(h.t, json.Unmarshal([]byte(out), &report), out)
	return report
}

// TestGarbage throws garbage at an engine whose fleet powers on, over the
// embedded broker and over Mosquitto.
func TestGarbage(t *testing.T) {
	t.Parallel()
	t.Run("embedded", func(t *testing.T) {
		h := newHome(t)
		stack := h.startStack()
		surviveGarbage(h, stack, h.broker(), false)
	})
	t.Run("mosquitto", func(t *testing.T) {
		h := newHome(t)
		stack, broker := h.startWithMosquitto()
		surviveGarbage(h, stack, broker, true)
	})
}

func surviveGarbage(h home, stack *process, broker string, takes1MiB bool) {
	const devices = 30
	f := h.startFleet(broker, devices, "--ramp", "4s")
	h.must("devices", "register", "retired-1", "--profile", "kiosk", "--reason", "test")
	h.must("devices", "transition", "retired-1", "retired", "--reason", "test")
	pieces := garbage("sim-00001", takes1MiB)
	throw(h.t, broker, pieces)
	h.requireClocksAreCorrected(broker)
	f.awaitActive(devices)

	want := codes(pieces)
	require.Eventually(h.t, func() bool { return maps.Equal(want, h.rejected().Counts) }, 20*time.Second, 500*time.Millisecond,
		"each piece was to be rejected once, and nothing else: %v, and not %v", want, lazy(func() any { return h.rejected().Counts }))
	h.requireReasons(pieces)
	require.Equal(h.t, []string{"first", "last"}, h.said("sim-00001", "first", "last"), "one bad object does not hurt the others")
	f.requireNoRepeats()
	require.False(h.t, stack.over(), "the engine has crashed:\n%s", stack.output())
	require.NotContains(h.t, stack.output(), "panic")
	require.Zero(h.t, stack.interrupt(15*time.Second))
}

// lazy is formatted when it is printed.
type lazy func() any

func (l lazy) String() string { return fmt.Sprint(l()) }

// said gives which of types a device's events have, in order.
func (h home) said(device string, types ...string) (said []string) {
	for _, kind := range h.happened(device) {
		for _, t := range types {
			if kind == t {
				said = append(said, kind)
			}
		}
	}
	return said
}

// requireReasons requires that rejections say why, and keep no claim.
func (h home) requireReasons(pieces []piece) {
	report := h.rejected()
	byTopic := map[string]bool{}
	for _, r := range report.Items {
		require.NotEmpty(h.t, r.Reason, "%+v", r)
		require.NotContains(h.t, string(r.Payload), canary, "a claim was kept")
		require.NotContains(h.t, r.Reason, canary)
		require.LessOrEqual(h.t, len(r.Payload), deviceops.RejectedPayload)
		byTopic[r.Topic+" "+r.Code] = true
	}
	for _, p := range pieces {
		require.True(h.t, p.code == "" || byTopic[p.topic+" "+p.code], "no rejection lists %s with %s", p.topic, p.code)
	}
	require.Contains(h.t, h.must("events", "rejected"), "bad_device_id")
}

// requireClocksAreCorrected lets devices with wrong clocks say something.
func (h home) requireClocksAreCorrected(broker string) {
	var topics protocol.Topics
	for device, claimed := range map[string]string{"clock-2099": "2099-01-01T00:00:00Z", "clock-1970": "1970-01-01T00:00:05Z"} {
		h.must("devices", "register", device, "--profile", "kiosk", "--reason", "test")
		throwOne(h.t, broker, piece{topics.Up(device, protocol.LeafEvent), `{"type":"door","time":"` + claimed + `"}`, "none"})
		h.awaitDevice(device, 20*time.Second, func(d deviceops.Device) bool { return d.Session.ClockSkewed })

		var page struct{ Items []deviceops.Event }
		out := h.must("events", "tail", "--device", device, "--type", "door", "-o", "json")
		require.NoError(h.t, json.Unmarshal([]byte(out), &page), out)
		require.Len(h.t, page.Items, 1)
		e := page.Items[0]
		require.True(h.t, e.ClockFixed)
		require.Equal(h.t, claimed, e.ClaimedAt)
		require.Equal(h.t, e.ReceivedAt, e.At)
		require.WithinDuration(h.t, time.Now(), e.At, time.Minute)
		require.Contains(h.t, h.must("devices", "timeline", device), deviceops.EventClock)
	}
}

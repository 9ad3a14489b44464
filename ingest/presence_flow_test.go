package ingest

import (
	"fmt"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/deviceops/deviceops"
)

func (b *testBundle) connectivity(id string) deviceops.Connectivity {
	b.t.Helper()
	return b.find(id).Session.Connectivity
}

func TestWillsAndHeartbeats(t *testing.T) {
	t.Parallel()
	b := newBundle(t, nil)
	b.device("k1", deviceops.Active)
	b.say("k1", "hello", fullHello)
	b.clock.advance(time.Second)
	b.say("k1", "hello", `{"boot":"b1","connection":"c2","profile":"kiosk"}`, "status", `{"status":"offline","connection":"c1"}`)
	require.Equal(t, deviceops.Online, b.connectivity("k1"), "the will of the connection before")
	b.say("k1", "status", `{"status":"offline","connection":"c2"}`, "heartbeat", `{}`)
	require.Equal(t, deviceops.Offline, b.connectivity("k1"), "the will overtook the heartbeat")
	b.clock.advance(time.Minute)
	b.say("k1", "heartbeat", `{"uptime_s":60}`)
	require.Equal(t, deviceops.Online, b.connectivity("k1"), "it lives after all")

	changes := b.events("k1", deviceops.EventDeviceConnectivity)
	require.Len(t, changes, 3)
	require.Equal(t, map[string]any{"from": "online", "to": "offline", "because": "status offline"}, changes[1].Data)
	require.Equal(t, "warning", changes[1].Severity)
}

// A device that was late by a moment is online again with what it says, and not
// only with what it says next, which may be in an hour.
func TestASilentDeviceIsBackWithItsFirstWord(t *testing.T) {
	t.Parallel()
	b := newBundle(t, nil)
	b.device("k1", deviceops.Active)
	b.say("k1", "hello", fullHello)
	b.clock.advance(deviceops.DefaultHeartbeat.Silence() + time.Millisecond)
	require.NoError(t, b.sweeper().Sweep(t.Context()))
	require.Equal(t, deviceops.Offline, b.connectivity("k1"))
	b.clock.advance(time.Second)
	b.say("k1", "telemetry", `{"metrics":{"battery_pct":50}}`)
	require.Equal(t, deviceops.Online, b.connectivity("k1"))
}

func TestSleepersAreNotMissed(t *testing.T) {
	t.Parallel()
	b := newBundle(t, nil)
	sweeper := b.sweeper()
	b.device("k1", deviceops.Active)
	b.say("k1", "hello", fullHello, "status", `{"status":"sleeping","connection":"c1","wake_in":3600}`,
		"status", `{"status":"offline","connection":"c1"}`)
	s := b.find("k1").Session
	require.Equal(t, deviceops.Sleeping, s.Connectivity)
	require.WithinDuration(t, noon.Add(time.Hour), s.WakeAt, 0)

	b.clock.advance(time.Hour + deviceops.DefaultHeartbeat.Silence())
	require.NoError(t, sweeper.Sweep(t.Context()))
	require.Equal(t, deviceops.Sleeping, b.connectivity("k1"))
	b.clock.advance(time.Second)
	require.NoError(t, sweeper.Sweep(t.Context()))
	require.Equal(t, deviceops.Offline, b.connectivity("k1"))
}

func TestChildrenSpeakByTheirGateway(t *testing.T) {
	t.Parallel()
	b := newBundle(t, nil)
	b.device("g1", deviceops.Active)
	b.register(deviceops.Registration{ID: "c1", Parent: "g1"}, deviceops.Registration{ID: "stranger"})
	b.say("g1", "hello", `{"boot":"gb","connection":"gc","profile":"kiosk"}`,
		"hello", `{"boot":"cb","connection":"cc","profile":"kiosk","child":"c1"}`,
		"telemetry", `{"metrics":{"battery_pct":50},"child":"c1","boot":"gb","seq":1}`,
		"event", `{"type":"tick","child":"c1","seq":2}`,
		"event", `{"type":"tick","child":"stranger","seq":3}`,
		"event", `{"type":"tick","child":"unknown","seq":4}`)
	b.settle()

	child := b.find("c1")
	require.Equal(t, deviceops.Online, child.Session.Connectivity)
	require.Equal(t, "cb", child.Session.Boot)
	require.Equal(t, map[string]any{"battery_pct": int64(50)}, child.Metrics)
	require.Len(t, b.events("c1", "tick"), 1)
	require.Equal(t, "gb", b.events("c1", "tick")[0].Boot, "the journal is the gateway's")
	require.Equal(t, map[string]int64{codeChild: 2}, b.rejected())
	require.Equal(t, map[string]int{"provision/c1": 1}, b.engine.started())

	welcomes := map[string]deviceops.Welcome{}
	for _, w := range b.gateway.welcomes {
		welcomes[w.Device] = w
	}
	require.Equal(t, deviceops.SeqKey{Boot: "gb", Seq: 4}, seqOf(welcomes["g1"]), "what is rejected is not to be sent again")
	require.Equal(t, "g1", welcomes["c1"].Route.Via)
	require.Equal(t, deviceops.SeqKey{}, seqOf(welcomes["c1"]))
}

func TestALostGatewayStrandsItsChildren(t *testing.T) {
	t.Parallel()
	for name, lose := range map[string]func(b *testBundle) (back time.Duration){
		"by its will": func(b *testBundle) time.Duration {
			b.clock.advance(time.Minute)
			b.say("g1", "status", `{"status":"offline","connection":"gc"}`)
			return time.Minute
		},
		"by silence": func(b *testBundle) time.Duration {
			b.clock.advance(deviceops.DefaultHeartbeat.Silence() + time.Second)
			require.NoError(b.t, b.sweeper().Sweep(b.t.Context()))
			return time.Second // it was only late
		},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			b := newBundle(t, nil)
			b.gatewayWithChildren()
			back := lose(b)

			require.Equal(t, deviceops.Offline, b.connectivity("g1"))
			require.Equal(t, deviceops.Unreachable, b.connectivity("c1"))
			require.Equal(t, deviceops.Unreachable, b.connectivity("c2"))
			require.Equal(t, deviceops.Sleeping, b.connectivity("c3"))
			changes := b.events("g1", deviceops.EventDeviceConnectivity)
			last := changes[len(changes)-1].Data
			require.Equal(t, "offline", last["to"])
			require.EqualValues(t, 2, last["children_unreachable"])
			require.Len(t, b.events("c1", deviceops.EventDeviceConnectivity), 1, "one problem, one event")

			b.clock.advance(back)
			b.say("g1", "heartbeat", `{"child":"c1"}`)
			require.Equal(t, deviceops.Online, b.connectivity("c1"))
			require.Equal(t, deviceops.Online, b.connectivity("g1"))
			require.Equal(t, deviceops.Unreachable, b.connectivity("c2"), "nothing is known of it yet")
		})
	}
}

// gatewayWithChildren brings g1 online with c1 and c2, which report hourly, and
// c3, which sleeps.
func (b *testBundle) gatewayWithChildren() {
	b.t.Helper()
	b.device("g1", deviceops.Active)
	b.say("g1", "hello", `{"boot":"gb","connection":"gc","profile":"kiosk"}`)
	for n := 1; n <= 3; n++ {
		id := fmt.Sprintf("c%d", n)
		b.register(deviceops.Registration{ID: id, Parent: "g1"})
		d := b.find(id)
		d.Twin.Desired.Heartbeat = deviceops.HeartbeatPolicy{Every: time.Hour, OfflineAfter: 2}
		require.NoError(b.t, b.store.SaveDevice(b.t.Context(), &d))
		b.say("g1", "hello", `{"boot":"cb","profile":"kiosk","child":"`+id+`"}`)
	}
	b.say("g1", "status", `{"status":"sleeping","child":"c3","wake_in":86400}`)
}

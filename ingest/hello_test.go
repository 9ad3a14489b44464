package ingest

import (
	"context"
	"fmt"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/deviceops/deviceops"
	"github.com/deviceops/deviceops/protocol"
)

const fullHello = `{"boot":"b1","connection":"c1","profile":"kiosk","serial":"s1","claim":"secret","software":{"os":"1.0"},` +
	`"config_version":2,"max_payload":4096}`

func TestHelloOfARegisteredDevice(t *testing.T) {
	t.Parallel()
	b := newBundle(t, nil)
	b.register(deviceops.Registration{ID: "k1", Serial: "s1", ClaimHash: deviceops.HashClaim("k1", "secret")})
	b.say("k1", "hello", fullHello)
	b.settle()

	d := b.find("k1")
	require.Equal(t, deviceops.Online, d.Session.Connectivity)
	require.Equal(t, "b1", d.Session.Boot)
	require.Equal(t, "c1", d.Session.Connection)
	require.Equal(t, 4096, d.Session.MaxPayload)
	require.Equal(t, deviceops.Presented{Profile: "kiosk", Serial: "s1"}, d.Session.Presented)
	require.True(t, deviceops.SameHash(d.ClaimHash, d.Session.ClaimHash))
	require.Equal(t, map[string]string{"os": "1.0"}, d.Twin.Reported.Software)
	require.EqualValues(t, 2, d.Twin.Reported.ConfigVersion)
	require.Len(t, b.events("k1", deviceops.EventDeviceBooted), 1)
	require.Len(t, b.events("k1", deviceops.EventDeviceConnectivity), 1)
	w := b.gateway.welcome(t)
	require.Equal(t, deviceops.Escrow, w.State)
	require.Equal(t, 4096, w.Route.MaxPayload)
	require.False(t, w.NeedHello)
}

func TestHelloOfADeviceInEscrowStartsProvisioningOnce(t *testing.T) {
	t.Parallel()
	b := newBundle(t, nil)
	b.register(deviceops.Registration{ID: "k1"})
	var lanes sync.WaitGroup
	for range 4 {
		lanes.Go(func() {
			for range 3 {
				_ = b.inbox.Deliver(context.Background(), []deviceops.Message{message("k1", protocol.LeafHello, fullHello)})
			}
		})
	}
	lanes.Wait()
	b.settle()
	require.Equal(t, map[string]int{"provision/k1": 1}, b.engine.started())
	waiting, err := b.store.PendingStarts(t.Context(), noon.Add(time.Hour), noon.Add(time.Hour), 10)
	require.NoError(t, err)
	require.Empty(t, waiting, "what was started is taken out of the outbox")
	require.Len(t, b.events("k1", deviceops.EventDeviceBooted), 1)
}

func TestHelloOfOthersStartsNothing(t *testing.T) {
	t.Parallel()
	b := newBundle(t, nil)
	for _, state := range []deviceops.State{deviceops.Provisioning, deviceops.Active, deviceops.Maintenance, deviceops.Quarantined} {
		b.device(string(state), state)
		b.say(string(state), "hello", fullHello)
		b.settle()
		require.Equal(t, state, b.gateway.welcome(t).State)
	}
	require.Empty(t, b.engine.started())
}

func TestShortHello(t *testing.T) {
	t.Parallel()
	b := newBundle(t, nil)
	b.device("k1", deviceops.Active)
	full := protocol.Hello{Profile: "kiosk", Serial: "s1", Software: map[string]string{"os": "1.0"}, ConfigVersion: 2, MaxPayload: 4096}
	short := fmt.Sprintf(`{"boot":"b2","connection":"c2","digest":%q}`, full.DescriptionDigest())
	b.say("k1", "hello", short)
	b.settle()
	require.True(t, b.gateway.welcome(t).NeedHello, "nothing is known of it yet")

	b.say("k1", "hello", fullHello)
	b.say("k1", "hello", short)
	b.settle()
	require.False(t, b.gateway.welcome(t).NeedHello)
	require.Equal(t, "b2", b.find("k1").Session.Boot)

	b.say("nobody", "hello", short)
	b.settle()
	require.Equal(t, deviceops.Welcome{Device: "nobody", NeedHello: true}, b.gateway.welcome(t))
	require.Equal(t, map[string]int64{codeUnknown: 1}, b.rejected())
}

func TestUnknownDevicesAreDiscoveredUpToABound(t *testing.T) {
	t.Parallel()
	b := newBundle(t, func(c *Config) { c.MaxDiscovered = 2 })
	b.say("u1", "telemetry", `{"metrics":{"a":1}}`)
	for _, id := range []string{"u1", "u2", "u3"} {
		b.say(id, "hello", fullHello, "event", `{"type":"started"}`)
	}
	b.settle()
	d := b.find("u1")
	require.Equal(t, deviceops.Discovered, d.State)
	require.Equal(t, deviceops.RootAccount, d.Account)
	require.Equal(t, "kiosk", d.Profile)
	require.Equal(t, deviceops.Online, d.Session.Connectivity)
	require.Len(t, b.events("u2", "started"), 1)
	_, err := b.store.FindDevice(t.Context(), "u3")
	require.Equal(t, deviceops.ENOTFOUND, deviceops.ErrorCode(err))
	require.Equal(t, map[string]int64{codeUnknown: 2, codeFull: 1}, b.rejected())
	require.Empty(t, b.engine.started())
}

func TestQuarantinedDevicesLearnTheirStateOnly(t *testing.T) {
	t.Parallel()
	b := newBundle(t, nil)
	b.device("k1", deviceops.Quarantined)
	d := b.find("k1")
	d.Twin.Desired = deviceops.Desired{Version: 3, Configuration: map[string]any{"a": "b"}}
	require.NoError(t, b.store.SaveDevice(t.Context(), &d))
	b.command(deviceops.Command{ID: "c1"})
	b.say("k1", "hello", fullHello)
	b.settle()
	w := b.gateway.welcome(t)
	require.Equal(t, deviceops.Quarantined, w.State)
	require.Zero(t, w.Desired)
	require.Zero(t, w.Pending)
	require.Empty(t, b.gateway.published())
	require.Equal(t, "c1", b.find("k1").Session.Connection)
}

func TestRetiredDevicesAreRejected(t *testing.T) {
	t.Parallel()
	b := newBundle(t, nil)
	b.device("k1", deviceops.Retired)
	b.say("k1", "hello", fullHello, "event", `{"type":"x","boot":"b1","seq":1}`)
	b.settle()
	require.Equal(t, map[string]int64{codeRetired: 2}, b.rejected())
	require.Equal(t, deviceops.Never, b.find("k1").Session.Connectivity)
	require.Empty(t, b.gateway.welcomes)
}

func TestHelloSendsOpenCommandsAgainButThoseRunning(t *testing.T) {
	t.Parallel()
	b := newBundle(t, nil)
	b.device("k1", deviceops.Active)
	b.command(deviceops.Command{ID: "pending"})
	b.command(deviceops.Command{ID: "sent", Status: deviceops.CommandSent, SentAt: noon})
	b.command(deviceops.Command{ID: "running", Status: deviceops.CommandSent, SentAt: noon})
	b.command(deviceops.Command{ID: "done", Status: deviceops.CommandSucceeded})
	b.say("k1", "hello", `{"boot":"b1","connection":"c1","profile":"kiosk","running":["running"]}`)
	b.settle()
	require.Equal(t, 3, b.gateway.welcome(t).Pending)
	require.Equal(t, []string{"pending", "sent"}, b.gateway.published())
	c, err := b.store.FindCommand(t.Context(), "pending")
	require.NoError(t, err)
	require.Equal(t, deviceops.CommandSent, c.Status)
	require.Equal(t, "b1", c.Boot)
}

func TestComingOnlineSendsWhatIsPending(t *testing.T) {
	t.Parallel()
	b := newBundle(t, nil)
	b.device("k1", deviceops.Active)
	b.say("k1", "hello", fullHello, "status", `{"status":"sleeping","connection":"c1","wake_in":600}`)
	b.command(deviceops.Command{ID: "pending"})
	b.settle()
	require.Empty(t, b.gateway.published())
	b.clock.advance(time.Minute)
	b.say("k1", "heartbeat", `{"uptime_s":5}`)
	b.settle()
	require.Equal(t, []string{"pending"}, b.gateway.published())
	require.EqualValues(t, 5, b.find("k1").Session.UptimeS)
}

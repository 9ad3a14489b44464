package ingest

import (
	"context"
	"fmt"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus/testutil"
	"github.com/stretchr/testify/require"

	"github.com/deviceops/deviceops"
)

// greeted gives a bundle with a device that is online and was acknowledged.
func greeted(t *testing.T) *testBundle {
	b := newBundle(t, nil)
	b.device("k1", deviceops.Active)
	b.say("k1", "hello", fullHello)
	b.clock.advance(ackEvery)
	b.say("k1", "event", event(1))
	require.Len(t, b.acks(), 1)
	return b
}

// acks gives the acks that are due.
func (b *testBundle) acks() []deviceops.SeqKey {
	b.inbox.acker.flush(b.t.Context())
	b.idle()
	return b.gateway.acked()
}

// awaitTurn lets the clock go on until the turn of a device that was acknowledged
// now.
func (b *testBundle) awaitTurn(device string) {
	now := b.clock.Now()
	b.clock.advance(nextTurn(device, now.Add(ackEvery)).Sub(now))
}

// whileLocked runs f while somebody else holds the lock of the device.
func (b *testBundle) whileLocked(id string, f func(ctx context.Context)) {
	b.t.Helper()
	require.NoError(b.t, b.store.InTx(b.t.Context(), func(ctx context.Context, tx deviceops.Tx) error {
		_, err := tx.LockDevices(ctx, []string{id})
		require.NoError(b.t, err)
		f(context.WithoutCancel(ctx))
		return nil
	}))
}

// What changes nothing of a device waits for nobody, and what it leaves out is
// written with the next ack.
func TestEventsOfOnlineDevicesWaitForNoLock(t *testing.T) {
	t.Parallel()
	b := greeted(t)
	seen := b.find("k1").Session.LastSeen
	b.clock.advance(ackEvery / 2)
	b.whileLocked("k1", func(context.Context) {
		b.say("k1", "event", event(2), "telemetry", `{"metrics":{"battery_pct":7},"boot":"b1","seq":3}`, "event", `{"type":"tick","seq":4}`, "event", event(1))
	})
	require.Len(t, b.events("k1", "tick"), 3)
	require.Equal(t, map[string]any{"battery_pct": int64(7)}, b.find("k1").Metrics)
	require.Equal(t, seen, b.find("k1").Session.LastSeen)
	b.clock.advance(ackRound + ackEvery)
	b.whileLocked("k1", func(context.Context) { b.say("k1", "event", event(5)) })
	require.Equal(t, []deviceops.SeqKey{{Device: "k1", Boot: "b1", Seq: 5}}, b.acks())
	require.Equal(t, b.clock.Now(), b.find("k1").Session.LastSeen)
	require.Equal(t, b.clock.Now(), b.find("k1").Session.AckedAt)
	require.Zero(t, testutil.ToFloat64(b.inbox.metrics.relocks))
}

// Nor do answers to commands, as long as they claim nothing that depends on what
// devices report.
func TestAnswersOfOnlineDevicesWaitForNoLock(t *testing.T) {
	t.Parallel()
	b := greeted(t)
	for _, id := range []string{"c1", "c2"} {
		b.command(deviceops.Command{ID: id, Name: deviceops.CommandInstall, Status: deviceops.CommandSent, SentAt: noon})
	}
	b.clock.advance(2 * ackEvery) // what only answers is acknowledged later than what tells
	b.whileLocked("k1", func(context.Context) {
		b.say("k1", "result", `{"seq":2,"id":"c1","attempt":1,"status":"accepted"}`,
			"result", `{"seq":3,"id":"c1","attempt":1,"status":"progress","percent":40,"phase":"downloading"}`,
			"result", `{"seq":4,"id":"c2","attempt":1,"status":"failed","error":{"code":"disk_full"}}`)
	})
	require.Equal(t, deviceops.CommandAccepted, b.status("c1"))
	require.Equal(t, deviceops.CommandFailed, b.status("c2"))
	require.Zero(t, testutil.ToFloat64(b.inbox.metrics.relocks))
}

// An install that is said to be done is done if its device reports so, which is
// read for it alone, once.
func TestInstallsAreJudgedByWhatIsReported(t *testing.T) {
	t.Parallel()
	for version, want := range map[string]deviceops.CommandStatus{"1.0": deviceops.CommandSucceeded, "2.0": deviceops.CommandAccepted} {
		b := greeted(t)
		b.command(deviceops.Command{ID: "c1", Name: deviceops.CommandInstall, Status: deviceops.CommandSent, SentAt: noon, Args: map[string]any{
			"release": "os@" + version, "components": []any{map[string]any{"name": "os", "to": version}},
		}})
		b.say("k1", "result", `{"seq":2,"id":"c1","attempt":1,"status":"succeeded"}`)
		require.Equal(t, want, b.status("c1"), version)
		require.Zero(t, testutil.ToFloat64(b.inbox.metrics.relocks))
	}
}

// What may change a device waits for whoever holds it.
func TestWhatMayChangeADeviceIsSaidUnderItsLock(t *testing.T) {
	t.Parallel()
	for name, said := range map[string][]string{
		"a heartbeat":              {"heartbeat", `{"uptime_s":1}`},
		"a command is done":        {"result", `{"seq":2,"id":"c1","attempt":1,"status":"succeeded"}`},
		"beside an event":          {"event", event(2), "status", `{"status":"online"}`},
		"nothing to be told by":    {"event", `{"type":"tick"}`},
		"a child":                  {"event", `{"type":"tick","child":"k1","boot":"b1","seq":2}`, "hello", fullHello},
		"no JSON that makes sense": {"event", `{"type":5,"boot":"b1"}`},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			b := greeted(t)
			b.requireWaits(said...)
		})
	}
	t.Run("it is offline", func(t *testing.T) {
		t.Parallel()
		b := greeted(t)
		b.say("k1", "status", `{"status":"offline","connection":"c1"}`)
		require.Equal(t, deviceops.Offline, b.find("k1").Session.Connectivity)
		b.requireWaits("event", event(2))
	})
	t.Run("it is degraded, and measures", func(t *testing.T) {
		t.Parallel()
		b := greeted(t)
		require.NoError(t, b.store.SaveWellness(t.Context(), map[string]deviceops.Wellness{"k1": {Status: "degraded", DegradedSince: noon}}))
		b.requireWaits("telemetry", `{"metrics":{"battery_pct":7},"boot":"b1","seq":2}`)
		require.Zero(t, testutil.ToFloat64(b.inbox.metrics.relocks))
	})
	t.Run("it could be taken for silent", func(t *testing.T) {
		t.Parallel()
		b := greeted(t)
		require.NoError(t, b.store.SaveDesired(t.Context(), map[string]deviceops.Desired{
			"k1": {Heartbeat: deviceops.HeartbeatPolicy{Every: 5 * time.Second, OfflineAfter: 3}},
		}))
		b.requireWaits("event", event(2))
		b.clock.advance(time.Second)
		b.say("k1", "event", event(3))
		require.Equal(t, b.clock.Now(), b.find("k1").Session.LastSeen)
		require.Zero(t, testutil.ToFloat64(b.inbox.metrics.relocks))
	})
}

// requireWaits checks that what k1 says is not taken while k1 is locked.
func (b *testBundle) requireWaits(said ...string) {
	b.t.Helper()
	stored := len(b.events("k1", "tick"))
	taken := make(chan struct{})
	b.whileLocked("k1", func(context.Context) {
		go func() {
			defer close(taken)
			b.say("k1", said...)
		}()
		require.Never(b.t, func() bool {
			select {
			case <-taken:
				return true
			default:
				return false
			}
		}, 100*time.Millisecond, time.Millisecond)
		require.Len(b.t, b.events("k1", "tick"), stored)
	})
	<-taken
}

// A message that looked harmless and was not is taken all the same, once, under a
// lock.
func TestADeviceThatChangesAfterAllIsLocked(t *testing.T) {
	t.Parallel()
	b := greeted(t)
	b.say("k1", "event", `{"type":"tick","boot":"b1","seq":2,"time":"2099-01-01T00:00:00Z"}`)
	require.EqualValues(t, 1, testutil.ToFloat64(b.inbox.metrics.relocks))
	require.Len(t, b.events("k1", "tick"), 2)
	require.Len(t, b.events("k1", deviceops.EventClock), 1)
	require.True(t, b.find("k1").Session.ClockSkewed)
}

// Lanes store what the same devices say side by side: neither waits for the other.
func TestLanesCommitSideBySide(t *testing.T) {
	t.Parallel()
	b := greeted(t)
	require.NoError(t, b.store.InTx(t.Context(), func(ctx context.Context, tx deviceops.Tx) error {
		first := b.inbox.transaction(ctx, tx, b.items(event(2)))
		require.NoError(t, first.run(ctx))
		b.say("k1", "event", event(3)) // while the first has not committed
		return nil
	}))
	require.Len(t, b.events("k1", "tick"), 3)
}

// items gives events of k1 as the inbox decodes them.
func (b *testBundle) items(payloads ...string) (items []item) {
	b.t.Helper()
	for _, p := range payloads {
		m := message("k1", "event", p)
		m.ReceivedAt = b.clock.Now()
		decoded, refused := decode(b.inbox.topics, m)
		require.Nil(b.t, refused, fmt.Sprint(refused))
		items = append(items, decoded...)
	}
	return items
}

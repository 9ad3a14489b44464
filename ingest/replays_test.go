package ingest

import (
	"context"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/deviceops/deviceops"
)

// opened is what the doors of devices that nobody registered have said: nothing
// tells it from a repetition.
const opened = `{"open":true}`

// awaitReplay has messages of s1 and s2 rejected, since nobody registered these, then
// registers them and asks for the messages again.
func (b *ownBundle) awaitReplay(said ...string) {
	b.t.Helper()
	b.hear(said...)
	require.Len(b.t, b.stillRejected(), len(said)/2)
	b.sensor("s1", deviceops.Active)
	b.sensor("s2", deviceops.Active)
	b.requestReplay()
}

func (b *testBundle) requestReplay() {
	b.t.Helper()
	report, err := b.store.RequestReplays(context.Background(), deviceops.RejectedReplay{}, b.clock.Now())
	require.NoError(b.t, err)
	require.NotZero(b.t, report.Requested)
}

// on has the Inbox work with another store.
func (b *ownBundle) on(s deviceops.Store) {
	b.t.Helper()
	b.config.Store = s
	b.settle()
}

// replayRest replays until nothing is left that was asked for, leases that are over
// included.
func (b *testBundle) replayRest() {
	b.t.Helper()
	b.clock.advance(deviceops.PublishLease)
	_, err := b.inbox.Replay(context.Background())
	require.NoError(b.t, err)
}

func (b *testBundle) stillRejected() []deviceops.Rejected {
	b.t.Helper()
	found, _, err := b.store.ListRejected(context.Background(), deviceops.RejectedFilter{}, 10)
	require.NoError(b.t, err)
	return found
}

// killed is a store whose process ends right after its first transaction: that is
// committed, and nothing follows.
type killed struct {
	deviceops.Store
	committed bool
}

func (k *killed) InTx(ctx context.Context, f func(context.Context, deviceops.Tx) error) error {
	err := k.Store.InTx(ctx, f)
	if err == nil && !k.committed {
		k.committed = true
		return deviceops.Errorf(deviceops.EUNAVAILABLE, "killed")
	}
	return err
}

func TestAReplayThatIsKilledTakesNothingInTwice(t *testing.T) {
	t.Parallel()
	b := newOwnBundle(t)
	b.awaitReplay("acme/s1/door", opened, "acme/s1/door", opened, "acme/s2/door", opened)
	b.on(&killed{Store: b.store})
	_, err := b.inbox.Replay(t.Context())
	require.Equal(t, deviceops.EUNAVAILABLE, deviceops.ErrorCode(err))
	require.Len(t, b.events("s1", "device.door"), 2, "it was killed when they were taken in")
	b.replayRest()
	require.Len(t, b.events("s1", "device.door"), 2)
	require.Len(t, b.events("s2", "device.door"), 1)
	require.Empty(t, b.stillRejected())
}

// slow is a store in which something happens after messages were claimed.
type slow struct {
	deviceops.Store
	meanwhile func()
}

func (s slow) ClaimReplays(ctx context.Context, now time.Time, limit int) ([]deviceops.Rejected, error) {
	claimed, err := s.Store.ClaimReplays(ctx, now, limit)
	s.meanwhile()
	return claimed, err
}

func TestAReplayThatOutlastsItsLeaseTakesNothingInTwice(t *testing.T) {
	t.Parallel()
	b := newOwnBundle(t)
	b.awaitReplay("acme/s1/door", opened, "acme/s1/door", "broken", "acme/s2/door", opened)
	other := b.inbox
	b.on(slow{b.store, func() {
		b.clock.advance(deviceops.PublishLease)
		n, err := other.Replay(context.Background())
		require.NoError(t, err)
		require.Equal(t, 3, n)
	}})
	_, err := b.inbox.Replay(t.Context())
	require.NoError(t, err)
	require.Len(t, b.events("s1", "device.door"), 1)
	require.Len(t, b.events("s2", "device.door"), 1)
	require.Len(t, b.stillRejected(), 1, "it was rejected again once")
}

func TestAReplayThatIsRolledBackIsRepeated(t *testing.T) {
	t.Parallel()
	b := newOwnBundle(t)
	b.awaitReplay("acme/s1/door", opened, "acme/s2/door", opened)
	away := true
	b.on(picky{b.store, func(deviceops.Event) error {
		if away {
			return deviceops.Errorf(deviceops.EUNAVAILABLE, "starting up")
		}
		return nil
	}})
	_, err := b.inbox.Replay(t.Context())
	require.Equal(t, deviceops.EUNAVAILABLE, deviceops.ErrorCode(err))
	require.Len(t, b.stillRejected(), 2, "nothing is lost")
	away = false
	b.replayRest()
	require.Len(t, b.events("s1", "device.door"), 1)
	require.Len(t, b.events("s2", "device.door"), 1)
	require.Empty(t, b.stillRejected())
}

func TestAReplayedMessageThatTheStoreRefusesIsRejectedAsAWhole(t *testing.T) {
	t.Parallel()
	b := newOwnBundle(t)
	b.awaitReplay("acme/s1/door", opened, "acme/s2/door", opened, "acme/s2/door", "broken")
	poisoned := "s1"
	b.on(picky{b.store, func(e deviceops.Event) error {
		if e.Device == poisoned && e.Type == "device.door" {
			return deviceops.Errorf(deviceops.EINVALID, "no such door")
		}
		return nil
	}})
	b.replayRest()
	require.Zero(t, b.find("s1").Session.LastHeartbeat, "nor is what else the message says taken in")
	require.Len(t, b.events("s2", "device.door"), 1, "others are")
	reasons := map[string]string{}
	for _, r := range b.stillRejected() {
		reasons[r.Device] = r.Code + ": " + r.Reason
	}
	require.Len(t, reasons, 2)
	require.Equal(t, "unprocessable: the store refuses it: no such door", reasons["s1"], "it has its new reason")
	require.Contains(t, reasons["s2"], codeUntranslated)

	poisoned = ""
	b.requestReplay()
	b.replayRest()
	require.Len(t, b.events("s1", "device.door"), 1)
	require.NotZero(t, b.find("s1").Session.LastHeartbeat)
}

// adopt makes a device the child of a gateway.
func (b *testBundle) adopt(gateway, child string) {
	b.t.Helper()
	d := b.find(child)
	d.Parent = gateway
	require.NoError(b.t, b.store.SaveDevice(b.t.Context(), &d))
}

func TestOfABacklogOnlyWhatWasRejectedIsReplayed(t *testing.T) {
	t.Parallel()
	b := newOwnBundle(t)
	b.sensor("s1", deviceops.Active)
	b.say("s1", "event", `[{"type":"tick"},{"type":"tock","child":"c1","data":{"n":1}},{"type":"tock","child":"c1","data":{"n":2}}]`)
	require.Equal(t, map[string]int64{codeChild: 2}, b.rejected())
	require.Len(t, b.stillRejected(), 2)
	require.JSONEq(t, `{"type":"tock","child":"c1","data":{"n":2}}`, string(b.stillRejected()[0].Payload))
	b.sensor("c1", deviceops.Active)
	b.adopt("s1", "c1")
	b.requestReplay()
	b.replayRest()
	require.Len(t, b.events("c1", "tock"), 2)
	require.Len(t, b.events("s1", "tick"), 1)
	require.Empty(t, b.stillRejected())
}

// A number counts as stored once its message was rejected, or the device would send
// it for ever. That makes what is replayed no repetition.
func TestWhatHasANumberIsReplayedAll(t *testing.T) {
	t.Parallel()
	b := newOwnBundle(t)
	b.sensor("g1", deviceops.Active)
	b.sensor("c1", deviceops.Active)
	said := []string{
		"event", `{"type":"tock","child":"c1","boot":"b1","seq":1}`,
		"event", `{"type":"tick","boot":"b1","seq":2}`,
		"event", `{"type":"tock","child":"c1","boot":"b1","seq":3}`,
	}
	b.say("g1", said...)
	b.say("g1", said...)
	require.Equal(t, map[string]int64{codeChild: 2}, b.rejected(), "what the device repeats is known")
	b.requestReplay()
	b.replayRest()
	require.Len(t, b.stillRejected(), 2, "it is no child of it yet")

	b.adopt("g1", "c1")
	b.requestReplay()
	b.replayRest()
	require.Len(t, b.events("c1", "tock"), 2)
	require.Empty(t, b.stillRejected())
	b.say("g1", said...)
	require.Len(t, b.events("c1", "tock"), 2)
	require.Len(t, b.events("g1", "tick"), 1)
}

// Of metrics only those that were rejected come again, once the profile allows them.
func TestOfMetricsOnlyWhatWasRejectedIsReplayed(t *testing.T) {
	t.Parallel()
	a := newAutomated(t, "profile: kiosk\nmetrics: { battery_pct: number 0..50, crashes: integer, in_use: boolean }\n")
	a.register(deviceops.Registration{ID: "k1"})
	said := []string{"hello", fullHello, "telemetry", `{"metrics":{"battery_pct":80,"crashes":3,"in_use":"no"},"seq":1,"age_ms":1000}`}
	a.say("k1", said...)
	a.say("k1", said...)
	require.Len(t, a.stillRejected(), 1)
	rejected := a.stillRejected()[0]
	require.Equal(t, "metric battery_pct is 80, outside of 0..50, which its profile allows; metric in_use is \"no\": send true or false", rejected.Reason)
	require.JSONEq(t, `{"metrics":{"battery_pct":80,"in_use":"no"},"seq":1,"age_ms":1000}`, string(rejected.Payload))

	a.publish("profile: kiosk\nmetrics: { battery_pct: number 0..100, crashes: integer, in_use: boolean }\n")
	a.requestReplay()
	n, err := a.inbox.Replay(t.Context())
	require.NoError(t, err)
	require.Equal(t, 1, n)
	told := a.events("k1", deviceops.EventTelemetry)
	require.Len(t, told, 2)
	require.Equal(t, map[string]any{"crashes": int64(3)}, told[0].Data)
	require.Equal(t, map[string]any{"battery_pct": int64(80)}, told[1].Data)
	require.Equal(t, told[0].At, told[1].At)
	require.JSONEq(t, `{"metrics":{"in_use":"no"},"seq":1,"age_ms":1000}`, string(a.stillRejected()[0].Payload))
}

package ingest

import (
	"context"
	"fmt"
	"math/rand/v2"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/deviceops/deviceops"
)

// lookedStore counts the looks for quiet devices by the shortest silence that they
// ask for; those at single devices are not counted.
type lookedStore struct {
	deviceops.Store
	looks map[time.Duration]int
}

func (s *lookedStore) QuietDevices(ctx context.Context, q deviceops.QuietQuery) ([]deviceops.Quiet, error) {
	if len(q.Devices) == 0 {
		s.looks[q.AtLeast]++
	}
	return s.Store.QuietDevices(ctx, q)
}

// heard stores that devices were heard of now, and the policy that they have.
func (b *testBundle) heard(policies map[string]deviceops.HeartbeatPolicy) {
	b.t.Helper()
	sessions, desired := map[string]deviceops.Session{}, map[string]deviceops.Desired{}
	for id, policy := range policies {
		sessions[id] = deviceops.Session{Connectivity: deviceops.Online, LastSeen: b.clock.Now()}
		desired[id] = deviceops.Desired{Heartbeat: policy}
	}
	require.NoError(b.t, b.store.SaveSessions(b.t.Context(), sessions))
	require.NoError(b.t, b.store.SaveDesired(b.t.Context(), desired))
}

// Devices with all kinds of policies come, beat, change their policy and fall
// silent at any time. At each pass exactly those are offline whose time is over.
func TestSilenceIsSeenAtOnce(t *testing.T) {
	t.Parallel()
	b := newBundle(t, nil)
	sweeper := b.sweeper()
	policies := []deviceops.HeartbeatPolicy{
		{}, {Every: time.Second, OfflineAfter: 1}, {Every: 3 * time.Second, OfflineAfter: 3}, {Every: 30 * time.Second, OfflineAfter: 1},
		{Every: 20 * time.Second, OfflineAfter: 3}, {Every: 30 * time.Second, OfflineAfter: 3}, {Every: 100 * time.Second, OfflineAfter: 2},
	}
	const devices, passes = 14, 500
	draw := rand.New(rand.NewPCG(1, 2))
	ids := make([]string, devices)
	for n := range ids {
		ids[n] = fmt.Sprintf("k%02d", n)
		b.device(ids[n], deviceops.Active)
	}
	missed := map[string]time.Time{}
	for range passes {
		now := b.clock.Now()
		spoke := map[string]deviceops.HeartbeatPolicy{}
		for _, id := range ids {
			if draw.IntN(100) < 2 {
				spoke[id] = policies[draw.IntN(len(policies))]
				d := deviceops.Device{Twin: deviceops.Twin{Desired: deviceops.Desired{Heartbeat: spoke[id]}}}
				missed[id] = now.Add(silenceOf(&d))
			}
		}
		b.heard(spoke)
		_, err := sweeper.silent(t.Context(), now)
		require.NoError(t, err)
		found, err := b.store.ReadDevices(t.Context(), ids)
		require.NoError(t, err)
		for id, at := range missed {
			want := deviceops.Online
			if at.Before(now) {
				want = deviceops.Offline
			}
			require.Equal(t, want, found[id].Session.Connectivity, "%s, missed at %s, at %s", id, at, now)
		}
		b.clock.advance(time.Second)
	}
}

// While nobody listened, as during an upgrade, nobody fell silent. Who was silent
// before is missed when the rest of the time is over.
func TestNobodyIsMissedWhoCouldNotBeHeard(t *testing.T) {
	t.Parallel()
	b := newBundle(t, nil)
	b.device("k1", deviceops.Active)
	b.device("k2", deviceops.Active)
	b.heard(map[string]deviceops.HeartbeatPolicy{"k1": {}, "k2": {}})
	b.clock.advance(time.Minute)
	b.heard(map[string]deviceops.HeartbeatPolicy{"k2": {}})
	b.clock.advance(time.Hour)
	sweeper := b.sweeper()
	require.NoError(t, sweeper.silences.notice(t.Context(), b.store, sweeper.made))
	b.clock.advance(time.Second)
	b.heard(map[string]deviceops.HeartbeatPolicy{"k2": {}})
	lost := func() int {
		n, err := sweeper.silent(t.Context(), b.clock.Now())
		require.NoError(t, err)
		return n
	}
	require.Zero(t, lost())
	b.clock.advance(deviceops.DefaultHeartbeat.Silence() - time.Minute - time.Second)
	require.Zero(t, lost())
	b.clock.advance(time.Millisecond)
	require.Equal(t, 1, lost())
	require.Equal(t, deviceops.Offline, b.connectivity("k1"))
	require.Equal(t, deviceops.Online, b.connectivity("k2"))
}

func TestAFleetIsLookedThroughRarely(t *testing.T) {
	t.Parallel()
	b := newBundle(t, nil)
	sweeper := b.sweeper()
	looked := &lookedStore{Store: b.store, looks: map[time.Duration]int{}}
	sweeper.config.Store = looked
	for range 120 {
		_, err := sweeper.silent(t.Context(), b.clock.Now())
		require.NoError(t, err)
		b.clock.advance(time.Second)
	}
	require.Equal(t, map[time.Duration]int{
		0: 120, 8 * time.Second: 60, 16 * time.Second: 30, 32 * time.Second: 15, 64 * time.Second: 8, 2 * time.Minute: 4,
	}, looked.looks)
}

// A region without power falls silent at once: it is taken in turns, and nobody
// is forgotten.
func TestManySilentDevicesAreTakenInTurns(t *testing.T) {
	t.Parallel()
	b := newBundle(t, nil)
	sweeper := b.sweeper()
	const lost = suspectsMost + 2*sweepLimit + 1
	rows, policies := make([]deviceops.Registration, lost), map[string]deviceops.HeartbeatPolicy{}
	for n := range rows {
		rows[n] = deviceops.Registration{ID: fmt.Sprintf("k%04d", n), Account: "acme", Serial: fmt.Sprint(n), Profile: "kiosk"}
		policies[rows[n].ID] = deviceops.HeartbeatPolicy{}
	}
	_, err := b.store.RegisterDevices(t.Context(), rows, noon)
	require.NoError(t, err)
	b.heard(policies)
	require.NoError(t, sweeper.Sweep(t.Context()))
	b.clock.advance(deviceops.DefaultHeartbeat.Silence() + time.Second)
	require.NoError(t, sweeper.Sweep(t.Context()))
	health, err := b.store.ListDevices(t.Context(), deviceops.DeviceFilter{Account: "acme", Connectivity: deviceops.Offline, Limit: 2 * lost})
	require.NoError(t, err)
	require.Len(t, health, lost)
	require.Empty(t, sweeper.silences.suspects)
}

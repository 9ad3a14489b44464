package postgres_test

import (
	"context"
	"errors"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/deviceops/deviceops"
	"github.com/deviceops/deviceops/postgres/postgrestest"
)

func TestSaveDesired(t *testing.T) {
	both(t, func(t *testing.T, s deviceops.Tx) {
		registered(t, s, "k1", "k2")
		want := deviceops.Desired{
			Version: 3, Configuration: map[string]any{"brightness": 80.0, "depth": int64(2)}, Software: map[string]string{"os": "2"},
			Heartbeat: deviceops.HeartbeatPolicy{Every: time.Minute, OfflineAfter: 4},
		}
		require.NoError(t, s.SaveDesired(t.Context(), map[string]deviceops.Desired{"k1": want, "k9": want}))
		d, err := s.FindDevice(t.Context(), "k1")
		require.NoError(t, err)
		require.Equal(t, want, d.Twin.Desired)
		other, err := s.FindDevice(t.Context(), "k2")
		require.NoError(t, err)
		require.Equal(t, deviceops.Desired{}, other.Twin.Desired)
	})
}

func TestFindDeviceGivesAllThatWasSaved(t *testing.T) {
	both(t, func(t *testing.T, s deviceops.Tx) {
		_, err := s.FindDevice(t.Context(), "k1")
		requireCode(t, deviceops.ENOTFOUND, err)
		registered(t, s, "k1")
		want, err := s.FindDevice(t.Context(), "k1")
		require.NoError(t, err)

		want.Account, want.Serial, want.Profile, want.Parent = "acme/emea", "s2", "meter", "gw"
		want.Tags, want.Labels = []string{"a", "b"}, map[string]string{"site": "x"}
		want.Attributes = map[string]any{"ram": int64(512), "share": 2.0, "deep": []any{map[string]any{"x": 1.5}}}
		want.Zone, want.Place = "Europe/Berlin", &deviceops.Place{Latitude: 52.5, Longitude: -13.25}
		want.State, want.StateSince, want.StateReason = deviceops.Active, after(time.Minute), "ok"
		want.ClaimHash, want.UpdatedAt = "h", after(time.Minute)
		want.Twin.Desired = deviceops.Desired{
			Version: 3, Configuration: map[string]any{"brightness": int64(80), "gain": 1e21}, Software: map[string]string{"os": "2.4"},
			Heartbeat: deviceops.HeartbeatPolicy{Every: time.Minute, OfflineAfter: 4},
		}
		require.NoError(t, s.SaveDevice(t.Context(), &want))
		want.Twin.Reported = deviceops.Reported{
			ConfigVersion: 2, Software: map[string]string{"os": "2.3"}, Attributes: map[string]any{"panel": "x"}, At: after(time.Second),
		}
		require.NoError(t, s.SaveReported(t.Context(), map[string]deviceops.Reported{"k1": want.Twin.Reported, "nobody": {}}))
		want.Session = deviceops.Session{
			Connectivity: deviceops.Sleeping, Since: noon, Connection: "c1", Boot: "b1", HelloAt: noon, LastSeen: after(1e6),
			LastHeartbeat: after(2e6), UptimeS: 9, WakeAt: after(time.Hour), MaxPayload: 1000, ClaimHash: "p",
			Presented: deviceops.Presented{Profile: "meter", Serial: "s2"}, Digest: "d", Seq: 7, AckedAt: after(3e6), ClockSkewed: true,
		}
		require.NoError(t, s.SaveSessions(t.Context(), map[string]deviceops.Session{"k1": want.Session, "nobody": {}}))
		want.Metrics = map[string]any{"battery_pct": 80.0, "crashes": int64(0), "in_use": false}
		require.NoError(t, s.SaveMetrics(t.Context(), []deviceops.MetricValue{
			{Device: "k1", Name: "battery_pct", Value: 80.0, At: noon},
			{Device: "k1", Name: "crashes", Value: int64(0), At: noon},
			{Device: "k1", Name: "in_use", Value: false, At: noon},
			{Device: "nobody", Name: "in_use", Value: true, At: noon},
		}))

		got, err := s.FindDevice(t.Context(), "k1")
		require.NoError(t, err)
		require.Equal(t, want, got)

		want.Metrics = nil
		all, err := s.ListDevices(t.Context(), deviceops.DeviceFilter{})
		require.NoError(t, err)
		require.Equal(t, []deviceops.Device{want}, all)
		locked, err := s.LockDevices(t.Context(), []string{"k1", "nobody", "k1"})
		require.NoError(t, err)
		require.Equal(t, map[string]*deviceops.Device{"k1": &want}, locked)
	})
}

func TestANewDeviceIsEmptyAndNotNull(t *testing.T) {
	both(t, func(t *testing.T, s deviceops.Tx) {
		registered(t, s, "k1")
		d, err := s.FindDevice(t.Context(), "k1")
		require.NoError(t, err)
		require.Equal(t, deviceops.Device{
			ID: "k1", Account: "acme", Serial: "sn-k1", Profile: "kiosk", Tags: []string{}, Labels: map[string]string{},
			Attributes: map[string]any{}, State: deviceops.Escrow, StateSince: noon, CreatedAt: noon, UpdatedAt: noon,
			Session: deviceops.Session{Connectivity: deviceops.Never, Since: noon}, Wellness: deviceops.Wellness{Status: deviceops.Well},
		}, d)
	})
}

func TestSaveDeviceRefuses(t *testing.T) {
	t.Parallel()
	s := postgrestest.New(t)
	registered(t, s, "k1", "k2")
	requireCode(t, deviceops.ENOTFOUND, s.SaveDevice(t.Context(), &deviceops.Device{ID: "k3", Account: "acme"}))
	d, err := s.FindDevice(t.Context(), "k2")
	require.NoError(t, err)
	d.Serial = "sn-k1"
	requireCode(t, deviceops.ECONFLICT, s.SaveDevice(t.Context(), &d))
	d.Serial, d.Attributes = "sn-k2", map[string]any{"f": func() {}}
	requireCode(t, deviceops.EINVALID, s.SaveDevice(t.Context(), &d))
}

func TestListAndCountDevices(t *testing.T) {
	both(t, func(t *testing.T, s deviceops.Tx) {
		rows := []deviceops.Registration{
			{ID: "a1", Account: "acme", Serial: "X-100", Profile: "kiosk", Tags: []string{"canary", "b"}, Labels: map[string]string{"site": "paris", "floor": "1"}},
			{ID: "a2", Account: "acme/emea", Serial: "X-200", Profile: "meter", Parent: "a1"},
			{ID: "b_1", Account: "acme-x", Serial: "y-100", Profile: "kiosk"},
			{ID: "b21", Account: "beta", Profile: "kiosk"},
		}
		_, err := s.RegisterDevices(t.Context(), rows, noon)
		require.NoError(t, err)
		connectivity(t, s, deviceops.Online, "a2")
		active, err := s.FindDevice(t.Context(), "a1")
		require.NoError(t, err)
		active.State = deviceops.Active
		require.NoError(t, s.SaveDevice(t.Context(), &active))

		for name, c := range map[string]struct {
			filter deviceops.DeviceFilter
			want   []string
		}{
			"all":          {deviceops.DeviceFilter{}, []string{"a1", "a2", "b21", "b_1"}},
			"root":         {deviceops.DeviceFilter{Account: "root"}, []string{"a1", "a2", "b21", "b_1"}},
			"subtree":      {deviceops.DeviceFilter{Account: "acme"}, []string{"a1", "a2"}},
			"state":        {deviceops.DeviceFilter{State: deviceops.Active}, []string{"a1"}},
			"connectivity": {deviceops.DeviceFilter{Connectivity: deviceops.Online}, []string{"a2"}},
			"profile":      {deviceops.DeviceFilter{Profile: "kiosk", Account: "acme"}, []string{"a1"}},
			"tag":          {deviceops.DeviceFilter{Tag: "b"}, []string{"a1"}},
			"labels":       {deviceops.DeviceFilter{Labels: map[string]string{"site": "paris"}}, []string{"a1"}},
			"other labels": {deviceops.DeviceFilter{Labels: map[string]string{"site": "paris", "floor": "2"}}, []string{}},
			"parent":       {deviceops.DeviceFilter{Parent: "a1"}, []string{"a2"}},
			"search":       {deviceops.DeviceFilter{Search: "-1"}, []string{"a1", "b_1"}},
			"any case":     {deviceops.DeviceFilter{Search: "x-"}, []string{"a1", "a2"}},
			"no wildcards": {deviceops.DeviceFilter{Search: "b_"}, []string{"b_1"}},
			"page":         {deviceops.DeviceFilter{After: "a1", Limit: 2}, []string{"a2", "b21"}},
			"nothing":      {deviceops.DeviceFilter{Account: "nobody"}, []string{}},
		} {
			found, err := s.ListDevices(t.Context(), c.filter)
			require.NoError(t, err, name)
			ids := []string{}
			for _, d := range found {
				ids = append(ids, d.ID)
			}
			require.Equal(t, c.want, ids, name)
		}
		counts, err := s.CountDevices(t.Context(), deviceops.DeviceFilter{Account: "acme", After: "zzz", Limit: 1})
		require.NoError(t, err)
		require.Equal(t, map[deviceops.State]int{deviceops.Active: 1, deviceops.Escrow: 1}, counts)
		children, err := s.ChildrenOf(t.Context(), []string{"a1", "a2"})
		require.NoError(t, err)
		require.Equal(t, []string{"a2"}, children)
	})
}

// What LockDevices gives was committed by whoever held the lock before, in all
// tables.
func TestLockDevicesWaitsAndReadsAfresh(t *testing.T) {
	t.Parallel()
	s := postgrestest.New(t)
	registered(t, s, "k1")
	locked, release := make(chan struct{}), make(chan struct{})
	var group sync.WaitGroup
	var first, second error
	group.Go(func() {
		first = s.InTx(t.Context(), func(ctx context.Context, tx deviceops.Tx) error {
			found, err := tx.LockDevices(ctx, []string{"k1"})
			close(locked)
			<-release
			d := found["k1"]
			d.Twin.Desired.Version, d.Zone = 5, "UTC"
			return errors.Join(err, tx.SaveDevice(ctx, d), tx.SaveSessions(ctx, map[string]deviceops.Session{"k1": {Seq: 9}}))
		})
	})
	<-locked
	group.Go(func() {
		second = s.InTx(t.Context(), func(ctx context.Context, tx deviceops.Tx) error {
			found, err := tx.LockDevices(ctx, []string{"k1"})
			require.Equal(t, "UTC", found["k1"].Zone)
			require.Equal(t, int64(5), found["k1"].Twin.Desired.Version)
			require.Equal(t, int64(9), found["k1"].Session.Seq)
			return err
		})
	})
	waitForLock(t, s)
	close(release)
	group.Wait()
	require.NoError(t, errors.Join(first, second))
}

func TestAddDiscoveredKeepsToItsBound(t *testing.T) {
	both(t, func(t *testing.T, s deviceops.Tx) {
		registered(t, s, "known")
		devices := []deviceops.Device{
			{ID: "known", Account: "root"},
			{ID: "d1", Account: "root", Profile: "kiosk", Serial: "s", CreatedAt: noon, StateSince: noon, UpdatedAt: noon},
			{ID: "d2", Account: "root", Profile: "kiosk", Serial: "s"},
		}
		added, err := s.AddDiscovered(t.Context(), devices, 3)
		require.NoError(t, err)
		require.ElementsMatch(t, []string{"d1", "d2"}, added)
		d, err := s.FindDevice(t.Context(), "d1")
		require.NoError(t, err)
		require.Equal(t, deviceops.Discovered, d.State)
		require.Equal(t, deviceops.Never, d.Session.Connectivity)

		added, err = s.AddDiscovered(t.Context(), []deviceops.Device{{ID: "d1"}, {ID: "d3", Account: "root"}, {ID: "d4", Account: "root"}}, 3)
		require.NoError(t, err)
		require.Len(t, added, 1)
		added, err = s.AddDiscovered(t.Context(), []deviceops.Device{{ID: "d5", Account: "root"}}, 2)
		require.NoError(t, err)
		require.Empty(t, added)
		added, err = s.AddDiscovered(t.Context(), nil, 2)
		require.NoError(t, err)
		require.Empty(t, added)
	})
}

func TestAddDiscoveredKeepsToItsBoundTogether(t *testing.T) {
	t.Parallel()
	s := postgrestest.New(t)
	const bound = 10
	var group sync.WaitGroup
	for _, prefix := range []string{"a", "b", "c", "d"} {
		group.Go(func() {
			for _, id := range names(prefix, 8) {
				if _, err := s.AddDiscovered(t.Context(), []deviceops.Device{{ID: id, Account: "root"}}, bound); err != nil {
					t.Error(err)
				}
			}
		})
	}
	group.Wait()
	counts, err := s.CountDevices(t.Context(), deviceops.DeviceFilter{})
	require.NoError(t, err)
	require.Equal(t, map[deviceops.State]int{deviceops.Discovered: bound}, counts)
}

func TestSaveMetricsKeepsTheNewest(t *testing.T) {
	both(t, func(t *testing.T, s deviceops.Tx) {
		registered(t, s, "k1")
		save := func(values ...deviceops.MetricValue) {
			t.Helper()
			require.NoError(t, s.SaveMetrics(t.Context(), values))
		}
		is := func(want any) {
			t.Helper()
			d, err := s.FindDevice(t.Context(), "k1")
			require.NoError(t, err)
			require.Equal(t, map[string]any{"m": want}, d.Metrics)
		}
		value := func(v any, at time.Time) deviceops.MetricValue {
			return deviceops.MetricValue{Device: "k1", Name: "m", Value: v, At: at}
		}
		save(value(int64(1), after(time.Second)), value(int64(2), after(2*time.Second)), value(int64(3), noon))
		is(int64(2))
		save(value(int64(4), after(time.Second)))
		is(int64(2))
		save(value(int64(5), after(2*time.Second)), value(int64(6), after(2*time.Second)))
		is(int64(6))
		save(value(true, after(3*time.Second)))
		is(true)
		save()
	})
}

func TestReadSessions(t *testing.T) {
	both(t, func(t *testing.T, s deviceops.Tx) {
		registered(t, s, "k1", "k2", "never")
		saved := deviceops.Device{
			ID: "k2", Account: "acme", Serial: "sn", Profile: "meter", Parent: "k1", State: deviceops.Active,
			Twin: deviceops.Twin{Desired: deviceops.Desired{Heartbeat: deviceops.HeartbeatPolicy{Every: time.Minute, OfflineAfter: 4}}},
		}
		require.NoError(t, s.SaveDevice(t.Context(), &saved))
		require.NoError(t, s.SaveSessions(t.Context(), map[string]deviceops.Session{
			"k1": {Connectivity: deviceops.Online, Since: noon},
			"k2": {Connectivity: deviceops.Sleeping, Since: noon, Boot: "b1", LastSeen: after(time.Second), AckedAt: after(time.Minute), ClockSkewed: true, Digest: "d", Seq: 7},
		}))
		require.NoError(t, s.SaveWellness(t.Context(), map[string]deviceops.Wellness{"k2": {Status: deviceops.Degraded, DegradedSince: noon, TurningSince: after(time.Hour)}}))
		whole, err := s.ReadDevices(t.Context(), []string{"k1", "k2", "never", "nobody"})
		require.NoError(t, err)
		require.Len(t, whole, 3)
		want := map[string]*deviceops.Device{}
		for id, d := range whole {
			want[id] = &deviceops.Device{
				ID: d.ID, Account: d.Account, Profile: d.Profile, Parent: d.Parent, State: d.State,
				Twin: deviceops.Twin{Desired: deviceops.Desired{Heartbeat: d.Twin.Desired.Heartbeat}},
				Session: deviceops.Session{
					Connectivity: d.Session.Connectivity, Since: d.Session.Since, Boot: d.Session.Boot, LastSeen: d.Session.LastSeen,
					AckedAt: d.Session.AckedAt, ClockSkewed: d.Session.ClockSkewed,
				},
				Wellness: deviceops.Wellness{DegradedSince: d.Wellness.DegradedSince, TurningSince: d.Wellness.TurningSince},
			}
		}
		require.Equal(t, after(time.Hour), want["k2"].Wellness.TurningSince)
		got, err := s.ReadSessions(t.Context(), []string{"k1", "k2", "never", "nobody"})
		require.NoError(t, err)
		require.Equal(t, want, got)
	})
}

package postgres_test

import (
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/deviceops/deviceops"
	"github.com/deviceops/deviceops/postgres/postgrestest"
)

func TestWellnessIsKeptBesideSessions(t *testing.T) {
	both(t, func(t *testing.T, s deviceops.Tx) {
		online(t, s, "k1", "k2")
		w := deviceops.Wellness{
			Status: deviceops.Degraded, DegradedSince: noon, Because: []string{"disk", "crashes"}, TurningSince: after(time.Minute),
			FlappingSince: after(2 * time.Minute), StableAt: after(17 * time.Minute), DueAt: after(6 * time.Minute),
		}
		require.NoError(t, s.SaveWellness(t.Context(), map[string]deviceops.Wellness{"k1": w, "nobody": w}))
		connectivity(t, s, deviceops.Offline, "k1")
		locked, err := s.LockDevices(t.Context(), []string{"k1", "k2"})
		require.NoError(t, err)
		require.Equal(t, w, locked["k1"].Wellness)
		require.Equal(t, deviceops.Offline, locked["k1"].Session.Connectivity)
		require.Equal(t, deviceops.Wellness{Status: deviceops.Well}, locked["k2"].Wellness)

		for at, want := range map[time.Duration][]string{0: {}, 6 * time.Minute: {"k1"}} {
			due, err := s.DueWellness(t.Context(), after(at), 10)
			require.NoError(t, err)
			require.ElementsMatch(t, want, due)
		}
		for status, want := range map[deviceops.WellnessStatus]int{deviceops.Well: 1, deviceops.Degraded: 1, deviceops.Flapping: 0} {
			found, err := s.ListDevices(t.Context(), deviceops.DeviceFilter{Wellness: status})
			require.NoError(t, err)
			require.Len(t, found, want, status)
		}
		require.NoError(t, s.SaveWellness(t.Context(), map[string]deviceops.Wellness{"k1": {}}))
		d, err := s.FindDevice(t.Context(), "k1")
		require.NoError(t, err)
		require.Equal(t, deviceops.Wellness{Status: deviceops.Well}, d.Wellness)
	})
}

func TestFlapsAreRemembered(t *testing.T) {
	both(t, func(t *testing.T, s deviceops.Tx) {
		online(t, s, "k1", "k2")
		one := deviceops.FlapState{Changes: []time.Time{noon, after(time.Minute)}}
		two := deviceops.FlapState{Changes: []time.Time{noon}, Told: deviceops.Online, Count: 7}
		require.NoError(t, s.SaveFlaps(t.Context(), map[string]deviceops.FlapState{"k1": one, "k2": one, "nobody": one}))
		require.NoError(t, s.SaveFlaps(t.Context(), map[string]deviceops.FlapState{"k2": two}))
		found, err := s.FindFlaps(t.Context(), []string{"k1", "k2", "nobody"})
		require.NoError(t, err)
		require.Equal(t, map[string]deviceops.FlapState{"k1": one, "k2": two}, found)
		require.NoError(t, s.SaveFlaps(t.Context(), map[string]deviceops.FlapState{"k1": {}}))
		found, err = s.FindFlaps(t.Context(), []string{"k1", "k2"})
		require.NoError(t, err)
		require.Equal(t, map[string]deviceops.FlapState{"k2": two}, found)
	})
}

func TestLatestMetrics(t *testing.T) {
	both(t, func(t *testing.T, s deviceops.Tx) {
		online(t, s, "k1", "k2", "k3")
		require.NoError(t, s.SaveMetrics(t.Context(), []deviceops.MetricValue{
			{Device: "k1", Name: "battery_pct", Value: 80.0, At: noon}, {Device: "k1", Name: "crashes", Value: int64(3), At: noon},
			{Device: "k2", Name: "in_use", Value: true, At: noon}, {Device: "k3", Name: "in_use", Value: true, At: noon},
		}))
		found, err := s.LatestMetrics(t.Context(), []string{"k1", "k2", "nobody"})
		require.NoError(t, err)
		require.Equal(t, map[string]map[string]any{"k1": {"battery_pct": 80.0, "crashes": int64(3)}, "k2": {"in_use": true}}, found)
	})
}

// ailing makes a fleet in which much is wrong, and gives its store.
func ailing(t *testing.T) deviceops.Store {
	t.Helper()
	s := postgrestest.New(t)
	online(t, s, "ok1", "ok2", "sick", "away", "child", "out", "locked", "old")
	connectivity(t, s, deviceops.Unreachable, "child")
	require.NoError(t, s.SaveSessions(t.Context(), map[string]deviceops.Session{
		"away": {Connectivity: deviceops.Offline, LastSeen: after(-time.Hour), ClockSkewed: true},
		"out":  {Connectivity: deviceops.Offline, LastSeen: after(-9 * time.Hour)},
	}))
	require.NoError(t, s.SaveWellness(t.Context(), map[string]deviceops.Wellness{
		"sick": {Status: deviceops.Degraded, DegradedSince: noon, Because: []string{"disk", "heat"}},
		"away": {Status: deviceops.Flapping, FlappingSince: noon},
		"ok1":  {Status: deviceops.Well, Because: []string{"disk"}}, // not for long enough
	}))
	for id, change := range map[string]func(d *deviceops.Device){
		"ok1":    func(d *deviceops.Device) { d.Tags, d.Labels = []string{"a", "b"}, map[string]string{"site": "berlin"} },
		"sick":   func(d *deviceops.Device) { d.Tags, d.Labels = []string{"a"}, map[string]string{"site": "berlin"} },
		"out":    func(d *deviceops.Device) { d.State = deviceops.Retired },
		"locked": func(d *deviceops.Device) { d.State, d.StateReason = deviceops.Quarantined, "wrong claim" },
		"old": func(d *deviceops.Device) {
			d.State = deviceops.Active
			d.Twin.Desired = deviceops.Desired{Version: 2, Software: map[string]string{"os": "2", "app": "1"}}
		},
	} {
		d, err := s.FindDevice(t.Context(), id)
		require.NoError(t, err)
		change(&d)
		require.NoError(t, s.SaveDevice(t.Context(), &d))
	}
	require.NoError(t, s.SaveReported(t.Context(), map[string]deviceops.Reported{
		"ok1": {Software: map[string]string{"os": "2", "app": "1"}}, "ok2": {Software: map[string]string{"os": "2"}},
		"old": {Software: map[string]string{"os": "1", "app": "1"}}, "out": {Software: map[string]string{"os": "0"}},
	}))
	return s
}

func TestFleetHealth(t *testing.T) {
	t.Parallel()
	s := ailing(t)
	h, err := s.FleetHealth(t.Context(), deviceops.FleetQuery{})
	require.NoError(t, err)
	require.Equal(t, map[deviceops.State]int{deviceops.Escrow: 5, deviceops.Active: 1, deviceops.Quarantined: 1, deviceops.Retired: 1}, h.ByState)
	require.Equal(t, deviceops.FleetCounts{
		Devices:        7,
		ByConnectivity: map[deviceops.Connectivity]int{deviceops.Online: 5, deviceops.Offline: 1, deviceops.Unreachable: 1},
		ByWellness:     map[deviceops.WellnessStatus]int{deviceops.Well: 5, deviceops.Degraded: 1, deviceops.Flapping: 1},
	}, h.All)
	require.Empty(t, h.Groups)
	require.Equal(t, []deviceops.FleetTrouble{
		{Kind: "clock", Devices: 1}, {Kind: "configuration", Devices: 1}, {Kind: "degraded", Detail: "disk", Devices: 1}, {Kind: "degraded", Detail: "heat", Devices: 1},
		{Kind: "flapping", Devices: 1}, {Kind: "offline", Devices: 1}, {Kind: "quarantined", Detail: "wrong claim", Devices: 1},
		{Kind: "software", Detail: "os", Devices: 1}, {Kind: "unreachable", Devices: 1},
	}, h.Troubles)
	require.Equal(t, []deviceops.FleetVersion{
		{Component: "app", Version: "1", Devices: 2}, {Component: "os", Version: "2", Devices: 2}, {Component: "os", Version: "1", Devices: 1},
	}, h.Versions)
	require.Equal(t, []deviceops.SilentDevice{
		{ID: "away", Account: "acme", Profile: "kiosk", Connectivity: deviceops.Offline, LastSeen: after(-time.Hour)},
		{ID: "child", Account: "acme", Profile: "kiosk", Connectivity: deviceops.Unreachable, LastSeen: noon},
	}, h.Silent)
}

func TestFleetHealthByGroup(t *testing.T) {
	t.Parallel()
	s := ailing(t)
	for by, want := range map[string]map[string]int{
		"profile": {"kiosk": 7}, "account": {"acme": 7}, "label:site": {"berlin": 2, "": 5}, "tag": {"a": 2, "b": 1, "": 5},
	} {
		g, err := deviceops.ParseGrouping(by)
		require.NoError(t, err)
		h, err := s.FleetHealth(t.Context(), deviceops.FleetQuery{By: g})
		require.NoError(t, err)
		require.Equal(t, 7, h.All.Devices, "a device counts once, however many tags it has")
		counts, sick := map[string]int{}, 0
		for i, g := range h.Groups {
			counts[g.Key] = g.Devices
			sick += g.ByWellness[deviceops.Degraded]
			require.True(t, i == 0 || h.Groups[i-1].Devices >= g.Devices, "the largest first")
		}
		require.Equal(t, want, counts, by)
		require.Equal(t, 1, sick, by)
	}
	h, err := s.FleetHealth(t.Context(), deviceops.FleetQuery{Filter: deviceops.DeviceFilter{Tag: "b"}})
	require.NoError(t, err)
	require.Equal(t, 1, h.All.Devices)
	require.Empty(t, h.Troubles)
	require.Empty(t, h.Silent)
	none, err := s.FleetHealth(t.Context(), deviceops.FleetQuery{Filter: deviceops.DeviceFilter{Account: "nobody"}})
	require.NoError(t, err)
	require.Zero(t, none.All)
	require.Empty(t, none.ByState)
	require.Empty(t, none.Versions)
}

func TestPlaces(t *testing.T) {
	both(t, func(t *testing.T, s deviceops.Tx) {
		online(t, s, "k1", "k2")
		here := deviceops.Place{Latitude: 53.5, Longitude: -179.5}
		require.NoError(t, s.SavePlaces(t.Context(), nil))
		require.NoError(t, s.SavePlaces(t.Context(), []deviceops.PlaceFix{{Device: "k1", Place: here, At: noon}, {Device: "nobody", Place: here, At: noon}}))
		d, err := s.FindDevice(t.Context(), "k1")
		require.NoError(t, err)
		require.Equal(t, &here, d.Place)
		require.Equal(t, noon, d.PlaceAt)
		require.NoError(t, s.SaveDevice(t.Context(), &d))
		d, err = s.FindDevice(t.Context(), "k1")
		require.NoError(t, err)
		require.Equal(t, noon, d.PlaceAt)
		other, err := s.FindDevice(t.Context(), "k2")
		require.NoError(t, err)
		require.Nil(t, other.Place)
	})
}

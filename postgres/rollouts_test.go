package postgres_test

import (
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/deviceops/deviceops"
	"github.com/deviceops/deviceops/postgres/postgrestest"
)

// rollout is a running rollout of account acme with one open ring per name.
func rollout(name string, rings ...string) deviceops.Rollout {
	r := deviceops.Rollout{
		ID: deviceops.RolloutID("acme", name), Account: "acme", Name: name, Kind: deviceops.ChangeRelease,
		Source: "rollout: " + name, Hash: "h1", StatusBy: "engine", StatusSince: noon,
		Limits:    deviceops.Limits{InFlight: 500, Rate: deviceops.RateSpec{Start: 60, Factor: 2, Every: time.Minute}},
		CreatedBy: "maria", Reason: "because", CreatedAt: noon,
	}
	for i, ring := range rings {
		r.Rings = append(r.Rings, deviceops.Ring{Index: i, Name: ring, Status: deviceops.RingRunning, OpenedAt: noon})
	}
	return r
}

// running stores a rollout and sets it going.
func running(t testing.TB, s deviceops.Tx, r deviceops.Rollout) deviceops.Rollout {
	t.Helper()
	stored, created, err := s.CreateRollout(t.Context(), r)
	require.NoError(t, err)
	require.True(t, created)
	stored.Status, stored.StartedAt = deviceops.RolloutRunning, noon
	require.NoError(t, s.SaveRollout(t.Context(), stored))
	return stored
}

// assigned adds devices to a ring, pending and due at noon.
func assigned(t testing.TB, s deviceops.Tx, r deviceops.Rollout, ring int, devices ...string) {
	t.Helper()
	rows := make([]deviceops.RolloutDevice, len(devices))
	for i, device := range devices {
		rows[i] = deviceops.RolloutDevice{
			Rollout: r.ID, Device: device, Account: "acme", Ring: ring, Status: deviceops.DevicePending, DueAt: noon,
		}
	}
	added, err := s.AddRolloutDevices(t.Context(), rows)
	require.NoError(t, err)
	require.Equal(t, len(devices), added)
}

func row(t testing.TB, s deviceops.Tx, r deviceops.Rollout, device string) deviceops.RolloutDevice {
	t.Helper()
	found, err := s.FindRolloutDevice(t.Context(), r.ID, device)
	require.NoError(t, err)
	return found
}

// counts gives the counts of a ring.
func counts(t testing.TB, s deviceops.Tx, r deviceops.Rollout, ring int) deviceops.Counts {
	t.Helper()
	rings, err := s.RolloutCounts(t.Context(), r.ID)
	require.NoError(t, err)
	return rings[ring].Counts
}

func TestCreateRollout(t *testing.T) {
	both(t, func(t *testing.T, s deviceops.Tx) {
		r := rollout("kiosk-2", "canary", "all")
		stored, created, err := s.CreateRollout(t.Context(), r)
		require.NoError(t, err)
		require.True(t, created)
		r.Status = deviceops.RolloutPlanning
		require.Equal(t, r, stored)

		again, created, err := s.CreateRollout(t.Context(), r)
		require.NoError(t, err)
		require.False(t, created)
		require.Equal(t, stored, again)

		r.Hash = "h2"
		_, _, err = s.CreateRollout(t.Context(), r)
		requireCode(t, deviceops.ECONFLICT, err)
	})
}

func TestSaveRolloutLeavesCountsAlone(t *testing.T) {
	both(t, func(t *testing.T, s deviceops.Tx) {
		r := running(t, s, rollout("kiosk-2", "canary"))
		registered(t, s, "k1", "k2")
		assigned(t, s, r, 0, "k1", "k2")
		r.Status, r.StatusReason, r.StatusBy, r.StatusSince = deviceops.RolloutSucceeded, "done", "maria", after(time.Hour)
		r.Epoch, r.Rollback, r.FinishedAt = 3, "ro-back", after(time.Hour)
		r.Limits = deviceops.Limits{InFlight: 7}
		r.TakeBack, r.Notes = []int{0, 2}, []string{"ring canary takes 7"}
		r.Rings[0] = deviceops.Ring{
			Name: "canary", Status: deviceops.RingPassed, Reason: "all well", OpenedAt: noon, SoakAt: after(time.Minute), ClosedAt: after(time.Hour),
			Counts: deviceops.Counts{Targeted: 99}, Pardoned: new(0),
		}
		require.NoError(t, s.SaveRollout(t.Context(), r))
		found, err := s.LockRollout(t.Context(), r.ID)
		require.NoError(t, err)
		r.Rings[0].Counts = deviceops.Counts{Targeted: 2, Pending: 2}
		require.Equal(t, r, found)

		_, err = s.FindRollout(t.Context(), "ro-none")
		requireCode(t, deviceops.ENOTFOUND, err)
		_, err = s.LockRollout(t.Context(), "ro-none")
		requireCode(t, deviceops.ENOTFOUND, err)
		requireCode(t, deviceops.ENOTFOUND, s.SaveRollout(t.Context(), deviceops.Rollout{ID: "ro-none"}))
	})
}

func TestListRollouts(t *testing.T) {
	both(t, func(t *testing.T, s deviceops.Tx) {
		for i, name := range []string{"a", "b", "c"} {
			r := rollout(name)
			r.CreatedAt = after(time.Duration(i) * time.Minute)
			if name == "b" {
				r.Account = "acme/emea"
			}
			r = running(t, s, r)
			if name == "c" {
				r.Status = deviceops.RolloutCanceled
				require.NoError(t, s.SaveRollout(t.Context(), r))
			}
		}
		list := func(f deviceops.RolloutFilter) (names []string) {
			found, err := s.ListRollouts(t.Context(), f)
			require.NoError(t, err)
			for _, r := range found {
				names = append(names, r.Name)
			}
			return names
		}
		require.Equal(t, []string{"c", "b", "a"}, list(deviceops.RolloutFilter{}))
		require.Equal(t, []string{"b", "a"}, list(deviceops.RolloutFilter{Open: true, Account: "acme"}))
		require.Equal(t, []string{"b"}, list(deviceops.RolloutFilter{Account: "acme/emea"}))
		require.Equal(t, []string{"c"}, list(deviceops.RolloutFilter{Status: deviceops.RolloutCanceled}))
		require.Equal(t, []string{"a"}, list(deviceops.RolloutFilter{Name: "a"}))
		require.Equal(t, []string{"b"}, list(deviceops.RolloutFilter{After: deviceops.RolloutID("acme", "c"), Limit: 1}))
	})
}

func TestAddRolloutDevices(t *testing.T) {
	both(t, func(t *testing.T, s deviceops.Tx) {
		r := running(t, s, rollout("kiosk-2", "canary", "all"))
		excused := deviceops.RolloutDevice{
			Rollout: r.ID, Device: "k2", Account: "acme", Ring: 1, Status: deviceops.DeviceExcused, EndedAt: noon,
			Error: &deviceops.CommandError{Code: "state", Message: "it is in maintenance"},
		}
		pending := deviceops.RolloutDevice{Rollout: r.ID, Device: "k1", Account: "acme", Ring: 1, Status: deviceops.DevicePending, DueAt: noon}
		added, err := s.AddRolloutDevices(t.Context(), []deviceops.RolloutDevice{excused, pending})
		require.NoError(t, err)
		require.Equal(t, 2, added)
		pending.AddedAt = noon
		require.Equal(t, pending, row(t, s, r, "k1"))
		require.Equal(t, excused, row(t, s, r, "k2"))

		pending.Ring = 0
		added, err = s.AddRolloutDevices(t.Context(), []deviceops.RolloutDevice{pending})
		require.NoError(t, err)
		require.Zero(t, added)
		require.Equal(t, deviceops.Counts{Targeted: 1, Pending: 1, Excused: 1}, counts(t, s, r, 1))
		require.Equal(t, deviceops.Counts{}, counts(t, s, r, 0))
		require.NoError(t, s.AnalyzeRollout(t.Context()))

		_, err = s.FindRolloutDevice(t.Context(), r.ID, "k9")
		requireCode(t, deviceops.ENOTFOUND, err)
	})
}

func TestListRolloutDevices(t *testing.T) {
	both(t, func(t *testing.T, s deviceops.Tx) {
		r := running(t, s, rollout("kiosk-2", "canary", "all"))
		assigned(t, s, r, 0, "k1", "k2")
		assigned(t, s, r, 1, "k3", "k4")
		held := row(t, s, r, "k4")
		held.Wait, held.DueAt = &deviceops.RolloutWait{Kind: deviceops.WaitOffline, Text: "it is offline", Since: noon}, time.Time{}
		require.NoError(t, s.HoldRollout(t.Context(), []deviceops.RolloutDevice{held}))
		require.Equal(t, held, row(t, s, r, "k4"))
		list := func(f deviceops.RolloutDeviceFilter) (devices []string) {
			f.Rollout = r.ID
			found, err := s.ListRolloutDevices(t.Context(), f)
			require.NoError(t, err)
			for _, d := range found {
				devices = append(devices, d.Device)
			}
			return devices
		}
		ring := 1
		require.Equal(t, []string{"k1", "k2", "k3", "k4"}, list(deviceops.RolloutDeviceFilter{}))
		require.Equal(t, []string{"k3", "k4"}, list(deviceops.RolloutDeviceFilter{Ring: &ring}))
		require.Equal(t, []string{"k4"}, list(deviceops.RolloutDeviceFilter{Wait: deviceops.WaitOffline}))
		require.Equal(t, []string{"k3"}, list(deviceops.RolloutDeviceFilter{After: "k2", Limit: 1}))
		require.Empty(t, list(deviceops.RolloutDeviceFilter{Status: deviceops.DeviceFailed}))

		waits, err := s.RolloutWaits(t.Context(), r.ID)
		require.NoError(t, err)
		require.Equal(t, map[deviceops.WaitKind]int{deviceops.WaitOffline: 1}, waits)
	})
}

func TestDeviceRollouts(t *testing.T) {
	both(t, func(t *testing.T, s deviceops.Tx) {
		older, newer, ended := rollout("a", "all"), rollout("b", "all"), rollout("c", "all")
		newer.CreatedAt, ended.CreatedAt = after(time.Minute), after(time.Hour)
		for _, r := range []*deviceops.Rollout{&older, &newer, &ended} {
			*r = running(t, s, *r)
			assigned(t, s, *r, 0, "k1", "k2")
		}
		ended.Status = deviceops.RolloutFailed
		require.NoError(t, s.SaveRollout(t.Context(), ended))
		found, err := s.DeviceRollouts(t.Context(), "k1")
		require.NoError(t, err)
		require.Equal(t, []deviceops.RolloutDevice{row(t, s, newer, "k1"), row(t, s, older, "k1")}, found)
	})
}

func TestFreezes(t *testing.T) {
	both(t, func(t *testing.T, s deviceops.Tx) {
		f := deviceops.Freeze{Account: "acme", Reason: "Christmas", By: "maria", At: noon}
		below := deviceops.Freeze{Account: "acme/emea", Reason: "audit", By: "tom", At: noon}
		require.NoError(t, s.FreezeAccount(t.Context(), f))
		require.NoError(t, s.FreezeAccount(t.Context(), below))
		requireCode(t, deviceops.ECONFLICT, s.FreezeAccount(t.Context(), f))
		found, err := s.Freezes(t.Context(), "acme/emea/stores")
		require.NoError(t, err)
		require.Equal(t, []deviceops.Freeze{below, f}, found)
		found, err = s.Freezes(t.Context(), "acme2")
		require.NoError(t, err)
		require.Empty(t, found)
		thawed, err := s.ThawAccount(t.Context(), "acme")
		require.NoError(t, err)
		require.Equal(t, f, thawed)
		_, err = s.ThawAccount(t.Context(), "acme")
		requireCode(t, deviceops.ENOTFOUND, err)
	})
}

func TestRolloutErrors(t *testing.T) {
	t.Parallel()
	s := postgrestest.New(t)
	r := running(t, s, rollout("kiosk-2", "canary", "all"))
	assigned(t, s, r, 0, "k1", "k2", "k3")
	assigned(t, s, r, 1, "k4")
	fail := func(device, code, message string) deviceops.RolloutMove {
		return deviceops.RolloutMove{
			Rollout: r.ID, Device: device, From: []deviceops.RolloutDeviceStatus{deviceops.DevicePending}, To: deviceops.DeviceFailed, At: noon,
			Error: &deviceops.CommandError{Code: code, Message: message},
		}
	}
	moved, err := s.AdvanceRollout(t.Context(), []deviceops.RolloutMove{
		fail("k1", "disk", "12 MB left"), fail("k2", "power", "lost"), fail("k3", "disk", "8 MB left"), fail("k4", "disk", "0 MB left"),
	})
	require.NoError(t, err)
	require.Len(t, moved, 4)
	found, err := s.RolloutErrors(t.Context(), r.ID)
	require.NoError(t, err)
	require.Equal(t, []deviceops.ErrorCount{
		{Ring: 0, Status: deviceops.DeviceFailed, Code: "disk", Message: "12 MB left", Count: 2, Example: "k1"},
		{Ring: 0, Status: deviceops.DeviceFailed, Code: "power", Message: "lost", Count: 1, Example: "k2"},
		{Ring: 1, Status: deviceops.DeviceFailed, Code: "disk", Message: "0 MB left", Count: 1, Example: "k4"},
	}, found)
}

func TestUncheckedRollouts(t *testing.T) {
	both(t, func(t *testing.T, s deviceops.Tx) {
		registered(t, s, "k1")
		status := map[string]deviceops.RolloutStatus{
			"a": deviceops.RolloutRunning, "b": deviceops.RolloutPaused, "c": deviceops.RolloutSucceeded, "d": deviceops.RolloutSucceeded, "e": deviceops.RolloutRunning,
		}
		names := map[string]string{}
		for i, name := range []string{"a", "b", "c", "d", "e"} {
			r := rollout(name, "all")
			r.CreatedAt = after(time.Duration(i) * time.Minute)
			r = running(t, s, r)
			names[r.ID] = name
			if name == "d" {
				assigned(t, s, r, 0, "k1")
			}
			r.Status = status[name]
			require.NoError(t, s.SaveRollout(t.Context(), r))
			if name == "e" {
				require.NoError(t, s.RequestStarts(t.Context(), []deviceops.Start{deviceops.RolloutStart(r.ID)}, noon))
			}
		}
		unchecked := func(before, now time.Time) (found []string) {
			ids, err := s.UncheckedRollouts(t.Context(), before, now, 2)
			require.NoError(t, err)
			for _, id := range ids {
				found = append(found, names[id])
			}
			return found
		}
		require.Equal(t, []string{"a"}, unchecked(after(time.Millisecond), after(time.Hour)), "the others are too young")
		require.ElementsMatch(t, []string{"b", "d"}, unchecked(after(time.Hour), after(time.Hour)), "c has ended, e waits to be started; d has a device that is open")
		require.Empty(t, unchecked(after(time.Hour), after(time.Hour)))
		require.Len(t, unchecked(after(time.Hour+time.Millisecond), after(2*time.Hour)), 2, "no more than asked for")
	})
}

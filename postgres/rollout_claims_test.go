package postgres_test

import (
	"context"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/deviceops/deviceops"
	"github.com/deviceops/deviceops/postgres/postgrestest"
)

func claimOf(r deviceops.Rollout, ring int) deviceops.RolloutClaim {
	return deviceops.RolloutClaim{Rollout: r.ID, Ring: ring, Epoch: r.Epoch, Now: after(time.Second), Limit: 100, Exclusive: true, Conflict: true}
}

// candidates claims, and gives the candidates by device.
func candidates(t testing.TB, s deviceops.Tx, q deviceops.RolloutClaim) map[string]deviceops.Candidate {
	t.Helper()
	found, err := s.ClaimRollout(t.Context(), q)
	require.NoError(t, err)
	byDevice := map[string]deviceops.Candidate{}
	for _, c := range found {
		byDevice[c.Device.ID] = c
	}
	require.Len(t, byDevice, len(found))
	return byDevice
}

func due(t testing.TB, s deviceops.Tx, q deviceops.RolloutClaim) []string {
	t.Helper()
	found, err := s.ClaimRollout(t.Context(), q)
	require.NoError(t, err)
	devices := []string{}
	for _, c := range found {
		devices = append(devices, c.Row.Device)
	}
	return devices
}

// changeCommand is the command by which a rollout changes a device.
func changeCommand(r deviceops.Rollout, device string, attempt int) deviceops.Command {
	return deviceops.Command{
		ID: deviceops.RolloutCommandID(r.ID, device), Account: "acme", Device: device, Name: "install", Args: map[string]any{"release": "os@2"},
		Attempt: attempt, Exclusive: true, By: "rollout:" + r.ID, CreatedAt: noon, DueAt: noon, Rollout: r.ID, Boot: "b1",
	}
}

// leased leases rows as a pump does.
func leased(t testing.TB, s deviceops.Tx, r deviceops.Rollout, now time.Time, devices ...string) (refused []string) {
	t.Helper()
	var rows []deviceops.RolloutDevice
	var commands []deviceops.Command
	for _, device := range devices {
		next := row(t, s, r, device)
		next.Attempt = max(next.Attempt, 1)
		rows, commands = append(rows, next), append(commands, changeCommand(r, device, next.Attempt))
	}
	refused, err := s.LeaseRollout(t.Context(), rows, commands, now)
	require.NoError(t, err)
	return refused
}

func TestClaimRolloutChooses(t *testing.T) {
	both(t, func(t *testing.T, s deviceops.Tx) {
		online(t, s, "k1", "k2", "k3", "k4", "k5")
		r := running(t, s, rollout("kiosk-2", "canary", "all"))
		assigned(t, s, r, 0, "k1", "k2", "k3")
		assigned(t, s, r, 1, "k4")
		later := deviceops.RolloutDevice{Rollout: r.ID, Device: "k5", Account: "acme", Status: deviceops.DevicePending, DueAt: noon.Add(-time.Minute)}
		_, err := s.AddRolloutDevices(t.Context(), []deviceops.RolloutDevice{later})
		require.NoError(t, err)

		require.Equal(t, []string{"k5", "k1", "k2", "k3"}, due(t, s, claimOf(r, 0)), "by due time, then by device")
		require.Equal(t, []string{"k4"}, due(t, s, claimOf(r, 1)))

		q := claimOf(r, 0)
		q.Limit = 2
		require.Equal(t, []string{"k5", "k1"}, due(t, s, q))
		q = claimOf(r, 0)
		q.Now = noon.Add(-time.Second)
		require.Equal(t, []string{"k5"}, due(t, s, q), "the others are not due")
		q = claimOf(r, 0)
		q.Epoch++
		require.Empty(t, due(t, s, q), "decided before a control")

		require.Empty(t, leased(t, s, r, noon, "k1"))
		require.Equal(t, []string{"k5", "k2", "k3"}, due(t, s, claimOf(r, 0)), "k1 is under lease")
		q = claimOf(r, 0)
		q.Now = after(deviceops.PublishLease)
		require.Equal(t, []string{"k5", "k1", "k2", "k3"}, due(t, s, q), "its lease has lapsed")

		for _, status := range []deviceops.RolloutStatus{
			deviceops.RolloutPlanning, deviceops.RolloutWaiting, deviceops.RolloutPaused, deviceops.RolloutReverting, deviceops.RolloutCanceled,
			deviceops.RolloutFailed,
		} {
			r.Status = status
			require.NoError(t, s.SaveRollout(t.Context(), r))
			require.Empty(t, due(t, s, claimOf(r, 0)), status)
		}
	})
}

func TestClaimRolloutTellsOfDevices(t *testing.T) {
	both(t, func(t *testing.T, s deviceops.Tx) {
		online(t, s, "k1")
		require.NoError(t, s.SaveMetrics(t.Context(), []deviceops.MetricValue{{Device: "k1", Name: "battery_pct", Value: int64(80), At: noon}}))
		r := running(t, s, rollout("kiosk-2", "all"))
		assigned(t, s, r, 0, "k1")
		q := claimOf(r, 0)
		q.Metrics = true
		c := candidates(t, s, q)["k1"]
		d, err := s.FindDevice(t.Context(), "k1")
		require.NoError(t, err)
		require.Equal(t, deviceops.Candidate{Row: row(t, s, r, "k1"), Device: d, Route: d.Route(), Attempt: 1}, c)
		q.Metrics = false
		require.Nil(t, candidates(t, s, q)["k1"].Device.Metrics)

		q.Lean = true
		lean := candidates(t, s, q)["k1"]
		require.Equal(t, deviceops.Candidate{Row: row(t, s, r, "k1"), Device: lean.Device, Route: d.Route(), Attempt: 1}, lean)
		require.Equal(t, deviceops.Device{
			ID: d.ID, Account: d.Account, Serial: d.Serial, Profile: d.Profile, Parent: d.Parent, Zone: d.Zone, State: d.State, StateReason: d.StateReason,
			Session: deviceops.Session{
				Connectivity: d.Session.Connectivity, Since: d.Session.Since, Boot: d.Session.Boot, WakeAt: d.Session.WakeAt, MaxPayload: d.Session.MaxPayload,
			},
		}, lean.Device)
		q.Targets = &deviceops.Filter{Op: deviceops.FilterEq, Field: "reported.config_version", Value: int64(0)}
		require.Equal(t, deviceops.Yes, candidates(t, s, q)["k1"].Meets, "a filter may look at the twin all the same")
	})
}

func TestClaimRolloutTellsWhoMeetsTheTargets(t *testing.T) {
	both(t, func(t *testing.T, s deviceops.Tx) {
		online(t, s, "k1", "k2", "k3")
		d, err := s.FindDevice(t.Context(), "k2")
		require.NoError(t, err)
		d.Profile = "meter"
		require.NoError(t, s.SaveDevice(t.Context(), &d))
		r := running(t, s, rollout("kiosk-2", "all"))
		assigned(t, s, r, 0, "k1", "k2", "k3")
		meets := func(f *deviceops.Filter) map[string]deviceops.Verdict {
			q, of := claimOf(r, 0), map[string]deviceops.Verdict{}
			q.Targets = f
			for id, c := range candidates(t, s, q) {
				of[id] = c.Meets
			}
			return of
		}
		kiosk := deviceops.Filter{Op: deviceops.FilterEq, Field: "profile", Value: "kiosk"}
		require.Equal(t, map[string]deviceops.Verdict{"k1": deviceops.Yes, "k2": deviceops.No, "k3": deviceops.Yes}, meets(&kiosk))
		charged := deviceops.Filter{Op: deviceops.FilterGt, Field: "metrics.battery_pct", Value: int64(30)}
		require.NoError(t, s.SaveMetrics(t.Context(), []deviceops.MetricValue{
			{Device: "k1", Name: "battery_pct", Value: int64(80), At: noon}, {Device: "k2", Name: "battery_pct", Value: int64(20), At: noon},
		}))
		require.Equal(t, map[string]deviceops.Verdict{"k1": deviceops.Yes, "k2": deviceops.No, "k3": deviceops.Unknown}, meets(&charged))
		require.Equal(t, map[string]deviceops.Verdict{"k1": deviceops.Unknown, "k2": deviceops.Unknown, "k3": deviceops.Unknown}, meets(nil))

		q := claimOf(r, 0)
		q.Targets = &deviceops.Filter{Op: "near", Field: "place"}
		_, err = s.ClaimRollout(t.Context(), q)
		requireCode(t, deviceops.EINVALID, err)
	})
}

func TestClaimRolloutSeesWhatLocksADevice(t *testing.T) {
	for name, c := range map[string]struct {
		command deviceops.Command
		locked  bool
	}{
		"sent":                       {exclusive("a", status(deviceops.CommandSent)), true},
		"accepted":                   {exclusive("a", status(deviceops.CommandAccepted)), true},
		"being published":            {exclusive("a", func(c *deviceops.Command) { c.LeasedUntil = after(time.Hour) }), true},
		"due":                        {exclusive("a", nil), true},
		"deferred":                   {exclusive("a", func(c *deviceops.Command) { c.Status, c.DueAt = deviceops.CommandDeferred, after(time.Hour) }), false},
		"ended":                      {exclusive("a", status(deviceops.CommandFailed)), false},
		"not exclusive":              {plain("a", status(deviceops.CommandSent)), false},
		"not due":                    {exclusive("a", func(c *deviceops.Command) { c.DueAt = after(time.Hour) }), false},
		"another rollout's, waiting": {exclusive("a", func(c *deviceops.Command) { c.Rollout = "ro-other" }), false},
		"another rollout's, leased":  {exclusive("a", func(c *deviceops.Command) { c.Rollout, c.LeasedUntil = "ro-other", after(time.Hour) }), true},
	} {
		t.Run(name, func(t *testing.T) {
			both(t, func(t *testing.T, s deviceops.Tx) {
				online(t, s, "k1")
				created(t, s, c.command)
				require.NoError(t, s.SaveCommands(t.Context(), []deviceops.Command{c.command}))
				r := running(t, s, rollout("kiosk-2", "all"))
				assigned(t, s, r, 0, "k1")
				want := ""
				if c.locked {
					want = "a"
				}
				require.Equal(t, want, candidates(t, s, claimOf(r, 0))["k1"].LockedBy)
				q := claimOf(r, 0)
				q.Exclusive = false
				require.Empty(t, candidates(t, s, q)["k1"].LockedBy)
			})
		})
	}
}

func TestClaimRolloutSeesConflicts(t *testing.T) {
	both(t, func(t *testing.T, s deviceops.Tx) {
		online(t, s, "k1", "k2")
		older, newer := rollout("a", "all"), rollout("b", "all")
		newer.CreatedAt = after(time.Minute)
		older, newer = running(t, s, older), running(t, s, newer)
		assigned(t, s, older, 0, "k1")
		assigned(t, s, newer, 0, "k1", "k2")
		require.Empty(t, candidates(t, s, claimOf(older, 0))["k1"].ConflictBy, "the older one goes first")
		of := candidates(t, s, claimOf(newer, 0))
		require.Equal(t, older.Name, of["k1"].ConflictBy)
		require.Empty(t, of["k2"].ConflictBy)
		q := claimOf(newer, 0)
		q.Conflict = false
		require.Empty(t, candidates(t, s, q)["k1"].ConflictBy)

		advanced(t, s, older, deviceops.DeviceSucceeded, "k1")
		require.Empty(t, candidates(t, s, claimOf(newer, 0))["k1"].ConflictBy, "it is done there")

		third := rollout("c", "all")
		third.CreatedAt = after(time.Hour)
		third = running(t, s, third)
		assigned(t, s, third, 0, "k2")
		advanced(t, s, third, deviceops.DeviceSent, "k2")
		require.Equal(t, third.Name, candidates(t, s, claimOf(newer, 0))["k2"].ConflictBy, "it is at it")
		third.Status = deviceops.RolloutCanceled
		require.NoError(t, s.SaveRollout(t.Context(), third))
		require.Empty(t, candidates(t, s, claimOf(newer, 0))["k2"].ConflictBy, "that one has ended")
	})
}

func TestClaimRolloutSeesTheFamily(t *testing.T) {
	both(t, func(t *testing.T, s deviceops.Tx) {
		behind(t, s, "gw", "k1", "k2")
		r := running(t, s, rollout("kiosk-2", "all"))
		assigned(t, s, r, 0, "gw", "k1", "k2")
		family := func() map[string]string {
			by := map[string]string{}
			for id, c := range candidates(t, s, claimOf(r, 0)) {
				by[id] = c.FamilyBy
			}
			return by
		}
		require.Equal(t, map[string]string{"gw": "", "k1": "", "k2": ""}, family())
		require.Empty(t, leased(t, s, r, noon, "k1"))
		require.Equal(t, map[string]string{"gw": "k1", "k2": ""}, family(), "siblings don't matter")
		advanced(t, s, r, deviceops.DeviceSucceeded, "k1")
		advanced(t, s, r, deviceops.DeviceSent, "gw")
		require.Equal(t, map[string]string{"k2": "gw"}, family())
	})
}

func TestClaimRolloutCountsGroups(t *testing.T) {
	both(t, func(t *testing.T, s deviceops.Tx) {
		ids := []string{"b1", "b2", "b3", "b4", "b5", "m1"}
		online(t, s, ids...)
		for _, id := range ids {
			d, err := s.FindDevice(t.Context(), id)
			require.NoError(t, err)
			d.Labels = map[string]string{"site": map[bool]string{true: "berlin", false: "munich"}[id[0] == 'b']}
			require.NoError(t, s.SaveDevice(t.Context(), &d))
		}
		r := running(t, s, rollout("kiosk-2", "all"))
		assigned(t, s, r, 0, ids...)
		offline := func(id string, since time.Time) {
			require.NoError(t, s.SaveSessions(t.Context(), map[string]deviceops.Session{id: {Connectivity: deviceops.Offline, Since: since}}))
		}
		advanced(t, s, r, deviceops.DeviceSent, "b1")
		advanced(t, s, r, deviceops.DeviceFailed, "b2")
		offline("b3", noon.Add(-time.Hour)) // before the rollout began: it starves nobody
		offline("b4", after(time.Millisecond))
		q := claimOf(r, 0)
		q.Budget, q.BudgetOf = true, "labels.site"
		of := candidates(t, s, q)
		group := func(id string) [3]any { return [3]any{of[id].Group, of[id].GroupSize, of[id].GroupUnavailable} }
		require.Equal(t, [3]any{"berlin", 5, 3}, group("b5"))
		require.Equal(t, [3]any{"berlin", 5, 2}, group("b4"), "without itself")
		require.Equal(t, [3]any{"berlin", 5, 3}, group("b3"))
		require.Equal(t, [3]any{"munich", 1, 0}, group("m1"))

		for _, field := range []string{"", "profile", "account", "attributes.floor"} {
			q.BudgetOf = field
			require.Equal(t, 6, candidates(t, s, q)["m1"].GroupSize, field)
		}
	})
}

func TestClaimRolloutRefusesUnknownGroups(t *testing.T) {
	t.Parallel()
	s := postgrestest.New(t)
	online(t, s, "k1")
	r := running(t, s, rollout("kiosk-2", "all"))
	assigned(t, s, r, 0, "k1")
	q := claimOf(r, 0)
	q.Budget, q.BudgetOf = true, "serial'"
	_, err := s.ClaimRollout(t.Context(), q)
	requireCode(t, deviceops.EINVALID, err)
}

func TestHoldRollout(t *testing.T) {
	both(t, func(t *testing.T, s deviceops.Tx) {
		online(t, s, "k1", "k2")
		r := running(t, s, rollout("kiosk-2", "all"))
		assigned(t, s, r, 0, "k1", "k2")
		held := row(t, s, r, "k1")
		held.DueAt, held.Wait = after(time.Minute), &deviceops.RolloutWait{Kind: deviceops.WaitReady, Text: "battery 20", Since: noon, Until: after(time.Minute)}
		require.NoError(t, s.HoldRollout(t.Context(), []deviceops.RolloutDevice{held}))
		require.Equal(t, held, row(t, s, r, "k1"))
		require.Equal(t, []string{"k2"}, due(t, s, claimOf(r, 0)))

		again := held
		again.Wait = &deviceops.RolloutWait{Kind: deviceops.WaitReady, Text: "battery 30", Since: after(time.Minute), Until: after(time.Hour)}
		require.NoError(t, s.HoldRollout(t.Context(), []deviceops.RolloutDevice{again}))
		found := row(t, s, r, "k1")
		require.Equal(t, "battery 30", found.Wait.Text)
		require.Equal(t, noon, found.Wait.Since, "the same kind of wait goes on")

		again.Wait.Kind = deviceops.WaitWindow
		require.NoError(t, s.HoldRollout(t.Context(), []deviceops.RolloutDevice{again}))
		require.Equal(t, after(time.Minute), row(t, s, r, "k1").Wait.Since)
	})
}

func TestLeaseRollout(t *testing.T) {
	both(t, func(t *testing.T, s deviceops.Tx) {
		online(t, s, "k1")
		r := running(t, s, rollout("kiosk-2", "all"))
		assigned(t, s, r, 0, "k1")
		next, c := row(t, s, r, "k1"), changeCommand(r, "k1", 1)
		next.Attempt = 1
		next.From = deviceops.Origin{
			Release: "os@1", Software: map[string]string{"os": "1"}, Configuration: map[string]any{"brightness": 80.0, "depth": int64(3)},
		}
		refused, err := s.LeaseRollout(t.Context(), []deviceops.RolloutDevice{next}, []deviceops.Command{c}, noon)
		require.NoError(t, err)
		require.Empty(t, refused)
		found := row(t, s, r, "k1")
		next.DueAt = after(deviceops.PublishLease)
		require.Equal(t, next, found)
		require.Equal(t, deviceops.Counts{Targeted: 1, Pending: 1, Leased: 1}, counts(t, s, r, 0))
		stored, err := s.FindCommand(t.Context(), c.ID)
		require.NoError(t, err)
		c.Status, c.LeasedUntil = deviceops.CommandPending, after(deviceops.PublishLease)
		require.Equal(t, c, stored)
		require.Empty(t, claim(t, s, deviceops.ClaimQuery{Now: after(time.Minute), Again: true}), "only the pump publishes it first, lease or not")
		require.Empty(t, claim(t, s, deviceops.ClaimQuery{Now: after(time.Minute), IDs: []string{c.ID}}))
	})
}

// A row is asked again by the same command: what that may be depends on how the
// command ended.
func TestLeaseRolloutAsksAgain(t *testing.T) {
	for name, c := range map[string]struct {
		status  deviceops.CommandStatus
		attempt int // that ClaimRollout gives
		refused bool
	}{
		"its lease lapsed":        {deviceops.CommandPending, 1, false},
		"it was deferred":         {deviceops.CommandDeferred, 1, false},
		"it was silent too long":  {deviceops.CommandExpired, 1, false},
		"it failed":               {deviceops.CommandFailed, 2, false},
		"it was rejected":         {deviceops.CommandRejected, 1, true},
		"it has succeeded":        {deviceops.CommandSucceeded, 1, true},
		"it was canceled":         {deviceops.CommandCanceled, 1, true},
		"it is under way already": {deviceops.CommandSent, 1, true},
	} {
		t.Run(name, func(t *testing.T) {
			both(t, func(t *testing.T, s deviceops.Tx) {
				online(t, s, "k1")
				r := running(t, s, rollout("kiosk-2", "all"))
				assigned(t, s, r, 0, "k1")
				require.Empty(t, leased(t, s, r, noon, "k1"))
				command := changeCommand(r, "k1", 1)
				command.Status, command.Deferrals, command.Phase = c.status, 2, "busy"
				require.NoError(t, s.SaveCommands(t.Context(), []deviceops.Command{command}))
				q := claimOf(r, 0)
				q.Now = after(time.Minute)
				candidate := candidates(t, s, q)["k1"]
				require.Equal(t, c.attempt, candidate.Attempt)

				candidate.Row.Attempt = candidate.Attempt
				refused, err := s.LeaseRollout(t.Context(), []deviceops.RolloutDevice{candidate.Row},
					[]deviceops.Command{changeCommand(r, "k1", candidate.Attempt)}, after(time.Minute))
				require.NoError(t, err)
				stored, err := s.FindCommand(t.Context(), command.ID)
				require.NoError(t, err)
				if c.refused {
					require.Equal(t, []string{"k1"}, refused)
					require.Equal(t, c.status, stored.Status)
					return
				}
				require.Empty(t, refused)
				require.Equal(t, deviceops.CommandPending, stored.Status)
				require.Equal(t, c.attempt, stored.Attempt)
				require.Equal(t, 2, stored.Deferrals)
				require.Empty(t, stored.Phase)
				require.Equal(t, after(time.Minute+deviceops.PublishLease), stored.LeasedUntil)
			})
		})
	}
}

// New commands and known ones are leased together; what has ended is left alone.
func TestLeaseRolloutMixesNewCommandsWithKnownOnes(t *testing.T) {
	both(t, func(t *testing.T, s deviceops.Tx) {
		online(t, s, "k1", "k2", "k3")
		r := running(t, s, rollout("kiosk-2", "all"))
		assigned(t, s, r, 0, "k1", "k2", "k3")
		for device, status := range map[string]deviceops.CommandStatus{"k1": deviceops.CommandDeferred, "k2": deviceops.CommandRejected} {
			c := changeCommand(r, device, 1)
			created(t, s, c)
			c.Status, c.Output = status, map[string]any{"n": int64(1)}
			require.NoError(t, s.SaveCommands(t.Context(), []deviceops.Command{c}))
		}
		require.Equal(t, []string{"k2"}, leased(t, s, r, noon, "k1", "k2", "k3"))
		require.Equal(t, deviceops.Counts{Targeted: 3, Pending: 3, Leased: 2}, counts(t, s, r, 0))
		for device, want := range map[string]deviceops.CommandStatus{
			"k1": deviceops.CommandPending, "k2": deviceops.CommandRejected, "k3": deviceops.CommandPending,
		} {
			c, err := s.FindCommand(t.Context(), deviceops.RolloutCommandID(r.ID, device))
			require.NoError(t, err)
			require.Equal(t, want, c.Status, device)
			require.Equal(t, device == "k2", c.Output != nil, device)
		}
	})
}

// A pump's lease keeps commands of others from its device, whatever their age.
func TestClaimCommandsSeesTheLeasesOfPumps(t *testing.T) {
	both(t, func(t *testing.T, s deviceops.Tx) {
		online(t, s, "k1")
		created(t, s, exclusive("a", nil))
		r := running(t, s, rollout("kiosk-2", "all"))
		assigned(t, s, r, 0, "k1")
		require.Empty(t, leased(t, s, r, noon, "k1"))
		require.Empty(t, claim(t, s, deviceops.ClaimQuery{Now: after(time.Second)}))
		id := deviceops.RolloutCommandID(r.ID, "k1")
		require.NoError(t, s.MarkSent(t.Context(), []deviceops.Sent{{ID: id, Attempt: 1, Boot: "b1"}}, after(time.Second)))
		require.Empty(t, claim(t, s, deviceops.ClaimQuery{Now: after(2 * time.Second)}))
		require.Equal(t, []string{id}, claim(t, s, deviceops.ClaimQuery{Now: after(time.Minute)}), "what was sent is anybody's to send again")
	})
}

// While a pump claims a device nobody else claims an exclusive command there,
// and the other way round.
func TestClaimsOfPumpsAndDispatchersExcludeEachOther(t *testing.T) {
	t.Parallel()
	s := postgrestest.New(t)
	online(t, s, "k1", "k2")
	r := running(t, s, rollout("kiosk-2", "all"))
	assigned(t, s, r, 0, "k1", "k2")
	require.NoError(t, s.InTx(t.Context(), func(ctx context.Context, tx deviceops.Tx) error {
		require.Len(t, candidates(t, tx, claimOf(r, 0)), 2)
		created(t, s, exclusive("a", nil), command("b", "k1"))
		require.Equal(t, []string{"b"}, claim(t, s, deviceops.ClaimQuery{Now: after(2 * time.Second)}))
		require.Empty(t, leased(t, tx, r, after(time.Second), "k1"))
		return nil
	}))
	require.Empty(t, claim(t, s, deviceops.ClaimQuery{Now: after(3 * time.Second)}))

	c := exclusive("c", nil)
	c.Device = "k2"
	created(t, s, c)
	require.NoError(t, s.InTx(t.Context(), func(ctx context.Context, tx deviceops.Tx) error {
		require.Equal(t, []string{"c"}, claim(t, tx, deviceops.ClaimQuery{Now: after(time.Second)}))
		require.Empty(t, due(t, s, claimOf(r, 0)), "k1 is leased, k2 is being claimed")
		return nil
	}))
	require.Equal(t, "c", candidates(t, s, claimOf(r, 0))["k2"].LockedBy)
}

func TestClaimCommandsRespectsFreezes(t *testing.T) {
	both(t, func(t *testing.T, s deviceops.Tx) {
		online(t, s, "k1")
		asked, below, again := plain("a", nil), plain("b", nil), plain("c", status(deviceops.CommandSent))
		below.Account = "acme/emea"
		created(t, s, asked, below, again)
		require.NoError(t, s.SaveCommands(t.Context(), []deviceops.Command{again}))
		late := deviceops.ClaimQuery{Now: after(deviceops.Resend)}
		require.NoError(t, s.FreezeAccount(t.Context(), deviceops.Freeze{Account: "acme/emea", At: noon}))
		require.Equal(t, []string{"a", "c"}, claim(t, s, late))
		require.NoError(t, s.FreezeAccount(t.Context(), deviceops.Freeze{Account: "acme", At: noon}))
		late.Now = after(time.Hour - time.Second)
		require.Equal(t, []string{"c"}, claim(t, s, late), "what was sent before may be sent again")
		_, err := s.ThawAccount(t.Context(), "acme/emea")
		require.NoError(t, err)
		_, err = s.ThawAccount(t.Context(), "acme")
		require.NoError(t, err)
		late.Now = after(time.Hour - time.Millisecond)
		require.Equal(t, []string{"a", "b"}, claim(t, s, late))
	})
}

// Two pumps of one rollout, as there are for a while when one is thought dead.
func TestClaimersTakeEachDeviceOnce(t *testing.T) {
	t.Parallel()
	s := postgrestest.New(t)
	ids := names("k", 300)
	online(t, s, ids...)
	r := running(t, s, rollout("kiosk-2", "all"))
	assigned(t, s, r, 0, ids...)
	var mu sync.Mutex
	taken := map[string]int{}
	var pumps sync.WaitGroup
	for range 3 {
		pumps.Go(func() {
			for range 12 {
				err := s.InTx(t.Context(), func(ctx context.Context, tx deviceops.Tx) error {
					q := claimOf(r, 0)
					q.Limit = 17
					found, err := tx.ClaimRollout(ctx, q)
					if err != nil {
						return err
					}
					var devices []string
					for _, c := range found {
						devices = append(devices, c.Row.Device)
					}
					leased(t, tx, r, after(time.Second), devices...)
					mu.Lock()
					defer mu.Unlock()
					for _, d := range devices {
						taken[d]++
					}
					return nil
				})
				if err != nil {
					t.Error(err)
				}
			}
		})
	}
	pumps.Wait()
	require.Len(t, taken, len(ids))
	for id, times := range taken {
		require.Equal(t, 1, times, id)
	}
	require.Equal(t, deviceops.Counts{Targeted: 300, Pending: 300, Leased: 300}, counts(t, s, r, 0))
}

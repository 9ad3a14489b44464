package postgres_test

import (
	"context"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/deviceops/deviceops"
	"github.com/deviceops/deviceops/postgres/postgrestest"
)

// behind stores devices that are reached through a gateway; all are online.
func behind(t testing.TB, s deviceops.Tx, gateway string, ids ...string) {
	t.Helper()
	online(t, s, append([]string{gateway}, ids...)...)
	for _, id := range ids {
		d, err := s.FindDevice(t.Context(), id)
		require.NoError(t, err)
		d.Parent = gateway
		require.NoError(t, s.SaveDevice(t.Context(), &d))
	}
}

// rollingTo makes a rollout that is due on one device.
func rollingTo(t testing.TB, s deviceops.Tx, name, device string) deviceops.Rollout {
	t.Helper()
	r := running(t, s, rollout(name, "all"))
	assigned(t, s, r, 0, device)
	return r
}

// succeeded ends what a rollout does to a device, and the command by which it does.
func succeeded(t testing.TB, s deviceops.Tx, r deviceops.Rollout, device string) {
	t.Helper()
	c := changeCommand(r, device, 1)
	require.True(t, c.Finish(deviceops.CommandSucceeded, nil, noon))
	require.NoError(t, s.SaveCommands(t.Context(), []deviceops.Command{c}))
	advanced(t, s, r, deviceops.DeviceSucceeded, device)
}

// Two rollouts come to a gateway and to a device behind it at the same moment.
func TestRolloutsDoNotClaimAFamilyTogether(t *testing.T) {
	for name, c := range map[string]struct{ first, second string }{
		"the gateway first":       {"gw", "k1"},
		"the device behind first": {"k1", "gw"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			s := postgrestest.New(t)
			behind(t, s, "gw", "k1", "k2")
			a, b, sibling := rollingTo(t, s, "a", c.first), rollingTo(t, s, "b", c.second), rollingTo(t, s, "c", "k2")
			q := claimOf(b, 0)
			q.Exclusive = false // a family is one for all rollouts
			require.NoError(t, s.InTx(t.Context(), func(_ context.Context, tx deviceops.Tx) error {
				require.Equal(t, []string{c.first}, due(t, tx, claimOf(a, 0)))
				require.Empty(t, due(t, s, q), "it stays due")
				if c.first == "k1" {
					require.Equal(t, []string{"k2"}, due(t, s, claimOf(sibling, 0)), "siblings don't matter")
				}
				require.Empty(t, leased(t, tx, a, noon, c.first))
				return nil
			}))
			require.Equal(t, c.first, candidates(t, s, q)[c.second].FamilyBy)
			succeeded(t, s, a, c.first)
			require.Empty(t, candidates(t, s, q)[c.second].FamilyBy)
		})
	}
}

// One claim may hold a whole family: what its own devices are at, the Admitter sees.
func TestOneClaimHoldsAFamily(t *testing.T) {
	both(t, func(t *testing.T, s deviceops.Tx) {
		behind(t, s, "gw", "k1", "k2")
		r := running(t, s, rollout("kiosk-2", "all"))
		assigned(t, s, r, 0, "gw", "k1", "k2")
		require.Equal(t, []string{"gw", "k1", "k2"}, due(t, s, claimOf(r, 0)))
	})
}

func TestExclusiveCommandsWaitForTheFamily(t *testing.T) {
	for name, c := range map[string]struct{ rolled, asked string }{
		"the gateway is at a change":        {"gw", "k1"},
		"a device behind it is at a change": {"k1", "gw"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			s := postgrestest.New(t)
			behind(t, s, "gw", "k1", "k2")
			r := rollingTo(t, s, "a", c.rolled)
			reboot, ping := exclusive("reboot", nil), plain("ping", nil)
			reboot.Device, ping.Device = c.asked, c.asked
			created(t, s, reboot, ping)
			familyBy := func(device string) string {
				by, err := s.FamilyBy(t.Context(), device, after(3*time.Second))
				require.NoError(t, err)
				return by
			}
			require.NoError(t, s.InTx(t.Context(), func(_ context.Context, tx deviceops.Tx) error {
				require.Equal(t, []string{c.rolled}, due(t, tx, claimOf(r, 0)))
				require.Equal(t, []string{"ping"}, claim(t, s, deviceops.ClaimQuery{Now: after(3 * time.Second)}), "it is being claimed")
				require.Empty(t, leased(t, tx, r, noon, c.rolled))
				return nil
			}))
			require.Empty(t, claim(t, s, deviceops.ClaimQuery{Now: after(3 * time.Second)}), "it is under lease")
			advanced(t, s, r, deviceops.DeviceSent, c.rolled)
			require.Empty(t, claim(t, s, deviceops.ClaimQuery{Now: after(3 * time.Second)}), "it is at it")
			require.Equal(t, c.rolled, familyBy(c.asked))
			require.Empty(t, familyBy(c.rolled))
			require.Empty(t, familyBy("unknown"))
			succeeded(t, s, r, c.rolled)
			require.Equal(t, []string{"reboot"}, claim(t, s, deviceops.ClaimQuery{Now: after(3 * time.Second)}))
			require.Empty(t, familyBy(c.asked))
		})
	}
}

func TestRolloutsWaitForExclusiveCommandsOfTheFamily(t *testing.T) {
	for name, c := range map[string]struct{ rolled, asked string }{
		"of the gateway":        {"k1", "gw"},
		"of a device behind it": {"gw", "k1"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			s := postgrestest.New(t)
			behind(t, s, "gw", "k1")
			reboot := exclusive("reboot", nil)
			reboot.Device = c.asked
			created(t, s, reboot)
			r := rollingTo(t, s, "a", c.rolled)
			require.Empty(t, candidates(t, s, claimOf(r, 0))[c.rolled].FamilyBy, "it has not begun")
			require.NoError(t, s.InTx(t.Context(), func(_ context.Context, tx deviceops.Tx) error {
				require.Equal(t, []string{"reboot"}, claim(t, tx, deviceops.ClaimQuery{Now: noon}))
				require.Empty(t, due(t, s, claimOf(r, 0)), "it stays due")
				return nil
			}))
			require.Equal(t, c.asked, candidates(t, s, claimOf(r, 0))[c.rolled].FamilyBy, "it is under lease")
			require.NoError(t, s.MarkSent(t.Context(), []deviceops.Sent{{ID: "reboot", Attempt: 1}}, noon))
			require.Equal(t, c.asked, candidates(t, s, claimOf(r, 0))[c.rolled].FamilyBy, "it is at it")

			// What was sent before is asked again, whatever began since.
			require.Empty(t, leased(t, s, r, noon, c.rolled))
			require.Equal(t, []string{"reboot"}, claim(t, s, deviceops.ClaimQuery{Now: after(deviceops.Resend)}))
		})
	}
}

// Exclusive commands of a family that no rollout made are their askers' affair:
// whoever restarts a gateway may want to reach what hangs behind it.
func TestExclusiveCommandsOfAFamilyAreFree(t *testing.T) {
	both(t, func(t *testing.T, s deviceops.Tx) {
		behind(t, s, "gw", "k1")
		first, second := exclusive("a", nil), exclusive("b", nil)
		first.Device, second.Device = "gw", "k1"
		created(t, s, first, second)
		require.Equal(t, []string{"a", "b"}, claim(t, s, deviceops.ClaimQuery{Now: after(time.Second)}))
	})
}

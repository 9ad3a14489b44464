package postgres_test

import (
	"fmt"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/deviceops/deviceops"
)

func TestCommandsComeBackAsTheyWereSaved(t *testing.T) {
	both(t, func(t *testing.T, s deviceops.Tx) {
		_, err := s.FindCommand(t.Context(), "c1")
		requireCode(t, deviceops.ENOTFOUND, err)

		c := command("c1", "k1")
		c.Args = map[string]any{"mode": "soft", "times": int64(3), "share": 1.0}
		c.Exclusive, c.Reason, c.Boot = true, "because", "b7"
		c.Waiter = &deviceops.ActivityRef{Workflow: "w", Activity: "7"}
		stored, isNew, err := s.CreateCommand(t.Context(), c)
		require.NoError(t, err)
		require.True(t, isNew)
		c.Status, c.Attempt = deviceops.CommandPending, 1
		require.Equal(t, c, stored)

		c.Status, c.Attempt = deviceops.CommandFailed, 2
		c.DueAt, c.ExpiresAt, c.SentAt = after(1e6), after(2e6), after(3e6)
		c.LeasedUntil, c.FinishedAt, c.CancelAsked = after(4e6), after(5e6), true
		c.Deferrals, c.Phase, c.Percent = 3, "installing", 55
		c.Output = map[string]any{"log": "x", "n": 0.5}
		c.Error = &deviceops.CommandError{Code: "busy", Message: "later", Retryable: true}
		c.Waiter = nil
		other := c
		other.Args, other.Exclusive, other.Reason, other.Boot = nil, false, "", "b8" // what was asked stays
		require.NoError(t, s.SaveCommands(t.Context(), []deviceops.Command{other, command("unknown", "k1")}))
		found, err := s.FindCommand(t.Context(), "c1")
		require.NoError(t, err)
		require.Equal(t, c, found)
		locked, err := s.LockCommands(t.Context(), []string{"c1", "unknown"})
		require.NoError(t, err)
		require.Equal(t, map[string]*deviceops.Command{"c1": &c}, locked)
		require.NoError(t, s.SaveCommands(t.Context(), nil))
	})
}

func TestCreateCommandOnce(t *testing.T) {
	both(t, func(t *testing.T, s deviceops.Tx) {
		created(t, s, command("c1", "k1"))
		first, err := s.FindCommand(t.Context(), "c1")
		require.NoError(t, err)
		first.Status = deviceops.CommandSent
		require.NoError(t, s.SaveCommands(t.Context(), []deviceops.Command{first}))

		again := command("c1", "k1")
		again.Args = map[string]any{"x": int64(1)}
		stored, isNew, err := s.CreateCommand(t.Context(), again)
		require.NoError(t, err)
		require.False(t, isNew)
		require.Equal(t, first, stored)

		_, _, err = s.CreateCommand(t.Context(), command("c1", "k2"))
		requireCode(t, deviceops.ECONFLICT, err)
		other := command("c1", "k1")
		other.Name = "reboot"
		_, _, err = s.CreateCommand(t.Context(), other)
		requireCode(t, deviceops.ECONFLICT, err)
	})
}

func TestOpenAndListedCommands(t *testing.T) {
	both(t, func(t *testing.T, s deviceops.Tx) {
		var all []deviceops.Command
		for i, status := range []deviceops.CommandStatus{
			deviceops.CommandPending, deviceops.CommandSent, deviceops.CommandAccepted, deviceops.CommandDeferred, deviceops.CommandSucceeded,
			deviceops.CommandFailed, deviceops.CommandRejected, deviceops.CommandCanceled, deviceops.CommandExpired,
		} {
			c := command(fmt.Sprint("c", i), "k1")
			created(t, s, c)
			c.Status, c.Attempt = status, 1
			all = append(all, c)
		}
		require.NoError(t, s.SaveCommands(t.Context(), all))
		created(t, s, command("d1", "k2"), command("d2", "k2"), command("e1", "k3"))

		open, err := s.OpenCommands(t.Context(), []string{"k1", "k2", "k4"})
		require.NoError(t, err)
		require.Len(t, open, 2)
		require.Equal(t, all[:4], open["k1"]) // of the same time: as they came in
		require.Equal(t, "d1", open["k2"][0].ID)
		require.Equal(t, "d2", open["k2"][1].ID)
		open, err = s.OpenCommands(t.Context(), nil)
		require.NoError(t, err)
		require.Empty(t, open)

		listed, err := s.ListCommands(t.Context(), "k1", 2)
		require.NoError(t, err)
		require.Equal(t, []deviceops.Command{all[8], all[7]}, listed)
		listed, err = s.ListCommands(t.Context(), "k1", 0)
		require.NoError(t, err)
		require.Len(t, listed, 9)
	})
}

func TestExpiredCommands(t *testing.T) {
	both(t, func(t *testing.T, s deviceops.Tx) {
		watched, forever, early, ended := command("watched", "k"), command("forever", "k"), command("early", "k"), command("ended", "k")
		watched.Waiter = &deviceops.ActivityRef{Workflow: "w", Activity: "1"}
		forever.ExpiresAt = time.Time{}
		early.ExpiresAt = after(time.Minute)
		created(t, s, command("late", "k"), watched, forever, early, ended)
		ended.Status, ended.Attempt = deviceops.CommandSucceeded, 1
		require.NoError(t, s.SaveCommands(t.Context(), []deviceops.Command{ended}))
		for name, c := range map[string]struct {
			now   time.Time
			limit int
			want  []string
		}{
			"none yet":        {after(time.Minute - 1000), 0, nil},
			"one":             {after(time.Minute), 0, []string{"early"}},
			"all, in order":   {after(time.Hour), 0, []string{"early", "late"}},
			"up to the limit": {after(time.Hour), 1, []string{"early"}},
		} {
			found, err := s.ExpiredCommands(t.Context(), c.now, c.limit)
			require.NoError(t, err)
			require.Equal(t, len(c.want), len(found), name)
			require.ElementsMatch(t, c.want, found, name)
		}
	})
}

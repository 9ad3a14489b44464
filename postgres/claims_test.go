package postgres_test

import (
	"context"
	"fmt"
	"math/rand/v2"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/deviceops/deviceops"
	"github.com/deviceops/deviceops/postgres"
	"github.com/deviceops/deviceops/postgres/postgrestest"
)

// exclusive gives a command of device k1 in some status.
func exclusive(id string, change func(c *deviceops.Command)) deviceops.Command {
	c := command(id, "k1")
	c.Exclusive, c.Status, c.Attempt = true, deviceops.CommandPending, 1
	if change != nil {
		change(&c)
	}
	return c
}

func status(s deviceops.CommandStatus) func(c *deviceops.Command) {
	return func(c *deviceops.Command) { c.Status, c.SentAt = s, noon }
}

// plain makes a command that is not exclusive.
func plain(id string, change func(c *deviceops.Command)) deviceops.Command {
	c := exclusive(id, change)
	c.Exclusive = false
	return c
}

func TestClaimCommandsChooses(t *testing.T) {
	at := deviceops.ClaimQuery{Now: after(time.Second)}
	again := deviceops.ClaimQuery{Now: after(time.Second), Again: true}
	late := deviceops.ClaimQuery{Now: after(deviceops.Resend)}
	except := func(q deviceops.ClaimQuery, ids ...string) deviceops.ClaimQuery { q.Except = ids; return q }
	leased := func(c *deviceops.Command) { c.LeasedUntil = after(2 * time.Second) }
	lapsed := func(c *deviceops.Command) { c.LeasedUntil = after(time.Second) }
	notDue := func(c *deviceops.Command) { c.DueAt = after(time.Hour) }
	expired := func(c *deviceops.Command) { c.ExpiresAt = after(time.Second) }

	for name, c := range map[string]struct {
		commands []deviceops.Command // oldest first
		query    deviceops.ClaimQuery
		want     []string
	}{
		"pending":                         {[]deviceops.Command{plain("a", nil)}, at, []string{"a"}},
		"deferred, due":                   {[]deviceops.Command{plain("a", status(deviceops.CommandDeferred))}, at, []string{"a"}},
		"without due time or expiry":      {[]deviceops.Command{plain("a", func(c *deviceops.Command) { c.DueAt, c.ExpiresAt = time.Time{}, time.Time{} })}, at, []string{"a"}},
		"not due":                         {[]deviceops.Command{plain("a", notDue)}, at, nil},
		"expired":                         {[]deviceops.Command{plain("a", expired)}, at, nil},
		"leased":                          {[]deviceops.Command{plain("a", leased)}, at, nil},
		"lease has lapsed":                {[]deviceops.Command{plain("a", lapsed)}, at, []string{"a"}},
		"sent a moment ago":               {[]deviceops.Command{plain("a", status(deviceops.CommandSent))}, at, nil},
		"sent and silent":                 {[]deviceops.Command{plain("a", status(deviceops.CommandSent))}, late, []string{"a"}},
		"sent, again":                     {[]deviceops.Command{plain("a", status(deviceops.CommandSent))}, again, []string{"a"}},
		"sent, again, but runs":           {[]deviceops.Command{plain("a", status(deviceops.CommandSent))}, except(again, "a"), nil},
		"accepted":                        {[]deviceops.Command{plain("a", status(deviceops.CommandAccepted))}, late, nil},
		"accepted and lost":               {[]deviceops.Command{plain("a", status(deviceops.CommandAccepted))}, again, []string{"a"}},
		"accepted and runs":               {[]deviceops.Command{plain("a", status(deviceops.CommandAccepted))}, except(again, "a"), nil},
		"ended":                           {[]deviceops.Command{plain("a", status(deviceops.CommandFailed))}, again, nil},
		"pending but runs":                {[]deviceops.Command{plain("a", nil)}, except(again, "a"), nil},
		"leased, again":                   {[]deviceops.Command{plain("a", leased)}, again, nil},
		"all that are not exclusive":      {[]deviceops.Command{plain("a", nil), plain("b", nil)}, at, []string{"a", "b"}},
		"the oldest exclusive":            {[]deviceops.Command{exclusive("a", nil), exclusive("b", nil), plain("c", nil)}, at, []string{"a", "c"}},
		"the oldest that is due":          {[]deviceops.Command{exclusive("a", notDue), exclusive("b", nil)}, at, []string{"b"}},
		"the oldest that lives":           {[]deviceops.Command{exclusive("a", expired), exclusive("b", nil)}, at, []string{"b"}},
		"behind a leased one":             {[]deviceops.Command{exclusive("a", nil), exclusive("b", leased)}, at, nil},
		"behind a sent one":               {[]deviceops.Command{exclusive("a", nil), exclusive("b", status(deviceops.CommandSent))}, at, nil},
		"behind an accepted one":          {[]deviceops.Command{exclusive("a", status(deviceops.CommandAccepted)), exclusive("b", nil)}, at, nil},
		"behind one that ended":           {[]deviceops.Command{exclusive("a", status(deviceops.CommandFailed)), exclusive("b", nil)}, at, []string{"b"}},
		"the silent one before others":    {[]deviceops.Command{exclusive("a", nil), exclusive("b", status(deviceops.CommandSent))}, late, []string{"b"}},
		"behind one that runs":            {[]deviceops.Command{exclusive("a", nil), exclusive("b", nil)}, except(again, "a"), nil},
		"lost ones in order":              {[]deviceops.Command{exclusive("a", status(deviceops.CommandSent)), exclusive("b", status(deviceops.CommandAccepted))}, again, []string{"a"}},
		"plain behind exclusive":          {[]deviceops.Command{exclusive("a", status(deviceops.CommandAccepted)), plain("b", nil)}, at, []string{"b"}},
		"only these ids":                  {[]deviceops.Command{plain("a", nil), plain("b", nil)}, deviceops.ClaimQuery{Now: noon, IDs: []string{"b", "x"}}, []string{"b"}},
		"ids do not jump the queue":       {[]deviceops.Command{exclusive("a", nil), exclusive("b", nil)}, deviceops.ClaimQuery{Now: noon, IDs: []string{"b"}}, nil},
		"only these devices":              {[]deviceops.Command{plain("a", nil)}, deviceops.ClaimQuery{Now: noon, Devices: []string{"k2"}}, nil},
		"of this device":                  {[]deviceops.Command{plain("a", nil)}, deviceops.ClaimQuery{Now: noon, Devices: []string{"k1"}}, []string{"a"}},
		"up to the limit":                 {[]deviceops.Command{plain("a", nil), plain("b", nil)}, deviceops.ClaimQuery{Now: noon, Limit: 1}, []string{"a"}},
		"blocked ones are not in the way": {[]deviceops.Command{exclusive("a", status(deviceops.CommandSent)), exclusive("b", nil), plain("c", nil)}, deviceops.ClaimQuery{Now: noon, Limit: 1}, []string{"c"}},
	} {
		t.Run(name, func(t *testing.T) {
			both(t, func(t *testing.T, s deviceops.Tx) {
				online(t, s, "k1")
				created(t, s, c.commands...)
				require.NoError(t, s.SaveCommands(t.Context(), c.commands))
				require.Equal(t, append([]string{}, c.want...), claim(t, s, c.query))
			})
		})
	}
}

func TestClaimCommandsLeasesAndGivesRoutes(t *testing.T) {
	both(t, func(t *testing.T, s deviceops.Tx) {
		online(t, s, "k1")
		d, err := s.FindDevice(t.Context(), "k1")
		require.NoError(t, err)
		d.Parent, d.Session.MaxPayload = "gw", 900
		require.NoError(t, s.SaveDevice(t.Context(), &d))
		require.NoError(t, s.SaveSessions(t.Context(), map[string]deviceops.Session{"k1": d.Session}))
		created(t, s, command("c1", "k1"))
		claimed, err := s.ClaimCommands(t.Context(), deviceops.ClaimQuery{Now: noon})
		require.NoError(t, err)
		require.Len(t, claimed, 1)
		require.Equal(t, deviceops.CommandPending, claimed[0].Status)
		require.Equal(t, after(deviceops.PublishLease), claimed[0].LeasedUntil)
		require.Equal(t, deviceops.Route{Via: "gw", MaxPayload: 900, Boot: "b1", Profile: "kiosk", Serial: "sn-k1"}, claimed[0].Route)
		require.Empty(t, claim(t, s, deviceops.ClaimQuery{Now: after(deviceops.PublishLease - time.Second)}))
		require.Equal(t, []string{"c1"}, claim(t, s, deviceops.ClaimQuery{Now: after(deviceops.PublishLease)}))
	})
}

func TestClaimCommandsWantsTheDeviceOnline(t *testing.T) {
	t.Parallel()
	s := postgrestest.New(t)
	online(t, s, "k1")
	created(t, s, command("c1", "k1"))
	for _, c := range []deviceops.Connectivity{deviceops.Never, deviceops.Offline, deviceops.Sleeping, deviceops.Unreachable} {
		connectivity(t, s, c, "k1")
		require.Empty(t, claim(t, s, deviceops.ClaimQuery{Now: noon, Again: true}), c)
	}
	connectivity(t, s, deviceops.Online, "k1")
	require.Len(t, claim(t, s, deviceops.ClaimQuery{Now: noon}), 1)
}

func TestMarkSent(t *testing.T) {
	for name, c := range map[string]struct {
		command deviceops.Command
		attempt int
		want    deviceops.CommandStatus
		leased  bool
	}{
		"pending":                 {plain("c", nil), 1, deviceops.CommandSent, false},
		"deferred":                {plain("c", status(deviceops.CommandDeferred)), 1, deviceops.CommandSent, false},
		"sent":                    {plain("c", status(deviceops.CommandSent)), 1, deviceops.CommandSent, false},
		"accepted, lost, claimed": {plain("c", status(deviceops.CommandAccepted)), 1, deviceops.CommandSent, false},
		"another attempt":         {plain("c", nil), 2, deviceops.CommandPending, true},
		"ended in the meantime":   {plain("c", status(deviceops.CommandSucceeded)), 1, deviceops.CommandSucceeded, true},
	} {
		t.Run(name, func(t *testing.T) {
			both(t, func(t *testing.T, s deviceops.Tx) {
				created(t, s, c.command)
				leased := c.command
				leased.LeasedUntil = after(time.Second)
				require.NoError(t, s.SaveCommands(t.Context(), []deviceops.Command{leased}))
				require.NoError(t, s.MarkSent(t.Context(), []deviceops.Sent{{ID: "c", Attempt: c.attempt, Boot: "b9"}, {ID: "x"}}, after(time.Hour)))
				found, err := s.FindCommand(t.Context(), "c")
				require.NoError(t, err)
				require.Equal(t, c.want, found.Status)
				require.Equal(t, c.leased, !found.LeasedUntil.IsZero())
				if !c.leased {
					require.Equal(t, after(time.Hour), found.SentAt)
					require.Equal(t, "b9", found.Boot)
				}
			})
		})
	}
}

// A device may answer before the broker's acknowledgement is recorded.
func TestMarkSentLeavesAnAnswer(t *testing.T) {
	for _, answer := range []deviceops.Answer{
		{Attempt: 1, Status: "deferred", RetryIn: time.Hour},
		{Attempt: 1, Status: "accepted"},
		{Attempt: 1, Status: "failed"},
	} {
		t.Run(answer.Status, func(t *testing.T) {
			t.Parallel()
			s := postgrestest.New(t)
			online(t, s, "k1")
			created(t, s, command("c1", "k1"))
			require.Len(t, claim(t, s, deviceops.ClaimQuery{Now: noon}), 1)
			require.NoError(t, s.InTx(t.Context(), func(ctx context.Context, tx deviceops.Tx) error {
				locked, err := tx.LockCommands(ctx, []string{"c1"})
				require.NoError(t, err)
				require.True(t, locked["c1"].Answer(answer, noon))
				return tx.SaveCommands(ctx, []deviceops.Command{*locked["c1"]})
			}))
			before, err := s.FindCommand(t.Context(), "c1")
			require.NoError(t, err)
			require.NoError(t, s.MarkSent(t.Context(), []deviceops.Sent{{ID: "c1", Attempt: 1}}, after(time.Second)))
			found, err := s.FindCommand(t.Context(), "c1")
			require.NoError(t, err)
			require.Equal(t, before, found)
		})
	}
}

func TestClaimCommandsSkipsWhatOthersClaim(t *testing.T) {
	t.Parallel()
	s := postgrestest.New(t)
	online(t, s, "k1", "k2")
	first := command("a", "k1")
	first.Exclusive = true
	created(t, s, first, command("b", "k1"), command("c", "k2"))
	require.NoError(t, s.InTx(t.Context(), func(ctx context.Context, tx deviceops.Tx) error {
		require.Equal(t, []string{"a"}, claim(t, tx, deviceops.ClaimQuery{Now: after(time.Second), Limit: 1}))
		// This one does not wait for the open transaction.
		require.Equal(t, []string{"b", "c"}, claim(t, s, deviceops.ClaimQuery{Now: after(time.Minute)}))
		return nil
	}))
	require.Empty(t, claim(t, s, deviceops.ClaimQuery{Now: after(2 * time.Second)}))
}

// An exclusive command that comes in while another one of its device is being
// claimed waits, even when it is older.
func TestClaimCommandsHoldsTheDeviceWhileClaiming(t *testing.T) {
	t.Parallel()
	s := postgrestest.New(t)
	online(t, s, "k1")
	created(t, s, exclusive("young", nil))
	require.NoError(t, s.InTx(t.Context(), func(ctx context.Context, tx deviceops.Tx) error {
		require.Equal(t, []string{"young"}, claim(t, tx, deviceops.ClaimQuery{Now: noon}))
		created(t, s, exclusive("old", func(c *deviceops.Command) { c.CreatedAt = noon.Add(-time.Hour) }), plain("plain", nil))
		require.Equal(t, []string{"plain"}, claim(t, s, deviceops.ClaimQuery{Now: after(time.Second)}))
		return nil
	}))
	require.Empty(t, claim(t, s, deviceops.ClaimQuery{Now: after(2 * time.Second)}))
	require.NoError(t, s.MarkSent(t.Context(), []deviceops.Sent{{ID: "young", Attempt: 1}}, noon))
	require.Empty(t, claim(t, s, deviceops.ClaimQuery{Now: after(3 * time.Second)}))
}

// Several processes claim, publish and record at once, while new exclusive
// commands, even older ones, come in. Looked at from the database at any time,
// no device has two of them in flight, and in the end all were claimed.
func TestExclusiveCommandsNeverOverlap(t *testing.T) {
	t.Parallel()
	s := postgrestest.New(t)
	const devices, perDevice, claimers = 5, 12, 4
	ids := names("k", devices)
	online(t, s, ids...)
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	defer cancel()

	var makers, others sync.WaitGroup
	for n := range perDevice {
		makers.Go(func() {
			for _, device := range ids {
				c := command(fmt.Sprintf("%s-%d", device, n), device)
				c.Exclusive, c.CreatedAt = true, noon.Add(-rand.N(time.Hour))
				if _, _, err := s.CreateCommand(ctx, c); err != nil {
					t.Error(err)
				}
			}
		})
	}
	done := make(chan struct{})
	executed := map[string]int{}
	var mutex sync.Mutex
	for range claimers {
		others.Go(func() {
			for {
				claimed, err := s.ClaimCommands(ctx, deviceops.ClaimQuery{Now: after(2 * time.Second), Limit: 3})
				if err != nil {
					t.Error(err)
					return
				}
				for _, c := range claimed {
					mutex.Lock()
					executed[c.ID]++
					mutex.Unlock()
					finish(ctx, t, s, c)
				}
				mutex.Lock()
				finished := len(executed) == devices*perDevice
				mutex.Unlock()
				if finished || ctx.Err() != nil {
					return
				}
			}
		})
	}
	others.Go(func() { watchOverlaps(ctx, t, s, done) })
	makers.Wait()
	require.Eventually(t, func() bool {
		mutex.Lock()
		defer mutex.Unlock()
		return len(executed) == devices*perDevice
	}, time.Minute, 10*time.Millisecond)
	close(done)
	others.Wait()
	for id, times := range executed {
		require.Equal(t, 1, times, id)
	}
}

// finish records a command as sent and then as succeeded.
func finish(ctx context.Context, t *testing.T, s *postgres.Store, c deviceops.Command) {
	t.Helper()
	err := s.MarkSent(ctx, []deviceops.Sent{{ID: c.ID, Attempt: c.Attempt}}, after(2*time.Second))
	if err == nil {
		c.Answer(deviceops.Answer{Attempt: c.Attempt, Status: "succeeded"}, after(3*time.Second))
		err = s.SaveCommands(ctx, []deviceops.Command{c})
	}
	if err != nil {
		t.Error(err)
	}
}

func watchOverlaps(ctx context.Context, t *testing.T, s *postgres.Store, done <-chan struct{}) {
	t.Helper()
	for {
		overlaps, err := postgres.Query[string](ctx, s, `
			select device from commands
			where exclusive and (status in ('sent', 'accepted') or leased_until > $1 and status in ('pending', 'deferred'))
			group by device having count(*) > 1`, after(2*time.Second))
		if err != nil || len(overlaps) > 0 {
			t.Errorf("exclusive commands overlap on %v (%v)", overlaps, err)
			return
		}
		select {
		case <-done:
			return
		case <-time.After(time.Millisecond):
		}
	}
}

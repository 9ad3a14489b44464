package postgres_test

import (
	"context"
	"fmt"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/stretchr/testify/require"

	"github.com/deviceops/deviceops"
	"github.com/deviceops/deviceops/postgres"
	"github.com/deviceops/deviceops/postgres/postgrestest"
)

const lease = 10 * time.Second

func targetKey(name string) deviceops.TargetKey {
	return deviceops.TargetKey{Account: "acme", Route: "lake", Target: name}
}

func targetNames(targets []deviceops.RouteTarget) []string {
	all := []string{}
	for _, t := range targets {
		all = append(all, t.Target)
	}
	return all
}

func TestTargetsKeepTheirPlaceOverVersionsOfTheirRoute(t *testing.T) {
	both(t, func(t *testing.T, s deviceops.Tx) {
		require.NoError(t, s.OpenRoute(t.Context(), "acme", "lake", []string{"a", "b"}, 0))
		_, err := s.HoldTargets(t.Context(), "p1", noon, lease)
		require.NoError(t, err)
		require.NoError(t, s.AppendEvents(t.Context(), []deviceops.Event{event("k1", "x", noon), event("k1", "x", noon)}))
		require.NoError(t, s.AdvanceTarget(t.Context(), "p1", targetKey("a"), deviceops.RouteProgress{Cursor: 1, Delivered: 1, At: noon}))

		require.NoError(t, s.OpenRoute(t.Context(), "acme", "lake", []string{"a", "c"}, -1))
		rows, err := s.ListTargets(t.Context(), "", "lake")
		require.NoError(t, err)
		require.Equal(t, []string{"a", "c"}, targetNames(rows))
		require.Equal(t, int64(1), rows[0].Cursor, "what was there goes on from its place")
		require.Equal(t, int64(2), rows[1].Cursor, "what is new begins now")
		require.Equal(t, noon, rows[0].DeliveredAt)
		rows, err = s.ListTargets(t.Context(), "other", "")
		require.NoError(t, err)
		require.Empty(t, rows)
	})
}

func TestTargetsAreSharedOutAndMoveWhenTheirHolderDies(t *testing.T) {
	both(t, func(t *testing.T, s deviceops.Tx) {
		require.NoError(t, s.OpenRoute(t.Context(), "acme", "lake", []string{"a", "b", "c", "d"}, 0))
		hold := func(holder string, at time.Time) []string {
			held, err := s.HoldTargets(t.Context(), holder, at, lease)
			require.NoError(t, err)
			return targetNames(held)
		}
		require.Equal(t, []string{"a", "b", "c", "d"}, hold("p1", noon))
		require.Empty(t, hold("p2", noon), "nothing is free yet")
		require.Equal(t, []string{"a", "b"}, hold("p1", after(time.Second)), "p1 gives up what is more than its share")
		require.Equal(t, []string{"c", "d"}, hold("p2", after(time.Second)))

		advance := func(holder, target string) error {
			return s.AdvanceTarget(t.Context(), holder, targetKey(target), deviceops.RouteProgress{Cursor: 5, At: noon})
		}
		require.NoError(t, advance("p2", "c"))
		requireCode(t, deviceops.ECONFLICT, advance("p1", "c"))

		require.Equal(t, []string{"a", "b", "c", "d"}, hold("p2", after(time.Second+lease)), "p1 has been silent for a lease")
		require.NoError(t, s.ReleaseTargets(t.Context(), "p2"))
		require.Equal(t, []string{"a", "b", "c", "d"}, hold("p3", after(time.Second+lease)), "p2 gave all up")
	})
}

func TestProgressNeverGoesBackAndTellsTrouble(t *testing.T) {
	both(t, func(t *testing.T, s deviceops.Tx) {
		require.NoError(t, s.OpenRoute(t.Context(), "acme", "lake", []string{"a"}, 7))
		_, err := s.HoldTargets(t.Context(), "p1", noon, lease)
		require.NoError(t, err)
		bad := deviceops.RouteProgress{At: noon, Failures: 3, FailingSince: noon, Error: "503\x00", NextTry: after(time.Minute)}
		require.NoError(t, s.AdvanceTarget(t.Context(), "p1", targetKey("a"), bad))
		row := func() deviceops.RouteTarget {
			rows, err := s.ListTargets(t.Context(), "acme", "lake")
			require.NoError(t, err)
			return rows[0]
		}
		require.Equal(t, deviceops.RouteTarget{
			TargetKey: targetKey("a"), Cursor: 7, Failures: 3, FailingSince: noon, Error: "503\ufffd", NextTry: after(time.Minute), Holder: "p1",
		}, row())
		require.Equal(t, "failing", row().Status())
		require.NoError(t, s.AdvanceTarget(t.Context(), "p1", targetKey("a"), deviceops.RouteProgress{Cursor: 9, Delivered: 2, At: noon}))
		require.Equal(t, deviceops.RouteTarget{TargetKey: targetKey("a"), Cursor: 9, Delivered: 2, DeliveredAt: noon, Holder: "p1"}, row())

		n, err := s.PauseRoute(t.Context(), deviceops.RoutePause{Account: "acme", Route: "lake", Paused: true, By: "user:maria", Reason: "the lake is full", At: noon})
		require.NoError(t, err)
		require.Equal(t, 1, n)
		paused := row()
		require.Equal(t, "paused", paused.Status())
		require.Equal(t, []any{"user:maria", "the lake is full", noon}, []any{paused.PausedBy, paused.PausedReason, paused.PausedAt})
		_, err = s.PauseRoute(t.Context(), deviceops.RoutePause{Account: "acme", Route: "lake", Target: "a"})
		require.NoError(t, err)
		require.Equal(t, "up to date", row().Status())
		_, err = s.PauseRoute(t.Context(), deviceops.RoutePause{Account: "acme", Route: "lake", Target: "z"})
		requireCode(t, deviceops.ENOTFOUND, err)
	})
}

// The commit of a lower id comes after that of a higher one. Until it has, the
// horizon stays below, and nothing is read that the cursor would leave behind.
func TestHorizonWaitsForIDsThatAreCommittedOutOfOrder(t *testing.T) {
	t.Parallel()
	url := postgrestest.URL(t)
	s := postgrestest.Open(t, url)
	late, err := pgx.Connect(t.Context(), url)
	require.NoError(t, err)
	defer late.Close(context.WithoutCancel(t.Context()))
	slow, err := late.Begin(t.Context())
	require.NoError(t, err)
	const insert = `insert into events (account, device, type, severity, at, received_at, clock_fixed, claimed_at, boot, seq)
		values ('acme', $1, 'x', 'info', now(), now(), false, '', '', 0)`
	_, err = slow.Exec(t.Context(), insert, "late")
	require.NoError(t, err)
	require.NoError(t, s.AppendEvents(t.Context(), []deviceops.Event{event("early", "x", noon)}))

	h := look(t, s, deviceops.Horizon{})
	require.Zero(t, h.Safe)
	require.Equal(t, int64(2), h.Mark)
	require.NoError(t, s.AppendEvents(t.Context(), []deviceops.Event{event("later", "x", noon)}))
	h = look(t, s, h)
	require.Zero(t, h.Safe, "the writer of id 1 is still at it, however much others commit")

	require.NoError(t, slow.Commit(t.Context()))
	h = look(t, s, h)
	require.Equal(t, int64(3), h.Safe)
	found, err := s.RouteEvents(t.Context(), deviceops.EventSelection{Types: []string{"x"}, UpTo: h.Safe})
	require.NoError(t, err)
	require.Equal(t, "late", found[0].Device)
	require.Len(t, found, 3)

	// An id whose transaction is rolled back holds nothing up, nor do readers.
	slow, err = late.Begin(t.Context())
	require.NoError(t, err)
	_, err = slow.Exec(t.Context(), insert, "never")
	require.NoError(t, err)
	h = look(t, s, h)
	require.Equal(t, int64(3), h.Safe)
	require.NoError(t, slow.Rollback(t.Context()))
	reader, err := late.Begin(t.Context())
	require.NoError(t, err)
	_, err = reader.Exec(t.Context(), `select count(*) from events`)
	require.NoError(t, err)
	require.Equal(t, int64(4), look(t, s, h).Safe)
	require.NoError(t, reader.Rollback(t.Context()))
}

func look(t *testing.T, s *postgres.Store, before deviceops.Horizon) deviceops.Horizon {
	t.Helper()
	h, err := s.EventHorizon(t.Context(), before)
	require.NoError(t, err)
	return h
}

// Writers never pause; whoever follows the horizon sees every event all the same,
// in the order of ids, and once.
func TestHorizonAdvancesUnderWriters(t *testing.T) {
	t.Parallel()
	s := postgrestest.New(t)
	const writers, each = 4, 60
	for w := range writers {
		go func() {
			for i := range each {
				_ = s.AppendEvents(context.WithoutCancel(t.Context()), []deviceops.Event{event(fmt.Sprintf("%d-%d", w, i), "x", noon)})
			}
		}()
	}
	var h deviceops.Horizon
	seen := map[string]bool{}
	var cursor int64
	require.Eventually(t, func() bool {
		h = look(t, s, h)
		found, err := s.RouteEvents(t.Context(), deviceops.EventSelection{Types: []string{"*"}, After: cursor, UpTo: h.Safe, Limit: 1000})
		require.NoError(t, err)
		for _, e := range found {
			require.False(t, seen[e.Device])
			seen[e.Device] = true
		}
		cursor = max(cursor, h.Safe)
		return len(seen) == writers*each
	}, 30*time.Second, time.Millisecond)
}

func TestRouteEventsSelectByAccountAndType(t *testing.T) {
	both(t, func(t *testing.T, s deviceops.Tx) {
		all := []deviceops.Event{
			event("1", "device.battery", noon), event("2", "device.telemetry", after(time.Minute)), event("3", "devices", noon),
			event("4", "device.battery", noon), event("5", "device.battery", noon),
		}
		all[3].Account, all[4].Account = "acme/emea", "acme0"
		require.NoError(t, s.AppendEvents(t.Context(), all))
		selected := func(e deviceops.EventSelection) []string {
			e.Account, e.Limit = "acme", 10
			if e.UpTo == 0 {
				e.UpTo = 5
			}
			found, err := s.RouteEvents(t.Context(), e)
			require.NoError(t, err)
			devices := []string{}
			for _, f := range found {
				require.True(t, e.Matches(f.Type), "the filter in SQL and that in Go agree")
				devices = append(devices, f.Device)
			}
			n, oldest, err := s.CountRouteEvents(t.Context(), e)
			require.NoError(t, err)
			require.Len(t, devices, n)
			require.Equal(t, n == 0, oldest.IsZero())
			return devices
		}
		require.Equal(t, []string{"1", "4"}, selected(deviceops.EventSelection{Types: []string{"device.battery"}}))
		require.Equal(t, []string{"1", "2", "4"}, selected(deviceops.EventSelection{Types: []string{"device.*"}}))
		require.Equal(t, []string{"2", "3"}, selected(deviceops.EventSelection{Types: []string{"*"}, After: 1, UpTo: 3}))
		require.Empty(t, selected(deviceops.EventSelection{Types: []string{"other", "x.*"}}))

		found, err := s.FindEvents(t.Context(), []int64{2, 9, 1})
		require.NoError(t, err)
		require.Len(t, found, 2)
		registered(t, s, "k1")
		devices, err := s.FindDevices(t.Context(), []string{"k1", "k9"})
		require.NoError(t, err)
		require.Len(t, devices, 1)
		require.Equal(t, "k1", devices["k1"].ID)
	})
}

func TestDeadLetters(t *testing.T) {
	both(t, func(t *testing.T, s deviceops.Tx) {
		letter := func(target string, event int64) deviceops.DeadLetter {
			return deviceops.DeadLetter{
				TargetKey: targetKey(target), Event: event, Device: "k1", Type: "x", ReceivedAt: noon, Code: deviceops.DeadRefused, Reason: "422", Version: 1, At: noon, Tries: 1,
			}
		}
		require.NoError(t, s.OpenRoute(t.Context(), "acme", "lake", []string{"a", "b"}, 0))
		require.NoError(t, s.SaveDeadLetters(t.Context(), []deviceops.DeadLetter{letter("a", 1), letter("a", 2), letter("b", 2)}))
		found, err := s.ListDeadLetters(t.Context(), deviceops.DeadLetterFilter{Account: "acme", Route: "lake", Target: "a"})
		require.NoError(t, err)
		require.Equal(t, []deviceops.DeadLetter{letter("a", 1), letter("a", 2)}, found)
		rows, err := s.ListTargets(t.Context(), "acme", "lake")
		require.NoError(t, err)
		require.Equal(t, []int64{2, 1}, []int64{rows[0].DeadLetters, rows[1].DeadLetters})

		n, err := s.ReplayDeadLetters(t.Context(), deviceops.DeadLetterFilter{Account: "acme", Exact: true, Route: "lake", Events: []int64{2}})
		require.NoError(t, err)
		require.Equal(t, 2, n)
		require.NoError(t, s.SaveDeadLetters(t.Context(), []deviceops.DeadLetter{letter("a", 2)}), "it was refused again")
		waiting, err := s.ListDeadLetters(t.Context(), deviceops.DeadLetterFilter{Replaying: true})
		require.NoError(t, err)
		require.Len(t, waiting, 1)
		require.Equal(t, "b", waiting[0].Target)
		require.NoError(t, s.RemoveDeadLetters(t.Context(), targetKey("a"), []int64{1}))
		found, err = s.ListDeadLetters(t.Context(), deviceops.DeadLetterFilter{After: deviceops.DeadLetterMark{Event: 1, Target: "b"}})
		require.NoError(t, err)
		require.Equal(t, []int{2, 1}, []int{found[0].Tries, found[1].Tries})
	})
}

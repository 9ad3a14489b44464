package postgres_test

import (
	"fmt"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/deviceops/deviceops"
	"github.com/deviceops/deviceops/postgres/postgrestest"
)

var twoPerMinute = deviceops.Limit{N: 2, Per: time.Minute}

func queued(t *testing.T, s deviceops.Tx, id, key string, at time.Time) {
	t.Helper()
	require.NoError(t, s.QueueNotice(t.Context(), deviceops.Notice{
		ID: id, Account: "acme", Channel: "slack", Key: key, Title: "Dark\x00", Text: "no picture", Severity: "error", Device: "k1",
		Run: deviceops.ChannelRun{ID: "r1", Workflow: "w", Step: "s"}, QueuedAt: at,
	}, twoPerMinute))
}

// byID gives all notifications.
func byID(t *testing.T, s deviceops.Tx) map[string]deviceops.Notice {
	t.Helper()
	all, err := s.ListNotices(t.Context(), deviceops.NoticeFilter{Account: "acme", Limit: 1000})
	require.NoError(t, err)
	found := map[string]deviceops.Notice{}
	for _, n := range all {
		found[n.ID] = n
	}
	return found
}

func TestNoticesAreBounded(t *testing.T) {
	both(t, func(t *testing.T, s deviceops.Tx) {
		for i := range 10 {
			queued(t, s, fmt.Sprint("n", i), "dark", after(time.Duration(i)*time.Second))
		}
		queued(t, s, "n0", "dark", after(time.Hour))
		queued(t, s, "other", "hot", after(time.Second))
		found := byID(t, s)
		require.Equal(t, deviceops.Notice{
			ID: "n0", Account: "acme", Channel: "slack", Key: "dark", Title: "Dark\ufffd", Text: "no picture", Severity: "error", Device: "k1",
			Run: deviceops.ChannelRun{ID: "r1", Workflow: "w", Step: "s"}, Status: deviceops.NoticePending, QueuedAt: noon, DueAt: noon,
		}, found["n0"], "queued twice, it is one")
		require.Equal(t, after(time.Second), found["n1"].DueAt)
		require.Equal(t, after(time.Minute), found["n2"].DueAt, "held until the first is a minute old")
		require.Equal(t, 7, found["n2"].More)
		require.Equal(t, deviceops.NoticeFolded, found["n9"].Status)
		require.Equal(t, after(time.Second), found["other"].DueAt, "another key has a limit of its own")

		queued(t, s, "late", "dark", after(time.Minute+time.Second))
		require.Equal(t, after(time.Minute+time.Second), byID(t, s)["late"].DueAt, "n0 and n1 are over a minute old, n2 counts")
		queued(t, s, "later", "dark", after(time.Minute+2*time.Second))
		require.Equal(t, after(2*time.Minute), byID(t, s)["later"].DueAt)
	})
}

func TestNoticesAreClaimedOnce(t *testing.T) {
	t.Parallel()
	s := postgrestest.New(t)
	for i := range 5 {
		queued(t, s, fmt.Sprint("n", i), fmt.Sprint("key", i), noon)
	}
	require.NoError(t, s.QueueNotice(t.Context(), deviceops.Notice{ID: "m", Account: "acme", Channel: "mail", Key: "k", Severity: "info", QueuedAt: noon}, twoPerMinute))
	claim := func(now time.Time, busy ...string) []string {
		claimed, err := s.ClaimNotices(t.Context(), now, 3, busy)
		require.NoError(t, err)
		ids := []string{}
		for _, n := range claimed {
			ids = append(ids, n.ID)
		}
		return ids
	}
	require.Empty(t, claim(noon.Add(-time.Second)))
	require.ElementsMatch(t, []string{"n0", "n1", "n2"}, claim(noon, "acme/mail"))
	require.ElementsMatch(t, []string{"n3", "n4", "m"}, claim(noon))
	require.Empty(t, claim(noon), "all are leased")
	require.Len(t, claim(after(deviceops.NoticeLease)), 4, "a lease that lapsed is claimed again")
}

func TestNoticesThatWereGivenUpAreSentAgain(t *testing.T) {
	both(t, func(t *testing.T, s deviceops.Tx) {
		queued(t, s, "n1", "a", noon)
		queued(t, s, "n2", "b", noon)
		for _, n := range byID(t, s) {
			n.Attempted(deviceops.Errorf(deviceops.EREJECTED, "no such room\x00"), after(time.Second))
			require.NoError(t, s.SaveNotice(t.Context(), n))
		}
		dead, err := s.ListNotices(t.Context(), deviceops.NoticeFilter{Account: "acme", Channel: "slack", Status: deviceops.NoticeDead})
		require.NoError(t, err)
		require.Len(t, dead, 2)
		require.Equal(t, "no such room\ufffd", dead[0].Error)
		page, err := s.ListNotices(t.Context(), deviceops.NoticeFilter{After: dead[0].ID})
		require.NoError(t, err)
		require.Len(t, page, 1)

		none, err := s.RedriveNotices(t.Context(), "umbrella", "slack", nil, after(time.Hour))
		require.NoError(t, err)
		require.Zero(t, none)
		one, err := s.RedriveNotices(t.Context(), "acme", "slack", []string{"n1"}, after(time.Hour))
		require.NoError(t, err)
		require.Equal(t, 1, one)
		again := byID(t, s)["n1"]
		require.Equal(t, deviceops.NoticePending, again.Status)
		require.Zero(t, again.Attempts)
		require.Equal(t, after(time.Hour), again.DueAt)

		again.Attempted(nil, after(time.Hour))
		require.NoError(t, s.SaveNotice(t.Context(), again))
		require.Equal(t, after(time.Hour), byID(t, s)["n1"].SentAt)
		require.NoError(t, s.PruneNotices(t.Context(), after(2*time.Hour)))
		require.NotContains(t, byID(t, s), "n1")
		require.Contains(t, byID(t, s), "n2", "what was given up stays")
	})
}

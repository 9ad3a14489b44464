package postgres_test

import (
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/deviceops/deviceops"
	"github.com/deviceops/deviceops/postgres/postgrestest"
)

func TestReplaysAreClaimedOnceAndOnlyWhole(t *testing.T) {
	t.Parallel()
	s := postgrestest.New(t)
	require.NoError(t, s.AppendRejected(t.Context(), []deviceops.Rejected{
		{ReceivedAt: noon, Topic: "acme/s1/data", Device: "s1", Code: "untranslated", Size: 2, Payload: []byte("{}")},
		{ReceivedAt: after(time.Second), Topic: "acme/s2/data", Device: "s2", Code: "untranslated", Size: 2, Payload: []byte("[]")},
		{ReceivedAt: noon, Topic: "acme/s1/data", Code: "untranslated", Size: 40_000, Payload: []byte("cut")},
		{ReceivedAt: noon, Topic: "acme/s1/door", Code: "malformed", Size: 1, Payload: []byte("x")},
	}))
	claimed, err := s.ClaimReplays(t.Context(), noon, 10)
	require.NoError(t, err)
	require.Empty(t, claimed, "nobody asked for them")

	for want, r := range map[deviceops.RejectedReplayReport]deviceops.RejectedFilter{
		{}:                     {Code: "untranslated", Topic: "other/#"},
		{Requested: 2, Cut: 1}: {Code: "untranslated", Topic: "acme/+/data"},
	} {
		report, err := s.RequestReplays(t.Context(), deviceops.RejectedReplay{RejectedFilter: r}, noon)
		require.NoError(t, err)
		require.Equal(t, want, report)
	}
	report, err := s.RequestReplays(t.Context(), deviceops.RejectedReplay{RejectedFilter: deviceops.RejectedFilter{Device: "s1"}}, noon)
	require.NoError(t, err)
	require.Zero(t, report, "it was asked for already")

	claimed, err = s.ClaimReplays(t.Context(), noon, 10)
	require.NoError(t, err)
	require.Len(t, claimed, 2)
	require.Equal(t, "acme/s1/data", claimed[0].Topic)
	require.Equal(t, []byte("[]"), claimed[1].Payload)
	again, err := s.ClaimReplays(t.Context(), noon, 10)
	require.NoError(t, err)
	require.Empty(t, again, "they are under lease")
	for _, want := range [][]int64{{claimed[0].ID}, nil} {
		deleted, err := s.DeleteRejected(t.Context(), []int64{claimed[0].ID, -1})
		require.NoError(t, err)
		require.ElementsMatch(t, want, deleted, "only what is there")
	}
	again, err = s.ClaimReplays(t.Context(), noon.Add(deviceops.PublishLease), 10)
	require.NoError(t, err)
	require.Len(t, again, 1, "what a crash left is claimed again")
	listed, _, err := s.ListRejected(t.Context(), deviceops.RejectedFilter{Topic: "acme/+/data"}, 1)
	require.NoError(t, err)
	require.Len(t, listed, 1)
	require.Equal(t, "acme/s2/data", listed[0].Topic, "the newest of those")
	listed, _, err = s.ListRejected(t.Context(), deviceops.RejectedFilter{Code: "malformed", Topic: "acme/+/data"}, 10)
	require.NoError(t, err)
	require.Empty(t, listed)
	_, counts, err := s.ListRejected(t.Context(), deviceops.RejectedFilter{}, 10)
	require.NoError(t, err)
	require.Equal(t, int64(3), counts["untranslated"], "counts are of all that were ever rejected")
}

func TestNewestDocumentsOfAllAccounts(t *testing.T) {
	t.Parallel()
	s := postgrestest.New(t)
	for _, d := range []deviceops.Document{
		{Account: "root", Name: "sensor", Hash: "1"}, {Account: "acme", Name: "sensor", Hash: "2"},
		{Account: "acme", Name: "sensor", Hash: "3"}, {Account: "acme", Name: "gone", Hash: "4"},
	} {
		require.NoError(t, s.EnsureAccount(t.Context(), deviceops.Account{Path: d.Account, Name: d.Account, CreatedAt: noon}))
		d.Kind, d.PublishedAt = deviceops.KindProfile, noon
		_, _, err := s.PublishDocument(t.Context(), d)
		require.NoError(t, err)
	}
	require.NoError(t, s.RetireDocument(t.Context(), "acme", deviceops.KindProfile, "gone"))
	found, err := s.NewestDocuments(t.Context(), deviceops.KindProfile)
	require.NoError(t, err)
	require.Len(t, found, 2)
	require.Equal(t, []any{"acme", "3", 2}, []any{found[0].Account, found[0].Hash, found[0].Version})
	require.Equal(t, "root", found[1].Account)
}

package postgres_test

import (
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/deviceops/deviceops"
	"github.com/deviceops/deviceops/postgres/postgrestest"
)

func TestCallsAreClaimedOnce(t *testing.T) {
	t.Parallel()
	s := postgrestest.New(t)
	at := time.Date(2026, 6, 1, 12, 0, 0, 0, time.UTC)
	event, fresh, err := s.ClaimCall(t.Context(), "acme", "k1", at)
	require.NoError(t, err)
	require.True(t, fresh)
	require.Zero(t, event)
	require.NoError(t, s.SettleCall(t.Context(), "k1", 7))
	event, fresh, err = s.ClaimCall(t.Context(), "acme", "k1", at)
	require.NoError(t, err)
	require.False(t, fresh)
	require.Equal(t, int64(7), event)

	require.NoError(t, s.PruneAutomations(t.Context(), at, at))
	_, fresh, err = s.ClaimCall(t.Context(), "acme", "k1", at)
	require.NoError(t, err)
	require.False(t, fresh, "it is not older than the limit")
	require.NoError(t, s.PruneAutomations(t.Context(), at.Add(time.Second), at))
	_, fresh, err = s.ClaimCall(t.Context(), "acme", "k1", at)
	require.NoError(t, err)
	require.True(t, fresh)
}

func TestEventsThatAreCalls(t *testing.T) {
	t.Parallel()
	s := postgrestest.New(t)
	at := time.Date(2026, 6, 1, 12, 0, 0, 0, time.UTC)
	require.NoError(t, s.MaintainEvents(t.Context(), at, time.Hour))
	call := func(kind, name string) deviceops.Event {
		return deviceops.Event{Account: "acme", Type: "order", Severity: "info", At: at, ReceivedAt: at, Call: &deviceops.Call{
			Kind: kind, Name: name, To: []string{"delivered"}, ID: "7", Source: "/shop", Subject: "A7", Attributes: map[string]any{"priority": "high"},
		}}
	}
	events := []deviceops.Event{call("webhook", "orders"), call("webhook", "other"), call("manual", "orders"), {Account: "acme", Type: "order", Severity: "info", At: at, ReceivedAt: at}}
	require.NoError(t, s.AppendEvents(t.Context(), events))
	found, err := s.FindEvent(t.Context(), events[0].ID)
	require.NoError(t, err)
	require.Equal(t, events[0].Call, found.Call)
	plain, err := s.FindEvent(t.Context(), events[3].ID)
	require.NoError(t, err)
	require.Nil(t, plain.Call)
	calls, err := s.ListEvents(t.Context(), deviceops.EventFilter{Account: "acme", Call: &deviceops.Call{Kind: "webhook", Name: "orders"}})
	require.NoError(t, err)
	require.Len(t, calls, 1)
	require.Equal(t, events[0].ID, calls[0].ID)
}

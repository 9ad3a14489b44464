package deviceops_test

import (
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/deviceops/deviceops"
)

func TestTicketEntries(t *testing.T) {
	t.Parallel()
	noon := time.Date(2026, 6, 1, 12, 0, 0, 0, time.UTC)
	ticket := deviceops.Ticket{ID: "t1", Status: deviceops.TicketOpen, Count: 1}
	for _, e := range []deviceops.TicketEntry{
		{Kind: deviceops.EntryRepeated, At: noon.Add(1), By: "run:r2"},
		{Kind: deviceops.EntryCommented, At: noon.Add(2), By: "user:maria", Text: "on my way"},
		{Kind: deviceops.EntryAssigned, At: noon.Add(3), By: "user:maria", Text: "user:mario"},
		{Kind: deviceops.EntryClosed, At: noon.Add(4), By: "user:mario", Text: "fuse replaced"},
		{Kind: deviceops.EntryCommented, At: noon.Add(5), By: "user:maria", Text: "thanks"},
	} {
		require.NoError(t, ticket.Apply(e))
		require.Equal(t, e.At, ticket.UpdatedAt)
	}
	require.Equal(t, deviceops.Ticket{
		ID: "t1", Status: deviceops.TicketClosed, Count: 2, Assignee: "user:mario", UpdatedAt: noon.Add(5),
		ClosedAt: noon.Add(4), ClosedBy: "user:mario", Resolution: "fuse replaced",
	}, ticket)
	for _, kind := range []string{deviceops.EntryAssigned, deviceops.EntryClosed} {
		err := ticket.Apply(deviceops.TicketEntry{Kind: kind, At: noon.Add(6)})
		require.Equal(t, deviceops.ECONFLICT, deviceops.ErrorCode(err), kind)
	}
	require.Equal(t, noon.Add(5), ticket.UpdatedAt, "what is refused changes nothing")
}

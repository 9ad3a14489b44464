package postgres_test

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/deviceops/deviceops"
	"github.com/deviceops/deviceops/postgres"
	"github.com/deviceops/deviceops/postgres/postgrestest"
)

// outage tells that devices are offline, for one reason.
func outage(from, to int, at time.Time) []deviceops.TicketOpening {
	var openings []deviceops.TicketOpening
	for n := from; n < to; n++ {
		o := opening(fmt.Sprintf("e%04d", n), fmt.Sprintf("offline|k%04d", n), at)
		o.Ticket.Channel = "jira"
		o.Fold = deviceops.Fold{By: "offline in north", AtLeast: 5, Within: time.Minute}
		openings = append(openings, o)
	}
	return openings
}

// stormParent gives the only ticket that is no member.
func stormParent(t *testing.T, s deviceops.Tx) deviceops.Ticket {
	t.Helper()
	found, err := s.ListTickets(t.Context(), deviceops.TicketFilter{Alone: true})
	require.NoError(t, err)
	require.Len(t, found, 1)
	return found[0]
}

func recoveries(from, to int, at time.Time) []deviceops.TicketEntry {
	var entries []deviceops.TicketEntry
	for n := from; n < to; n++ {
		entries = append(entries, deviceops.TicketEntry{ID: fmt.Sprintf("up%04d", n), Ticket: fmt.Sprintf("ticket-e%04d", n), Kind: deviceops.EntryRecovered, At: at, By: "engine"})
	}
	return entries
}

func TestStormsFold(t *testing.T) {
	both(t, func(t *testing.T, s deviceops.Tx) {
		for n := range 4 {
			_, err := deviceops.OpenTickets(t.Context(), s, outage(n, n+1, noon), noon)
			require.NoError(t, err)
		}
		_, err := deviceops.OpenTickets(t.Context(), s, outage(4, 60, after(time.Minute)), noon)
		require.NoError(t, err)
		parent := stormParent(t, s)
		require.Equal(t, 60, parent.Members)
		require.Equal(t, 60, parent.OpenMembers)
		require.Equal(t, "jira", parent.Channel)
		members, err := s.ListTickets(t.Context(), deviceops.TicketFilter{Parent: parent.ID, Limit: 1000})
		require.NoError(t, err)
		require.Len(t, members, 60)
		starts, err := s.PendingStarts(t.Context(), noon, noon, 1000)
		require.NoError(t, err)
		require.Len(t, starts, 5, "the four that were alone, and the parent")

		_, err = deviceops.TellTickets(t.Context(), s, recoveries(0, 59, after(time.Hour)), noon)
		require.NoError(t, err)
		require.Equal(t, 1, stormParent(t, s).OpenMembers)
		tell(t, s, deviceops.TicketEntry{ID: "c", Ticket: parent.ID, Kind: deviceops.EntryClosed, At: after(2 * time.Hour), By: "user:maria", Text: "a fuse"})
		last, err := s.FindTicket(t.Context(), "ticket-e0059")
		require.NoError(t, err)
		require.Equal(t, deviceops.TicketClosed, last.Status)
		require.Equal(t, "a fuse", last.Entries[1].Text)
		require.Equal(t, "user:maria", last.ClosedBy)

		_, err = deviceops.OpenTickets(t.Context(), s, []deviceops.TicketOpening{relapse("k0007", after(125*time.Minute))}, noon)
		require.NoError(t, err)
		alone, err := s.ListTickets(t.Context(), deviceops.TicketFilter{Alone: true})
		require.NoError(t, err)
		require.Len(t, alone, 2, "it recovered long before the others, and has a ticket of its own now")
	})
}

// relapse tells again that a device is offline.
func relapse(device string, at time.Time) deviceops.TicketOpening {
	o := opening("again-"+device, "offline|"+device, at)
	o.Fold = deviceops.Fold{By: "offline in north", AtLeast: 5, Within: time.Minute}
	return o
}

// Gateways tell of a storm at the same time, and of its end, while people close
// members of it: nothing waits for ever, and the counts are right.
func TestAStormToldOfByMany(t *testing.T) {
	t.Parallel()
	s := postgrestest.New(t)
	const tellers, each = 6, 40
	all := func(do func(ctx context.Context, tx deviceops.Tx, from, to int) error) {
		t.Helper()
		var told sync.WaitGroup
		errs := make([]error, tellers)
		for i := range tellers {
			told.Go(func() {
				for n := i * each; n < (i+1)*each; n += 8 {
					errs[i] = errors.Join(errs[i], s.InTx(t.Context(), func(ctx context.Context, tx deviceops.Tx) error { return do(ctx, tx, n, n+8) }))
				}
			})
		}
		told.Wait()
		require.NoError(t, errors.Join(errs...))
	}
	all(func(ctx context.Context, tx deviceops.Tx, from, to int) error {
		_, err := deviceops.OpenTickets(ctx, tx, outage(from, to, noon), noon)
		return err
	})
	require.Equal(t, tellers*each, stormParent(t, s).Members)
	require.Equal(t, tellers*each, counted(t, s, deviceops.TicketOpen))
	all(func(ctx context.Context, tx deviceops.Tx, from, to int) error {
		_, err := deviceops.TellTickets(ctx, tx, recoveries(from, to, after(time.Minute)), noon)
		return err
	})
	parent := stormParent(t, s)
	require.Equal(t, deviceops.TicketClosed, parent.Status)
	require.Zero(t, parent.OpenMembers)
	require.Zero(t, counted(t, s, deviceops.TicketOpen))
}

// counted counts the members that have a status.
func counted(t *testing.T, s *postgres.Store, status deviceops.TicketStatus) int {
	t.Helper()
	found, err := s.ListTickets(t.Context(), deviceops.TicketFilter{Parent: stormParent(t, s).ID, Status: status, Limit: 1000})
	require.NoError(t, err)
	return len(found)
}

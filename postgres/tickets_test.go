package postgres_test

import (
	"context"
	"errors"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/deviceops/deviceops"
	"github.com/deviceops/deviceops/postgres/postgrestest"
)

// opening tells of a problem.
func opening(id, fingerprint string, at time.Time) deviceops.TicketOpening {
	return deviceops.TicketOpening{
		Ticket: deviceops.Ticket{
			ID: "ticket-" + id, Account: "acme/shops", Device: "k1", Title: "Reboot failed", Body: "in use\x00", Severity: "error",
			Fingerprint: fingerprint, Run: "r1",
		},
		Entry: deviceops.TicketEntry{ID: id, At: at, By: "run:r1", Text: "in use"}, Reopen: 10 * time.Minute,
	}
}

func openOne(t *testing.T, s deviceops.Tx, o deviceops.TicketOpening) (deviceops.Ticket, bool) {
	t.Helper()
	opened, err := deviceops.OpenTicket(t.Context(), s, o, noon)
	require.NoError(t, err)
	return opened.Ticket, opened.Created
}

func opened(t *testing.T, s deviceops.Tx, id, fingerprint string, at time.Time) (deviceops.Ticket, bool) {
	t.Helper()
	return openOne(t, s, opening(id, fingerprint, at))
}

// tell adds an entry to a ticket.
func tell(t *testing.T, s deviceops.Tx, e deviceops.TicketEntry) deviceops.Ticket {
	t.Helper()
	told, err := deviceops.TellTicket(t.Context(), s, e)
	require.NoError(t, err)
	return told
}

func TestTicketsAreOpenedOnce(t *testing.T) {
	both(t, func(t *testing.T, s deviceops.Tx) {
		first, created := opened(t, s, "e1", "k1|reboot", noon)
		require.True(t, created)
		want := deviceops.Ticket{
			ID: "ticket-e1", Account: "acme/shops", Device: "k1", Title: "Reboot failed", Body: "in use\x00", Severity: "error",
			Status: deviceops.TicketOpen, Fingerprint: "k1|reboot", Count: 1, Run: "r1",
			OpenedBy: "run:r1", OpenedAt: noon, OpenSince: noon, UpdatedAt: noon,
		}
		require.Equal(t, want, first)
		repeated, created := opened(t, s, "e1", "k1|reboot", after(time.Minute))
		require.True(t, created, "repeated, it says the same")
		require.Equal(t, 1, repeated.Count)

		again, created := opened(t, s, "e2", "k1|reboot", after(time.Hour))
		require.False(t, created)
		require.Equal(t, "ticket-e1", again.ID)
		require.Equal(t, 2, again.Count)
		_, created = opened(t, s, "e2", "k1|reboot", after(2*time.Hour))
		require.False(t, created)

		found, err := s.FindTicket(t.Context(), "ticket-e1")
		require.NoError(t, err)
		require.Equal(t, "in use\ufffd", found.Body)
		require.Equal(t, 2, found.Count)
		require.Equal(t, after(time.Hour), found.UpdatedAt)
		require.Equal(t, []deviceops.TicketEntry{
			{ID: "e1", Ticket: "ticket-e1", Kind: deviceops.EntryOpened, At: noon, By: "run:r1", Text: "in use"},
			{ID: "e2", Ticket: "ticket-e1", Kind: deviceops.EntryRepeated, At: after(time.Hour), By: "run:r1", Text: "in use"},
		}, found.Entries)
		_, err = s.FindTicket(t.Context(), "none")
		requireCode(t, deviceops.ENOTFOUND, err)
		open, err := s.FindOpenTicket(t.Context(), deviceops.TicketProblem{Account: "acme/shops", Fingerprint: "k1|reboot"})
		require.NoError(t, err)
		require.Equal(t, "ticket-e1", open.ID)
		_, err = s.FindOpenTicket(t.Context(), deviceops.TicketProblem{Account: "acme", Fingerprint: "k1|reboot"})
		requireCode(t, deviceops.ENOTFOUND, err)
	})
}

func TestTicketsCloseAndOpenAgain(t *testing.T) {
	both(t, func(t *testing.T, s deviceops.Tx) {
		opened(t, s, "e1", "f", noon)
		add := func(id, kind, text string) (deviceops.Ticket, error) {
			return deviceops.TellTicket(t.Context(), s, deviceops.TicketEntry{
				ID: id, Ticket: "ticket-e1", Kind: kind, At: after(time.Minute), By: "user:maria", Text: text,
			})
		}
		for range 2 {
			ticket, err := add("e2", deviceops.EntryAssigned, "user:mario")
			require.NoError(t, err)
			require.Equal(t, "user:mario", ticket.Assignee)
			_, err = add("e2s", deviceops.EntrySeverity, "critical")
			require.NoError(t, err)
			ticket, err = add("e3", deviceops.EntryClosed, "fuse replaced")
			require.NoError(t, err, "repeated, it changes nothing")
			require.Equal(t, deviceops.TicketClosed, ticket.Status)
			require.Equal(t, after(time.Minute), ticket.ClosedAt)
		}
		_, err := add("e4", deviceops.EntryClosed, "again")
		requireCode(t, deviceops.ECONFLICT, err)
		_, err = add("e5", deviceops.EntryCommented, "thanks")
		require.NoError(t, err)
		found, err := s.FindTicket(t.Context(), "ticket-e1")
		require.NoError(t, err)
		require.Len(t, found.Entries, 5)
		require.Equal(t, "fuse replaced", found.Resolution)
		require.Equal(t, "critical", found.Severity)

		back, created := opened(t, s, "e6", "f", after(10*time.Minute))
		require.False(t, created, "the problem is back soon")
		require.Equal(t, "ticket-e1", back.ID)
		require.Equal(t, 1, back.Relapses)
		require.Equal(t, after(10*time.Minute), back.OpenSince)
		tell(t, s, deviceops.TicketEntry{ID: "e7", Ticket: "ticket-e1", Kind: deviceops.EntryClosed, At: after(11 * time.Minute)})
		later, created := opened(t, s, "e8", "f", after(time.Hour))
		require.True(t, created)
		require.Equal(t, "ticket-e8", later.ID)
		old, created := opened(t, s, "e1", "f", after(time.Hour))
		require.True(t, created)
		require.Equal(t, "ticket-e1", old.ID, "what was told before is not told again")
		_, err = add("e9", deviceops.EntryReopened, "")
		requireCode(t, deviceops.ECONFLICT, err)
		_, err = deviceops.TellTicket(t.Context(), s, deviceops.TicketEntry{ID: "e10", Ticket: "none", Kind: deviceops.EntryCommented, At: noon})
		requireCode(t, deviceops.ENOTFOUND, err)
	})
}

func TestListTickets(t *testing.T) {
	both(t, func(t *testing.T, s deviceops.Tx) {
		opened(t, s, "e1", "a", noon)
		opened(t, s, "e2", "b", after(time.Minute))
		other := opening("e3", "a", after(time.Hour))
		other.Ticket.Account, other.Ticket.Device, other.Entry.By = "globex", "", "automation:hot@2"
		_, created := openOne(t, s, other)
		require.True(t, created, "the same fingerprint of another account is another problem")
		tell(t, s, deviceops.TicketEntry{ID: "e4", Ticket: "ticket-e1", Kind: deviceops.EntryAssigned, At: noon, Text: "user:mario"})

		for name, c := range map[string]struct {
			filter deviceops.TicketFilter
			want   []string
		}{
			"all, newest first": {deviceops.TicketFilter{}, []string{"ticket-e3", "ticket-e2", "ticket-e1"}},
			"of an account":     {deviceops.TicketFilter{Account: "acme"}, []string{"ticket-e2", "ticket-e1"}},
			"of a device":       {deviceops.TicketFilter{Device: "k1", Limit: 1}, []string{"ticket-e2"}},
			"the next page":     {deviceops.TicketFilter{After: "ticket-e2"}, []string{"ticket-e1"}},
			"of somebody":       {deviceops.TicketFilter{Assignee: "user:mario"}, []string{"ticket-e1"}},
			"by status":         {deviceops.TicketFilter{Status: deviceops.TicketClosed}, nil},
			"by who opened it":  {deviceops.TicketFilter{OpenedBy: "run:r1"}, []string{"ticket-e2", "ticket-e1"}},
			"in any version":    {deviceops.TicketFilter{OpenedBy: "automation:hot"}, []string{"ticket-e3"}},
			"in this version":   {deviceops.TicketFilter{OpenedBy: "automation:hot@2"}, []string{"ticket-e3"}},
			"not by its prefix": {deviceops.TicketFilter{OpenedBy: "automation:ho"}, nil},
			"by fingerprint":    {deviceops.TicketFilter{Fingerprint: "b"}, []string{"ticket-e2"}},
		} {
			found, err := s.ListTickets(t.Context(), c.filter)
			require.NoError(t, err, name)
			var ids []string
			for _, ticket := range found {
				ids = append(ids, ticket.ID)
				require.Empty(t, ticket.Entries, name)
			}
			require.Equal(t, c.want, ids, name)
		}
	})
}

func TestOneProblemToldAtOnceIsOneTicket(t *testing.T) {
	t.Parallel()
	s := postgrestest.New(t)
	var told sync.WaitGroup
	errs := make([]error, 8)
	for i, id := range names("e", len(errs)) {
		told.Go(func() {
			errs[i] = s.InTx(t.Context(), func(ctx context.Context, tx deviceops.Tx) error {
				_, err := deviceops.OpenTicket(ctx, tx, opening(id, "storm", noon), noon)
				return err
			})
		})
	}
	told.Wait()
	require.NoError(t, errors.Join(errs...))
	tickets, err := s.ListTickets(t.Context(), deviceops.TicketFilter{})
	require.NoError(t, err)
	require.Len(t, tickets, 1)
	require.Equal(t, 8, tickets[0].Count)
}

func TestTicketsThatAnotherSystemHas(t *testing.T) {
	both(t, func(t *testing.T, s deviceops.Tx) {
		o := opening("e1", "k1|reboot", noon)
		o.Ticket.Channel = "jira"
		ticket, _ := openOne(t, s, o)
		starts, err := s.PendingStarts(t.Context(), noon, noon, 10)
		require.NoError(t, err)
		require.Equal(t, "sync-ticket-e1", starts[0].WorkflowID)
		_, err = s.FindRemoteTicket(t.Context(), "acme", "jira", "")
		requireCode(t, deviceops.ENOTFOUND, err)
		remote := deviceops.RemoteTicket{ID: "OPS-1", URL: "https://x/OPS-1", Status: "To Do", State: "open"}
		require.NoError(t, s.LinkTicket(t.Context(), ticket.ID, remote))
		for i, e := range []deviceops.TicketEntry{
			{Kind: deviceops.EntryCommented, By: "user:maria"}, {Kind: deviceops.EntryCommented, By: "channel:jira (Ada)"},
			{Kind: deviceops.EntryAssigned, By: "user:maria"}, {Kind: deviceops.EntryClosed, By: "run:r1"},
			{Kind: deviceops.EntryReopened, By: "channel:jira"},
		} {
			e.ID, e.Ticket, e.At = "later"+string(rune('0'+i)), ticket.ID, after(time.Minute)
			tell(t, s, e)
		}
		unsent, err := s.UnsentEntries(t.Context(), ticket.ID)
		require.NoError(t, err)
		require.Equal(t, []string{"later0", "later2", "later3"}, []string{unsent[0].ID, unsent[1].ID, unsent[2].ID})
		require.Len(t, unsent, 3)
		require.NoError(t, s.SentEntry(t.Context(), "later0"))
		unsent, err = s.UnsentEntries(t.Context(), ticket.ID)
		require.NoError(t, err)
		require.Len(t, unsent, 2)

		found, err := s.FindRemoteTicket(t.Context(), "acme", "jira", "OPS-1")
		require.NoError(t, err)
		require.Equal(t, remote, found.Remote)
		require.Equal(t, "jira", found.Channel)
		require.Equal(t, deviceops.TicketOpen, found.Status)
		require.Empty(t, found.ClosedBy)
		require.Len(t, found.Entries, 6)
		for _, other := range [][2]string{{"umbrella", "jira"}, {"acme", "zendesk"}} {
			_, err = s.FindRemoteTicket(t.Context(), other[0], other[1], "OPS-1")
			requireCode(t, deviceops.ENOTFOUND, err)
		}
	})
}

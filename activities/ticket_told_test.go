package activities_test

import (
	"net/http"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/deviceops/deviceops"
	"github.com/deviceops/deviceops/activities"
)

// told opens a ticket of which people are told, and gives what they were told.
func (d *desk) told(more map[string]any) (ticket string, told func() []string) {
	d.device(d.T, "k1", deviceops.Active)
	args := map[string]any{"title": "dark", "channel": "jira", "notify": "log"}
	for name, value := range more {
		args[name] = value
	}
	out, err := d.perform("ticket.open", "open", args)
	require.NoError(d, err)
	return out["id"].(string), func() (titles []string) {
		for _, e := range d.events(d.T, "k1", activities.EventNotification) {
			titles = append(titles, e.Severity+" "+e.Data["title"].(string))
		}
		return titles
	}
}

func (d *desk) refused(ticket string) {
	d.Helper()
	_, err := do[activities.TicketOutput](d.world, activities.NameSyncTicket, activities.TicketInput{Ticket: ticket})
	require.Error(d, err)
}

func (d *desk) entry(ticket, id, kind, text string) {
	d.Helper()
	_, err := deviceops.TellTicket(d.T.Context(), d.store, deviceops.TicketEntry{ID: id, Ticket: ticket, Kind: kind, At: noon, By: "user:maria", Text: text})
	require.NoError(d, err)
}

// Whoever is on duty hears of a ticket though the ticket system is away.
func TestPeopleDoNotWaitForTheOtherSystem(t *testing.T) {
	t.Parallel()
	d := newDesk(t)
	ticket, told := d.told(nil)
	for _, status := range []int{http.StatusServiceUnavailable, http.StatusUnauthorized} {
		d.jira.Refuse(status, "")
		d.refused(ticket)
		require.Equal(t, []string{"error Opened: dark"}, told(), "at once, and once")
	}
	d.entry(ticket, "s1", deviceops.EntrySeverity, "critical")
	d.jira.Refuse(http.StatusServiceUnavailable, "")
	d.refused(ticket)
	require.Equal(t, []string{"error Opened: dark", "critical Severity changed: dark"}, told())
	require.False(t, d.sync(ticket))
	require.Len(t, told(), 2)
	unsent, err := d.store.UnsentEntries(t.Context(), ticket)
	require.NoError(t, err)
	require.Empty(t, unsent, "the system is told later")
}

// What ends in the other system has ended for those who were called because of it.
func TestPeopleHearWhatTheOtherSystemDid(t *testing.T) {
	t.Parallel()
	d := newDesk(t)
	ticket, told := d.told(nil)
	require.False(t, d.sync(ticket))
	require.NoError(t, d.store.DoneStarts(t.Context(), []string{d.ticket(ticket).SyncStart().WorkflowID}))
	d.jira.Move("OPS-1", "done")
	require.True(t, d.sync(ticket))
	require.Equal(t, deviceops.TicketClosed, d.ticket(ticket).Status)
	starts, err := d.store.PendingStarts(t.Context(), noon.Add(time.Hour), noon.Add(time.Hour), 10)
	require.NoError(t, err)
	require.Len(t, starts, 1, "another pass is asked for")
	require.True(t, d.sync(ticket))
	require.True(t, d.sync(ticket))
	require.Equal(t, []string{"error Opened: dark", "info Closed: dark"}, told())
}

// A comment that the other system does not take keeps nothing else from it.
func TestARefusedCommentHoldsUpNothing(t *testing.T) {
	t.Parallel()
	d := newDesk(t)
	ticket := d.open().ID
	require.False(t, d.sync(ticket))
	d.entry(ticket, "c1", deviceops.EntryCommented, "too long")
	d.entry(ticket, "c2", deviceops.EntryCommented, "fuse ordered")
	d.jira.Refuse(http.StatusBadRequest, "")
	d.refused(ticket)
	require.Equal(t, []string{"user:maria: fuse ordered"}, d.jira.Tickets()[0].Comments)
	require.False(t, d.sync(ticket))
	require.Equal(t, []string{"user:maria: fuse ordered", "user:maria: too long"}, d.jira.Tickets()[0].Comments, "it is tried again")

	d.entry(ticket, "c3", deviceops.EntryCommented, "too long again")
	d.entry(ticket, "c4", deviceops.EntryClosed, "new fuse")
	d.jira.Refuse(http.StatusBadRequest, "")
	require.True(t, d.sync(ticket), "it is closed here and there")
	require.Equal(t, "done", d.jira.Tickets()[0].Status)
	kinds := map[string]int{}
	for _, e := range d.ticket(ticket).Entries {
		kinds[e.Kind]++
	}
	require.Equal(t, 1, kinds[deviceops.EntryRefused], "what it says is noted once")
}

// Where tickets are kept and told of by one channel, its own deeds are no news.
func TestAnnouncementsOfOneChannel(t *testing.T) {
	t.Parallel()
	closed := deviceops.TicketEntry{Kind: deviceops.EntryClosed, By: deviceops.ChannelActor("jira", "Ada")}
	require.Equal(t, "Closed", deviceops.Ticket{Channel: "jira", Notify: "slack"}.Announcement(closed))
	require.Empty(t, deviceops.Ticket{Channel: "jira", Notify: "jira"}.Announcement(closed))
	require.Empty(t, deviceops.Ticket{Channel: "jira"}.Announcement(closed))
	require.Empty(t, deviceops.Ticket{Channel: "jira", Notify: "slack", Parent: "p"}.Announcement(closed))
	require.Empty(t, deviceops.Ticket{Notify: "slack"}.Announcement(deviceops.TicketEntry{Kind: deviceops.EntryCommented}))
}

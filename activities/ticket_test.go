package activities_test

import (
	"context"
	"net/http"
	"net/netip"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"go.temporal.io/sdk/temporal"

	"github.com/deviceops/deviceops"
	"github.com/deviceops/deviceops/activities"
	"github.com/deviceops/deviceops/channel"
	"github.com/deviceops/deviceops/channel/channeltest"
	"github.com/deviceops/deviceops/outbound"
)

// desk is a world with a ticket system.
type desk struct {
	*world
	*testing.T
	jira      *channeltest.System
	meanwhile func(operation string) // happens while the system answers
}

// slowSystems answer after something else has happened.
type slowSystems struct {
	deviceops.Channels
	desk *desk
}

func (s slowSystems) Call(ctx context.Context, c deviceops.ChannelCall) (deviceops.ChannelAnswer, error) {
	answer, err := s.Channels.Call(ctx, c)
	if s.desk.meanwhile != nil {
		s.desk.meanwhile(c.Operation)
	}
	return answer, err
}

func newDesk(t *testing.T) *desk {
	d := &desk{T: t, jira: channeltest.Jira(t)}
	systems := channel.New(channel.Config{
		Source: channeltest.Source{"jira": channeltest.Document(t, "jira", d.jira.URL)}, Secrets: channeltest.Secrets{},
		Guard: outbound.NewGuard([]netip.Prefix{netip.MustParsePrefix("127.0.0.0/8")}), Now: func() time.Time { return d.now },
	})
	d.world = newWorld(t, func(deps *activities.Deps) { deps.Channels = slowSystems{systems, d} })
	require.NoError(t, d.store.MaintainEvents(t.Context(), noon, 24*time.Hour))
	return d
}

// open opens a ticket by a step, and gives it.
func (d *desk) open() deviceops.Ticket {
	d.device(d.T, "k1", deviceops.Active)
	out, err := d.perform("ticket.open", "open", map[string]any{"title": "dark", "body": "no picture", "channel": "jira"})
	require.NoError(d, err)
	return d.ticket(out["id"].(string))
}

func (d *desk) ticket(id string) deviceops.Ticket {
	t, err := d.store.FindTicket(d.T.Context(), id)
	require.NoError(d, err)
	return t
}

func (d *desk) sync(id string) bool {
	d.Helper()
	out, err := do[activities.TicketOutput](d.world, activities.NameSyncTicket, activities.TicketInput{Ticket: id})
	require.NoError(d, err)
	return out.Ended
}

func TestTicketsAreKeptInStep(t *testing.T) {
	t.Parallel()
	d := newDesk(t)
	ticket := d.open()
	starts, err := d.store.PendingStarts(t.Context(), noon.Add(time.Hour), noon.Add(time.Hour), 10)
	require.NoError(t, err)
	require.Equal(t, ticket.SyncStart().WorkflowID, starts[0].WorkflowID, "asked for with the ticket, in one transaction")
	require.Empty(t, d.jira.Calls(), "the step does not wait for the system")

	require.False(t, d.sync(ticket.ID))
	require.Len(t, d.jira.Tickets(), 1)
	ticket = d.ticket(ticket.ID)
	require.Equal(t, deviceops.RemoteTicket{ID: "OPS-1", URL: "https://acme.atlassian.net/browse/OPS-1", Status: "new", State: "open"}, ticket.Remote)

	_, err = d.perform("ticket.comment", "say", map[string]any{"ticket": ticket.ID, "text": "fuse ordered"})
	require.NoError(t, err)
	require.False(t, d.sync(ticket.ID))
	require.False(t, d.sync(ticket.ID))
	require.Equal(t, []string{"run:r1: fuse ordered"}, d.jira.Tickets()[0].Comments, "once")

	wait := map[string]any{"ticket": ticket.ID}
	_, err = d.perform("ticket.wait", "wait", wait)
	require.Equal(t, deviceops.EUNAVAILABLE, activities.Cause(err).Code, "Temporal looks again later")
	d.jira.Move("OPS-1", "done")
	require.True(t, d.sync(ticket.ID), "closed there, it is closed here")
	ticket = d.ticket(ticket.ID)
	require.Equal(t, "channel:jira", ticket.ClosedBy)
	require.Equal(t, "OPS-1 is done", ticket.Resolution)
	require.Len(t, d.events(t, "k1", deviceops.EventTicketClosed), 1)
	out, err := d.perform("ticket.wait", "wait", wait)
	require.NoError(t, err)
	require.Equal(t, map[string]any{"id": ticket.ID, "closed_by": "channel:jira", "resolution": "OPS-1 is done"}, out)
	d.jira.Calls()
	require.True(t, d.sync(ticket.ID))
	require.Empty(t, d.jira.Calls(), "what it said itself it is not told")
}

func TestTicketsAreClosedThere(t *testing.T) {
	t.Parallel()
	d := newDesk(t)
	ticket := d.open()
	require.False(t, d.sync(ticket.ID))
	_, err := d.perform("ticket.close", "close", map[string]any{"ticket": ticket.ID, "resolution": "it came back"})
	require.NoError(t, err)
	require.True(t, d.sync(ticket.ID))
	require.Equal(t, "done", d.jira.Tickets()[0].Status)
	_, err = deviceops.TellTicket(t.Context(), d.store, deviceops.TicketEntry{ID: "again", Ticket: ticket.ID, Kind: deviceops.EntryReopened, At: noon, By: "user:maria"})
	require.NoError(t, err)
	require.False(t, d.sync(ticket.ID))
	require.Equal(t, "new", d.jira.Tickets()[0].Status, "opened again here, it is opened again there")
}

func TestLostAnswerOpensNoSecondTicket(t *testing.T) {
	t.Parallel()
	d := newDesk(t)
	ticket := d.open()
	require.False(t, d.sync(ticket.ID))
	require.NoError(t, d.store.LinkTicket(t.Context(), ticket.ID, deviceops.RemoteTicket{})) // as if it had not been noted
	require.False(t, d.sync(ticket.ID))
	require.Len(t, d.jira.Tickets(), 1)
	require.Equal(t, "OPS-1", d.ticket(ticket.ID).Remote.ID)
}

func TestSystemsThatAreAwayOrRefuse(t *testing.T) {
	t.Parallel()
	d := newDesk(t)
	ticket := d.open()
	try := func() *temporal.ApplicationError {
		_, err := do[activities.TicketOutput](d.world, activities.NameSyncTicket, activities.TicketInput{Ticket: ticket.ID})
		var failed *temporal.ApplicationError
		require.ErrorAs(t, err, &failed)
		require.False(t, failed.NonRetryable(), "the ticket is open: it is tried for as long as it takes")
		return failed
	}
	d.jira.Refuse(http.StatusTooManyRequests, "90")
	require.Equal(t, 90*time.Second, try().NextRetryDelay())
	d.jira.Calls()
	d.now = d.now.Add(30 * time.Second)
	require.Equal(t, 60*time.Second, try().NextRetryDelay())
	require.Empty(t, d.jira.Calls(), "it is left alone as long as it asks")
	require.Len(t, d.ticket(ticket.ID).Entries, 1, "that it is busy is nobody's business")
	d.now = d.now.Add(60 * time.Second)
	for range 2 {
		d.jira.Refuse(http.StatusUnauthorized, "")
		require.Equal(t, 5*time.Minute, try().NextRetryDelay())
	}
	entries := d.ticket(ticket.ID).Entries
	require.Len(t, entries, 2, "what a person has to mend is told once")
	require.Equal(t, deviceops.EntryRefused, entries[1].Kind)
	require.Contains(t, entries[1].Text, "401 Unauthorized")
	require.False(t, d.sync(ticket.ID))
}

package api_test

import (
	"net/http"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/deviceops/deviceops"
)

// ticket opens a ticket of account acme as a run does.
func (r *rig) ticket(id string) {
	r.Helper()
	opened, err := deviceops.OpenTicket(r.Context(), r.store, deviceops.TicketOpening{
		Ticket: deviceops.Ticket{ID: id, Account: "acme", Title: "Reboot failed", Severity: "error", Fingerprint: id},
		Entry:  deviceops.TicketEntry{ID: "run." + id, At: now, By: "run:r1", Text: "in use"},
	}, now)
	require.NoError(r, err)
	require.True(r, opened.Created)
}

func TestTickets(t *testing.T) {
	t.Parallel()
	r := newRig(t)
	r.ticket("t1")
	r.ticket("t2")
	say := func(verb, text string, headers ...string) answer {
		return r.as(olga, http.MethodPost, "/v1/tickets/t1/"+verb, map[string]string{"text": text}, headers...)
	}
	var ticket deviceops.Ticket
	say("assign", "user:maria").into(&ticket)
	require.Equal(t, "user:maria", ticket.Assignee)
	for range 2 { // with a key, a repeat is the same
		say("comment", "on my way", "Idempotency-Key", "k").into(&ticket)
		say("close", "fuse replaced", "Idempotency-Key", "k").into(&ticket)
	}
	require.Equal(t, deviceops.TicketClosed, ticket.Status)
	require.Equal(t, "user:olga", ticket.ClosedBy)
	require.Len(t, ticket.Entries, 4)
	require.Equal(t, "ticket.closed", r.audited("ticket:t1").Action)
	say("close", "again").refused(409, deviceops.ECONFLICT)
	say("reopen", "").refused(422, deviceops.EINVALID)
	ticket = deviceops.Ticket{}
	say("reopen", "dark again").into(&ticket)
	require.Equal(t, deviceops.TicketOpen, ticket.Status)
	require.Empty(t, ticket.Resolution)
	require.Equal(t, deviceops.EntryReopened, ticket.Entries[4].Kind)
	require.Equal(t, "user:olga", ticket.Entries[4].By)
	require.Equal(t, "ticket.reopened", r.audited("ticket:t1").Action)
	require.Equal(t, "dark again", r.audited("ticket:t1").Reason)
	say("reopen", "twice").refused(409, deviceops.ECONFLICT)
	say("close", "another fuse").into(&ticket)
	say("comment", "").refused(422, deviceops.EINVALID)

	var page struct {
		Items []deviceops.Ticket
		Next  string
	}
	r.as(victor, http.MethodGet, "/v1/tickets?status=open", nil).into(&page)
	require.Len(t, page.Items, 1)
	require.Equal(t, "t2", page.Items[0].ID)
	r.as(victor, http.MethodGet, "/v1/tickets?limit=1", nil).into(&page)
	require.NotEmpty(t, page.Next)
	r.as(victor, http.MethodGet, "/v1/tickets?limit=1&cursor="+page.Next, nil).into(&page)
	require.Equal(t, "t1", page.Items[0].ID)
}

func TestTicketsAreThoseOfTheAccount(t *testing.T) {
	t.Parallel()
	r := newRig(t)
	r.ticket("t1")
	r.as(stranger, http.MethodGet, "/v1/tickets/t1", nil).refused(404, deviceops.ENOTFOUND)
	r.as(stranger, http.MethodPost, "/v1/tickets/t1/close", map[string]string{"text": "x"}).refused(404, deviceops.ENOTFOUND)
	r.as(stranger, http.MethodGet, "/v1/tickets?account=acme", nil).refused(404, deviceops.ENOTFOUND)
	r.as(victor, http.MethodPost, "/v1/tickets/t1/close", map[string]string{"text": "x"}).refused(403, deviceops.EFORBIDDEN)
	r.as(victor, http.MethodPost, "/v1/tickets/t1/reopen", map[string]string{"text": "x"}).refused(403, deviceops.EFORBIDDEN)
	r.as(victor, http.MethodGet, "/v1/tickets/none", nil).refused(404, deviceops.ENOTFOUND)
}

func TestApplyChecksActions(t *testing.T) {
	t.Parallel()
	r := newRig(t)
	report := r.publish(anna, "", "workflow: w\nsteps:\n  - action: ticket.opn\n    with: { title: x }\n")
	require.True(t, report.Refused)
	require.Contains(t, report.Documents[0].Diagnostics[0].Message, "did you mean ticket.open?")
}

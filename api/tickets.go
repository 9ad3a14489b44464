package api

import (
	"cmp"
	"context"
	"net/http"

	"github.com/deviceops/deviceops"
)

type ticketService struct{ *core }

func (s *server) ticketRoutes(t ticketService) {
	handle(s, route{
		id: "list-tickets", method: http.MethodGet, path: "/v1/tickets", role: deviceops.RoleViewer,
		summary: "List tickets, newest first",
		about:   "The members of a storm are left out where neither they, nor a device, nor who opened them are asked for: their parent stands for them.",
	}, t.list)
	handle(s, route{
		id: "get-ticket", method: http.MethodGet, path: "/v1/tickets/{id}", role: deviceops.RoleViewer,
		summary: "Show a ticket with what happened to it",
	}, t.get)
	handle(s, route{
		id: "comment-ticket", method: http.MethodPost, path: "/v1/tickets/{id}/comment", role: deviceops.RoleOperator,
		summary: "Add a comment to a ticket", about: "With an Idempotency-Key repeats are harmless.",
	}, t.change(deviceops.EntryCommented))
	handle(s, route{
		id: "assign-ticket", method: http.MethodPost, path: "/v1/tickets/{id}/assign", role: deviceops.RoleOperator,
		summary: "Give a ticket to somebody", about: "An empty text takes it from whoever has it.",
	}, t.change(deviceops.EntryAssigned))
	handle(s, route{
		id: "set-ticket-severity", method: http.MethodPost, path: "/v1/tickets/{id}/severity", role: deviceops.RoleOperator,
		summary: "Say how much a ticket matters", about: "The text is info, warning, error or critical. The system of its channel is told.",
	}, t.change(deviceops.EntrySeverity))
	handle(s, route{
		id: "close-ticket", method: http.MethodPost, path: "/v1/tickets/{id}/close", role: deviceops.RoleOperator,
		summary: "Close a ticket", about: "The text says what became of the problem. The members of a parent are closed with it.",
	}, t.change(deviceops.EntryClosed))
	handle(s, route{
		id: "reopen-ticket", method: http.MethodPost, path: "/v1/tickets/{id}/reopen", role: deviceops.RoleOperator,
		summary: "Open a ticket again that was closed",
		about:   "The text says why. The system of its channel is told; the parent of a member is open again, too.",
	}, t.change(deviceops.EntryReopened))
}

type ticketFilter struct {
	Paged
	Account  string `query:"account" doc:"This account and all below it"`
	Status   string `query:"status" enum:"open,closed"`
	Device   string `query:"device"`
	Assignee string `query:"assignee"`
	OpenedBy string `query:"opened_by" doc:"Such as run:r1, or automation:NAME for all its versions"`
	Parent   string `query:"members_of" doc:"The members of this ticket, the parent of a storm"`
	Members  bool   `query:"members" doc:"Also tickets that are members of a storm"`
}

func (t ticketService) list(ctx context.Context, p deviceops.Principal, in *ticketFilter) (page[deviceops.Ticket], error) {
	account, err := scope(p, in.Account)
	if err != nil {
		return page[deviceops.Ticket]{}, err
	}
	after, err := in.after()
	if err != nil {
		return page[deviceops.Ticket]{}, err
	}
	rows, err := t.Store.ListTickets(ctx, deviceops.TicketFilter{
		Account: account, Status: deviceops.TicketStatus(in.Status), Device: in.Device, Assignee: in.Assignee, Parent: in.Parent,
		OpenedBy: in.OpenedBy, Alone: !in.Members && in.Parent == "" && in.Device == "" && in.OpenedBy == "", After: after, Limit: in.Limit + 1,
	})
	return pageOf(rows, in.Limit, func(ticket deviceops.Ticket) string { return ticket.ID }), err
}

// TicketPath is the part of an input that names a ticket.
type TicketPath struct {
	ID string `path:"id" maxLength:"128"`
}

func (t ticketService) get(ctx context.Context, p deviceops.Principal, in *TicketPath) (deviceops.Ticket, error) {
	ticket, err := t.Store.FindTicket(ctx, in.ID)
	if err == nil {
		err = visible(p, ticket.Account, "ticket", in.ID)
	}
	if err != nil {
		return deviceops.Ticket{}, err
	}
	return ticket, nil
}

type ticketChange struct {
	Reasoned
	TicketPath
	Key  string `header:"Idempotency-Key" maxLength:"128" doc:"Makes repeats harmless"`
	Body deviceops.TicketRequest
}

// change gives the handler that adds an entry of a kind. The entry is the record
// of who did it; the audit log has it too.
func (t ticketService) change(kind string) func(context.Context, deviceops.Principal, *ticketChange) (deviceops.Ticket, error) {
	return func(ctx context.Context, p deviceops.Principal, in *ticketChange) (deviceops.Ticket, error) {
		ticket, err := t.get(ctx, p, &in.TicketPath)
		if err != nil {
			return deviceops.Ticket{}, err
		}
		if in.Body.Text == "" {
			switch kind {
			case deviceops.EntryCommented:
				return deviceops.Ticket{}, deviceops.Errorf(deviceops.EINVALID, "the comment is empty")
			case deviceops.EntryReopened:
				return deviceops.Ticket{}, deviceops.Errorf(deviceops.EINVALID, "the text has to say why the ticket is opened again")
			}
		}
		entry := deviceops.TicketEntry{
			ID: keyed(p, "entry", in.key(kind)), Ticket: ticket.ID, Kind: kind, At: t.Now(), By: p.Name, Text: in.Body.Text,
		}
		if hasEntry(ticket, entry.ID) {
			return ticket, nil
		}
		err = t.Store.InTx(ctx, func(ctx context.Context, tx deviceops.Tx) error {
			if _, err := deviceops.TellTicket(ctx, tx, entry); err != nil {
				return err
			}
			return tx.AppendAudit(ctx, t.entry(p, change{
				account: ticket.Account, action: "ticket." + kind, target: "ticket:" + ticket.ID, reason: cmp.Or(in.Reason, in.Body.Text),
			}))
		})
		if err != nil {
			return deviceops.Ticket{}, err
		}
		return t.Store.FindTicket(ctx, ticket.ID)
	}
}

func hasEntry(t deviceops.Ticket, id string) bool {
	for _, e := range t.Entries {
		if e.ID == id {
			return true
		}
	}
	return false
}

// key keeps one key from meaning two things.
func (in *ticketChange) key(kind string) string {
	if in.Key == "" {
		return ""
	}
	return in.ID + "\x00" + kind + "\x00" + in.Key
}

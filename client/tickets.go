package client

import (
	"context"
	"net/http"
	"net/url"

	"github.com/deviceops/deviceops"
)

// ListTickets gives tickets without entries, newest first. f.After is not used;
// cursor is.
func (c *Client) ListTickets(ctx context.Context, f deviceops.TicketFilter, cursor string) (Page[deviceops.Ticket], error) {
	return get[Page[deviceops.Ticket]](ctx, c, "/v1/tickets", query(
		"account", f.Account, "status", f.Status, "device", f.Device, "assignee", f.Assignee, "members_of", f.Parent, "opened_by", f.OpenedBy, "members", !f.Alone, "limit", f.Limit, "cursor", cursor))
}

// Ticket gives a ticket with its entries. ENOTFOUND.
func (c *Client) Ticket(ctx context.Context, id string) (deviceops.Ticket, error) {
	return get[deviceops.Ticket](ctx, c, "/v1/tickets/"+url.PathEscape(id), nil)
}

// CommentTicket adds a comment. ENOTFOUND.
func (c *Client) CommentTicket(ctx context.Context, id, text string) (deviceops.Ticket, error) {
	return c.changeTicket(ctx, id, "comment", text, "")
}

// AssignTicket gives a ticket to somebody; "" takes it from whoever has it.
// ENOTFOUND, ECONFLICT.
func (c *Client) AssignTicket(ctx context.Context, id, assignee, reason string) (deviceops.Ticket, error) {
	return c.changeTicket(ctx, id, "assign", assignee, reason)
}

// SetTicketSeverity says how much a ticket matters. ENOTFOUND, EINVALID, ECONFLICT.
func (c *Client) SetTicketSeverity(ctx context.Context, id, severity, reason string) (deviceops.Ticket, error) {
	return c.changeTicket(ctx, id, "severity", severity, reason)
}

// CloseTicket closes a ticket. ENOTFOUND, ECONFLICT.
func (c *Client) CloseTicket(ctx context.Context, id, resolution string) (deviceops.Ticket, error) {
	return c.changeTicket(ctx, id, "close", resolution, "")
}

// ReopenTicket opens a ticket again that was closed; reason says why. ENOTFOUND,
// EINVALID without a reason, ECONFLICT if it is open, or another one of its problem
// is.
func (c *Client) ReopenTicket(ctx context.Context, id, reason string) (deviceops.Ticket, error) {
	return c.changeTicket(ctx, id, "reopen", reason, "")
}

func (c *Client) changeTicket(ctx context.Context, id, verb, text, reason string) (deviceops.Ticket, error) {
	return do[deviceops.Ticket](ctx, c, call{
		method: http.MethodPost, path: "/v1/tickets/" + url.PathEscape(id) + "/" + verb, body: deviceops.TicketRequest{Text: text}, reason: reason,
	})
}

package deviceops

import (
	"context"
	"time"
)

// TicketStatus is how far a ticket is.
type TicketStatus string

// Statuses of a ticket.
const (
	TicketOpen   TicketStatus = "open"
	TicketClosed TicketStatus = "closed"
)

// Ticket is a problem that somebody has to look into.
type Ticket struct {
	ID       string       `json:"id"`
	Account  string       `json:"account"`
	Device   string       `json:"device,omitempty"`
	Title    string       `json:"title"`
	Body     string       `json:"body,omitempty"`
	Severity string       `json:"severity"` // info, warning, error, critical
	Status   TicketStatus `json:"status"`

	// Fingerprint names the problem: of one account and fingerprint there is at
	// most one open ticket.
	Fingerprint string `json:"fingerprint"`
	Count       int    `json:"count"` // how often the problem was told, from 1

	Assignee   string    `json:"assignee,omitempty"`
	Run        string    `json:"run,omitempty"` // that opened it
	OpenedBy   string    `json:"opened_by"`
	OpenedAt   time.Time `json:"opened_at"`
	UpdatedAt  time.Time `json:"updated_at"`
	ClosedBy   string    `json:"closed_by,omitempty"`
	ClosedAt   time.Time `json:"closed_at,omitzero"`
	Resolution string    `json:"resolution,omitempty"`

	// Channel keeps the ticket in step with another system; "": it is ours alone.
	Channel string       `json:"channel,omitempty"`
	Remote  RemoteTicket `json:"remote,omitzero"`

	Entries []TicketEntry `json:"entries,omitempty"` // oldest first
}

// Kinds of entries of a ticket.
const (
	EntryOpened    = "opened"
	EntryRepeated  = "repeated" // the same problem was told again
	EntryCommented = "commented"
	EntryAssigned  = "assigned"
	EntryClosed    = "closed"
)

// TicketEntry is one thing that happened to a ticket.
type TicketEntry struct {
	ID     string    `json:"id"` // unique in the installation: what is told twice under one id happens once
	Ticket string    `json:"ticket"`
	Kind   string    `json:"kind"`
	At     time.Time `json:"at"`
	By     string    `json:"by"`
	Text   string    `json:"text,omitempty"`
}

// Apply changes the ticket as the entry says. ECONFLICT for one that is closed
// and is to be closed with another resolution, or assigned.
func (t *Ticket) Apply(e TicketEntry) error {
	switch e.Kind {
	case EntryRepeated:
		t.Count++
	case EntryAssigned:
		if t.Status == TicketClosed {
			return Errorf(ECONFLICT, "ticket %s is closed; the same problem, told again, opens another one", t.ID)
		}
		t.Assignee = e.Text
	case EntryClosed:
		if t.Status == TicketClosed {
			return Errorf(ECONFLICT, "ticket %s was closed by %s already", t.ID, t.ClosedBy)
		}
		t.Status, t.ClosedAt, t.ClosedBy, t.Resolution = TicketClosed, e.At, e.By, e.Text
	}
	t.UpdatedAt = e.At
	return nil
}

// TicketRequest is what a person says of a ticket.
type TicketRequest struct {
	Text string `json:"text" maxLength:"20000"` // the comment, the assignee or the resolution
}

// TicketFilter selects tickets. Zero fields select all.
type TicketFilter struct {
	Account     string // this account and all below it
	Device      string
	Status      TicketStatus
	Assignee    string
	Fingerprint string
	After       string // id after which to go on (newest first)
	Limit       int    // 0: 100
}

// Tickets keeps tickets and what happened to them.
type Tickets interface {
	// OpenTicket stores t with entry, its first one, or adds the entry as a
	// repetition to the open ticket of the same account and fingerprint. It
	// gives the ticket as stored, without entries; created tells which. Called
	// again with an entry that is known it changes nothing, and created is as
	// it was the first time.
	OpenTicket(ctx context.Context, t Ticket, entry TicketEntry) (stored Ticket, created bool, err error)

	// AddTicketEntry adds an entry to its ticket and applies it; one that is
	// known changes nothing. It gives the ticket without entries. ENOTFOUND, and
	// the errors of Ticket.Apply.
	AddTicketEntry(ctx context.Context, entry TicketEntry) (Ticket, error)

	// FindTicket gives a ticket with its entries. ENOTFOUND.
	FindTicket(ctx context.Context, id string) (Ticket, error)

	// ListTickets gives tickets without entries, newest first.
	ListTickets(ctx context.Context, f TicketFilter) ([]Ticket, error)
}

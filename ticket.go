package deviceops

import (
	"context"
	"strings"
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
	EntryReopened  = "reopened"
	EntryRefused   = "refused" // the other system did not take something
)

// Types of the events that tell of tickets.
const (
	EventTicketClosed   = "ticket.closed"
	EventTicketReopened = "ticket.reopened"
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
	case EntryReopened:
		if t.Status == TicketOpen {
			return Errorf(ECONFLICT, "ticket %s is open", t.ID)
		}
		t.Status, t.ClosedAt, t.ClosedBy, t.Resolution = TicketOpen, time.Time{}, "", ""
	}
	t.UpdatedAt = e.At
	return nil
}

// channelActor begins the names of those who act in another system.
const channelActor = "channel:"

// ChannelActor names who acted in another system; by is its word for them, "" if
// it has none.
func ChannelActor(channel, by string) string {
	if by == "" {
		return channelActor + channel
	}
	return channelActor + channel + " (" + by + ")"
}

// Unsent reports whether the other system has to be told of an entry: not of what
// it said itself, nor of what only we count.
func (t Ticket) Unsent(e TicketEntry) bool {
	if t.Channel == "" || strings.HasPrefix(e.By, channelActor) {
		return false
	}
	return e.Kind == EntryCommented || e.Kind == EntryClosed || e.Kind == EntryReopened
}

// echoes reports whether a comment is one that the other system has from us: our
// texts come back with a name before them.
func (t Ticket) echoes(comment string) bool {
	for _, e := range t.Entries {
		if e.Text != "" && t.Unsent(e) && strings.HasSuffix(strings.TrimSpace(comment), strings.TrimSpace(e.Text)) {
			return true
		}
	}
	return false
}

// TellTicket adds an entry to its ticket. That a ticket was closed or opened again
// is an event too, for which workflows may wait.
func TellTicket(ctx context.Context, tx Tx, e TicketEntry) (Ticket, error) {
	before, err := tx.FindTicket(ctx, e.Ticket)
	if err != nil {
		return Ticket{}, err
	}
	t, err := tx.AddTicketEntry(ctx, e)
	if err != nil || t.Status == before.Status {
		return t, err
	}
	event := EventTicketClosed
	if t.Status == TicketOpen {
		event = EventTicketReopened
	}
	return t, tx.AppendEvents(ctx, []Event{{
		Account: t.Account, Device: t.Device, Type: event, Severity: "info", At: e.At, ReceivedAt: e.At,
		Data: map[string]any{"ticket": t.ID, "by": e.By, "resolution": t.Resolution, "fingerprint": t.Fingerprint},
	}})
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

	// LinkTicket writes what is known of the ticket in the other system.
	LinkTicket(ctx context.Context, id string, remote RemoteTicket) error

	// FindRemoteTicket gives the newest ticket of an account, or one below it,
	// that a channel keeps under an id of the other system, with its entries.
	// ENOTFOUND.
	FindRemoteTicket(ctx context.Context, account, channel, remoteID string) (Ticket, error)

	// UnsentEntries gives the entries that the other system was not told of,
	// oldest first; SentEntry notes that it was told of one.
	UnsentEntries(ctx context.Context, ticket string) ([]TicketEntry, error)
	SentEntry(ctx context.Context, id string) error

	// ListTickets gives tickets without entries, newest first.
	ListTickets(ctx context.Context, f TicketFilter) ([]Ticket, error)
}

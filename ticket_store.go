package deviceops

import (
	"context"
	"time"
)

// TicketProblem names a problem: of one account and fingerprint there is at most
// one open ticket.
type TicketProblem struct {
	Account     string `json:"account"`
	Fingerprint string `json:"fingerprint"`
}

// TicketCause names what the tickets of one storm have in common.
type TicketCause struct {
	Account string `json:"account"`
	Cause   string `json:"cause"`
}

// TicketLock says which tickets are about to be changed.
type TicketLock struct {
	IDs      []string // of tickets
	Entries  []string // ids of entries that may have been told before: their tickets
	Problems []TicketProblem
	Causes   []TicketCause
	Since    time.Time // of the causes: tickets that are open since then, or later
}

// LockedTickets is what may be changed until the transaction ends.
type LockedTickets struct {
	// Tickets are those that were asked for by id and by entry; of each problem,
	// also of theirs, the open ticket and the one that was closed last; of each
	// cause those that are open and neither parents nor members; and the parents
	// of all these. They are without entries.
	Tickets []Ticket
	Entries map[string]TicketEntry // that were told before
}

// Tickets keeps tickets and what happened to them.
type Tickets interface {
	// LockTickets locks tickets until the transaction ends. All that is said of
	// one problem, or one cause, takes turns by it.
	LockTickets(ctx context.Context, l TicketLock) (LockedTickets, error)

	// SaveTickets stores tickets that are locked, or new. What is known of other
	// systems stays as it is.
	SaveTickets(ctx context.Context, tickets []Ticket) error

	// AppendTicketEntries stores entries of tickets that are stored, in order;
	// ones that are known are left as they are.
	AppendTicketEntries(ctx context.Context, entries []TicketEntry) error

	// CloseMembers closes the open members of a parent that is locked, each by an
	// entry like e, and gives them as they are then.
	CloseMembers(ctx context.Context, e TicketEntry) ([]Ticket, error)

	// FindTicket gives a ticket with its entries. ENOTFOUND.
	FindTicket(ctx context.Context, id string) (Ticket, error)

	// FindOpenTicket gives the open ticket of a problem, without entries.
	// ENOTFOUND.
	FindOpenTicket(ctx context.Context, p TicketProblem) (Ticket, error)

	// RecoveringTickets gives the ids of the open tickets that close themselves when
	// one of the devices is online, with that device.
	RecoveringTickets(ctx context.Context, devices []string) (map[string]string, error)

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

	// UnannouncedEntries gives those that people were not told of, oldest first;
	// AnnouncedEntry notes that they were told of one.
	UnannouncedEntries(ctx context.Context, ticket string) ([]TicketEntry, error)
	AnnouncedEntry(ctx context.Context, id string) error

	// ListTickets gives tickets without entries, newest first.
	ListTickets(ctx context.Context, f TicketFilter) ([]Ticket, error)
}

package deviceops

import (
	"context"
	"strings"
	"time"
)

// TellTickets adds entries to their tickets, in order, and does what follows: the
// last member that is closed ends its storm, a parent that is closed closes its
// members, and that a ticket was closed or opened again is an event, for which
// workflows may wait. What is known changes nothing, nor that a ticket recovered
// that is closed, nor whether another system has a member of a storm open. It gives
// the tickets, without entries. ENOTFOUND, ECONFLICT and EINVALID as Ticket.Apply
// says; ECONFLICT too if the problem of a ticket that is to be opened again has
// another one that is open.
func TellTickets(ctx context.Context, tx Tx, entries []TicketEntry, now time.Time) ([]Ticket, error) {
	if len(entries) == 0 {
		return nil, nil
	}
	var l TicketLock
	for _, e := range entries {
		l.IDs, l.Entries = append(l.IDs, e.Ticket), append(l.Entries, e.ID)
	}
	d, err := lockDesk(ctx, tx, l, now)
	if err != nil {
		return nil, err
	}
	for _, e := range entries {
		if err := d.tell(e); err != nil {
			return nil, err
		}
	}
	if err := d.save(ctx); err != nil {
		return nil, err
	}
	told := make([]Ticket, len(entries))
	for i, e := range entries {
		told[i] = *d.tickets[e.Ticket]
	}
	return told, nil
}

// TellTicket is TellTickets of one entry, at its time.
func TellTicket(ctx context.Context, tx Tx, e TicketEntry) (Ticket, error) {
	told, err := TellTickets(ctx, tx, []TicketEntry{e}, e.At)
	if err != nil {
		return Ticket{}, err
	}
	return told[0], nil
}

func (d *ticketDesk) tell(e TicketEntry) error {
	t := d.tickets[e.Ticket]
	if t == nil {
		return Errorf(ENOTFOUND, "there is no ticket %s", e.Ticket)
	}
	if _, known := d.entries[e.ID]; known || e.Kind == EntryRecovered && t.Status == TicketClosed {
		return nil
	}
	if t.Parent != "" && strings.HasPrefix(e.By, channelActor) && (e.Kind == EntryClosed || e.Kind == EntryReopened) {
		return nil // it was closed there because it is a member of a storm, which says nothing of it
	}
	if other := d.openOf[t.problem()]; e.Kind == EntryReopened && other != nil && other != t {
		return Errorf(ECONFLICT, "the problem of ticket %s has another one that is open: %s", t.ID, other.ID)
	}
	return d.apply(t, e)
}

package deviceops

import (
	"context"
	"time"
)

// TicketOpening tells of a problem.
type TicketOpening struct {
	// Ticket is as it is to be if the problem has none. Its status, counts and
	// times are not read.
	Ticket Ticket
	Entry  TicketEntry // its id names the effect; its ticket and kind follow

	Fold   Fold
	Reopen time.Duration // a ticket that was closed no longer ago is opened again; 0: none is
}

// DefaultReopen is for how long a ticket that was closed is opened again where
// nothing else is said.
const DefaultReopen = time.Hour

// TicketOpened is what became of an opening.
type TicketOpened struct {
	Ticket  Ticket // without entries
	Created bool   // for it; false: the problem had a ticket
}

// OpenTickets tells of problems, in order: each opens a ticket, counts on the one
// that is open, or opens one again that was closed a short while ago. Tickets of
// one cause fold into a parent by the rules of Fold. What was told before under
// the id of its entry changes nothing, and gives what it gave then.
func OpenTickets(ctx context.Context, tx Tx, openings []TicketOpening, now time.Time) ([]TicketOpened, error) {
	if len(openings) == 0 {
		return nil, nil
	}
	d, err := lockDesk(ctx, tx, lockFor(openings), now)
	if err != nil {
		return nil, err
	}
	opened := make([]*Ticket, len(openings))
	created := make([]bool, len(openings))
	for i, o := range openings {
		opened[i], created[i] = d.open(o)
	}
	if err := d.save(ctx); err != nil {
		return nil, err
	}
	out := make([]TicketOpened, len(openings))
	for i, t := range opened {
		out[i] = TicketOpened{*t, created[i]}
	}
	return out, nil
}

// OpenTicket is OpenTickets of one.
func OpenTicket(ctx context.Context, tx Tx, o TicketOpening, now time.Time) (TicketOpened, error) {
	opened, err := OpenTickets(ctx, tx, []TicketOpening{o}, now)
	if err != nil {
		return TicketOpened{}, err
	}
	return opened[0], nil
}

// lockFor says what openings may change.
func lockFor(openings []TicketOpening) TicketLock {
	var l TicketLock
	for _, o := range openings {
		l.Entries = append(l.Entries, o.Entry.ID)
		l.Problems = append(l.Problems, o.Ticket.problem())
		if o.Fold.By == "" {
			continue
		}
		cause := TicketCause{o.Ticket.Account, o.Fold.By}
		l.Causes, l.Problems = append(l.Causes, cause), append(l.Problems, cause.parent())
		if since := o.Entry.At.Add(-o.Fold.within()); l.Since.IsZero() || since.Before(l.Since) {
			l.Since = since
		}
	}
	return l
}

func (t *Ticket) problem() TicketProblem { return TicketProblem{t.Account, t.Fingerprint} }

// open tells of one problem.
func (d *ticketDesk) open(o TicketOpening) (t *Ticket, created bool) {
	if known, ok := d.entries[o.Entry.ID]; ok {
		return d.tickets[known.Ticket], known.Kind == EntryOpened
	}
	problem := o.Ticket.problem()
	if t = d.openOf[problem]; t != nil {
		d.repeat(t, o)
		return t, false
	}
	if t = d.closedOf[problem]; t != nil && d.relapses(t, o) {
		d.relapse(t, o)
		return t, false
	}
	return d.create(o), true
}

// repeat counts on the ticket that is open. It may matter more by now.
func (d *ticketDesk) repeat(t *Ticket, o TicketOpening) {
	d.note(t, o.Entry, EntryRepeated)
	d.value(t, o.Ticket.Severity, o.Entry)
	if parent := d.parentOf(t); parent != nil {
		d.value(parent, t.Severity, o.Entry)
	}
}

// relapses reports whether a problem that is told again opens its last ticket
// again: shortly after that was closed, and for as long as its storm lasts.
func (d *ticketDesk) relapses(t *Ticket, o TicketOpening) bool {
	if parent := d.parentOf(t); parent != nil && parent.Status == TicketOpen {
		return true
	}
	return o.Entry.At.Before(t.ClosedAt.Add(o.Reopen))
}

// relapse opens a ticket again. A member of a storm brings the storm back.
func (d *ticketDesk) relapse(t *Ticket, o TicketOpening) {
	d.note(t, o.Entry, EntryRelapsed)
	d.value(t, o.Ticket.Severity, o.Entry)
	if t.Parent == "" {
		d.fold(t, o)
	}
}

// create opens a ticket.
func (d *ticketDesk) create(o TicketOpening) *Ticket {
	t := d.begin(o.Ticket, o.Entry)
	d.fold(t, o)
	return t
}

// begin opens a ticket by an entry.
func (d *ticketDesk) begin(t Ticket, e TicketEntry) *Ticket {
	t.Status, t.Count, t.OpenedBy, t.OpenedAt, t.OpenSince = TicketOpen, 1, e.By, e.At, e.At
	d.tickets[t.ID], d.fresh[t.ID] = &t, true
	d.arrange(&t)
	d.note(&t, e, EntryOpened)
	return &t
}

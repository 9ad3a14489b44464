package deviceops

import (
	"context"
	"time"
)

// engineActor is who acts where no person, run or automation does.
const engineActor = "engine"

// ticketDesk works on tickets that are locked. What it decides follows from them
// alone; save writes it.
type ticketDesk struct {
	tx  Tx
	now time.Time

	tickets  map[string]*Ticket // by id
	entries  map[string]TicketEntry
	openOf   map[TicketProblem]*Ticket
	closedOf map[TicketProblem]*Ticket // closed last
	alone    map[TicketCause][]*Ticket // open, neither parents nor members
	fresh    map[string]bool           // ids of tickets that came into being here
	touched  []*Ticket                 // in the order of the first change
	changed  map[string]bool           // their ids
	said     []TicketEntry             // new entries, in order
	closing  []TicketEntry             // parents whose members are closed with them
	starts   map[string]bool           // ids of tickets that others are to be told of
	events   []Event
}

// lockDesk locks tickets to work on them.
func lockDesk(ctx context.Context, tx Tx, l TicketLock, now time.Time) (*ticketDesk, error) {
	locked, err := tx.LockTickets(ctx, l)
	if err != nil {
		return nil, err
	}
	d := &ticketDesk{
		tx: tx, now: now, tickets: map[string]*Ticket{}, entries: locked.Entries, openOf: map[TicketProblem]*Ticket{}, closedOf: map[TicketProblem]*Ticket{},
		alone: map[TicketCause][]*Ticket{}, fresh: map[string]bool{}, changed: map[string]bool{}, starts: map[string]bool{},
	}
	for _, t := range locked.Tickets {
		d.lay(t)
	}
	return d, nil
}

// lay lays a ticket that was locked on the desk.
func (d *ticketDesk) lay(t Ticket) {
	d.tickets[t.ID] = &t
	d.arrange(&t)
	if t.Cause != "" && t.Status == TicketOpen && t.Members == 0 && t.Parent == "" {
		cause := TicketCause{t.Account, t.Cause}
		d.alone[cause] = append(d.alone[cause], &t)
	}
}

// arrange keeps the open and the closed ticket of each problem at hand.
func (d *ticketDesk) arrange(t *Ticket) {
	problem := t.problem()
	if t.Status == TicketOpen {
		d.openOf[problem] = t
		return
	}
	if d.openOf[problem] == t {
		delete(d.openOf, problem)
	}
	if last := d.closedOf[problem]; last == nil || t.ClosedAt.After(last.ClosedAt) {
		d.closedOf[problem] = t
	}
}

// parentOf gives the parent of a member; nil: it is none.
func (d *ticketDesk) parentOf(t *Ticket) *Ticket { return d.tickets[t.Parent] }

// touch has a ticket be written.
func (d *ticketDesk) touch(t *Ticket) {
	if !d.changed[t.ID] {
		d.changed[t.ID] = true
		d.touched = append(d.touched, t)
	}
}

// follows gives an entry that the engine makes because of another one.
func (d *ticketDesk) follows(e TicketEntry, what string) TicketEntry {
	return TicketEntry{ID: e.ID + "/" + what, At: e.At, By: engineActor}
}

// note adds an entry of a kind that fits how the ticket is.
func (d *ticketDesk) note(t *Ticket, e TicketEntry, kind string) {
	e.Kind = kind
	_ = d.apply(t, e)
}

// apply adds an entry to a ticket, with what follows from it. Errors are those of
// Ticket.Apply.
func (d *ticketDesk) apply(t *Ticket, e TicketEntry) error {
	before := t.Status
	if err := t.Apply(e); err != nil {
		return err
	}
	e.Ticket = t.ID
	d.said, d.entries[e.ID] = append(d.said, e), e
	d.touch(t)
	if t.Status != before {
		d.turned(t, e)
	}
	return nil
}

// turned does what follows from a ticket being closed, or opened again.
func (d *ticketDesk) turned(t *Ticket, e TicketEntry) {
	d.arrange(t)
	d.events = append(d.events, t.turned(e, d.now))
	d.starts[t.ID] = t.Told() && t.Parent == ""
	parent := d.parentOf(t)
	switch {
	case t.Status == TicketOpen && parent != nil:
		d.back(parent, e)
	case t.Status == TicketClosed && parent != nil:
		d.left(parent, e)
	case t.Status == TicketClosed && t.OpenMembers > 0:
		t.OpenMembers = 0
		d.closing = append(d.closing, e)
	}
}

// turned gives the event that tells of a ticket that was closed or opened again.
func (t *Ticket) turned(e TicketEntry, now time.Time) Event {
	kind := EventTicketClosed
	if t.Status == TicketOpen {
		kind = EventTicketReopened
	}
	return Event{
		Account: t.Account, Device: t.Device, Type: kind, Severity: "info", At: e.At, ReceivedAt: now,
		Data: map[string]any{"ticket": t.ID, "by": e.By, "resolution": t.Resolution, "fingerprint": t.Fingerprint},
	}
}

// value raises how much a ticket matters.
func (d *ticketDesk) value(t *Ticket, severity string, because TicketEntry) {
	severity = severer(t.Severity, severity)
	switch {
	case t.Severity == severity:
	case d.fresh[t.ID]:
		t.Severity = severity
	default:
		e := d.follows(because, "severity/"+t.ID+"/"+severity)
		e.Text = severity
		d.note(t, e, EntrySeverity)
	}
}

// save writes what was decided, and asks for those who tell others of it.
func (d *ticketDesk) save(ctx context.Context) error {
	d.grow()
	tickets := make([]Ticket, len(d.touched))
	for i, t := range d.touched {
		tickets[i] = *t
	}
	if err := d.tx.SaveTickets(ctx, tickets); err != nil {
		return err
	}
	for i := range d.said {
		e := &d.said[i]
		t := d.tickets[e.Ticket]
		e.Unsent, e.Unannounced = t.Unsent(*e), t.Announcement(*e) != ""
		if e.Unsent || e.Unannounced || e.Kind == EntryOpened && t.Told() && t.Parent == "" {
			d.starts[t.ID] = true
		}
	}
	if err := d.tx.AppendTicketEntries(ctx, d.said); err != nil {
		return err
	}
	if err := d.closeMembers(ctx); err != nil {
		return err
	}
	if len(d.events) > 0 {
		if err := d.tx.AppendEvents(ctx, d.events); err != nil {
			return err
		}
	}
	return d.tx.RequestStarts(ctx, d.syncs(), d.now)
}

// syncs gives the starts of the workflows that tell others.
func (d *ticketDesk) syncs() []Start {
	var starts []Start
	for _, id := range sortedIDs(d.starts) {
		if d.starts[id] {
			starts = append(starts, d.tickets[id].SyncStart())
		}
	}
	return starts
}

// closeMembers closes what was open of storms that were closed as a whole.
func (d *ticketDesk) closeMembers(ctx context.Context) error {
	for _, e := range d.closing {
		members, err := d.tx.CloseMembers(ctx, e)
		if err != nil {
			return err
		}
		for _, t := range members {
			d.events = append(d.events, t.turned(e, d.now))
		}
	}
	return nil
}

package deviceops

import (
	"cmp"
	"fmt"
	"slices"
	"time"
)

// Fold says when tickets of one cause are one storm: then they become members of
// one parent, which alone is told of and kept in step with other systems.
type Fold struct {
	// By is the cause, with what it is grouped by: "offline in region north".
	// Tickets of one account with the same cause fold. "": it does not fold.
	By       string
	AtLeast  int           // so many open tickets ... 0: DefaultFoldAtLeast
	Within   time.Duration // ... that were opened within this time begin a storm; 0: DefaultFoldWithin
	Title    string        // of the parent; "": By
	Critical int           // a storm of so many is critical; 0: it matters as much as what matters most in it
}

// What begins a storm where nothing else is said.
const (
	DefaultFoldAtLeast = 5
	DefaultFoldWithin  = 5 * time.Minute
)

// stormGrowth is by how much a storm has to grow until people are told of it
// again, so that they are told of a storm of any size a few times.
const stormGrowth = 4

// stormFingerprint begins the fingerprints of parents.
const stormFingerprint = "storm: "

func (f Fold) within() time.Duration { return cmp.Or(f.Within, DefaultFoldWithin) }

// Storm gives the tickets that a storm begins with, out of the open ones of one
// cause; none: there is no storm. A ticket that was open long before is a problem
// of its own, and goes on to be one.
func (f Fold) Storm(open []*Ticket, now time.Time) []*Ticket {
	var recent []*Ticket
	for _, t := range open {
		if !t.OpenSince.Before(now.Add(-f.within())) {
			recent = append(recent, t)
		}
	}
	if len(recent) < cmp.Or(f.AtLeast, DefaultFoldAtLeast) {
		return nil
	}
	return recent
}

// parent gives the problem of the parent of a cause.
func (c TicketCause) parent() TicketProblem {
	return TicketProblem{c.Account, stormFingerprint + c.Cause}
}

// fold makes a ticket that was just opened part of the storm of its cause, which
// it may begin. While the parent is open it takes in all that are opened.
func (d *ticketDesk) fold(t *Ticket, o TicketOpening) {
	if o.Fold.By == "" {
		return
	}
	t.Cause = o.Fold.By
	cause := TicketCause{t.Account, t.Cause}
	if parent := d.openOf[cause.parent()]; parent != nil {
		d.join(parent, t, o)
		return
	}
	d.alone[cause] = append(d.alone[cause], t)
	storm := o.Fold.Storm(d.alone[cause], o.Entry.At)
	if storm == nil {
		return
	}
	parent := d.parentFor(cause, o)
	for _, member := range storm {
		d.join(parent, member, o)
	}
	d.alone[cause] = slices.DeleteFunc(d.alone[cause], func(t *Ticket) bool { return t.Parent != "" })
}

// parentFor gives the parent of a storm that begins: a new one, or that of a storm
// that was over a short while ago.
func (d *ticketDesk) parentFor(cause TicketCause, o TicketOpening) *Ticket {
	e := d.follows(o.Entry, "storm")
	if last := d.closedOf[cause.parent()]; last != nil && d.relapses(last, o) {
		d.note(last, e, EntryRelapsed)
		return last
	}
	return d.begin(Ticket{
		ID: "ticket-" + ShortHash(12, "storm", cause.Account, cause.Cause, e.ID), Account: cause.Account, Cause: cause.Cause,
		Title: cmp.Or(o.Fold.Title, o.Fold.By), Body: "Several problems of one cause, among them: " + o.Ticket.Title, Severity: o.Ticket.Severity,
		Fingerprint: cause.parent().Fingerprint, Assignee: o.Ticket.Assignee, Channel: o.Ticket.Channel, Notify: o.Ticket.Notify,
	}, e)
}

// join makes a ticket a member. One that people may know as a ticket of its own is
// told of for the last time.
func (d *ticketDesk) join(parent, t *Ticket, o TicketOpening) {
	t.Parent = parent.ID
	if !d.fresh[t.ID] {
		e := d.follows(o.Entry, "folded/"+t.ID)
		e.Text = fmt.Sprintf("it is part of %s: %s", parent.ID, parent.Title)
		d.note(t, e, EntryFolded)
	}
	parent.Members++
	parent.OpenMembers++
	d.touch(parent)
	d.value(parent, t.Severity, o.Entry)
	if o.Fold.Critical > 0 && parent.Members >= o.Fold.Critical {
		d.value(parent, "critical", o.Entry)
	}
}

// grow has people told of storms that are much larger than when they heard last.
func (d *ticketDesk) grow() {
	for _, t := range slices.Clone(d.touched) {
		switch {
		case t.Members == 0 || t.Status == TicketClosed:
		case d.fresh[t.ID]:
			t.ToldMembers = t.Members
		case t.Members >= stormGrowth*max(t.ToldMembers, 1):
			t.ToldMembers = t.Members
			d.note(t, TicketEntry{
				ID: fmt.Sprintf("%s/grew/%d", t.ID, t.Members), At: d.now, By: engineActor,
				Text: fmt.Sprintf("%d by now, %d of them open", t.Members, t.OpenMembers),
			}, EntryGrew)
		}
	}
}

// left notes that a member was closed. With the last one the storm is over.
func (d *ticketDesk) left(parent *Ticket, e TicketEntry) {
	parent.OpenMembers--
	d.touch(parent)
	if parent.OpenMembers > 0 || parent.Status == TicketClosed {
		return
	}
	over := d.follows(e, "over")
	over.Text = fmt.Sprintf("all %d are closed", parent.Members)
	d.note(parent, over, EntryRecovered)
}

// back notes that a member was opened again. The storm is back with it.
func (d *ticketDesk) back(parent *Ticket, e TicketEntry) {
	parent.OpenMembers++
	d.touch(parent)
	if parent.Status == TicketClosed {
		d.note(parent, d.follows(e, "back"), EntryRelapsed)
	}
}

package rehearsal

import (
	"context"
	"fmt"
	"time"

	"github.com/deviceops/deviceops"
)

// desk is where tickets are worked on, by the rules of the engine:
// of a deviceops.Tx it has what these need.
type desk struct {
	deviceops.Tx
	opened  int      // tickets, without the parents of storms
	ids     []string // in the order of opening
	tickets map[string]deviceops.Ticket
	entries map[string]deviceops.TicketEntry
}

func newDesk() *desk {
	return &desk{tickets: map[string]deviceops.Ticket{}, entries: map[string]deviceops.TicketEntry{}}
}

// LockTickets gives all that there are: the rules choose among them.
func (d *desk) LockTickets(context.Context, deviceops.TicketLock) (deviceops.LockedTickets, error) {
	locked := deviceops.LockedTickets{Tickets: make([]deviceops.Ticket, len(d.ids)), Entries: d.entries}
	for i, id := range d.ids {
		locked.Tickets[i] = d.tickets[id]
	}
	return locked, nil
}

func (d *desk) SaveTickets(_ context.Context, tickets []deviceops.Ticket) error {
	for _, t := range tickets {
		if _, known := d.tickets[t.ID]; !known {
			d.ids = append(d.ids, t.ID)
		}
		d.tickets[t.ID] = t
	}
	return nil
}

func (d *desk) AppendTicketEntries(_ context.Context, entries []deviceops.TicketEntry) error {
	for _, e := range entries {
		d.entries[e.ID] = e
	}
	return nil
}

func (d *desk) AppendEvents(context.Context, []deviceops.Event) error { return nil }

func (d *desk) RequestStarts(context.Context, []deviceops.Start, time.Time) error { return nil }

// told is what became of a problem that was told: its ticket and the storm of that,
// as they were and as they are. Without an id: there was, or is, none.
type told struct{ before, ticket, stormBefore, storm deviceops.Ticket }

// open tells of a problem.
func (d *desk) open(o deviceops.TicketOpening, now time.Time) (t told, err error) {
	o.Ticket.ID, o.Entry.ID = fmt.Sprintf("T-%d", d.opened+1), fmt.Sprintf("opening-%d", len(d.entries))
	for _, id := range d.ids {
		if one := d.tickets[id]; one.Fingerprint == o.Ticket.Fingerprint {
			t.before, t.stormBefore = one, d.tickets[one.Parent]
		}
	}
	opened, err := deviceops.OpenTicket(context.Background(), d, o, now)
	if opened.Created {
		d.opened++
		t = told{}
	}
	t.ticket, t.storm = opened.Ticket, d.tickets[opened.Ticket.Parent]
	return t, err
}

// over closes a ticket, and gives its storm if that is over with it.
func (d *desk) over(id, kind string, now time.Time) (storm deviceops.Ticket, over bool) {
	before := d.tickets[d.tickets[id].Parent]
	_, _ = deviceops.TellTicket(context.Background(), d, deviceops.TicketEntry{ // it exists, and may be closed
		ID: fmt.Sprintf("over-%d", len(d.entries)), Ticket: id, Kind: kind, At: now,
	})
	storm = d.tickets[before.ID]
	return storm, storm.Status != before.Status
}

// about gives the open ticket of a problem; "": there is none.
func (d *desk) about(fingerprint string) string {
	for _, id := range d.ids {
		if t := d.tickets[id]; t.Fingerprint == fingerprint && t.Status == deviceops.TicketOpen {
			return id
		}
	}
	return ""
}

// recovering gives the open tickets that are over when a device is online.
func (d *desk) recovering(device string) (ids []string) {
	for _, id := range d.ids {
		if t := d.tickets[id]; t.Recover != "" && t.Device == device && t.Status == deviceops.TicketOpen {
			ids = append(ids, id)
		}
	}
	return ids
}

// storms is how many parents there are.
func (d *desk) storms() (n int) {
	for _, t := range d.tickets {
		if t.Members > 0 {
			n++
		}
	}
	return n
}

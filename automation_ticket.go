package deviceops

import (
	"context"
	"slices"
)

// An automation with `ticket:` opens a ticket in place of starting a run, and
// closes it when its condition no longer holds. Both happens in the transaction of
// the event, so that a ticket costs a row and no workflow.

// ticketTurn is one thing that an automation says of the ticket of a key.
type ticketTurn struct {
	slot     AutomationSlot
	opening  *TicketOpening // nil: the condition is over
	over     TicketEntry
	decision int // index of the row that it is noted in; below 0: none
}

// OpenTicket implements AutomationPlay. Like a run, a ticket that cannot be made
// stops nothing else.
func (p *automationPlay) OpenTicket(samples []Sample, d WindowDecision) (opened bool, err error) {
	row := p.launching(samples, d.At)
	if refused, err := p.brake(row); refused || err != nil {
		return false, err
	}
	opening, err := p.opening(samples, d)
	switch code := ErrorCode(err); code {
	case "":
	case EINVALID, EEXHAUSTED:
		row.Outcome, row.Detail = OutcomeFailed, ErrorMessage(err)
		p.tell(EventAutomationFailed, "warning", map[string]any{"key": p.slot.Key, "device": p.device, "error": ErrorMessage(err)})
		return false, nil
	default:
		return false, err
	}
	row.Outcome, row.Device = OutcomeTicket, opening.Ticket.Device
	p.tickets = append(p.tickets, ticketTurn{slot: p.slot, opening: &opening, decision: len(p.decisions) - 1})
	return true, nil
}

// opening gives what is told of a problem. Its id follows from what fired, so that
// no repetition tells it twice.
func (p *automationPlay) opening(samples []Sample, d WindowDecision) (TicketOpening, error) {
	a := p.automation
	occasion, err := a.Rules.Occasion(samples)
	if err != nil {
		return TicketOpening{}, err
	}
	device := occasion.DeviceID()
	if err := p.acquaint(p.ctx, []string{device}); err != nil {
		return TicketOpening{}, err
	}
	occasion.Device = p.devices[device]
	o, err := a.Rules.TicketFor(occasion)
	if err != nil {
		return o, err
	}
	id := ShortHash(12, "ticket", automationRun(p.slot, d.At, samples[len(samples)-1].ID))
	o.Ticket.ID, o.Ticket.Account, o.Ticket.Device = "ticket-"+id, p.accountOf(occasion), device
	o.Ticket.Fingerprint = a.Name + "|" + p.slot.Key
	o.Entry = TicketEntry{ID: "automation/" + id, At: d.At, By: a.actor(), Text: o.Ticket.Body}
	return o, nil
}

// TicketOver implements AutomationPlay.
func (p *automationPlay) TicketOver(s Sample) {
	id := ShortHash(12, "over", automationRun(p.slot, s.At, s.ID))
	p.decisions = append(p.decisions, AutomationDecision{
		AutomationRef: p.automation.Ref(), Version: p.automation.Version, Key: p.slot.Key, Event: s.ID, Device: p.device,
		At: s.At, DecidedAt: p.now, Outcome: OutcomeRecovered,
	})
	p.tickets = append(p.tickets, ticketTurn{
		slot: p.slot, decision: len(p.decisions) - 1,
		over: TicketEntry{ID: "automation/" + id, Kind: EntryRecovered, At: s.At, By: p.automation.actor(), Text: "the condition no longer holds"},
	})
}

// saveTickets opens and closes the tickets that automations decided to, in order.
// What that says is heard in turn.
func (h *hearing) saveTickets(ctx context.Context) error {
	listen := &listeningTx{Tx: h.tx}
	for len(h.tickets) > 0 {
		opens := h.tickets[0].opening != nil
		n := slices.IndexFunc(h.tickets, func(t ticketTurn) bool { return (t.opening != nil) != opens })
		if n < 0 {
			n = len(h.tickets)
		}
		save := h.closeTickets
		if opens {
			save = h.openTickets
		}
		if err := save(ctx, listen, h.tickets[:n]); err != nil {
			return err
		}
		h.tickets = h.tickets[n:]
	}
	h.effects.Starts = append(h.effects.Starts, listen.starts...)
	h.said = append(h.said, listen.said...)
	return nil
}

func (h *hearing) openTickets(ctx context.Context, tx Tx, turns []ticketTurn) error {
	openings := make([]TicketOpening, len(turns))
	for i, t := range turns {
		openings[i] = *t.opening
	}
	opened, err := OpenTickets(ctx, tx, openings, h.now)
	for i, o := range opened {
		h.keys[turns[i].slot].Ticket = o.Ticket.ID
		h.decisions[turns[i].decision].Detail = o.Ticket.ID
	}
	return err
}

func (h *hearing) closeTickets(ctx context.Context, tx Tx, turns []ticketTurn) error {
	var entries []TicketEntry
	for _, t := range turns {
		k := h.keys[t.slot]
		if k.Ticket == "" {
			continue
		}
		t.over.Ticket = k.Ticket
		entries = append(entries, t.over)
		h.decisions[t.decision].Detail = k.Ticket
		k.Ticket = ""
	}
	_, err := TellTickets(ctx, tx, entries, h.now)
	return err
}

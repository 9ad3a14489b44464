package postgres

import (
	"context"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/deviceops/deviceops"
)

const ticketColumns = `
	id, account, device, title, body, severity, status, fingerprint, count, assignee, run,
	opened_by, opened_at, updated_at, closed_by, closed_at, resolution,
	channel, remote_id, remote_url, remote_status, remote_state`

type ticketRecord struct {
	ID          string    `json:"id"`
	Account     string    `json:"account"`
	Device      string    `json:"device"`
	Title       string    `json:"title"`
	Body        string    `json:"body"`
	Severity    string    `json:"severity"`
	Status      string    `json:"status"`
	Fingerprint string    `json:"fingerprint"`
	Count       int       `json:"count"`
	Assignee    string    `json:"assignee"`
	Run         string    `json:"run"`
	OpenedBy    string    `json:"opened_by"`
	OpenedAt    time.Time `json:"opened_at"`
	UpdatedAt   time.Time `json:"updated_at"`
	ClosedBy    string    `json:"closed_by"`
	ClosedAt    time.Time `json:"closed_at,omitzero"`
	Resolution  string    `json:"resolution"`

	Channel      string `json:"channel"`
	RemoteID     string `json:"remote_id"`
	RemoteURL    string `json:"remote_url"`
	RemoteStatus string `json:"remote_status"`
	RemoteState  string `json:"remote_state"`
}

// OpenTicket implements deviceops.Tickets. Calls for one problem take turns.
func (t tx) OpenTicket(ctx context.Context, want deviceops.Ticket, entry deviceops.TicketEntry) (stored deviceops.Ticket, created bool, err error) {
	err = t.atomically(ctx, func(t tx) error {
		if err := t.lock(ctx, "ticket:"+want.Account+":"+want.Fingerprint); err != nil {
			return err
		}
		known, err := t.ticketEntry(ctx, entry.ID)
		if err != nil {
			return err
		}
		if known != nil {
			created = known.Kind == deviceops.EntryOpened
			stored, err = t.lockTicket(ctx, known.Ticket)
			return err
		}
		stored, created, err = t.openTicket(ctx, want, entry)
		return err
	})
	return stored, created, err
}

// openTicket tells a problem that was not told under this entry before.
func (t tx) openTicket(ctx context.Context, want deviceops.Ticket, entry deviceops.TicketEntry) (deviceops.Ticket, bool, error) {
	open, found, err := first(ctx, t, "find open ticket", scanTicket, `
		select `+ticketColumns+` from tickets
		where account = $1 and md5(fingerprint) = md5($2) and status = 'open' for no key update`, want.Account, want.Fingerprint)
	if err != nil {
		return open, false, err
	}
	if found {
		entry.Ticket, entry.Kind = open.ID, deviceops.EntryRepeated
		open, err = t.applyEntry(ctx, open, entry)
		return open, false, err
	}
	want.Status, want.Count, want.OpenedAt, want.UpdatedAt, want.OpenedBy = deviceops.TicketOpen, 1, entry.At, entry.At, entry.By
	entry.Ticket, entry.Kind = want.ID, deviceops.EntryOpened
	if err := t.saveTicket(ctx, want); err != nil {
		return want, false, err
	}
	return want, true, t.insertEntry(ctx, want, entry)
}

// AddTicketEntry implements deviceops.Tickets.
func (t tx) AddTicketEntry(ctx context.Context, entry deviceops.TicketEntry) (stored deviceops.Ticket, err error) {
	err = t.atomically(ctx, func(t tx) error {
		if stored, err = t.lockTicket(ctx, entry.Ticket); err != nil {
			return err
		}
		known, err := t.ticketEntry(ctx, entry.ID)
		if err != nil || known != nil {
			return err
		}
		stored, err = t.applyEntry(ctx, stored, entry)
		return err
	})
	return stored, err
}

func (t tx) applyEntry(ctx context.Context, ticket deviceops.Ticket, entry deviceops.TicketEntry) (deviceops.Ticket, error) {
	if err := ticket.Apply(entry); err != nil {
		return ticket, err
	}
	if err := t.saveTicket(ctx, ticket); err != nil {
		return ticket, err
	}
	return ticket, t.insertEntry(ctx, ticket, entry)
}

func (t tx) lockTicket(ctx context.Context, id string) (deviceops.Ticket, error) {
	ticket, ok, err := first(ctx, t, "lock ticket", scanTicket, `
		select `+ticketColumns+` from tickets where id = $1 for no key update`, id)
	if !ok {
		return ticket, missing(err, "there is no ticket %s", id)
	}
	return ticket, nil
}

func (t tx) ticketEntry(ctx context.Context, id string) (*deviceops.TicketEntry, error) {
	entry, ok, err := first(ctx, t, "find ticket entry", scanEntry, `
		select id, ticket, kind, at, by, text from ticket_entries where id = $1`, id)
	if !ok {
		return nil, err
	}
	return &entry, nil
}

func (t tx) insertEntry(ctx context.Context, ticket deviceops.Ticket, e deviceops.TicketEntry) error {
	return bulk(ctx, t, "save ticket entry", []deviceops.TicketEntry{e}, `
		insert into ticket_entries (id, account, ticket, kind, at, by, text, unsent)
		select id, $2, ticket, kind, at, by, coalesce(text, ''), $3
		from json_to_recordset($1::json) as x(id text, ticket text, kind text, at timestamptz, by text, text text)`, ticket.Account, ticket.Unsent(e))
}

// saveTicket stores a ticket, or writes what can change of one that is stored.
func (t tx) saveTicket(ctx context.Context, ticket deviceops.Ticket) error {
	return bulk(ctx, t, "save ticket", []ticketRecord{recordTicket(ticket)}, `
		insert into tickets (`+ticketColumns+`)
		select `+ticketColumns+`
		from json_to_recordset($1::json) as x(
			id text, account text, device text, title text, body text, severity text, status text, fingerprint text, count bigint,
			assignee text, run text, opened_by text, opened_at timestamptz, updated_at timestamptz, closed_by text,
			closed_at timestamptz, resolution text,
			channel text, remote_id text, remote_url text, remote_status text, remote_state text)
		on conflict (id) do update set
			status = excluded.status, count = excluded.count, assignee = excluded.assignee, updated_at = excluded.updated_at,
			closed_by = excluded.closed_by, closed_at = excluded.closed_at, resolution = excluded.resolution`)
}

// FindTicket implements deviceops.Tickets.
func (t tx) FindTicket(ctx context.Context, id string) (deviceops.Ticket, error) {
	ticket, ok, err := first(ctx, t, "find ticket", scanTicket, `select `+ticketColumns+` from tickets where id = $1`, id)
	if !ok {
		return ticket, missing(err, "there is no ticket %s", id)
	}
	ticket.Entries, err = list(ctx, t, "find ticket entries", scanEntry, `
		select id, ticket, kind, at, by, text from ticket_entries where ticket = $1 order by position`, id)
	return ticket, err
}

// ListTickets implements deviceops.Tickets.
func (t tx) ListTickets(ctx context.Context, f deviceops.TicketFilter) ([]deviceops.Ticket, error) {
	var where filter
	where.within("account", f.Account)
	where.equal("device", f.Device)
	where.equal("status", string(f.Status))
	where.equal("assignee", f.Assignee)
	where.equal("fingerprint", f.Fingerprint)
	if f.After != "" {
		where.add("(opened_at, id) < (select opened_at, id from tickets where id = ?)", f.After)
	}
	return list(ctx, t, "list tickets", scanTicket, `
		select `+ticketColumns+` from tickets`+where.where()+`
		order by opened_at desc, id desc limit `+where.arg(limitOf(f.Limit)), where.args...)
}

func recordTicket(t deviceops.Ticket) ticketRecord {
	return ticketRecord{
		ID: t.ID, Account: t.Account, Device: t.Device, Title: t.Title, Body: t.Body, Severity: t.Severity, Status: string(t.Status),
		Fingerprint: t.Fingerprint, Count: t.Count, Assignee: t.Assignee, Run: t.Run, OpenedBy: t.OpenedBy, OpenedAt: t.OpenedAt,
		UpdatedAt: t.UpdatedAt, ClosedBy: t.ClosedBy, ClosedAt: t.ClosedAt, Resolution: t.Resolution,
		Channel: t.Channel, RemoteID: t.Remote.ID, RemoteURL: t.Remote.URL, RemoteStatus: t.Remote.Status, RemoteState: string(t.Remote.State),
	}
}

func scanTicket(row pgx.CollectableRow) (t deviceops.Ticket, err error) {
	err = row.Scan(&t.ID, &t.Account, &t.Device, &t.Title, &t.Body, &t.Severity, &t.Status, &t.Fingerprint, &t.Count, &t.Assignee, &t.Run,
		&t.OpenedBy, moment{&t.OpenedAt}, moment{&t.UpdatedAt}, &t.ClosedBy, moment{&t.ClosedAt}, &t.Resolution,
		&t.Channel, &t.Remote.ID, &t.Remote.URL, &t.Remote.Status, &t.Remote.State)
	return t, err
}

func scanEntry(row pgx.CollectableRow) (e deviceops.TicketEntry, err error) {
	err = row.Scan(&e.ID, &e.Ticket, &e.Kind, moment{&e.At}, &e.By, &e.Text)
	return e, err
}

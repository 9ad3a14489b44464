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
	channel, remote_id, remote_url, remote_status, remote_state,
	relapses, cause, parent, members, open_members, told_members, notify, open_since, recover`

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

	Relapses    int       `json:"relapses"`
	Cause       string    `json:"cause"`
	Parent      string    `json:"parent"`
	Members     int       `json:"members"`
	OpenMembers int       `json:"open_members"`
	ToldMembers int       `json:"told_members"`
	Notify      string    `json:"notify"`
	OpenSince   time.Time `json:"open_since"`
	Recover     string    `json:"recover"`
}

// SaveTickets implements deviceops.Tickets.
func (t tx) SaveTickets(ctx context.Context, tickets []deviceops.Ticket) error {
	records := make([]ticketRecord, len(tickets))
	for i := range tickets {
		records[i] = recordTicket(tickets[i])
	}
	return bulk(ctx, t, "save tickets", records, `
		insert into tickets (`+ticketColumns+`)
		select `+ticketColumns+`
		from json_to_recordset($1::json) as x(
			id text, account text, device text, title text, body text, severity text, status text, fingerprint text, count bigint,
			assignee text, run text, opened_by text, opened_at timestamptz, updated_at timestamptz, closed_by text,
			closed_at timestamptz, resolution text,
			channel text, remote_id text, remote_url text, remote_status text, remote_state text,
			relapses bigint, cause text, parent text, members bigint, open_members bigint, told_members bigint, notify text, open_since timestamptz, recover text)
		on conflict (id) do update set
			severity = excluded.severity, status = excluded.status, count = excluded.count, assignee = excluded.assignee, updated_at = excluded.updated_at,
			closed_by = excluded.closed_by, closed_at = excluded.closed_at, resolution = excluded.resolution,
			relapses = excluded.relapses, cause = excluded.cause, parent = excluded.parent, members = excluded.members,
			open_members = excluded.open_members, told_members = excluded.told_members, open_since = excluded.open_since`)
}

type ticketEntryRecord struct {
	ID     string    `json:"id"`
	Ticket string    `json:"ticket"`
	Kind   string    `json:"kind"`
	At     time.Time `json:"at"`
	By     string    `json:"by"`
	Text   string    `json:"text"`
	N      int       `json:"n"` // in order

	Unsent      bool `json:"unsent"`
	Unannounced bool `json:"unannounced"`
}

// AppendTicketEntries implements deviceops.Tickets.
func (t tx) AppendTicketEntries(ctx context.Context, entries []deviceops.TicketEntry) error {
	records := make([]ticketEntryRecord, len(entries))
	for i, e := range entries {
		records[i] = ticketEntryRecord{e.ID, e.Ticket, e.Kind, e.At, e.By, e.Text, i, e.Unsent, e.Unannounced}
	}
	return bulk(ctx, t, "append ticket entries", records, `
		insert into ticket_entries (id, account, ticket, kind, at, by, text, unsent, unannounced)
		select x.id, t.account, x.ticket, x.kind, x.at, x.by, x.text, x.unsent, x.unannounced
		from json_to_recordset($1::json)
			as x(id text, ticket text, kind text, at timestamptz, by text, text text, unsent boolean, unannounced boolean, n bigint)
		join tickets t on t.id = x.ticket
		order by x.n
		on conflict do nothing`)
}

// CloseMembers implements deviceops.Tickets.
func (t tx) CloseMembers(ctx context.Context, e deviceops.TicketEntry) ([]deviceops.Ticket, error) {
	return list(ctx, t, "close members", scanTicket, `
		with closed as (
			update tickets set status = 'closed', closed_at = $4, closed_by = $5, resolution = $6, updated_at = $4
			where parent = $1 and status = 'open'
			returning `+ticketColumns+`),
		told as (
			insert into ticket_entries (id, account, ticket, kind, at, by, text)
			select $2 || '/' || id, account, id, $3, $4, $5, $6 from closed order by id
			on conflict do nothing)
		select `+ticketColumns+` from closed order by id`,
		e.Ticket, e.ID, e.Kind, e.At, e.By, cleanText(e.Text))
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

// FindOpenTicket implements deviceops.Tickets.
func (t tx) FindOpenTicket(ctx context.Context, p deviceops.TicketProblem) (deviceops.Ticket, error) {
	ticket, ok, err := first(ctx, t, "find open ticket", scanTicket, `
		select `+ticketColumns+` from tickets
		where account = $1 and md5(fingerprint) = md5($2) and status = 'open'`, p.Account, cleanText(p.Fingerprint))
	if !ok {
		return ticket, missing(err, "account %s has no open ticket about %s", p.Account, p.Fingerprint)
	}
	return ticket, nil
}

// ListTickets implements deviceops.Tickets.
func (t tx) ListTickets(ctx context.Context, f deviceops.TicketFilter) ([]deviceops.Ticket, error) {
	var where filter
	where.within("account", f.Account)
	where.equal("device", f.Device)
	where.equal("status", string(f.Status))
	where.equal("assignee", f.Assignee)
	where.equal("fingerprint", f.Fingerprint)
	where.equal("parent", f.Parent)
	if f.OpenedBy != "" {
		where.add("(opened_by = ? or starts_with(opened_by, ? || '@'))", f.OpenedBy)
	}
	if f.Alone {
		where.add("parent = ?", "")
	}
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
		Relapses: t.Relapses, Cause: t.Cause, Parent: t.Parent, Members: t.Members, OpenMembers: t.OpenMembers, ToldMembers: t.ToldMembers,
		Notify: t.Notify, OpenSince: t.OpenSince, Recover: t.Recover,
	}
}

func scanTicket(row pgx.CollectableRow) (t deviceops.Ticket, err error) {
	err = row.Scan(&t.ID, &t.Account, &t.Device, &t.Title, &t.Body, &t.Severity, &t.Status, &t.Fingerprint, &t.Count, &t.Assignee, &t.Run,
		&t.OpenedBy, moment{&t.OpenedAt}, moment{&t.UpdatedAt}, &t.ClosedBy, moment{&t.ClosedAt}, &t.Resolution,
		&t.Channel, &t.Remote.ID, &t.Remote.URL, &t.Remote.Status, &t.Remote.State,
		&t.Relapses, &t.Cause, &t.Parent, &t.Members, &t.OpenMembers, &t.ToldMembers, &t.Notify, moment{&t.OpenSince}, &t.Recover)
	return t, err
}

func scanEntry(row pgx.CollectableRow) (e deviceops.TicketEntry, err error) {
	err = row.Scan(&e.ID, &e.Ticket, &e.Kind, moment{&e.At}, &e.By, &e.Text)
	return e, err
}

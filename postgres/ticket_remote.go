package postgres

import (
	"context"

	"github.com/jackc/pgx/v5"

	"github.com/deviceops/deviceops"
)

// LinkTicket implements deviceops.Tickets.
func (t tx) LinkTicket(ctx context.Context, id string, remote deviceops.RemoteTicket) error {
	_, err := t.exec(ctx, "link ticket", `
		update tickets set remote_id = $2, remote_url = $3, remote_status = $4, remote_state = $5 where id = $1`,
		id, cleanText(remote.ID), cleanText(remote.URL), cleanText(remote.Status), string(remote.State))
	return err
}

// FindRemoteTicket implements deviceops.Tickets.
func (t tx) FindRemoteTicket(ctx context.Context, account, channel, remoteID string) (deviceops.Ticket, error) {
	var where filter
	where.add("channel = ?", channel)
	where.add("remote_id <> '' and md5(remote_id) = md5(?)", cleanText(remoteID))
	where.within("account", account)
	found, err := list(ctx, t, "find remote ticket", scanTicket, `
		select `+ticketColumns+` from tickets`+where.where()+`
		order by opened_at desc, id desc limit 1`, where.args...)
	if err != nil || len(found) == 0 {
		return deviceops.Ticket{}, missing(err, "no ticket is known to the channel %s as %s", channel, remoteID)
	}
	return t.FindTicket(ctx, found[0].ID)
}

// RecoveringTickets implements deviceops.Tickets.
func (t tx) RecoveringTickets(ctx context.Context, devices []string) (map[string]string, error) {
	type recovering struct{ ID, Device string }
	found, err := list(ctx, t, "find recovering tickets", pgx.RowToStructByPos[recovering],
		`select id, device from tickets where device = any($1) and status = 'open' and recover = $2`, devices, deviceops.RecoverOnline)
	byID := make(map[string]string, len(found))
	for _, r := range found {
		byID[r.ID] = r.Device
	}
	return byID, err
}

// UnsentEntries implements deviceops.Tickets.
func (t tx) UnsentEntries(ctx context.Context, ticket string) ([]deviceops.TicketEntry, error) {
	return t.flaggedEntries(ctx, ticket, "unsent")
}

// SentEntry implements deviceops.Tickets.
func (t tx) SentEntry(ctx context.Context, id string) error { return t.unflagEntry(ctx, id, "unsent") }

// UnannouncedEntries implements deviceops.Tickets.
func (t tx) UnannouncedEntries(ctx context.Context, ticket string) ([]deviceops.TicketEntry, error) {
	return t.flaggedEntries(ctx, ticket, "unannounced")
}

// AnnouncedEntry implements deviceops.Tickets.
func (t tx) AnnouncedEntry(ctx context.Context, id string) error {
	return t.unflagEntry(ctx, id, "unannounced")
}

// flaggedEntries gives the entries of a ticket for which a column that is a flag holds, oldest first.
func (t tx) flaggedEntries(ctx context.Context, ticket, flag string) ([]deviceops.TicketEntry, error) {
	return list(ctx, t, "find "+flag+" entries", scanEntry, `
		select id, ticket, kind, at, by, text from ticket_entries where ticket = $1 and `+flag+` order by position`, ticket)
}

func (t tx) unflagEntry(ctx context.Context, id, flag string) error {
	_, err := t.exec(ctx, "note an entry that is not "+flag+" any more", `update ticket_entries set `+flag+` = false where id = $1`, id)
	return err
}

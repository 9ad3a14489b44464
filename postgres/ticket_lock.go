package postgres

import (
	"context"
	"slices"

	"github.com/jackc/pgx/v5"

	"github.com/deviceops/deviceops"
)

// LockTickets implements deviceops.Tickets. Turns are taken by locks of names, in
// their order, before rows are read and locked: what has no row yet takes turns
// too.
func (t tx) LockTickets(ctx context.Context, l deviceops.TicketLock) (locked deviceops.LockedTickets, err error) {
	err = t.atomically(ctx, func(t tx) error {
		if err := t.knownProblems(ctx, &l); err != nil {
			return err
		}
		if err := t.lockAll(ctx, ticketLocks(l)); err != nil {
			return err
		}
		if locked.Tickets, err = t.lockTickets(ctx, l); err != nil {
			return err
		}
		locked.Entries, err = t.knownEntries(ctx, l.Entries)
		return err
	})
	return locked, err
}

// knownProblems adds the problems and causes of tickets that are there. They never
// change, so that they can be read before they are locked.
func (t tx) knownProblems(ctx context.Context, l *deviceops.TicketLock) error {
	type known struct{ Account, Fingerprint, Cause string }
	found, err := list(ctx, t, "read problems", pgx.RowToStructByPos[known], `
		select account, fingerprint, cause from tickets
		where id in (select unnest($1::text[]) union select ticket from ticket_entries where id = any($2))`,
		append([]string{}, l.IDs...), append([]string{}, l.Entries...))
	for _, k := range found {
		l.Problems = append(l.Problems, deviceops.TicketProblem{Account: k.Account, Fingerprint: k.Fingerprint})
		if k.Cause != "" {
			l.Causes = append(l.Causes, deviceops.TicketCause{Account: k.Account, Cause: k.Cause})
		}
	}
	return err
}

func ticketLocks(l deviceops.TicketLock) []string {
	var names []string
	for _, c := range l.Causes {
		names = append(names, "storm:"+c.Account+":"+c.Cause)
	}
	for _, p := range l.Problems {
		names = append(names, "ticket:"+p.Account+":"+p.Fingerprint)
	}
	slices.Sort(names)
	return slices.Compact(names)
}

func (t tx) lockTickets(ctx context.Context, l deviceops.TicketLock) ([]deviceops.Ticket, error) {
	problems, err := rows(l.Problems)
	if err != nil {
		return nil, err
	}
	causes, err := rows(l.Causes)
	if err != nil {
		return nil, err
	}
	return list(ctx, t, "lock tickets", scanTicket, `
		with problems as materialized (select distinct account, fingerprint from json_to_recordset($1::json) as x(account text, fingerprint text)),
		causes as materialized (select distinct account, cause from json_to_recordset($2::json) as x(account text, cause text)),
		wanted as materialized (
			select unnest($3::text[]) as id
			union select ticket from ticket_entries where id = any($4)
			union select t.id from problems p join tickets t
				on t.account = p.account and md5(t.fingerprint) = md5(p.fingerprint) and t.status = 'open'
			union select last.id from problems p cross join lateral (
				select id from tickets t
				where t.account = p.account and md5(t.fingerprint) = md5(p.fingerprint) and t.status = 'closed'
				order by closed_at desc limit 1) last
			union select t.id from causes c join tickets t
				on t.account = c.account and md5(t.cause) = md5(c.cause) and t.status = 'open' and t.cause <> '' and t.parent = '' and t.members = 0
				and t.open_since >= $5),
		family as materialized (
			select id from wanted union select t.parent from wanted join tickets t using (id) where t.parent <> '')
		select `+ticketColumns+` from tickets join family using (id)
		order by id for no key update of tickets`,
		problems, causes, append([]string{}, l.IDs...), append([]string{}, l.Entries...), l.Since)
}

func (t tx) knownEntries(ctx context.Context, ids []string) (map[string]deviceops.TicketEntry, error) {
	found, err := list(ctx, t, "find ticket entries", scanEntry, `select id, ticket, kind, at, by, text from ticket_entries where id = any($1)`, append([]string{}, ids...))
	known := make(map[string]deviceops.TicketEntry, len(found))
	for _, e := range found {
		known[e.ID] = e
	}
	return known, err
}

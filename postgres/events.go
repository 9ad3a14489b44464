package postgres

import (
	"context"
	"slices"
	"strings"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/deviceops/deviceops"
)

const eventColumns = `id, account, device, type, severity, data, at, received_at, clock_fixed, claimed_at, boot, seq, call`

// AppendEvents implements deviceops.Events. Ids rise in the order of events.
func (t tx) AppendEvents(ctx context.Context, events []deviceops.Event) error {
	if len(events) == 0 {
		return nil
	}
	args, err := eventArgs(events)
	if err != nil {
		return err
	}
	ids, err := list(ctx, t, "append events", pgx.RowTo[int64], `
		insert into events (account, device, type, severity, data, at, received_at, clock_fixed, claimed_at, boot, seq, call)
		select ($10::text[])[kind], device, type, ($11::text[])[kind], data, coalesce(at, received_at, now()), coalesce(received_at, now()),
			($12::boolean[])[kind], claimed_at, boot, seq, ($13::jsonb[])[kind]
		from unnest($1::text[], $2::text[], $3::jsonb[], $4::timestamptz[], $5::timestamptz[], $6::text[], $7::text[], $8::bigint[], $9::bigint[])
			as x(device, type, data, at, received_at, claimed_at, boot, seq, kind)
		returning id`, args...)
	slices.Sort(ids)
	for i, id := range ids {
		events[i].ID = id
	}
	return err
}

// eventKind is what many events of a batch have in common.
type eventKind struct {
	account, severity string
	clockFixed        bool
	call              *deviceops.Call
}

// eventArgs gives the columns of events.
func eventArgs(events []deviceops.Event) (args []any, err error) {
	type e = deviceops.Event
	type k = eventKind
	var kinds kinds[eventKind]
	for i := range events {
		e := &events[i]
		kinds.add(eventKind{account: e.Account, severity: e.Severity, clockFixed: e.ClockFixed, call: e.Call})
	}
	args = []any{
		texts(events, func(e *e) string { return e.Device }), texts(events, func(e *e) string { return e.Type }),
		documents(events, &err, func(e *e) (any, bool) { return e.Data, len(e.Data) == 0 }),
		column(events, func(e *e) *time.Time { return orNull(e.At) }), column(events, func(e *e) *time.Time { return orNull(e.ReceivedAt) }),
		texts(events, func(e *e) string { return e.ClaimedAt }), texts(events, func(e *e) string { return e.Boot }), column(events, func(e *e) int64 { return e.Seq }), kinds.rows,
		texts(kinds.list, func(k *k) string { return k.account }), texts(kinds.list, func(k *k) string { return k.severity }),
		column(kinds.list, func(k *k) bool { return k.clockFixed }),
		documents(kinds.list, &err, func(k *k) (any, bool) { return k.call, k.call == nil }),
	}
	return args, err
}

// FindEvent implements deviceops.Events.
func (t tx) FindEvent(ctx context.Context, id int64) (deviceops.Event, error) {
	e, ok, err := first(ctx, t, "find event", scanEvent, `select `+eventColumns+` from events where id = $1`, id)
	if !ok {
		return e, missing(err, "there is no event %d: events are kept for a time", id)
	}
	return e, nil
}

// ListEvents implements deviceops.Events.
func (t tx) ListEvents(ctx context.Context, f deviceops.EventFilter) ([]deviceops.Event, error) {
	sql, args := eventsQuery(f)
	return list(ctx, t, "list events", scanEvent, sql, args...)
}

func eventsQuery(f deviceops.EventFilter) (sql string, args []any) {
	var where filter
	where.withinEvents(f.Account)
	where.equal("device", f.Device)
	if strings.HasSuffix(f.Type, ".") {
		where.add("starts_with(type, ?)", f.Type)
	} else {
		where.equal("type", f.Type)
	}
	if !f.Since.IsZero() {
		where.add("received_at >= ?", f.Since)
	}
	if f.Call != nil {
		where.add("call is not null and call->>'kind' = ?", f.Call.Kind)
		where.add("call->>'name' = ?", f.Call.Name)
	}
	order := "id desc"
	if f.After != 0 {
		where.add("id > ?", f.After)
		order = "id"
	}
	sql = `select ` + eventColumns + ` from events` + where.where() + ` order by ` + order + ` limit ` + where.arg(limitOf(f.Limit))
	return sql, where.args
}

// withinEvents keeps to the events of an account and all below it. That they are not
// of the root account goes without saying, except to the planner: the index over
// accounts leaves those out.
func (f *filter) withinEvents(top string) {
	n := len(f.conditions)
	if f.within("account", top); len(f.conditions) > n {
		f.conditions = append(f.conditions, "account <> 'root'")
	}
}

func scanEvent(row pgx.CollectableRow) (e deviceops.Event, err error) {
	err = row.Scan(&e.ID, &e.Account, &e.Device, &e.Type, &e.Severity, &e.Data, moment{&e.At}, moment{&e.ReceivedAt},
		&e.ClockFixed, &e.ClaimedAt, &e.Boot, &e.Seq, &e.Call)
	return e, err
}

package postgres

import (
	"context"
	"slices"
	"strings"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/deviceops/deviceops"
)

const eventColumns = `id, account, device, type, severity, data, at, received_at, clock_fixed, claimed_at, boot, seq`

type eventRecord struct {
	Account    string    `json:"account"`
	Device     string    `json:"device"`
	Type       string    `json:"type"`
	Severity   string    `json:"severity"`
	Data       object    `json:"data,omitempty"`
	At         time.Time `json:"at,omitzero"`
	ReceivedAt time.Time `json:"received_at,omitzero"`
	ClockFixed bool      `json:"clock_fixed"`
	ClaimedAt  string    `json:"claimed_at"`
	Boot       string    `json:"boot"`
	Seq        int64     `json:"seq"`
}

// AppendEvents implements deviceops.Events. Ids rise in the order of events.
func (t tx) AppendEvents(ctx context.Context, events []deviceops.Event) error {
	records := make([]eventRecord, len(events))
	for i, e := range events {
		records[i] = eventRecord{
			Account: e.Account, Device: e.Device, Type: e.Type, Severity: e.Severity, Data: e.Data,
			At: e.At, ReceivedAt: e.ReceivedAt, ClockFixed: e.ClockFixed, ClaimedAt: e.ClaimedAt, Boot: e.Boot, Seq: e.Seq,
		}
	}
	text, err := rows(records)
	if err != nil || len(events) == 0 {
		return err
	}
	ids, err := list(ctx, t, "append events", pgx.RowTo[int64], `
		insert into events (account, device, type, severity, data, at, received_at, clock_fixed, claimed_at, boot, seq)
		select account, device, type, severity, data, coalesce(at, received_at, now()), coalesce(received_at, now()),
			clock_fixed, claimed_at, boot, seq
		from json_to_recordset($1::json) as x(
			account text, device text, type text, severity text, data jsonb, at timestamptz, received_at timestamptz,
			clock_fixed boolean, claimed_at text, boot text, seq bigint)
		returning id`, text)
	slices.Sort(ids)
	for i, id := range ids {
		events[i].ID = id
	}
	return err
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
	var where filter
	where.within("account", f.Account)
	where.equal("device", f.Device)
	if strings.HasSuffix(f.Type, ".") {
		where.add("starts_with(type, ?)", f.Type)
	} else {
		where.equal("type", f.Type)
	}
	if !f.Since.IsZero() {
		where.add("received_at >= ?", f.Since)
	}
	order := "id desc"
	if f.After != 0 {
		where.add("id > ?", f.After)
		order = "id"
	}
	return list(ctx, t, "list events", scanEvent, `
		select `+eventColumns+` from events`+where.where()+`
		order by `+order+` limit `+where.arg(limitOf(f.Limit)), where.args...)
}

func scanEvent(row pgx.CollectableRow) (e deviceops.Event, err error) {
	err = row.Scan(&e.ID, &e.Account, &e.Device, &e.Type, &e.Severity, &e.Data, moment{&e.At}, moment{&e.ReceivedAt},
		&e.ClockFixed, &e.ClaimedAt, &e.Boot, &e.Seq)
	return e, err
}

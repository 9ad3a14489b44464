package postgres

import (
	"context"

	"github.com/jackc/pgx/v5"

	"github.com/deviceops/deviceops"
)

const letterColumns = `account, route, target, event, device, type, received_at, code, reason, version, at, tries, replaying`

// SaveDeadLetters implements deviceops.Routes.
func (t tx) SaveDeadLetters(ctx context.Context, letters []deviceops.DeadLetter) error {
	return bulk(ctx, t, "save dead letters", letters, `
		insert into dead_letters (account, route, target, event, device, type, received_at, code, reason, version, at, tries)
		select account, route, target, event, coalesce(device, ''), type, received_at, code, reason, version, at, 1
		from json_to_recordset($1::json) as x(
			account text, route text, target text, event bigint, device text, type text, received_at timestamptz, code text,
			reason text, version bigint, at timestamptz)
		on conflict (account, route, target, event) do update set
			code = excluded.code, reason = excluded.reason, version = excluded.version, at = excluded.at,
			tries = dead_letters.tries + 1, replaying = false`)
}

func letterFilter(f deviceops.DeadLetterFilter) (where filter) {
	if f.Exact {
		where.equal("account", f.Account)
	} else {
		where.within("account", f.Account)
	}
	where.equal("route", f.Route)
	where.equal("target", f.Target)
	if len(f.Events) > 0 {
		where.add("event = any(?)", f.Events)
	}
	if f.Replaying {
		where.conditions = append(where.conditions, "replaying")
	}
	return where
}

// ListDeadLetters implements deviceops.Routes.
func (t tx) ListDeadLetters(ctx context.Context, f deviceops.DeadLetterFilter) ([]deviceops.DeadLetter, error) {
	where := letterFilter(f)
	where.conditions = append(where.conditions, "(event, target) > ("+where.arg(f.After.Event)+", "+where.arg(f.After.Target)+")")
	return list(ctx, t, "list dead letters", scanLetter, `
		select `+letterColumns+` from dead_letters`+where.where()+`
		order by event, target, account, route limit `+where.arg(limitOf(f.Limit)), where.args...)
}

// ReplayDeadLetters implements deviceops.Routes.
func (t tx) ReplayDeadLetters(ctx context.Context, f deviceops.DeadLetterFilter) (int, error) {
	where := letterFilter(f)
	where.conditions = append(where.conditions,
		"exists (select from route_targets t where (t.account, t.route, t.target) = (l.account, l.route, l.target))")
	touched, err := t.exec(ctx, "replay dead letters", `update dead_letters l set replaying = true`+where.where(), where.args...)
	return int(touched), err
}

// DiscardDeadLetters implements deviceops.Routes.
func (t tx) DiscardDeadLetters(ctx context.Context, f deviceops.DeadLetterFilter) (int, error) {
	where := letterFilter(f)
	touched, err := t.exec(ctx, "discard dead letters", `delete from dead_letters`+where.where(), where.args...)
	return int(touched), err
}

// RemoveDeadLetters implements deviceops.Routes.
func (t tx) RemoveDeadLetters(ctx context.Context, key deviceops.TargetKey, events []int64) error {
	_, err := t.exec(ctx, "remove dead letters", `
		delete from dead_letters where account = $1 and route = $2 and target = $3 and event = any($4)`,
		key.Account, key.Route, key.Target, events)
	return err
}

func scanLetter(row pgx.CollectableRow) (l deviceops.DeadLetter, err error) {
	err = row.Scan(&l.Account, &l.Route, &l.Target, &l.Event, &l.Device, &l.Type, moment{&l.ReceivedAt}, &l.Code, &l.Reason, &l.Version,
		moment{&l.At}, &l.Tries, &l.Replaying)
	return l, err
}

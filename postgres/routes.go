package postgres

import (
	"context"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/deviceops/deviceops"
)

const (
	targetColumns = `
		account, route, target, cursor, delivered, delivered_at, paused, paused_by, paused_reason, paused_at,
		failures, failing_since, error, next_try, holder,
		(select count(*) from dead_letters l where (l.account, l.route, l.target) = (t.account, t.route, t.target) and replaying), `
	targetLetters = `(select count(*) from dead_letters l where (l.account, l.route, l.target) = (t.account, t.route, t.target))`
)

// OpenRoute implements deviceops.Routes.
func (t tx) OpenRoute(ctx context.Context, account, route string, targets []string, cursor int64) error {
	return t.atomically(ctx, func(t tx) error {
		_, err := t.exec(ctx, "close targets", `
			delete from route_targets where account = $1 and route = $2 and target <> all($3)`, account, route, targets)
		if err != nil {
			return err
		}
		_, err = t.exec(ctx, "open targets", `
			insert into route_targets (account, route, target, cursor)
			select $1, $2, unnest($3::text[]), case when $4::bigint < 0 then (select case when is_called then last_value else 0 end from event_ids) else $4 end
			on conflict do nothing`, account, route, targets, cursor)
		return err
	})
}

// HoldTargets implements deviceops.Routes. Calls take turns.
func (t tx) HoldTargets(ctx context.Context, holder string, now time.Time, ttl time.Duration) (held []deviceops.RouteTarget, err error) {
	err = t.atomically(ctx, func(t tx) error {
		if err := t.lock(ctx, "routes"); err != nil {
			return err
		}
		live, err := t.renewHolder(ctx, routeHolders, holder, now, ttl)
		if err != nil {
			return err
		}
		all, err := list(ctx, t, "read targets", scanHeldTarget, `
			select account, route, target, holder, coalesce(held_until <= $1, true) from route_targets order by account, route, target`, now)
		if err != nil {
			return err
		}
		if err := t.writeHolders(ctx, holder, fairShare(all, holder, live), now.Add(ttl)); err != nil {
			return err
		}
		held, err = list(ctx, t, "read held targets", scanTarget, `
			select `+targetColumns+`0 from route_targets t where holder = $1 order by account, route, target`, holder)
		return err
	})
	return held, err
}

// targetRow names a row of route_targets.
type targetRow struct{ account, route, target string }

func scanHeldTarget(row pgx.CollectableRow) (h holding[targetRow], err error) {
	err = row.Scan(&h.what.account, &h.what.route, &h.what.target, &h.holder, &h.lapsed)
	return h, err
}

// writeHolders makes these, and no other, targets be held by holder.
func (t tx) writeHolders(ctx context.Context, holder string, held []targetRow, until time.Time) error {
	_, err := t.exec(ctx, "hold targets", `
		with held as (select * from unnest($2::text[], $3::text[], $4::text[]) as h(account, route, target)),
		given_up as (
			update route_targets t set holder = '', held_until = null
			where holder = $1 and not exists (select from held h where (h.account, h.route, h.target) = (t.account, t.route, t.target)))
		update route_targets t set holder = $1, held_until = $5
		from held h where (h.account, h.route, h.target) = (t.account, t.route, t.target)`,
		holder, column(held, func(r *targetRow) string { return r.account }), column(held, func(r *targetRow) string { return r.route }),
		column(held, func(r *targetRow) string { return r.target }), until)
	return err
}

// ReleaseTargets implements deviceops.Routes.
func (t tx) ReleaseTargets(ctx context.Context, holder string) error {
	_, err := t.exec(ctx, "release targets", `
		with gone as (delete from route_holders where holder = $1)
		update route_targets set holder = '', held_until = null where holder = $1`, holder)
	return err
}

// AdvanceTarget implements deviceops.Routes.
func (t tx) AdvanceTarget(ctx context.Context, holder string, key deviceops.TargetKey, p deviceops.RouteProgress) error {
	touched, err := t.exec(ctx, "advance target", `
		update route_targets set
			cursor = greatest(cursor, $5), delivered = delivered + $6,
			delivered_at = case when $6::bigint > 0 then $7 else delivered_at end,
			failures = $8, failing_since = $9, error = $10, next_try = $11
		where account = $1 and route = $2 and target = $3 and holder = $4`,
		key.Account, key.Route, key.Target, holder, p.Cursor, p.Delivered, p.At, p.Failures, orNull(p.FailingSince), cleanText(p.Error), orNull(p.NextTry))
	if err == nil && touched == 0 {
		return deviceops.Errorf(deviceops.ECONFLICT, "the target %s of %s is held by another process", key, key.Account)
	}
	return err
}

// ListTargets implements deviceops.Routes.
func (t tx) ListTargets(ctx context.Context, account, route string) ([]deviceops.RouteTarget, error) {
	var where filter
	where.within("account", account)
	where.equal("route", route)
	return list(ctx, t, "list targets", scanTarget, `
		select `+targetColumns+targetLetters+` from route_targets t`+where.where()+` order by account, route, target`, where.args...)
}

// PauseRoute implements deviceops.Routes.
func (t tx) PauseRoute(ctx context.Context, p deviceops.RoutePause) (int, error) {
	var at time.Time
	if p.Paused {
		at = p.At
	} else {
		p.By, p.Reason = "", ""
	}
	touched, err := t.exec(ctx, "pause route", `
		update route_targets set paused = $4, paused_by = $5, paused_reason = $6, paused_at = $7
		where account = $1 and route = $2 and ($3 = '' or target = $3)`,
		p.Account, p.Route, p.Target, p.Paused, p.By, cleanText(p.Reason), orNull(at))
	if err == nil && touched == 0 {
		return 0, deviceops.Errorf(deviceops.ENOTFOUND, "there is no target %s in the account %s", deviceops.TargetKey{Route: p.Route, Target: p.Target}, p.Account)
	}
	return int(touched), err
}

func scanTarget(row pgx.CollectableRow) (r deviceops.RouteTarget, err error) {
	err = row.Scan(&r.Account, &r.Route, &r.Target, &r.Cursor, &r.Delivered, moment{&r.DeliveredAt}, &r.Paused, &r.PausedBy, &r.PausedReason,
		moment{&r.PausedAt}, &r.Failures, moment{&r.FailingSince}, &r.Error, moment{&r.NextTry}, &r.Holder, &r.Replaying, &r.DeadLetters)
	return r, err
}

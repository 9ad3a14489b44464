package postgres

import (
	"cmp"
	"context"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/deviceops/deviceops"
)

// LeaseRollout implements deviceops.Rollouts.
func (t tx) LeaseRollout(ctx context.Context, leased []deviceops.RolloutDevice, commands []deviceops.Command, now time.Time) ([]string, error) {
	if len(leased) == 0 {
		return nil, nil
	}
	args, err := leaseArgs(leased, commands, now.Add(deviceops.PublishLease))
	if err != nil {
		return nil, err
	}
	return list(ctx, t, "lease devices of rollout", pgx.RowTo[string], leaseRows, args...)
}

// leaseKind is what many commands of a lease have in common.
type leaseKind struct {
	account, name, by, reason, rollout string
	attempt, ring                      int
	exclusive                          bool
	created, due, expires              time.Time
}

// leaseArgs gives the columns of rows and of the commands that are made for them.
func leaseArgs(leased []deviceops.RolloutDevice, commands []deviceops.Command, until time.Time) (args []any, err error) {
	type c = deviceops.Command
	type k = leaseKind
	type r = deviceops.RolloutDevice
	var kinds kinds[leaseKind]
	for i := range commands {
		c := &commands[i]
		kinds.add(leaseKind{
			account: c.Account, name: c.Name, by: c.By, reason: c.Reason, rollout: c.Rollout, attempt: c.Attempt, ring: c.Ring, exclusive: c.Exclusive,
			created: c.CreatedAt, due: c.DueAt, expires: c.ExpiresAt,
		})
	}
	sorted := inLockOrder(leased)
	origins := column(sorted, func(r *r) *string {
		origin, failed := originText(r.From)
		err = cmp.Or(err, failed)
		return origin
	})
	args = []any{
		texts(sorted, func(r *r) string { return r.Rollout }), texts(sorted, func(r *r) string { return r.Device }),
		column(sorted, func(r *r) int { return r.Attempt }), origins, until,
		texts(commands, func(c *c) string { return c.ID }), texts(commands, func(c *c) string { return c.Device }),
		documents(commands, &err, func(c *c) (any, bool) { return c.Args, len(c.Args) == 0 }), texts(commands, func(c *c) string { return c.Boot }), kinds.rows,
		texts(kinds.list, func(k *k) string { return k.account }), texts(kinds.list, func(k *k) string { return k.name }),
		column(kinds.list, func(k *k) int { return k.attempt }), column(kinds.list, func(k *k) bool { return k.exclusive }),
		texts(kinds.list, func(k *k) string { return k.by }), texts(kinds.list, func(k *k) string { return k.reason }),
		column(kinds.list, func(k *k) *time.Time { return orNull(k.created) }), column(kinds.list, func(k *k) *time.Time { return orNull(k.due) }),
		column(kinds.list, func(k *k) *time.Time { return orNull(k.expires) }),
		texts(kinds.list, func(k *k) string { return k.rollout }), column(kinds.list, func(k *k) int { return k.ring }),
	}
	return args, err
}

// leaseRows gives the devices whose rows were not leased, because their commands
// have ended in a way that admits no other attempt. Nearly all commands are new: the
// few that exist are looked for and changed by themselves, since an insert that is
// prepared for each to exist costs more.
var leaseRows = `
	with x as materialized (select * from unnest($1::text[], $2::text[], $3::bigint[], $4::jsonb[]) as x(rollout, device, attempt, origin)),
	y as materialized (
		select id, device, args, boot, ($11::text[])[kind] as account, ($12::text[])[kind] as name, ($13::bigint[])[kind] as attempt,
			($14::boolean[])[kind] as exclusive, ($15::text[])[kind] as asked_by, ($16::text[])[kind] as reason,
			($17::timestamptz[])[kind] as created_at, ($18::timestamptz[])[kind] as due_at, ($19::timestamptz[])[kind] as expires_at,
			($20::text[])[kind] as rollout, ($21::bigint[])[kind] as ring
		from unnest($6::text[], $7::text[], $8::jsonb[], $9::text[], $10::bigint[]) as y(id, device, args, boot, kind)),
	known as materialized (select c.id from commands c where c.id = any($6) order by c.id for no key update),
	again as (
		update commands c set
			args = y.args, attempt = y.attempt, status = 'pending', due_at = y.due_at, expires_at = y.expires_at,
			sent_at = null, leased_until = $5, finished_at = null, cancel_asked = false, boot = y.boot,
			phase = '', percent = 0, output = null, error = null
		from y
		where c.id = any(array(select id from known)) and c.id = y.id
			and (c.attempt = y.attempt and c.status in ('pending', 'deferred', 'expired') or c.attempt = y.attempt - 1 and c.status = 'failed')
		returning c.device),
	made as (
		insert into commands (id, account, device, name, args, attempt, exclusive, status, asked_by, reason,
			waiter_workflow, waiter_activity, created_at, due_at, expires_at, leased_until,
			cancel_asked, deferrals, boot, phase, percent, rollout, ring)
		select id, account, device, name, args, attempt, exclusive, 'pending', asked_by, reason,
			'', '', coalesce(created_at, now()), due_at, expires_at, $5, false, 0, boot, '', 0, rollout, ring
		from y where not ` + among("y.id", "select id from known") + `
		returning device),
	stored as (select device from again union all select device from made),
	moved as (
		update rollout_devices r set
			previous = ` + rowState + `, status = 'pending', leased_until = $5, attempt = x.attempt, origin = x.origin, error = null,
			wait_kind = '', wait_text = '', wait_since = null, wait_until = null
		from x
		where r.rollout = x.rollout and r.device = x.device and r.status in ('pending', 'deferred') and ` + among("x.device", "select device from stored") + `
		returning r.rollout, r.device, r.ring, r.previous, ` + rowState + ` as state),
	` + countShifts + `
	select x.device from x where not ` + among("x.device", "select device from moved") + ` order by 1`

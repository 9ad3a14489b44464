package postgres

import (
	"context"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/deviceops/deviceops"
)

// mayRejoin is the condition, over rows r, of those that take no part because of
// what may change: the state of their device, or that it had left.
const mayRejoin = `r.status = 'excused' and r.error ->> 'code' in ('` + deviceops.ExcuseState + `', '` + deviceops.ExcuseLeft + `')`

// RejoinRollout implements deviceops.Rollouts. Who joins again has as long as the
// others had: see added_at.
func (t tx) RejoinRollout(ctx context.Context, rollout string, devices []string, now time.Time) (int, error) {
	if len(devices) == 0 {
		return 0, nil
	}
	joined, _, err := first(ctx, t, "rejoin devices to rollout", pgx.RowTo[int], `
		with back as materialized (
			select r.rollout, r.device, r.ring as old, (select max(g.ring) from rollout_rings g where g.rollout = r.rollout) as last
			from rollout_devices r
			where r.rollout = $1 and r.device = any($2) and `+mayRejoin+`
			order by r.device for no key update of r),
		changed as (
			update rollout_devices r set
				previous = 'excused', status = 'pending', ring = back.last, due_at = $3, added_at = $3, ended_at = null, error = null,
				wait_kind = '', wait_text = '', wait_since = null, wait_until = null
			from back where r.rollout = back.rollout and r.device = back.device
			returning r.rollout, r.ring, back.old),
		moved as (
			select rollout, old as ring, 'excused' as previous, '' as state from changed
			union all
			select rollout, ring, '', 'pending' from changed),
		`+countShifts+`
		select count(*) from changed`, rollout, devices, now)
	return joined, err
}

package postgres

import (
	"context"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/deviceops/deviceops"
)

// RequestReplays implements deviceops.Events.
func (t tx) RequestReplays(ctx context.Context, r deviceops.RejectedReplay, now time.Time) (report deviceops.RejectedReplayReport, err error) {
	where := rejectedFilter(r.RejectedFilter)
	where.conditions = append(where.conditions, "replay_at is null")
	chosen, args := where.where(), where.args
	cut, _, err := first(ctx, t, "count cut messages", pgx.RowTo[int], `select count(*) from rejected`+chosen+` and length(payload) <> size`, args...)
	if err != nil {
		return report, err
	}
	marked, err := t.exec(ctx, "request replays",
		`update rejected set replay_at = `+where.arg(now)+chosen+` and length(payload) = size`, where.args...)
	return deviceops.RejectedReplayReport{Requested: int(marked), Cut: cut}, err
}

// ClaimReplays implements deviceops.Events.
func (t tx) ClaimReplays(ctx context.Context, now time.Time, limit int) ([]deviceops.Rejected, error) {
	return list(ctx, t, "claim replays", scanRejected, `
		with picked as materialized (
			select id from rejected where replay_at <= $1 order by replay_at, id limit $3 for update skip locked),
		claimed as (
			update rejected r set replay_at = $2 from picked where r.id = picked.id returning r.*)
		select `+rejectedColumns+` from claimed order by received_at, id`,
		now, now.Add(deviceops.PublishLease), limit)
}

// DeleteRejected implements deviceops.Events.
func (t tx) DeleteRejected(ctx context.Context, ids []int64) ([]int64, error) {
	return list(ctx, t, "delete rejected", pgx.RowTo[int64], `delete from rejected where id = any($1) returning id`, ids)
}

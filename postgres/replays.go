package postgres

import (
	"context"
	"slices"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/deviceops/deviceops"
)

// selectedRejected is a rejected message that a filter selects.
type selectedRejected struct {
	ID     int64
	Topic  string
	Whole  bool
	Marked bool // to be taken in again
}

// selectRejected gives the rejected messages that f selects, oldest first. Topics
// are compared here, since SQL knows no MQTT filters; there are never more than
// keptRejected.
func (t tx) selectRejected(ctx context.Context, f deviceops.RejectedFilter) ([]selectedRejected, error) {
	found, err := list(ctx, t, "select rejected", pgx.RowToStructByPos[selectedRejected], `
		select id, topic, length(payload) = size, replay_at is not null from rejected
		where ($1 = '' or code = $1) and ($2 = '' or device = $2) order by id`, f.Code, f.Device)
	if f.Topic == "" {
		return found, err
	}
	return slices.DeleteFunc(found, func(r selectedRejected) bool { return !deviceops.TopicMatches(f.Topic, r.Topic) }), err
}

// RequestReplays implements deviceops.Events.
func (t tx) RequestReplays(ctx context.Context, r deviceops.RejectedReplay, now time.Time) (report deviceops.RejectedReplayReport, err error) {
	found, err := t.selectRejected(ctx, r.RejectedFilter)
	if err != nil {
		return report, err
	}
	var ids []int64
	for _, c := range found {
		switch {
		case c.Marked:
		case c.Whole:
			ids = append(ids, c.ID)
		default:
			report.Cut++
		}
	}
	if len(ids) == 0 {
		return report, nil
	}
	marked, err := t.exec(ctx, "request replays",
		`update rejected set replay_at = $2 where id = any($1) and replay_at is null`, ids, now)
	report.Requested = int(marked)
	return report, err
}

// ClaimReplays implements deviceops.Events.
func (t tx) ClaimReplays(ctx context.Context, now time.Time, limit int) ([]deviceops.Rejected, error) {
	return list(ctx, t, "claim replays", scanRejected, `
		with picked as materialized (
			select id from rejected where replay_at <= $1 order by replay_at, id limit $3 for update skip locked),
		claimed as (
			update rejected r set replay_at = $2 from picked where r.id = picked.id returning r.*)
		select id, received_at, topic, device, code, reason, size, payload from claimed order by received_at, id`,
		now, now.Add(deviceops.PublishLease), limit)
}

// DeleteRejected implements deviceops.Events.
func (t tx) DeleteRejected(ctx context.Context, ids []int64) error {
	_, err := t.exec(ctx, "delete rejected", `delete from rejected where id = any($1)`, ids)
	return err
}

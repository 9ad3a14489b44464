package postgres

import (
	"context"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/deviceops/deviceops"
)

// How many rejected messages are kept, and how long.
const (
	keptRejected = 10_000
	keptDays     = 7
)

type rejectedRecord struct {
	ReceivedAt time.Time `json:"received_at,omitzero"`
	Topic      string    `json:"topic"`
	Device     string    `json:"device"`
	Code       string    `json:"code"`
	Reason     string    `json:"reason"`
	Size       int       `json:"size"`
	Payload    []byte    `json:"payload"` // base64
}

// AppendRejected implements deviceops.Events.
func (t tx) AppendRejected(ctx context.Context, rejected []deviceops.Rejected) error {
	if len(rejected) == 0 {
		return nil
	}
	records := make([]rejectedRecord, len(rejected))
	for i, r := range rejected {
		records[i] = rejectedRecord{r.ReceivedAt, r.Topic, r.Device, r.Code, r.Reason, r.Size, r.Payload[:min(len(r.Payload), deviceops.RejectedPayload)]}
	}
	return t.atomically(ctx, func(t tx) error {
		if err := bulk(ctx, t, "append rejected", records, insertRejected); err != nil {
			return err
		}
		_, err := t.exec(ctx, "prune rejected", `
			delete from rejected
			where id < (select id from rejected order by id desc offset $1 limit 1)
				or received_at < (select max(received_at) from rejected) - make_interval(days => $2)`,
			keptRejected-1, keptDays)
		return err
	})
}

// insertRejected counts by code in order, so that two calls do not deadlock.
const insertRejected = `
	with x as materialized (
		select coalesce(d.account, 'root') as account, coalesce(r.received_at, now()) as received_at,
			r.topic, r.device, r.code, r.reason, r.size, decode(coalesce(r.payload, ''), 'base64') as payload
		from json_to_recordset($1::json) as r(
			received_at timestamptz, topic text, device text, code text, reason text, size bigint, payload text)
		left join devices d on d.id = r.device),
	counted as (
		insert into rejected_counts (account, code, count)
		select account, code, count(*) from x group by account, code order by account, code
		on conflict (account, code) do update set count = rejected_counts.count + excluded.count)
	insert into rejected (account, received_at, topic, device, code, reason, size, payload)
	select account, received_at, topic, device, code, reason, size, payload from x order by received_at`

// ListRejected implements deviceops.Events.
func (t tx) ListRejected(ctx context.Context, f deviceops.RejectedFilter, limit int) ([]deviceops.Rejected, map[string]int64, error) {
	selected, err := t.selectRejected(ctx, f)
	if err != nil {
		return nil, nil, err
	}
	selected = selected[max(0, len(selected)-limitOf(limit)):]
	ids := make([]int64, len(selected))
	for i, c := range selected {
		ids[i] = c.ID
	}
	found, err := list(ctx, t, "list rejected", scanRejected, `
		select id, received_at, topic, device, code, reason, size, payload from rejected where id = any($1) order by id desc`, ids)
	if err != nil {
		return nil, nil, err
	}
	type count struct {
		Code   string
		Number int64
	}
	counts, err := list(ctx, t, "count rejected", pgx.RowToStructByPos[count],
		`select code, sum(count)::bigint from rejected_counts group by code`)
	byCode := make(map[string]int64, len(counts))
	for _, c := range counts {
		byCode[c.Code] = c.Number
	}
	return found, byCode, err
}

func scanRejected(row pgx.CollectableRow) (r deviceops.Rejected, err error) {
	err = row.Scan(&r.ID, moment{&r.ReceivedAt}, &r.Topic, &r.Device, &r.Code, &r.Reason, &r.Size, &r.Payload)
	return r, err
}

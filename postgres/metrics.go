package postgres

import (
	"context"
	"fmt"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/deviceops/deviceops"
)

// The tables of metric history. Sums of days that have no partition, which late
// samples bring, stay in the default one.
var (
	metricSamples = dailies{"metric_samples", "received_at", 2}
	metricFives   = dailies{"metric_fives", "bucket", 2}
	metricHours   = dailies{"metric_hours", "bucket", 2}
)

// bucketOrigin is a Monday, so that steps of a week are weeks.
const bucketOrigin = `timestamptz '2000-01-03 00:00:00Z'`

// AppendSamples implements deviceops.MetricHistory.
func (t tx) AppendSamples(ctx context.Context, samples []deviceops.MetricSample) error {
	if len(samples) == 0 {
		return nil
	}
	type s = deviceops.MetricSample
	_, err := t.exec(ctx, "append samples", `
		insert into metric_samples (account, device, name, value, at, received_at, tx)
		select x.*, (select pg_current_xact_id()::text::bigint)
		from unnest($1::text[], $2::text[], $3::text[], $4::float8[], $5::timestamptz[], $6::timestamptz[]) as x`,
		texts(samples, func(m *s) string { return m.Account }), texts(samples, func(m *s) string { return m.Device }),
		texts(samples, func(m *s) string { return m.Name }), column(samples, func(m *s) float64 { return m.Value }),
		column(samples, func(m *s) time.Time { return m.At }), column(samples, func(m *s) time.Time { return m.ReceivedAt }))
	return err
}

// RollUpMetrics implements deviceops.MetricHistory. All transactions before the
// oldest that is still open are over, so what they stored is seen here, and what
// later ones store is seen by the next call.
func (t tx) RollUpMetrics(ctx context.Context) (n int, err error) {
	err = t.atomically(ctx, func(t tx) error {
		n = 0 // of an attempt that failed
		if _, err := t.exec(ctx, "begin the roll-up", `insert into metric_rollup values ($1, 0) on conflict do nothing`, deviceops.RootAccount); err != nil {
			return err
		}
		upto, free, err := first(ctx, t, "claim the roll-up", pgx.RowTo[int64], `select upto from metric_rollup for update skip locked`)
		if err != nil || !free {
			return err
		}
		next, _, err := first(ctx, t, "find open transactions", pgx.RowTo[int64],
			`select pg_snapshot_xmin(pg_current_snapshot())::text::bigint`)
		if err != nil || next == upto {
			return err
		}
		n, _, err = first(ctx, t, "roll up metrics", pgx.RowTo[int], rollUp(upto, next))
		return err
	})
	return n, err
}

// rollUp sums up the samples of the transactions from..next-1. Numbers of
// transactions begin anew in a database that was restored from a dump: those of
// its samples that were not summed up before have numbers from from on, the new
// ones such below next.
func rollUp(from, next int64) string {
	chosen := fmt.Sprintf(`tx >= %d and tx < %d`, from, next)
	if next < from {
		chosen = fmt.Sprintf(`tx >= %d or tx < %d`, from, next)
	}
	return `
		with fresh as materialized (select account, device, name, value, at from metric_samples where ` + chosen + `),
		fives as (` + sumsInto(metricFives, deviceops.MetricFives) + `),
		hours as (` + sumsInto(metricHours, deviceops.MetricHours) + `),
		done as (update metric_rollup set upto = ` + fmt.Sprint(next) + `)
		select count(*) from fresh`
}

func sumsInto(d dailies, source deviceops.MetricSource) string {
	return fmt.Sprintf(`
		insert into %s as b (account, device, name, bucket, count, min, max, sum, last, last_at)
		select max(account), device, name, date_bin('%d seconds', at, %s) as bucket,
			count(*), min(value), max(value), sum(value), (array_agg(value order by at desc))[1], max(at)
		from fresh group by device, name, bucket
		on conflict (name, device, bucket) do update set
			account = excluded.account, count = b.count + excluded.count, min = least(b.min, excluded.min),
			max = greatest(b.max, excluded.max), sum = b.sum + excluded.sum,
			last = case when excluded.last_at >= b.last_at then excluded.last else b.last end,
			last_at = greatest(b.last_at, excluded.last_at)`, d.table, int(source.Width().Seconds()), bucketOrigin)
}

// MaintainMetrics implements deviceops.MetricHistory.
func (t tx) MaintainMetrics(ctx context.Context, now time.Time, keep deviceops.MetricRetention) error {
	return t.inSteps(ctx,
		func(t tx) error { return t.addPartitions(ctx, metricSamples, now) },
		func(t tx) error { return t.addPartitions(ctx, metricFives, now) },
		func(t tx) error { return t.addPartitions(ctx, metricHours, now) },
		func(t tx) error { _, err := t.RollUpMetrics(ctx); return err },
		func(t tx) error { return t.dropSamples(ctx, now.Add(-keep.Raw)) },
		func(t tx) error { return t.dropPartitions(ctx, metricFives, now.Add(-keep.Fives)) },
		func(t tx) error { return t.dropPartitions(ctx, metricHours, now.Add(-keep.Hours)) })
}

// dropSamples drops days that ended before limit, unless a transaction that has
// been open for as long keeps some of their samples from being summed up.
func (t tx) dropSamples(ctx context.Context, limit time.Time) error {
	owed, _, err := first(ctx, t, "look for samples to sum up", pgx.RowTo[bool], `
		select exists (select from metric_samples where received_at < $1 and tx >= (select upto from metric_rollup))`, dayOf(limit))
	if err != nil || owed {
		return err
	}
	return t.dropPartitions(ctx, metricSamples, limit)
}

// DeviceMetric implements deviceops.MetricHistory.
func (t tx) DeviceMetric(ctx context.Context, device, name string, w deviceops.MetricWindow) ([]deviceops.MetricPoint, error) {
	return list(ctx, t, "read the history of a metric", scanPoint, `
		select date_bin($5, b.bucket, `+bucketOrigin+`) as step, `+pointColumns+`
		from `+bucketsOf(w.Source)+`
		where b.device = $1 and b.name = $2 and b.bucket >= $3 and b.bucket < $4 group by step order by step`,
		device, name, w.Since.Truncate(max(w.Source.Width(), 1)), w.Until, w.Step)
}

const pointColumns = `sum(b.count)::bigint, min(b.min), sum(b.sum) / sum(b.count), max(b.max), (array_agg(b.last order by b.last_at desc))[1]`

// bucketsOf gives a source as buckets b; each sample is one of its own.
func bucketsOf(source deviceops.MetricSource) string {
	switch source {
	case deviceops.MetricFives:
		return `metric_fives b`
	case deviceops.MetricHours:
		return `metric_hours b`
	default:
		return `(select device, name, at as bucket, 1 as count, value as min, value as max, value as sum, value as last, at as last_at
			from metric_samples) b`
	}
}

func scanPoint(row pgx.CollectableRow) (p deviceops.MetricPoint, err error) {
	err = row.Scan(moment{&p.At}, &p.Count, &p.Min, &p.Avg, &p.Max, &p.Last)
	return p, err
}

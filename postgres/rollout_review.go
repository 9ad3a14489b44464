package postgres

import (
	"context"

	"github.com/jackc/pgx/v5"

	"github.com/deviceops/deviceops"
)

// ReviewRollout implements deviceops.Rollouts.
func (t tx) ReviewRollout(ctx context.Context, q deviceops.RolloutReview) ([]deviceops.Candidate, error) {
	rows, err := list(ctx, t, "review devices of rollout", scanRolloutDevice, `
		select `+rolloutDeviceColumns+` from rollout_devices r
		where r.rollout = $1 and r.ring = $2 and r.status = 'succeeded' and r.device > $3 and (not $4 or r.health = 0)
		order by r.device limit $5`, q.Rollout, q.Ring, q.After, q.Unjudged, limitOf(q.Limit))
	if err != nil || len(rows) == 0 || !q.Facts {
		found := make([]deviceops.Candidate, len(rows))
		for i, r := range rows {
			found[i].Row = r
		}
		return found, err
	}
	devices := make([]string, len(rows))
	for i, r := range rows {
		devices[i] = r.Device
	}
	return list(ctx, t, "read devices to review", scanReviewed(rows), `
		select x.n, `+deviceColumns+`,
			(select jsonb_object_agg(m.name, m.value) from device_metrics m where m.device = d.id and m.at > r.ended_at)
		from unnest($1::text[]) with ordinality as x(device, n)
		join rollout_devices r on r.rollout = $2 and r.device = x.device
		join devices d on d.id = x.device join twins t on t.device = d.id join sessions s on s.device = d.id
		order by x.n`, devices, q.Rollout)
}

// scanReviewed reads the devices of rows.
func scanReviewed(rows []deviceops.RolloutDevice) pgx.RowToFunc[deviceops.Candidate] {
	return func(row pgx.CollectableRow) (c deviceops.Candidate, err error) {
		var n int
		device, complete := deviceTargets(&c.Device)
		targets := append(append([]any{&n}, device...), &c.Device.Metrics)
		if err := row.Scan(targets...); err != nil {
			return c, err
		}
		complete()
		c.Row = rows[n-1]
		return c, nil
	}
}

// JudgeRollout implements deviceops.Rollouts.
func (t tx) JudgeRollout(ctx context.Context, judged []deviceops.RolloutDevice) error {
	var rollouts, devices []string
	var health []int
	sorted := inLockOrder(judged)
	for _, r := range sorted {
		rollouts, devices, health = append(rollouts, r.Rollout), append(devices, r.Device), append(health, int(r.Health))
	}
	if len(sorted) == 0 {
		return nil
	}
	_, err := t.exec(ctx, "judge devices of rollout", `
		with moved as (
			update rollout_devices r set previous = `+rowState+`, health = x.health
			from unnest($1::text[], $2::text[], $3::bigint[]) as x(rollout, device, health)
			where r.rollout = x.rollout and r.device = x.device and r.status = 'succeeded' and r.health <> x.health
			returning r.rollout, r.ring, r.previous, `+rowState+` as state),
		`+countShifts+`
		select`, rollouts, devices, health)
	return err
}

package postgres

import (
	"context"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/deviceops/deviceops"
)

// EndRolloutDevices implements deviceops.Rollouts.
func (t tx) EndRolloutDevices(ctx context.Context, id string, ring int, status deviceops.RolloutDeviceStatus, cause *deviceops.CommandError, now time.Time) (ended int, err error) {
	err = t.atomically(ctx, func(t tx) error {
		devices, err := t.unpublished(ctx, id, ring, now)
		if err != nil {
			return err
		}
		if err := t.letGo(ctx, id, devices, now); err != nil {
			return err
		}
		var moves []deviceops.RolloutMove
		for _, device := range devices {
			moves = append(moves, deviceops.RolloutMove{
				Rollout: id, Device: device, From: beforeSent, To: status, At: now, Error: cause,
			})
		}
		moved, err := t.AdvanceRollout(ctx, moves)
		ended = len(moved)
		return err
	})
	return ended, err
}

// letGo makes rows of other rollouts due that wait for this one to let their devices
// go. It comes before the counters, as all changes of rows do.
func (t tx) letGo(ctx context.Context, rollout string, devices []string, now time.Time) error {
	if len(devices) == 0 {
		return nil
	}
	_, err := t.exec(ctx, "let devices of rollout go", `
		with awake as materialized (
			select r.rollout, r.device from rollout_devices r
			where r.device = any($2) and r.rollout <> $1 and r.wait_kind = 'conflict' and r.status in ('pending', 'deferred')
				and r.leased_until is null and coalesce(r.due_at > $3, true)
			order by 1, 2 for no key update)
		update rollout_devices r set due_at = $3 from awake where r.rollout = awake.rollout and r.device = awake.device`, rollout, devices, now)
	return err
}

// WithdrawRollout implements deviceops.Rollouts.
func (t tx) WithdrawRollout(ctx context.Context, id string, now time.Time) (w deviceops.Withdrawal, err error) {
	err = t.atomically(ctx, func(t tx) error {
		devices, err := t.unpublished(ctx, id, -1, now)
		if err != nil {
			return err
		}
		if w.Withdrawn, err = t.withdraw(ctx, id, devices, now); err != nil {
			return err
		}
		rings, err := t.RolloutCounts(ctx, id)
		for _, r := range rings {
			w.Running += r.Counts.Accepted
			w.Unknown += r.Counts.Sent + r.Counts.Leased
		}
		return err
	})
	return w, err
}

// beforeSent are the statuses of rows for which nothing is under way.
var beforeSent = []deviceops.RolloutDeviceStatus{deviceops.DevicePending, deviceops.DeviceDeferred}

// unpublished locks the rows of a rollout (ring < 0: of all its rings) that are
// pending or deferred and removes the commands by which they would have been
// carried out. A row under lease is being published this very moment and stays.
// Commands come before rows, as they do for whoever stores an answer.
func (t tx) unpublished(ctx context.Context, id string, ring int, now time.Time) ([]string, error) {
	const waiting = `r.rollout = $1 and ($2 < 0 or r.ring = $2) and r.status in ('pending', 'deferred') and coalesce(r.leased_until <= $3, true)`
	started, err := list(ctx, t, "find devices with commands", pgx.RowTo[string], `
		select r.device from rollout_devices r where `+waiting+` and r.attempt > 0 order by r.device`, id, ring, now)
	if err != nil {
		return nil, err
	}
	ids := make([]string, len(started))
	for i, device := range started {
		ids[i] = deviceops.RolloutCommandID(id, device)
	}
	if len(ids) > 0 {
		_, err = t.exec(ctx, "withdraw commands", `
			with taken as materialized (
				select c.id from commands c
				where c.id = any($1) and c.status in ('pending', 'deferred') and coalesce(c.leased_until <= $2, true)
				order by c.id for update)
			delete from commands c using taken where c.id = taken.id`, ids, now)
	}
	if err != nil {
		return nil, err
	}
	return list(ctx, t, "lock waiting devices", pgx.RowTo[string], `
		select r.device from rollout_devices r where `+waiting+` order by r.device for no key update`, id, ring, now)
}

// withdraw makes rows pending that had been asked, or were about to be, and
// gives their number.
func (t tx) withdraw(ctx context.Context, id string, devices []string, now time.Time) (int, error) {
	withdrawn, _, err := first(ctx, t, "withdraw devices", pgx.RowTo[int], `
		with moved as (
			update rollout_devices r set
				previous = `+rowState+`, status = 'pending', leased_until = null, due_at = $3,
				wait_kind = '', wait_text = '', wait_since = null, wait_until = null
			where r.rollout = $1 and r.device = any($2) and (r.status = 'deferred' or r.leased_until is not null)
			returning r.rollout, r.ring, r.previous, `+rowState+` as state),
		`+countShifts+`
		select count(*) from moved`, id, devices, now)
	return withdrawn, err
}

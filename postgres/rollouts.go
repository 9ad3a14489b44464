package postgres

import (
	"context"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/deviceops/deviceops"
)

const rolloutColumns = `
	o.id, o.account, o.name, o.kind, o.source, o.hash, o.status, o.status_reason, o.status_by, o.status_since, o.epoch, o.limits,
	o.rollback_of, o.rollback, o.health_by_success, o.take_back, o.notes, o.created_by, o.reason, o.created_at, o.started_at, o.finished_at, o.pumped_at`

// rolloutEnded is the condition, over rollouts o, of those in which nothing
// more happens.
const rolloutEnded = `o.status in ('succeeded', 'failed', 'canceled', 'reverted')`

// CreateRollout implements deviceops.Rollouts.
func (t tx) CreateRollout(ctx context.Context, r deviceops.Rollout) (stored deviceops.Rollout, created bool, err error) {
	r.Status = deviceops.RolloutPlanning
	err = t.atomically(ctx, func(t tx) error {
		touched, err := t.exec(ctx, "create rollout", `
			insert into rollouts (id, account, name, kind, source, hash, status, status_reason, status_by, status_since, epoch, limits,
				rollback_of, rollback, health_by_success, created_by, reason, created_at, started_at, finished_at)
			values ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13, $14, $15, $16, $17, $18, $19, $20)
			on conflict do nothing`,
			r.ID, r.Account, r.Name, r.Kind, r.Source, r.Hash, r.Status, r.StatusReason, r.StatusBy, r.StatusSince, r.Epoch, r.Limits,
			r.RollbackOf, r.Rollback, r.HealthBySuccess, r.CreatedBy, r.Reason, r.CreatedAt, orNull(r.StartedAt), orNull(r.FinishedAt))
		if err != nil {
			return err
		}
		if created = touched > 0; created {
			if err := t.addRings(ctx, r); err != nil {
				return err
			}
		}
		stored, err = t.FindRollout(ctx, r.ID)
		return err
	})
	if err == nil && !created && stored.Hash != r.Hash {
		err = deviceops.Errorf(deviceops.ECONFLICT, "rollout %s exists in account %s with another manifest: give the change another name", r.Name, r.Account)
	}
	return stored, created, err
}

func (t tx) addRings(ctx context.Context, r deviceops.Rollout) error {
	for _, ring := range r.Rings {
		_, err := t.exec(ctx, "create ring", `
			insert into rollout_rings (rollout, ring, account, name, status, reason, opened_at, soak_at, closed_at)
			values ($1, $2, $3, $4, $5, $6, $7, $8, $9)`,
			r.ID, ring.Index, r.Account, ring.Name, ring.Status, ring.Reason,
			orNull(ring.OpenedAt), orNull(ring.SoakAt), orNull(ring.ClosedAt))
		if err != nil {
			return err
		}
	}
	return nil
}

// FindRollout implements deviceops.Rollouts.
func (t tx) FindRollout(ctx context.Context, id string) (deviceops.Rollout, error) {
	return t.findRollout(ctx, id, "")
}

// LockRollout implements deviceops.Rollouts.
func (t tx) LockRollout(ctx context.Context, id string) (deviceops.Rollout, error) {
	return t.findRollout(ctx, id, " for no key update")
}

func (t tx) findRollout(ctx context.Context, id, lock string) (deviceops.Rollout, error) {
	r, ok, err := first(ctx, t, "find rollout", scanRollout, `select `+rolloutColumns+` from rollouts o where o.id = $1`+lock, id)
	if !ok {
		return r, missing(err, "there is no rollout %s", id)
	}
	r.Rings, err = t.RolloutCounts(ctx, id)
	return r, err
}

// ListRollouts implements deviceops.Rollouts.
func (t tx) ListRollouts(ctx context.Context, f deviceops.RolloutFilter) ([]deviceops.Rollout, error) {
	var where filter
	where.within("o.account", f.Account)
	where.equal("o.name", f.Name)
	where.equal("o.status", string(f.Status))
	if f.Open {
		where.conditions = append(where.conditions, "not ("+rolloutEnded+")")
	}
	if f.After != "" {
		where.add("(o.created_at, o.id) < (select created_at, id from rollouts where id = ?)", f.After)
	}
	return list(ctx, t, "list rollouts", scanRollout, `
		select `+rolloutColumns+` from rollouts o`+where.where()+`
		order by o.created_at desc, o.id desc limit `+where.arg(limitOf(f.Limit)), where.args...)
}

// SaveRollout implements deviceops.Rollouts.
func (t tx) SaveRollout(ctx context.Context, r deviceops.Rollout) error {
	return t.atomically(ctx, func(t tx) error {
		touched, err := t.exec(ctx, "save rollout", `
			update rollouts set
				status = $2, status_reason = $3, status_by = $4, status_since = $5, epoch = $6, limits = $7, rollback = $8,
				take_back = $9, notes = $10, started_at = $11, finished_at = $12
			where id = $1`,
			r.ID, r.Status, r.StatusReason, r.StatusBy, r.StatusSince, r.Epoch, r.Limits, r.Rollback,
			r.TakeBack, r.Notes, orNull(r.StartedAt), orNull(r.FinishedAt))
		if touched == 0 {
			return missing(err, "there is no rollout %s", r.ID)
		}
		return t.saveRings(ctx, r)
	})
}

func (t tx) saveRings(ctx context.Context, r deviceops.Rollout) error {
	for _, ring := range r.Rings {
		_, err := t.exec(ctx, "save ring", `
			update rollout_rings set status = $3, reason = $4, opened_at = $5, soak_at = $6, closed_at = $7, pardoned = $8
			where rollout = $1 and ring = $2`,
			r.ID, ring.Index, ring.Status, ring.Reason, orNull(ring.OpenedAt), orNull(ring.SoakAt), orNull(ring.ClosedAt), ring.Pardoned)
		if err != nil {
			return err
		}
	}
	return nil
}

// RolloutCounts implements deviceops.Rollouts.
func (t tx) RolloutCounts(ctx context.Context, id string) ([]deviceops.Ring, error) {
	return list(ctx, t, "count rollout", scanRing, `
		select ring, name, status, reason, opened_at, soak_at, closed_at, pardoned,
			targeted, pending, leased, sent, accepted, deferred, succeeded, failed, rejected, timed_out, excused, canceled,
			reverting, reverted, revert_failed, healthy, unhealthy
		from rollout_rings where rollout = $1 order by ring`, id)
}

// RolloutErrors implements deviceops.Rollouts.
func (t tx) RolloutErrors(ctx context.Context, id string) ([]deviceops.ErrorCount, error) {
	return list(ctx, t, "count errors", pgx.RowToStructByPos[deviceops.ErrorCount], `
		select ring, status, coalesce(error->>'code', ''), (array_agg(coalesce(error->>'message', '') order by device))[1], count(*), min(device)
		from rollout_devices
		where rollout = $1 and status in ('failed', 'rejected', 'timed_out', 'revert_failed')
		group by 1, 2, 3 order by 5 desc, 1, 2, 3`, id)
}

// RolloutWaits implements deviceops.Rollouts.
func (t tx) RolloutWaits(ctx context.Context, id string) (map[deviceops.WaitKind]int, error) {
	type count struct {
		Kind   deviceops.WaitKind
		Number int
	}
	counts, err := list(ctx, t, "count waits", pgx.RowToStructByPos[count], `
		select r.wait_kind, count(*)
		from rollout_devices r join rollout_rings g on g.rollout = r.rollout and g.ring = r.ring
		where r.rollout = $1 and r.wait_kind <> '' and r.status in ('pending', 'deferred') and g.opened_at is not null
		group by 1`, id)
	byKind := make(map[deviceops.WaitKind]int, len(counts))
	for _, c := range counts {
		byKind[c.Kind] = c.Number
	}
	return byKind, err
}

// AnalyzeRollout implements deviceops.Rollouts.
func (t tx) AnalyzeRollout(ctx context.Context) error {
	_, err := t.exec(ctx, "analyze rollouts", `analyze rollouts, rollout_rings, rollout_devices`)
	return err
}

func scanRollout(row pgx.CollectableRow) (r deviceops.Rollout, err error) {
	err = row.Scan(&r.ID, &r.Account, &r.Name, &r.Kind, &r.Source, &r.Hash, &r.Status, &r.StatusReason, &r.StatusBy, moment{&r.StatusSince},
		&r.Epoch, &r.Limits, &r.RollbackOf, &r.Rollback, &r.HealthBySuccess, &r.TakeBack, &r.Notes, &r.CreatedBy, &r.Reason, moment{&r.CreatedAt}, moment{&r.StartedAt}, moment{&r.FinishedAt},
		moment{&r.PumpedAt})
	return r, err
}

func scanRing(row pgx.CollectableRow) (r deviceops.Ring, err error) {
	c := &r.Counts
	err = row.Scan(&r.Index, &r.Name, &r.Status, &r.Reason, moment{&r.OpenedAt}, moment{&r.SoakAt}, moment{&r.ClosedAt}, &r.Pardoned,
		&c.Targeted, &c.Pending, &c.Leased, &c.Sent, &c.Accepted, &c.Deferred, &c.Succeeded, &c.Failed, &c.Rejected, &c.TimedOut,
		&c.Excused, &c.Canceled, &c.Reverting, &c.Reverted, &c.RevertFailed, &c.Healthy, &c.Unhealthy)
	return r, err
}

// IdleRollouts implements deviceops.Rollouts.
func (t tx) IdleRollouts(ctx context.Context, before time.Time, limit int) ([]string, error) {
	return list(ctx, t, "find idle rollouts", pgx.RowTo[string], `
		select o.id from rollouts o
		where not (`+rolloutEnded+`) and o.status = 'running' and coalesce(o.pumped_at <= $1, true) and exists (
			select from rollout_rings g join rollout_devices r on r.rollout = g.rollout and r.ring = g.ring
			where g.rollout = o.id and g.status = 'running' and r.due_at <= $1 and coalesce(r.leased_until <= $1, true))
		order by o.created_at, o.id limit $2`, before, limitOf(limit))
}

// UncheckedRollouts implements deviceops.Rollouts. In a rollout that has ended
// something more happens while devices are open.
func (t tx) UncheckedRollouts(ctx context.Context, before, now time.Time, limit int) ([]string, error) {
	return list(ctx, t, "find unchecked rollouts", pgx.RowTo[string], `
		update rollouts set checked_at = $2 where id in (
			select o.id from rollouts o
			where coalesce(o.checked_at, o.created_at) < $1
				and (not (`+rolloutEnded+`) or exists (
					select from rollout_rings g where g.rollout = o.id and g.pending + g.sent + g.accepted + g.deferred > 0))
				and not exists (select from starts s where s.workflow_id = '`+deviceops.RolloutWorkflowID("")+`' || o.id)
			order by coalesce(o.checked_at, o.created_at), o.id limit $3
			for no key update skip locked)
		returning id`, before, now, limitOf(limit))
}

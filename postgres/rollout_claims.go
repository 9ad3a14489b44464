package postgres

import (
	"context"
	"strconv"
	"strings"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/deviceops/deviceops"
)

// claimLock takes, until the transaction ends, the lock of a device under which
// exclusive commands are claimed; it does not wait.
func claimLock(device string) string {
	return `pg_try_advisory_xact_lock(hashtextextended('deviceops:claim:' || ` + device + `, 0))`
}

// ClaimRollout implements deviceops.Rollouts. As ClaimCommands it looks twice:
// what holds a device is read by a statement of its own after the device's lock
// was taken, so that it sees all that earlier holders have committed.
func (t tx) ClaimRollout(ctx context.Context, q deviceops.RolloutClaim) (found []deviceops.Candidate, err error) {
	err = t.atomically(ctx, func(t tx) error {
		found = nil
		scope, ok, err := t.claimScope(ctx, q)
		if err != nil || !ok {
			return err
		}
		rows, err := t.claimRows(ctx, q)
		if err != nil || len(rows) == 0 {
			return err
		}
		found, err = t.candidates(ctx, q, scope, rows)
		return err
	})
	return found, err
}

// claimScope is what a claim has to know of the rollout.
type claimScope struct {
	CreatedAt  time.Time
	StartedAt  *time.Time
	Others     bool // other rollouts go on
	RollbackOf string
}

// claimScope reads and locks the rollout, so that a control waits for the claims
// that did not see it, and of two pumps only one uses the room that both saw. One
// that has succeeded may have devices that came late.
func (t tx) claimScope(ctx context.Context, q deviceops.RolloutClaim) (claimScope, bool, error) {
	return first(ctx, t, "lock rollout for claims", pgx.RowToStructByPos[claimScope], `
		with mine as (
			update rollouts set pumped_at = $3
			where id = $1 and status in ('running', 'succeeded') and epoch = $2 and held is null and coalesce(pumped_at = $4, true)
			returning created_at, started_at, rollback_of)
		select created_at, started_at, exists (select from rollouts o where o.id <> $1 and not (`+rolloutEnded+`)), rollback_of from mine`,
		q.Rollout, q.Epoch, q.Now, orNull(q.Seen))
}

// claimRows locks rows that are due. A lease leaves due_at alone, so that it need
// not enter it into an index.
func (t tx) claimRows(ctx context.Context, q deviceops.RolloutClaim) ([]deviceops.RolloutDevice, error) {
	return listOf(ctx, t, limitOf(q.Limit), "claim devices of rollout", scanRolloutDevice, `
		with r as materialized (
			select * from rollout_devices
			where rollout = $1 and ring = $2 and due_at <= $3 and status in ('pending', 'deferred') and coalesce(leased_until <= $3, true)
			order by due_at, device limit $4
			for no key update skip locked)
		select `+rolloutDeviceColumns+` from r
		where (not $5 or `+claimLock("r.device")+`) and `+familyLock("r.device"),
		q.Rollout, q.Ring, q.Now, limitOf(q.Limit), q.Exclusive)
}

// Subqueries about the device d of a candidate x, with the parameters
//
//	$1 now   $2, $3, $4 as for claims   $5 rollout

// conflictBy finds another rollout that holds the device: one that is at it, or
// that was made earlier and has not come to it yet. What a rollback takes back does
// not keep it from that.
const conflictBy = `(
	select o.name from rollout_devices r join rollouts o on o.id = r.rollout
	where r.device = x.device and r.rollout <> $5 and not (` + rolloutEnded + `)
		and (r.status in ('sent', 'accepted', 'deferred') or r.leased_until > $1
			or r.status = 'pending' and o.id <> $9 and (o.created_at, o.id) < ($8, $5))
	order by r.status = 'pending', o.created_at, o.id limit 1)`

// familyBy finds the device's gateway, or a device behind it, in flight.
var familyBy = `case when ` + hasFamilies + ` then coalesce(` + kinInRollout("d.id") + `, ` + kinAtCommand("d.id") + `) end`

// lockedBy finds the exclusive command that goes before one that would be made
// now: see blocked.
var lockedBy = `(
	select o.id from commands o
	where o.device = s.device and o.exclusive and o.id <> x.command and ` + ofO(open) + ` and (` + ofO(holdsC) + ` or ` + ofO(dueC) + `)
	order by ` + ofO(holdsC) + ` desc, o.created_at, o.ordinal limit 1)`

// nextAttempt gives the attempt of the command to be published.
const nextAttempt = `case when x.attempt = 0 then 1 else coalesce(
	(select c.attempt + (c.status = 'failed')::int from commands c where c.id = x.command), x.attempt) end`

// candidates reads what is known of the devices of claimed rows.
func (t tx) candidates(ctx context.Context, q deviceops.RolloutClaim, scope claimScope, claimed []deviceops.RolloutDevice) ([]deviceops.Candidate, error) {
	f := claimFilter(deviceops.ClaimQuery{Now: q.Now})
	f.arg(q.Rollout)
	f.arg(q.Exclusive)
	f.arg(q.Conflict && scope.Others)
	f.arg(scope.CreatedAt)
	f.arg(scope.RollbackOf)
	devices, commands, attempts := make([]string, len(claimed)), make([]string, len(claimed)), make([]int, len(claimed))
	for i, r := range claimed {
		devices[i], commands[i], attempts[i] = r.Device, deviceops.RolloutCommandID(q.Rollout, r.Device), r.Attempt
	}
	from := `unnest(` + f.arg(devices) + `::text[], ` + f.arg(commands) + `::text[], ` + f.arg(attempts) + `::bigint[])
		with ordinality as x(device, command, attempt, n)
		join devices d on d.id = x.device left join twins t on t.device = d.id join sessions s on s.device = d.id` // no twin is looked up that nothing asks for
	budget, err := budgetOf(q, scope, f)
	if err != nil {
		return nil, err
	}
	meets, err := meetsOf(q.Targets, f)
	if err != nil {
		return nil, err
	}
	columns, read := wholeCandidates(q.Metrics)
	if q.Lean {
		columns, read = leanCandidates()
	}
	return listOf(ctx, t, len(claimed), "read candidates", scanCandidate(claimed, read), budget.with+`
		select x.n, case when $6 then `+lockedBy+` end, case when $7 then `+conflictBy+` end, `+familyBy+`, `+nextAttempt+`,
			`+budget.columns+`, `+meets+`, `+columns+`
		from `+from+budget.join+` order by x.n`, f.args...)
}

// meetsOf says a filter as a deviceops.Verdict.
func meetsOf(targets *deviceops.Filter, f *filter) (string, error) {
	if targets == nil {
		return "0", nil
	}
	p, err := f.judge(*targets)
	return `case ` + p.sql + ` when true then ` + strconv.Itoa(int(deviceops.Yes)) + ` when false then ` + strconv.Itoa(int(deviceops.No)) + ` else 0 end`, err
}

// budgetSQL are the parts of a query by which candidates get their groups.
type budgetSQL struct{ with, columns, join string }

// budgetOf counts groups among all devices that the rollout targets. What was
// offline before the rollout began, and still is, starves no budget.
func budgetOf(q deviceops.RolloutClaim, scope claimScope, f *filter) (budgetSQL, error) {
	if !q.Budget {
		return budgetSQL{columns: `'', 0, 0`}, nil
	}
	group, err := groupColumn(q.BudgetOf, f)
	if err != nil {
		return budgetSQL{}, err
	}
	started := f.arg(scope.StartedAt)
	const down = `(r.status in ('sent', 'accepted', 'failed', 'rejected', 'timed_out') or r.leased_until is not null
		or s.connectivity in ('offline', 'unreachable') and s.since > started)`
	unavailable := strings.ReplaceAll(down, "started", started+"::timestamptz")
	return budgetSQL{
		with: `with grouped as materialized (
			select coalesce(` + group + `, '') as name, count(*) as size, count(*) filter (where ` + unavailable + `) as down
			from rollout_devices r join devices d on d.id = r.device join sessions s on s.device = r.device
			where r.rollout = $5 and r.status not in ('excused', 'canceled') group by 1) `,
		columns: `grouped.name, grouped.size, grouped.down - (` + unavailable + `)::int`,
		join: ` join rollout_devices r on r.rollout = $5 and r.device = x.device
			join grouped on grouped.name = coalesce(` + group + `, '')`,
	}, nil
}

// groupColumn gives the text of a device's field by which a budget groups.
// EINVALID.
func groupColumn(field string, f *filter) (string, error) {
	kind, key, nested := strings.Cut(field, ".")
	switch {
	case field == "":
		return `''`, nil
	case nested && (kind == "labels" || kind == "attributes") && key != "":
		return `d.` + kind + ` ->> ` + f.arg(key) + `::text`, nil
	case field == "account", field == "profile", field == "parent", field == "zone", field == "state":
		return `d.` + field, nil
	default:
		return "", deviceops.Errorf(deviceops.EINVALID, "a budget cannot be per %s: use labels.NAME, attributes.NAME, account, profile, parent or zone", field)
	}
}

// deviceReader gives what columns of a device are read into, and what completes it
// once a row was read.
type deviceReader func(d *deviceops.Device) (targets []any, complete func())

// wholeCandidates gives the columns of all that is known of a device.
func wholeCandidates(metrics bool) (columns string, read deviceReader) {
	columns = deviceColumns + `, null::jsonb`
	if metrics {
		columns = deviceColumns + `, (select jsonb_object_agg(m.name, m.value) from device_metrics m where m.device = d.id)`
	}
	return columns, func(d *deviceops.Device) ([]any, func()) {
		targets, complete := deviceTargets(d)
		return append(targets, &d.Metrics), complete
	}
}

// leanCandidates gives those of RolloutClaim.Lean.
func leanCandidates() (columns string, read deviceReader) {
	columns = `d.id, d.account, d.serial, d.profile, d.parent, d.zone, d.state, d.state_reason, s.connectivity, s.since, s.boot, s.wake_at, s.max_payload`
	return columns, func(d *deviceops.Device) ([]any, func()) {
		s := &d.Session
		return []any{
			&d.ID, &d.Account, &d.Serial, &d.Profile, &d.Parent, &d.Zone, &d.State, &d.StateReason,
			&s.Connectivity, moment{&s.Since}, &s.Boot, moment{&s.WakeAt}, &s.MaxPayload,
		}, func() {}
	}
}

// scanCandidate reads a candidate of the rows that were claimed.
func scanCandidate(claimed []deviceops.RolloutDevice, read deviceReader) pgx.RowToFunc[deviceops.Candidate] {
	return func(row pgx.CollectableRow) (c deviceops.Candidate, err error) {
		var n int
		var lockedBy, conflictBy, familyBy *string
		device, complete := read(&c.Device)
		targets := []any{&n, &lockedBy, &conflictBy, &familyBy, &c.Attempt, &c.Group, &c.GroupSize, &c.GroupUnavailable, &c.Meets}
		if err := row.Scan(append(targets, device...)...); err != nil {
			return c, err
		}
		complete()
		c.Row, c.Route = claimed[n-1], c.Device.Route()
		c.LockedBy, c.ConflictBy, c.FamilyBy = textOf(lockedBy), textOf(conflictBy), textOf(familyBy)
		return c, nil
	}
}

func textOf(s *string) string {
	if s == nil {
		return ""
	}
	return *s
}

// HoldRollout implements deviceops.Rollouts.
func (t tx) HoldRollout(ctx context.Context, held []deviceops.RolloutDevice) error {
	if len(held) == 0 {
		return nil
	}
	b := newRowBatch(held)
	if b.err != nil {
		return b.err
	}
	_, err := t.exec(ctx, "hold devices of rollout", `
		with moved as (
			update rollout_devices r set
				previous = `+rowState+`, leased_until = null, due_at = x.due_at, wait_kind = x.wait_kind, wait_text = x.wait_text,
				wait_since = case when r.wait_kind = x.wait_kind then r.wait_since else x.wait_since end, wait_until = x.wait_until
			from `+rowBatchTable+`
			where r.rollout = x.rollout and r.device = x.device and r.status in ('pending', 'deferred')
			returning r.rollout, r.ring, r.previous, `+rowState+` as state),
		`+countShifts+`
		select`, b.args()...)
	return err
}

// woken are the kinds of waits that end when something happens to a device.
const woken = `('offline', 'sleep', 'lock', 'conflict', 'family')`

// WakeRollout implements deviceops.Rollouts.
func (t tx) WakeRollout(ctx context.Context, devices []string, now time.Time) error {
	if len(devices) == 0 {
		return nil
	}
	// Each look for who waits begins with whether anybody does.
	_, err := t.exec(ctx, "wake devices of rollouts", `
		with kin as materialized (
			select id from unnest($1::text[]) as id where (select exists (select from rollout_devices where wait_kind <> ''))
			union
			select parent from devices where id = any($1) and parent <> ''
				and (select exists (select from rollout_devices where wait_kind = 'family'))
			union
			select id from devices where parent = any($1) and parent <> ''
				and (select exists (select from rollout_devices where wait_kind = 'family'))),
		awake as materialized (
			select r.rollout, r.device from rollout_devices r join kin on kin.id = r.device
			where r.wait_kind in `+woken+` and r.status in ('pending', 'deferred') and r.leased_until is null and coalesce(r.due_at > $2, true)
			order by 1, 2 for no key update of r)
		update rollout_devices r set due_at = $2 from awake where r.rollout = awake.rollout and r.device = awake.device`, devices, now)
	return err
}

// WakeConnected implements deviceops.Rollouts.
func (t tx) WakeConnected(ctx context.Context, now time.Time, limit int) (int, error) {
	woken, err := t.exec(ctx, "wake connected devices of rollouts", `
		with awake as materialized (
			select r.rollout, r.device from rollout_devices r join sessions s on s.device = r.device
			where r.wait_kind in ('offline', 'sleep') and s.connectivity = 'online'
				and r.status in ('pending', 'deferred') and r.leased_until is null and coalesce(r.due_at > $1, true)
			order by 1, 2 limit $2 for no key update of r skip locked)
		update rollout_devices r set due_at = $1 from awake where r.rollout = awake.rollout and r.device = awake.device`, now, limitOf(limit))
	return int(woken), err
}

// RecallRollout implements deviceops.Rollouts.
func (t tx) RecallRollout(ctx context.Context, devices []string, now time.Time) (going, ended []string, err error) {
	if len(devices) == 0 {
		return nil, nil, nil
	}
	type recalled struct {
		Rollout string
		Ended   bool
	}
	found, err := list(ctx, t, "recall excused devices", pgx.RowToStructByPos[recalled], `
		with back as materialized (
			select r.rollout, r.device, r.ring as old, o.status in ('succeeded') as ended,
				(select max(g.ring) from rollout_rings g where g.rollout = o.id) as last
			from rollout_devices r join rollouts o on o.id = r.rollout
			where r.device = any($1) and r.status = 'excused' and r.error ->> 'code' = '`+deviceops.CodeStraggler+`'
				and o.status not in ('failed', 'canceled', 'reverting', 'reverted')
			order by 1, 2 for no key update of r),
		changed as (
			update rollout_devices r set
				previous = 'excused', status = 'pending', ring = back.last, due_at = $2, ended_at = null,
				wait_kind = '', wait_text = '', wait_since = null, wait_until = null
			from back where r.rollout = back.rollout and r.device = back.device
			returning r.rollout, r.ring, back.old, back.ended),
		moved as (
			select rollout, old as ring, 'excused' as previous, '' as state from changed
			union all
			select rollout, ring, '', 'pending' from changed),
		`+countShifts+`
		select distinct rollout, ended from changed order by 1`, devices, now)
	for _, r := range found {
		if r.Ended {
			ended = append(ended, r.Rollout)
		} else {
			going = append(going, r.Rollout)
		}
	}
	return going, ended, err
}

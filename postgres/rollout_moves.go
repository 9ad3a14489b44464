package postgres

import (
	"cmp"
	"context"
	"slices"
	"strings"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/deviceops/deviceops"
)

// Every statement that changes what counters count of a row keeps the row's
// state of before in its column previous, gives both from its CTE moved, and is
// followed by countShifts. The state is the status, with those told apart that
// have a counter of their own:
//
//	leased               pending, about to be published
//	healthy, unhealthy   succeeded, and judged
const rowState = `case
	when r.leased_until is not null then 'leased'
	when r.status = 'succeeded' and r.health = 2 then 'healthy'
	when r.status = 'succeeded' and r.health = 1 then 'unhealthy'
	else r.status end`

// counters are the columns of rollout_rings that count, each with the states
// that it counts.
var counters = []struct {
	column string
	states string
}{
	{"targeted", `'pending', 'leased', 'sent', 'accepted', 'deferred', 'succeeded', 'healthy', 'unhealthy', 'failed', 'rejected', 'timed_out',
		'canceled', 'reverting', 'reverted', 'revert_failed'`},
	{"pending", `'pending', 'leased'`},
	{"leased", `'leased'`},
	{"sent", `'sent'`},
	{"accepted", `'accepted'`},
	{"deferred", `'deferred'`},
	{"succeeded", `'succeeded', 'healthy', 'unhealthy'`},
	{"failed", `'failed'`},
	{"rejected", `'rejected'`},
	{"timed_out", `'timed_out'`},
	{"excused", `'excused'`},
	{"canceled", `'canceled'`},
	{"reverting", `'reverting'`},
	{"reverted", `'reverted'`},
	{"revert_failed", `'revert_failed'`},
	{"healthy", `'healthy'`},
	{"unhealthy", `'unhealthy'`},
}

// countShifts are the CTEs that change the counters by what the CTE moved
// (rollout, ring, previous, state) says. counted holds the rings that changed
// and how many open devices they have then. Rings are locked in order, and held
// until the transaction ends: do this late in it.
var countShifts = func() string {
	var sums, sets strings.Builder
	for i, c := range counters {
		if i > 0 {
			sums.WriteString(", ")
			sets.WriteString(", ")
		}
		sums.WriteString("coalesce(sum(n) filter (where state in (" + c.states + ")), 0) as " + c.column)
		sets.WriteString(c.column + " = g." + c.column + " + d." + c.column)
	}
	return `shift as (
		select rollout, ring, state, sum(n) as n from (
			select rollout, ring, state, count(*) as n from moved where state <> previous group by 1, 2, 3
			union all
			select rollout, ring, previous, -count(*) from moved where state <> previous group by 1, 2, 3) as both_ways
		group by 1, 2, 3),
	delta as (select rollout, ring, ` + sums.String() + ` from shift group by 1, 2),
	held as materialized (
		select g.rollout, g.ring from rollout_rings g join delta d on d.rollout = g.rollout and d.ring = g.ring
		order by 1, 2 for no key update of g),
	counted as (
		update rollout_rings g set ` + sets.String() + `
		from held h join delta d on d.rollout = h.rollout and d.ring = h.ring
		where g.rollout = h.rollout and g.ring = h.ring
		returning g.rollout, g.ring, g.pending + g.sent + g.accepted + g.deferred as open)`
}()

// AdvanceRollout implements deviceops.Rollouts.
func (t tx) AdvanceRollout(ctx context.Context, moves []deviceops.RolloutMove) (moved []deviceops.RolloutMove, err error) {
	if len(moves) == 0 {
		return nil, nil
	}
	err = t.atomically(ctx, func(t tx) error {
		moved, err = t.advance(ctx, moves)
		return err
	})
	return moved, err
}

func (t tx) advance(ctx context.Context, moves []deviceops.RolloutMove) ([]deviceops.RolloutMove, error) {
	b := newMoveBatch(moves)
	if b.err != nil {
		return nil, b.err
	}
	done, err := listOf(ctx, t, len(moves), "advance devices of rollout", pgx.RowToStructByPos[movedRow], advanceRows, b.args()...)
	if err != nil {
		return nil, err
	}
	moved := make([]deviceops.RolloutMove, len(done))
	var mirrored []deviceops.RolloutMove
	for i, d := range done {
		m := b.moves[d.N-1]
		m.Ring, m.Drained = d.Ring, d.Open != nil && *d.Open == 0
		moved[i] = m
		if back, ok := mirror(m, d.RollbackOf); ok {
			mirrored = append(mirrored, back)
		}
	}
	if len(mirrored) > 0 {
		_, err = t.advance(ctx, mirrored)
	}
	return moved, err
}

type movedRow struct {
	N          int
	Ring       int
	Open       *int
	RollbackOf string
}

// mirror gives what the move of a row of a rollback means to the row that it
// takes back.
func mirror(m deviceops.RolloutMove, original string) (back deviceops.RolloutMove, ok bool) {
	if original == "" {
		return back, false
	}
	back = deviceops.RolloutMove{Rollout: original, Device: m.Device, At: m.At, Error: m.Error, From: revertible}
	switch m.To {
	case deviceops.DeviceSent, deviceops.DeviceAccepted:
		back.To, back.From = deviceops.DeviceReverting, beforeRevert
	case deviceops.DeviceSucceeded:
		back.To = deviceops.DeviceReverted
	case deviceops.DeviceFailed, deviceops.DeviceRejected, deviceops.DeviceTimedOut:
		back.To = deviceops.DeviceRevertFailed
	case deviceops.DeviceCanceled:
		back.To = deviceops.DeviceRevertFailed
		if back.Error == nil {
			back.Error = &deviceops.CommandError{Code: string(deviceops.DeviceCanceled), Message: "the rollback was called off before its turn"}
		}
	default:
		return back, false
	}
	return back, true
}

// beforeRevert are the statuses of rows whose way back may begin, revertible
// those that it may end.
var (
	beforeRevert = []deviceops.RolloutDeviceStatus{
		deviceops.DeviceSent, deviceops.DeviceAccepted, deviceops.DeviceDeferred, deviceops.DeviceSucceeded, deviceops.DeviceFailed,
		deviceops.DeviceRejected, deviceops.DeviceTimedOut, deviceops.DeviceRevertFailed,
	}
	revertible = append([]deviceops.RolloutDeviceStatus{deviceops.DeviceReverting}, beforeRevert...)
)

// moveKind is what many moves have in common.
type moveKind struct {
	rollout, to, from           string
	at                          time.Time
	attempt, deferrals, percent int
	due                         time.Time
	wait                        deviceops.RolloutWait
	phase                       string
}

// moveBatch is moves as arrays, sorted, so that all who move rows lock them in
// one order.
type moveBatch struct {
	moves   []deviceops.RolloutMove
	devices []string
	errors  []*string
	kinds   kinds[moveKind]
	err     error
}

func newMoveBatch(moves []deviceops.RolloutMove) *moveBatch {
	b := &moveBatch{moves: slices.Clone(moves)}
	slices.SortStableFunc(b.moves, func(x, y deviceops.RolloutMove) int {
		return cmp.Or(strings.Compare(x.Rollout, y.Rollout), strings.Compare(x.Device, y.Device))
	})
	for i := range b.moves {
		b.add(&b.moves[i])
	}
	return b
}

func (b *moveBatch) add(m *deviceops.RolloutMove) {
	kind := moveKind{
		rollout: m.Rollout, to: string(m.To), from: statusList(m.From), at: m.At,
		attempt: m.Attempt, deferrals: m.Deferrals, percent: m.Percent, due: m.DueAt, phase: m.Phase,
	}
	if m.Wait != nil {
		kind.wait = *m.Wait
	}
	b.devices = append(b.devices, m.Device)
	b.kinds.add(kind)
	cause, err := jsonText(m.Error, m.Error == nil)
	b.err = cmp.Or(b.err, err)
	b.errors = append(b.errors, cause)
}

// statusList gives statuses with spaces between them.
func statusList(list []deviceops.RolloutDeviceStatus) string {
	var b strings.Builder
	for i, s := range list {
		if i > 0 {
			b.WriteByte(' ')
		}
		b.WriteString(string(s))
	}
	return b.String()
}

func (b *moveBatch) args() []any {
	type k = moveKind
	list := b.kinds.list
	return []any{
		b.devices, b.errors, b.kinds.rows,
		texts(list, func(k *k) string { return k.rollout }), texts(list, func(k *k) string { return k.from }), texts(list, func(k *k) string { return k.to }),
		column(list, func(k *k) time.Time { return k.at }), column(list, func(k *k) int { return k.attempt }), column(list, func(k *k) int { return k.deferrals }),
		column(list, func(k *k) *time.Time { return orNull(k.due) }), texts(list, func(k *k) string { return string(k.wait.Kind) }),
		texts(list, func(k *k) string { return k.wait.Text }), column(list, func(k *k) *time.Time { return orNull(k.wait.Since) }),
		column(list, func(k *k) *time.Time { return orNull(k.wait.Until) }), texts(list, func(k *k) string { return k.phase }),
		column(list, func(k *k) int { return k.percent }), deviceops.PublishLease,
	}
}

// advanceRows moves the rows of a moveBatch. A row whose command was answered
// before its publication was recorded was sent when its lease began.
var advanceRows = `
	with m as materialized (
		select device, error, n, ($4::text[])[kind] as rollout, string_to_array(($5::text[])[kind], ' ') as olds, ($6::text[])[kind] as status,
			($7::timestamptz[])[kind] as at, ($8::bigint[])[kind] as attempt, ($9::bigint[])[kind] as deferrals, ($10::timestamptz[])[kind] as due_at,
			($11::text[])[kind] as wait_kind, ($12::text[])[kind] as wait_text, ($13::timestamptz[])[kind] as wait_since,
			($14::timestamptz[])[kind] as wait_until, ($15::text[])[kind] as phase, ($16::bigint[])[kind] as percent
		from unnest($1::text[], $2::jsonb[], $3::bigint[]) with ordinality as m(device, error, kind, n)),
	o as materialized (select id, rollback_of, health_by_success from rollouts where id = any($4)),
	moved as (
		update rollout_devices r set
			previous = ` + rowState + `, status = m.status, leased_until = null,
			health = case when m.status = 'succeeded' and ` + among("m.rollout", "select id from o where health_by_success") + ` then 2 else 0 end,
			attempt = coalesce(nullif(m.attempt, 0), r.attempt), deferrals = coalesce(nullif(m.deferrals, 0), r.deferrals),
			due_at = case when m.status in ('pending', 'deferred') then m.due_at end,
			wait_kind = m.wait_kind, wait_text = m.wait_text, wait_since = m.wait_since, wait_until = m.wait_until,
			error = m.error, phase = m.phase, percent = m.percent,
			sent_at = case m.status when 'sent' then m.at when 'pending' then null else coalesce(r.sent_at, r.leased_until - $17::interval) end,
			answer_at = case
				when m.status in ('pending', 'sent') then null
				when m.status in ('accepted', 'deferred', 'succeeded', 'failed', 'rejected') and coalesce(r.sent_at, r.leased_until) is not null
					then coalesce(r.answer_at, m.at)
				else r.answer_at end,
			began_at = case
				when m.status <> 'accepted' then null
				when m.phase in ('installing', 'rebooting', 'confirming') then coalesce(r.began_at, m.at)
				else r.began_at end,
			ended_at = case when m.status in ('pending', 'sent', 'accepted', 'deferred') then null else m.at end
		from m
		where r.rollout = m.rollout and r.device = m.device and r.status = any(m.olds)
		returning r.rollout, r.device, r.ring, r.previous, ` + rowState + ` as state, m.n),
	` + countShifts + `
	select moved.n, moved.ring, counted.open, coalesce(o.rollback_of, '')
	from moved
	left join counted on counted.rollout = moved.rollout and counted.ring = moved.ring
	left join o on o.id = moved.rollout
	order by moved.n`

// MarkRolloutSent implements deviceops.Rollouts. It waits for nobody: whoever
// stores an answer locks the command before its row, and would be waited for in
// a circle.
func (t tx) MarkRolloutSent(ctx context.Context, rollout string, sent []deviceops.Sent, now time.Time) error {
	if len(sent) == 0 {
		return nil
	}
	ids, attempts, boots := make([]string, len(sent)), make([]int, len(sent)), make([]string, len(sent))
	for i, s := range sent {
		ids[i], attempts[i], boots[i] = s.ID, s.Attempt, s.Boot
	}
	return t.atomically(ctx, func(t tx) error {
		moved, err := list(ctx, t, "mark devices of rollout sent", pgx.RowToStructByPos[sentRow], markRowsSent, rollout, ids, attempts, boots, now)
		if err != nil {
			return err
		}
		var mirrored []deviceops.RolloutMove
		for _, m := range moved {
			if back, ok := mirror(deviceops.RolloutMove{Device: m.Device, To: deviceops.DeviceSent, At: now}, m.RollbackOf); ok {
				mirrored = append(mirrored, back)
			}
		}
		_, err = t.AdvanceRollout(ctx, mirrored)
		return err
	})
}

type sentRow struct{ Device, RollbackOf string }

// markRowsSent gives devices of rollbacks alone.
var markRowsSent = `
	with x as (select * from unnest($2::text[], $3::bigint[], $4::text[]) as x(id, attempt, boot)),
	unanswered as materialized (
		select c.id, x.boot from commands c join x on x.id = c.id
		where c.attempt = x.attempt and ` + open + ` and c.leased_until is not null
		for no key update of c skip locked),
	marked as (
		update commands c set status = 'sent', sent_at = $5, leased_until = null, boot = u.boot
		from unanswered u where c.id = u.id
		returning c.device),
	moved as (
		update rollout_devices r set
			previous = ` + rowState + `, status = 'sent', sent_at = $5, leased_until = null, due_at = null, answer_at = null, began_at = null
		from marked where r.rollout = $1 and r.device = marked.device and r.status = 'pending' and r.leased_until is not null
		returning r.rollout, r.device, r.ring, r.previous, ` + rowState + ` as state),
	` + countShifts + `
	select moved.device, o.rollback_of from moved join rollouts o on o.id = moved.rollout where o.rollback_of <> ''`

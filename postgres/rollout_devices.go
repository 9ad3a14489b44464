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

// rolloutDeviceColumns are read by scanRolloutDevice. Under lease a row is due when
// that ends.
const rolloutDeviceColumns = `
	r.rollout, r.device, r.account, r.ring, r.status, r.attempt, r.deferrals, coalesce(r.leased_until, r.due_at), r.wait_kind, r.wait_text, r.wait_since,
	r.wait_until, r.origin, r.error, r.phase, r.percent, r.health, r.sent_at, r.answer_at, r.ended_at, r.added_at`

// AddRolloutDevices implements deviceops.Rollouts. A row is due from when it is
// added.
func (t tx) AddRolloutDevices(ctx context.Context, added []deviceops.RolloutDevice) (int, error) {
	if len(added) == 0 {
		return 0, nil
	}
	b := newRowBatch(added)
	if b.err != nil {
		return 0, b.err
	}
	stored, _, err := first(ctx, t, "add devices to rollout", pgx.RowTo[int], `
		with moved as (
			insert into rollout_devices as r (rollout, device, account, ring, status, previous, attempt, deferrals, due_at,
				wait_kind, wait_text, wait_since, wait_until, origin, error, phase, percent, ended_at, added_at)
			select x.rollout, x.device, x.account, x.ring, x.status, '', 0, 0, case when x.status in ('pending', 'deferred') then x.due_at end,
				x.wait_kind, x.wait_text, x.wait_since, x.wait_until, x.origin, x.error, '', 0, x.ended_at, x.due_at
			from `+rowBatchTable+`
			order by x.rollout, x.device
			on conflict do nothing
			returning r.rollout, r.ring, r.previous, `+rowState+` as state),
		`+countShifts+`
		select count(*) from moved`, b.args()...)
	return stored, err
}

// rowBatch is rows as arrays, which PostgreSQL reads much faster than JSON.
type rowBatch struct {
	rollouts, devices, accounts, statuses []string
	rings, attempts                       []int
	due, ended                            []*time.Time
	waits                                 waitBatch
	origins, errors                       []*string
	err                                   error
}

// rowBatchTable reads the args of a rowBatch, $1 to $14, as x.
const rowBatchTable = `unnest($1::text[], $2::text[], $3::text[], $4::bigint[], $5::text[], $6::bigint[], $7::timestamptz[], $8::timestamptz[],
	$9::text[], $10::text[], $11::timestamptz[], $12::timestamptz[], $13::jsonb[], $14::jsonb[])
	as x(rollout, device, account, ring, status, attempt, due_at, ended_at, wait_kind, wait_text, wait_since, wait_until, origin, error)`

// inLockOrder gives rows in the order in which all who write some lock them.
func inLockOrder(rows []deviceops.RolloutDevice) []deviceops.RolloutDevice {
	return slices.SortedFunc(slices.Values(rows), func(x, y deviceops.RolloutDevice) int {
		return cmp.Or(strings.Compare(x.Rollout, y.Rollout), strings.Compare(x.Device, y.Device))
	})
}

func newRowBatch(list []deviceops.RolloutDevice) *rowBatch {
	b := &rowBatch{}
	sorted := inLockOrder(list)
	for i := range sorted {
		b.add(&sorted[i])
	}
	return b
}

func (b *rowBatch) add(r *deviceops.RolloutDevice) {
	b.rollouts, b.devices, b.accounts = append(b.rollouts, r.Rollout), append(b.devices, r.Device), append(b.accounts, r.Account)
	b.rings, b.attempts = append(b.rings, r.Ring), append(b.attempts, r.Attempt)
	b.statuses = append(b.statuses, string(r.Status))
	b.due, b.ended = append(b.due, orNull(r.DueAt)), append(b.ended, orNull(r.EndedAt))
	b.waits.add(r.Wait)
	origin, err := originText(r.From)
	b.err = cmp.Or(b.err, err)
	cause, err := jsonText(r.Error, r.Error == nil)
	b.err = cmp.Or(b.err, err)
	b.origins, b.errors = append(b.origins, origin), append(b.errors, cause)
}

func (b *rowBatch) args() []any {
	return []any{
		b.rollouts, b.devices, b.accounts, b.rings, b.statuses, b.attempts, b.due, b.ended,
		b.waits.kinds, b.waits.texts, b.waits.since, b.waits.until, b.origins, b.errors,
	}
}

// waitBatch is waits as arrays.
type waitBatch struct {
	kinds, texts []string
	since, until []*time.Time
}

func (b *waitBatch) add(w *deviceops.RolloutWait) {
	if w == nil {
		w = &deviceops.RolloutWait{}
	}
	b.kinds, b.texts = append(b.kinds, string(w.Kind)), append(b.texts, w.Text)
	b.since, b.until = append(b.since, orNull(w.Since)), append(b.until, orNull(w.Until))
}

// jsonText gives v as the text of JSON, or NULL.
func jsonText(v any, null bool) (*string, error) {
	if null {
		return nil, nil
	}
	text, err := encode(v)
	s := string(text)
	return &s, err
}

// originRecord is an origin as it is stored.
type originRecord struct {
	Release       string            `json:"release,omitempty"`
	Software      map[string]string `json:"software,omitempty"`
	Configuration object            `json:"configuration,omitzero"` // none is another than nothing known
}

func originText(o deviceops.Origin) (*string, error) {
	return jsonText(originRecord{o.Release, o.Software, o.Configuration}, o.Release == "" && o.Software == nil && o.Configuration == nil)
}

// FindRolloutDevice implements deviceops.Rollouts.
func (t tx) FindRolloutDevice(ctx context.Context, rollout, device string) (deviceops.RolloutDevice, error) {
	r, ok, err := first(ctx, t, "find device of rollout", scanRolloutDevice,
		`select `+rolloutDeviceColumns+` from rollout_devices r where r.rollout = $1 and r.device = $2`, rollout, device)
	if !ok {
		return r, missing(err, "device %s is not in rollout %s", device, rollout)
	}
	return r, nil
}

// ListRolloutDevices implements deviceops.Rollouts.
func (t tx) ListRolloutDevices(ctx context.Context, f deviceops.RolloutDeviceFilter) ([]deviceops.RolloutDevice, error) {
	var where filter
	where.add("r.rollout = ?", f.Rollout)
	if f.Ring != nil {
		where.add("r.ring = ?", *f.Ring)
	}
	where.equal("r.status", string(f.Status))
	where.equal("r.wait_kind", string(f.Wait))
	if f.After != "" {
		where.add("r.device > ?", f.After)
	}
	return list(ctx, t, "list devices of rollout", scanRolloutDevice, `
		select `+rolloutDeviceColumns+` from rollout_devices r`+where.where()+`
		order by r.device limit `+where.arg(limitOf(f.Limit)), where.args...)
}

// DeviceRollouts implements deviceops.Rollouts.
func (t tx) DeviceRollouts(ctx context.Context, device string) ([]deviceops.RolloutDevice, error) {
	return list(ctx, t, "find rollouts of device", scanRolloutDevice, `
		select `+rolloutDeviceColumns+` from rollout_devices r join rollouts o on o.id = r.rollout
		where r.device = $1 and not (`+rolloutEnded+`)
		order by o.created_at desc, o.id desc`, device)
}

// HeldDevices implements deviceops.Rollouts.
func (t tx) HeldDevices(ctx context.Context, devices []string, except string) (map[string]string, error) {
	type holder struct{ Device, Rollout string }
	found, err := list(ctx, t, "find holders of devices", pgx.RowToStructByPos[holder], `
		select distinct on (r.device) r.device, o.name
		from rollout_devices r join rollouts o on o.id = r.rollout
		where r.device = any($1) and o.id <> $2 and not (`+rolloutEnded+`) and r.status in ('pending', 'sent', 'accepted', 'deferred')
		order by r.device, o.created_at, o.id`, devices, except)
	held := make(map[string]string, len(found))
	for _, h := range found {
		held[h.Device] = h.Rollout
	}
	return held, err
}

// OverdueRollout implements deviceops.Rollouts.
func (t tx) OverdueRollout(ctx context.Context, l deviceops.OverdueLimits, limit int) ([]deviceops.RolloutDevice, error) {
	rings := []int{}
	for ring, overdue := range l.RingSince {
		if overdue {
			rings = append(rings, ring)
		}
	}
	return list(ctx, t, "find overdue devices", scanRolloutDevice, `
		with x as (
			select r.*, case when s.connectivity = 'sleeping' then s.wake_at end as wakes
			from rollout_devices r join sessions s on s.device = r.device
			where r.rollout = $1 and r.status in ('pending', 'sent', 'accepted', 'deferred'))
		select `+rolloutDeviceColumns+` from x as r
		where r.status = 'sent' and greatest(r.sent_at, r.wakes) <= $3
			or r.status in ('sent', 'accepted') and r.began_at is null and greatest(r.sent_at, r.wakes) <= $4
			or r.status = 'accepted' and greatest(coalesce(r.began_at, case when $4::timestamptz is null then r.answer_at end), r.wakes) <= $5
			or r.ring = any($6) and coalesce(r.wakes <= $2, true)
		order by r.device limit $7`,
		l.Rollout, l.Now, orNull(l.SentAt), orNull(l.Download), orNull(l.Install), rings, limitOf(limit))
}

func scanRolloutDevice(row pgx.CollectableRow) (r deviceops.RolloutDevice, err error) {
	var wait deviceops.RolloutWait
	var from *deviceops.Origin
	err = row.Scan(&r.Rollout, &r.Device, &r.Account, &r.Ring, &r.Status, &r.Attempt, &r.Deferrals, moment{&r.DueAt},
		&wait.Kind, &wait.Text, moment{&wait.Since}, moment{&wait.Until}, &from, &r.Error, &r.Phase, &r.Percent, &r.Health,
		moment{&r.SentAt}, moment{&r.AnswerAt}, moment{&r.EndedAt}, moment{&r.AddedAt})
	if wait.Kind != "" {
		r.Wait = &wait
	}
	if from != nil {
		r.From = *from
	}
	return r, err
}

package postgres

import (
	"context"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/deviceops/deviceops"
)

const commandColumns = `
	c.id, c.account, c.device, c.name, c.args, c.attempt, c.exclusive, c.status, c.asked_by, c.reason,
	c.waiter_workflow, c.waiter_activity, c.created_at, c.due_at, c.expires_at, c.sent_at, c.leased_until, c.finished_at,
	c.cancel_asked, c.deferrals, c.boot, c.phase, c.percent, c.output, c.error, c.rollout, c.ring`

// open is the condition of the partial indexes over commands c that have not
// ended.
const open = `c.status in ('pending', 'sent', 'accepted', 'deferred')`

// public is the further condition of those indexes that are for everybody: what
// is not sent yet of a rollout is found by its row.
const public = `(c.rollout = '' or c.status in ('sent', 'accepted'))`

type commandRecord struct {
	ID             string                  `json:"id"`
	Account        string                  `json:"account"`
	Device         string                  `json:"device"`
	Name           string                  `json:"name"`
	Args           object                  `json:"args,omitempty"`
	Attempt        int                     `json:"attempt"`
	Exclusive      bool                    `json:"exclusive"`
	Status         string                  `json:"status"`
	AskedBy        string                  `json:"asked_by"`
	Reason         string                  `json:"reason"`
	WaiterWorkflow string                  `json:"waiter_workflow"`
	WaiterActivity string                  `json:"waiter_activity"`
	CreatedAt      time.Time               `json:"created_at,omitzero"`
	DueAt          time.Time               `json:"due_at,omitzero"`
	ExpiresAt      time.Time               `json:"expires_at,omitzero"`
	SentAt         time.Time               `json:"sent_at,omitzero"`
	LeasedUntil    time.Time               `json:"leased_until,omitzero"`
	FinishedAt     time.Time               `json:"finished_at,omitzero"`
	CancelAsked    bool                    `json:"cancel_asked"`
	Deferrals      int                     `json:"deferrals"`
	Boot           string                  `json:"boot"`
	Phase          string                  `json:"phase"`
	Percent        int                     `json:"percent"`
	Output         object                  `json:"output,omitempty"`
	Error          *deviceops.CommandError `json:"error,omitempty"`
	Rollout        string                  `json:"rollout"`
	Ring           int                     `json:"ring"`
}

const commandRecordset = `json_to_recordset($1::json) as x(
	id text, account text, device text, name text, args jsonb, attempt bigint, exclusive boolean, status text,
	asked_by text, reason text, waiter_workflow text, waiter_activity text, created_at timestamptz, due_at timestamptz,
	expires_at timestamptz, sent_at timestamptz, leased_until timestamptz, finished_at timestamptz, cancel_asked boolean,
	deferrals bigint, boot text, phase text, percent bigint, output jsonb, error jsonb, rollout text, ring bigint)`

// CreateCommand implements deviceops.Commands.
func (t tx) CreateCommand(ctx context.Context, c deviceops.Command) (stored deviceops.Command, created bool, err error) {
	c.Status, c.Attempt = deviceops.CommandPending, max(c.Attempt, 1)
	text, err := rows([]commandRecord{recordCommand(c)})
	if err != nil {
		return c, false, err
	}
	stored, created, err = first(ctx, t, "create command", scanCommand, `
		insert into commands as c (id, account, device, name, args, attempt, exclusive, status, asked_by, reason,
			waiter_workflow, waiter_activity, created_at, due_at, expires_at, sent_at, leased_until, finished_at,
			cancel_asked, deferrals, boot, phase, percent, output, error, rollout, ring)
		select id, account, device, name, args, attempt, exclusive, status, asked_by, reason,
			waiter_workflow, waiter_activity, coalesce(created_at, now()), due_at, expires_at, sent_at, leased_until, finished_at,
			cancel_asked, deferrals, boot, phase, percent, output, error, rollout, ring
		from `+commandRecordset+`
		on conflict do nothing
		returning `+commandColumns, text)
	if err != nil || created {
		return stored, created, err
	}
	if stored, err = t.FindCommand(ctx, c.ID); err != nil {
		return c, false, err
	}
	if stored.Device != c.Device || stored.Name != c.Name {
		return c, false, deviceops.Errorf(deviceops.ECONFLICT, "command %s exists and is another one: use a new id", c.ID)
	}
	return stored, false, nil
}

// FindCommand implements deviceops.Commands.
func (t tx) FindCommand(ctx context.Context, id string) (deviceops.Command, error) {
	c, ok, err := first(ctx, t, "find command", scanCommand, `select `+commandColumns+` from commands c where id = $1`, id)
	if !ok {
		return c, missing(err, "there is no command %s", id)
	}
	return c, nil
}

// LockCommands implements deviceops.Commands.
func (t tx) LockCommands(ctx context.Context, ids []string) (map[string]*deviceops.Command, error) {
	if len(ids) == 0 {
		return map[string]*deviceops.Command{}, nil
	}
	found, err := listOf(ctx, t, len(ids), "lock commands", scanCommand,
		`select `+commandColumns+` from commands c where id = any($1) order by id for no key update`, ids)
	byID := make(map[string]*deviceops.Command, len(found))
	for i := range found {
		byID[found[i].ID] = &found[i]
	}
	return byID, err
}

// OpenCommands implements deviceops.Commands.
func (t tx) OpenCommands(ctx context.Context, devices []string) (map[string][]deviceops.Command, error) {
	byDevice := map[string][]deviceops.Command{}
	if len(devices) == 0 {
		return byDevice, nil
	}
	found, err := list(ctx, t, "find open commands", scanCommand, `
		select `+commandColumns+` from commands c where device = any($1) and `+open+` order by created_at, ordinal`, devices)
	for _, c := range found {
		byDevice[c.Device] = append(byDevice[c.Device], c)
	}
	return byDevice, err
}

// ListCommands implements deviceops.Commands.
func (t tx) ListCommands(ctx context.Context, device string, limit int) ([]deviceops.Command, error) {
	return list(ctx, t, "list commands", scanCommand, `
		select `+commandColumns+` from commands c where device = $1 order by created_at desc, ordinal desc limit $2`,
		device, limitOf(limit))
}

// SaveCommands implements deviceops.Commands.
func (t tx) SaveCommands(ctx context.Context, commands []deviceops.Command) error {
	if len(commands) == 0 {
		return nil
	}
	args, err := progressArgs(commands)
	if err != nil {
		return err
	}
	_, err = t.exec(ctx, "save commands", `
		update commands set
			waiter_workflow = x.waiter_workflow, waiter_activity = x.waiter_activity, due_at = x.due_at, expires_at = x.expires_at,
			sent_at = x.sent_at, output = x.output, error = x.error, attempt = ($10::bigint[])[kind], status = ($11::text[])[kind],
			leased_until = ($12::timestamptz[])[kind], finished_at = ($13::timestamptz[])[kind], cancel_asked = ($14::boolean[])[kind],
			deferrals = ($15::bigint[])[kind], phase = ($16::text[])[kind], percent = ($17::bigint[])[kind]
		from unnest($1::text[], $2::text[], $3::text[], $4::timestamptz[], $5::timestamptz[], $6::timestamptz[], $7::jsonb[], $8::jsonb[], $9::bigint[])
			as x(id, waiter_workflow, waiter_activity, due_at, expires_at, sent_at, output, error, kind)
		where commands.id = x.id`, args...)
	return err
}

// progressKind is how far many commands of a batch are.
type progressKind struct {
	status                      deviceops.CommandStatus
	attempt, deferrals, percent int
	leased, finished            time.Time
	cancelAsked                 bool
	phase                       string
}

// progressArgs gives the columns of commands that may change.
func progressArgs(commands []deviceops.Command) (args []any, err error) {
	type c = deviceops.Command
	type k = progressKind
	var kinds kinds[progressKind]
	for i := range commands {
		c := &commands[i]
		kinds.add(progressKind{
			status: c.Status, attempt: c.Attempt, deferrals: c.Deferrals, percent: c.Percent,
			leased: c.LeasedUntil, finished: c.FinishedAt, cancelAsked: c.CancelAsked, phase: c.Phase,
		})
	}
	moments := func(field func(*c) time.Time) []*time.Time {
		return column(commands, func(c *c) *time.Time { return orNull(field(c)) })
	}
	waiter := func(c *c) deviceops.ActivityRef {
		if c.Waiter == nil {
			return deviceops.ActivityRef{}
		}
		return *c.Waiter
	}
	args = []any{
		texts(commands, func(c *c) string { return c.ID }),
		texts(commands, func(c *c) string { return waiter(c).Workflow }), texts(commands, func(c *c) string { return waiter(c).Activity }),
		moments(func(c *c) time.Time { return c.DueAt }), moments(func(c *c) time.Time { return c.ExpiresAt }),
		moments(func(c *c) time.Time { return c.SentAt }),
		documents(commands, &err, func(c *c) (any, bool) { return c.Output, len(c.Output) == 0 }),
		documents(commands, &err, func(c *c) (any, bool) { return c.Error, c.Error == nil }), kinds.rows,
		column(kinds.list, func(k *k) int { return k.attempt }), texts(kinds.list, func(k *k) string { return string(k.status) }),
		column(kinds.list, func(k *k) *time.Time { return orNull(k.leased) }), column(kinds.list, func(k *k) *time.Time { return orNull(k.finished) }),
		column(kinds.list, func(k *k) bool { return k.cancelAsked }), column(kinds.list, func(k *k) int { return k.deferrals }),
		texts(kinds.list, func(k *k) string { return k.phase }), column(kinds.list, func(k *k) int { return k.percent }),
	}
	return args, err
}

// ExpiredCommands implements deviceops.Commands.
func (t tx) ExpiredCommands(ctx context.Context, now time.Time, limit int) ([]string, error) {
	return list(ctx, t, "find expired commands", pgx.RowTo[string], `
		select id from commands c where `+open+` and `+public+` and waiter_workflow = '' and expires_at <= $1
		order by expires_at limit $2`, now, limitOf(limit))
}

func recordCommand(c deviceops.Command) commandRecord {
	r := commandRecord{
		ID: c.ID, Account: c.Account, Device: c.Device, Name: c.Name, Args: c.Args, Attempt: c.Attempt,
		Exclusive: c.Exclusive, Status: string(c.Status), AskedBy: c.By, Reason: c.Reason,
		CreatedAt: c.CreatedAt, DueAt: c.DueAt, ExpiresAt: c.ExpiresAt, SentAt: c.SentAt,
		LeasedUntil: c.LeasedUntil, FinishedAt: c.FinishedAt, CancelAsked: c.CancelAsked,
		Deferrals: c.Deferrals, Boot: c.Boot, Phase: c.Phase, Percent: c.Percent, Output: c.Output, Error: c.Error,
		Rollout: c.Rollout, Ring: c.Ring,
	}
	if c.Waiter != nil {
		r.WaiterWorkflow, r.WaiterActivity = c.Waiter.Workflow, c.Waiter.Activity
	}
	return r
}

func scanCommand(row pgx.CollectableRow) (deviceops.Command, error) { return scanCommandAnd(row) }

// scanClaimed reads commandColumns and the route to the device.
func scanClaimed(row pgx.CollectableRow) (deviceops.Command, error) {
	var route deviceops.Route
	c, err := scanCommandAnd(row, &route.Via, &route.MaxPayload, &route.Boot, &route.Profile, &route.Serial)
	c.Route = route
	return c, err
}

func scanCommandAnd(row pgx.CollectableRow, more ...any) (c deviceops.Command, err error) {
	var waiter deviceops.ActivityRef
	err = row.Scan(append([]any{&c.ID, &c.Account, &c.Device, &c.Name, &c.Args, &c.Attempt, &c.Exclusive, &c.Status, &c.By, &c.Reason,
		&waiter.Workflow, &waiter.Activity, moment{&c.CreatedAt}, moment{&c.DueAt}, moment{&c.ExpiresAt}, moment{&c.SentAt},
		moment{&c.LeasedUntil}, moment{&c.FinishedAt}, &c.CancelAsked, &c.Deferrals, &c.Boot, &c.Phase, &c.Percent,
		&c.Output, &c.Error, &c.Rollout, &c.Ring}, more...)...)
	if waiter != (deviceops.ActivityRef{}) {
		c.Waiter = &waiter
	}
	return c, err
}

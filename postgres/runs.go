package postgres

import (
	"context"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/deviceops/deviceops"
)

const runColumns = `id, account, workflow, version, hash, device, inputs, status, outputs, error, started_by, reason, started_at, finished_at, paused, rerun_of`

type runRecord struct {
	ID         string               `json:"id"`
	Account    string               `json:"account"`
	Workflow   string               `json:"workflow"`
	Version    int                  `json:"version"`
	Hash       string               `json:"hash"`
	Device     string               `json:"device"`
	Inputs     object               `json:"inputs,omitempty"`
	Status     string               `json:"status"`
	Outputs    object               `json:"outputs,omitempty"`
	Error      *deviceops.RunError  `json:"error,omitempty"`
	StartedBy  string               `json:"started_by"`
	Reason     string               `json:"reason"`
	StartedAt  time.Time            `json:"started_at,omitzero"`
	FinishedAt time.Time            `json:"finished_at,omitzero"`
	RerunOf    *deviceops.RunOrigin `json:"rerun_of,omitempty"`
}

const runRecordset = `json_to_recordset($1::json) as x(
	id text, account text, workflow text, version bigint, hash text, device text, inputs jsonb, status text,
	outputs jsonb, error jsonb, started_by text, reason text, started_at timestamptz, finished_at timestamptz, rerun_of jsonb)`

type stepRecord struct {
	Index      int                 `json:"index"`
	Step       string              `json:"step"`
	Verb       string              `json:"verb"`
	Status     string              `json:"status"`
	Attempts   int                 `json:"attempts"`
	StartedAt  time.Time           `json:"started_at,omitzero"`
	FinishedAt time.Time           `json:"finished_at,omitzero"`
	Input      value               `json:"input,omitzero"`
	Output     value               `json:"output,omitzero"`
	Error      *deviceops.RunError `json:"error,omitempty"`
	WaitsFor   string              `json:"waits_for"`
	Vars       object              `json:"vars,omitempty"`
	Copied     bool                `json:"copied"`
}

// saveSteps writes the steps $2 of the one run in run.
const saveSteps = `
	insert into run_steps (run, index, account, step, verb, status, attempts, started_at, finished_at, input, output, error, waits_for, vars, copied)
	select run.id, x.index, run.account, x.step, x.verb, x.status, x.attempts, x.started_at, x.finished_at, x.input, x.output, x.error, x.waits_for,
		x.vars, x.copied
	from run, json_to_recordset($2::json) as x(
		index bigint, step text, verb text, status text, attempts bigint, started_at timestamptz, finished_at timestamptz,
		input jsonb, output jsonb, error jsonb, waits_for text, vars jsonb, copied boolean)
	on conflict (run, index) do update set
		step = excluded.step, verb = excluded.verb, status = excluded.status, attempts = excluded.attempts,
		started_at = excluded.started_at, finished_at = excluded.finished_at, input = excluded.input,
		output = excluded.output, error = excluded.error, waits_for = excluded.waits_for, vars = excluded.vars`

const endedStatuses = `('succeeded', 'failed', 'canceled', 'skipped')`

// CreateRun implements deviceops.Runs.
func (t tx) CreateRun(ctx context.Context, r deviceops.Run) (created bool, err error) {
	created, err = t.writeRun(ctx, "create run", r, `
		with run as (
			insert into runs (id, account, workflow, version, hash, device, inputs, status, outputs, error, started_by, reason, started_at, finished_at, rerun_of)
			select id, account, workflow, version, hash, device, inputs, status, outputs, error, started_by, reason,
				coalesce(started_at, now()), finished_at, rerun_of
			from `+runRecordset+` on conflict do nothing
			returning id, account),
		steps as (`+saveSteps+`)
		select id from run`)
	return created, err
}

// CreateRuns implements deviceops.Runs.
func (t tx) CreateRuns(ctx context.Context, runs []deviceops.Run) error {
	records := make([]runRecord, len(runs))
	for i, r := range runs {
		records[i] = recordRun(r)
	}
	return bulk(ctx, t, "create runs", records, `
		insert into runs (id, account, workflow, version, hash, device, inputs, status, outputs, error, started_by, reason, started_at, finished_at, rerun_of)
		select id, account, workflow, version, hash, device, inputs, status, outputs, error, started_by, reason,
			coalesce(started_at, now()), finished_at, rerun_of
		from `+runRecordset+` order by id on conflict do nothing`)
}

// SaveRun implements deviceops.Runs.
func (t tx) SaveRun(ctx context.Context, r deviceops.Run) error {
	found, err := t.writeRun(ctx, "save run", r, `
		with run as (
			update runs set outputs = x.outputs, error = x.error, finished_at = x.finished_at,
				status = case when x.status in `+endedStatuses+` then x.status when paused is not null then 'paused'
					when x.status = 'paused' then 'running' else x.status end,
				paused = case when x.status in `+endedStatuses+` then null else paused end
			from `+runRecordset+`
			where runs.id = x.id and runs.status not in `+endedStatuses+`
			returning runs.id, runs.account),
		steps as (`+saveSteps+`)
		select runs.id from runs, `+runRecordset+` where runs.id = x.id`)
	if !found {
		return missing(err, "there is no run %s", r.ID)
	}
	return nil
}

// PauseRun implements deviceops.PausedRuns.
func (t tx) PauseRun(ctx context.Context, r deviceops.Run) (changed bool, err error) {
	var paused *string
	if r.Paused != nil {
		text, err := encode(r.Paused)
		if err != nil {
			return false, err
		}
		paused = new(string(text))
	}
	_, changed, err = first(ctx, t, "pause run", pgx.RowTo[string], `
		update runs set paused = $2::jsonb, status = $3
		where id = $1 and status not in `+endedStatuses+` and paused is distinct from $2::jsonb
		returning id`, r.ID, paused, string(r.Status))
	return changed, err
}

// writeRun runs a statement over a run, $1, and its steps, $2, and reports
// whether it gave a row.
func (t tx) writeRun(ctx context.Context, what string, r deviceops.Run, sql string) (bool, error) {
	run, err := rows([]runRecord{recordRun(r)})
	if err != nil {
		return false, err
	}
	records := make([]stepRecord, len(r.Steps))
	for i, s := range r.Steps {
		records[i] = recordStep(s)
	}
	steps, err := rows(records)
	if err != nil {
		return false, err
	}
	_, ok, err := first(ctx, t, what, pgx.RowTo[string], sql, run, steps)
	return ok, err
}

// FindRun implements deviceops.Runs.
func (t tx) FindRun(ctx context.Context, id string) (deviceops.Run, error) {
	r, ok, err := first(ctx, t, "find run", scanRun, `select `+runColumns+` from runs where id = $1`, id)
	if !ok {
		return r, missing(err, "there is no run %s", id)
	}
	r.Steps, err = list(ctx, t, "find steps", scanStep, `
		select index, step, verb, status, attempts, started_at, finished_at, input, output, error, waits_for, vars, copied
		from run_steps where run = $1 order by index`, id)
	return r, err
}

// ListRuns implements deviceops.Runs.
func (t tx) ListRuns(ctx context.Context, f deviceops.RunFilter) ([]deviceops.Run, error) {
	var where filter
	where.within("account", f.Account)
	where.equal("workflow", f.Workflow)
	where.equal("device", f.Device)
	where.equal("status", string(f.Status))
	if f.After != "" {
		where.add("(started_at, id) < (select started_at, id from runs where id = ?)", f.After)
	}
	return list(ctx, t, "list runs", scanRun, `
		select `+runColumns+` from runs`+where.where()+`
		order by started_at desc, id desc limit `+where.arg(limitOf(f.Limit)), where.args...)
}

// UncheckedRuns implements deviceops.Runs.
func (t tx) UncheckedRuns(ctx context.Context, before, now time.Time, limit int) ([]deviceops.Run, error) {
	return list(ctx, t, "find unchecked runs", scanRun, `
		update runs set checked_at = $2 where id in (
			select id from runs
			where status in ('pending', 'running', 'waiting', 'paused') and coalesce(checked_at, started_at) <= $1
				and not exists (select from starts where workflow_id = runs.id)
			order by coalesce(checked_at, started_at) limit $3
			for update skip locked)
		returning `+runColumns, before, now, limitOf(limit))
}

func recordRun(r deviceops.Run) runRecord {
	return runRecord{
		ID: r.ID, Account: r.Account, Workflow: r.Workflow, Version: r.Version, Hash: r.Hash, Device: r.Device,
		Inputs: r.Inputs, Status: string(r.Status), Outputs: r.Outputs, Error: exactError(r.Error),
		StartedBy: r.StartedBy, Reason: r.Reason, StartedAt: r.StartedAt, FinishedAt: r.FinishedAt, RerunOf: r.RerunOf,
	}
}

func recordStep(s deviceops.RunStep) stepRecord {
	return stepRecord{
		Index: s.Index, Step: s.Step, Verb: s.Verb, Status: string(s.Status), Attempts: s.Attempts,
		StartedAt: s.StartedAt, FinishedAt: s.FinishedAt, Input: value{s.Input}, Output: value{s.Output},
		Error: exactError(s.Error), WaitsFor: s.WaitsFor, Vars: s.Vars, Copied: s.Copied,
	}
}

// exactError keeps the kind of numbers in the data of an error.
func exactError(e *deviceops.RunError) *deviceops.RunError {
	if e == nil || e.Data == nil {
		return e
	}
	copied := *e
	copied.Data, _ = exact(e.Data).(map[string]any)
	return &copied
}

func scanRun(row pgx.CollectableRow) (r deviceops.Run, err error) {
	err = row.Scan(&r.ID, &r.Account, &r.Workflow, &r.Version, &r.Hash, &r.Device, &r.Inputs, &r.Status, &r.Outputs,
		&r.Error, &r.StartedBy, &r.Reason, moment{&r.StartedAt}, moment{&r.FinishedAt}, &r.Paused, &r.RerunOf)
	return r, err
}

func scanStep(row pgx.CollectableRow) (s deviceops.RunStep, err error) {
	err = row.Scan(&s.Index, &s.Step, &s.Verb, &s.Status, &s.Attempts, moment{&s.StartedAt}, moment{&s.FinishedAt},
		&s.Input, &s.Output, &s.Error, &s.WaitsFor, &s.Vars, &s.Copied)
	return s, err
}

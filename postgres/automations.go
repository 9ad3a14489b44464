package postgres

import (
	"context"
	"encoding/json"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/deviceops/deviceops"
)

// AutomationRevision implements deviceops.AutomationRecords.
func (t tx) AutomationRevision(ctx context.Context, account string) (int64, error) {
	revision, _, err := first(ctx, t, "read the revision of automations", pgx.RowTo[int64],
		`select coalesce(sum(revision), 0)::bigint from automation_revisions where account = any($1)`, deviceops.AccountLine(account))
	return revision, err
}

// reviseAutomations tells whoever remembers automations of accounts that they have
// changed.
func (t tx) reviseAutomations(ctx context.Context, accounts ...string) error {
	_, err := t.exec(ctx, "revise automations", `
		insert into automation_revisions (account, revision)
		select distinct unnest($1::text[]), 1 order by 1
		on conflict (account) do update set revision = automation_revisions.revision + 1`, accounts)
	return err
}

// revise is reviseAutomations where a document is one.
func (t tx) revise(ctx context.Context, account, kind string) error {
	if kind != deviceops.KindAutomation {
		return nil
	}
	return t.reviseAutomations(ctx, account)
}

const stateColumns = `account, automation, disabled, brake, changed_at, changed_by, reason`

// ListAutomationStates implements deviceops.AutomationRecords.
func (t tx) ListAutomationStates(ctx context.Context, account string) ([]deviceops.AutomationState, error) {
	return list(ctx, t, "list states of automations", scanAutomationState, `
		select `+stateColumns+` from automation_states where account = any($1) order by account, automation`, deviceops.AccountLine(account))
}

// slotRecord names an automation and perhaps one of its keys.
type slotRecord struct {
	Account    string `json:"account"`
	Automation string `json:"automation"`
	Key        string `json:"key"`
}

const slotRecordset = `json_to_recordset($1::json) as x(account text, automation text, key text)`

// LockAutomationStates implements deviceops.AutomationRecords.
func (t tx) LockAutomationStates(ctx context.Context, refs []deviceops.AutomationRef) (map[deviceops.AutomationRef]*deviceops.AutomationState, error) {
	records := make([]slotRecord, len(refs))
	for i, r := range refs {
		records[i] = slotRecord{Account: r.Account, Automation: r.Name}
	}
	text, err := rows(records)
	if err != nil || len(refs) == 0 {
		return map[deviceops.AutomationRef]*deviceops.AutomationState{}, err
	}
	if _, err := t.exec(ctx, "make states of automations", `
		insert into automation_states (account, automation)
		select account, automation from `+slotRecordset+` order by account, automation on conflict do nothing`, text); err != nil {
		return nil, err
	}
	found, err := list(ctx, t, "lock states of automations", scanAutomationState, `
		select `+stateColumns+` from automation_states
		where (account, automation) in (select account, automation from `+slotRecordset+`)
		order by account, automation for no key update`, text)
	byRef := make(map[deviceops.AutomationRef]*deviceops.AutomationState, len(found))
	for i := range found {
		byRef[found[i].AutomationRef] = &found[i]
	}
	return byRef, err
}

type stateRecord struct {
	Account    string               `json:"account"`
	Automation string               `json:"automation"`
	Disabled   bool                 `json:"disabled"`
	Brake      deviceops.LimitState `json:"brake"`
	ChangedAt  time.Time            `json:"changed_at,omitzero"`
	ChangedBy  string               `json:"changed_by"`
	Reason     string               `json:"reason"`
}

// SaveAutomationStates implements deviceops.AutomationRecords. Whoever remembers
// automations learns only of what they see: whether one is disabled.
func (t tx) SaveAutomationStates(ctx context.Context, states []deviceops.AutomationState) error {
	records := make([]stateRecord, len(states))
	for i, s := range states {
		records[i] = stateRecord{s.Account, s.Name, s.Disabled, s.Brake, s.ChangedAt, s.ChangedBy, s.Reason}
	}
	text, err := rows(records)
	if err != nil || len(states) == 0 {
		return err
	}
	changed, err := list(ctx, t, "save states of automations", pgx.RowTo[string], `
		with before as (select s.account, s.automation, s.disabled from automation_states s),
		x as (select * from json_to_recordset($1::json) as x(
			account text, automation text, disabled boolean, brake jsonb, changed_at timestamptz, changed_by text, reason text)),
		saved as (
			update automation_states s set
				disabled = x.disabled, brake = x.brake, changed_at = x.changed_at, changed_by = x.changed_by, reason = x.reason
			from x where s.account = x.account and s.automation = x.automation)
		select x.account from x join before using (account, automation) where x.disabled <> before.disabled`, text)
	if err != nil || len(changed) == 0 {
		return err
	}
	return t.reviseAutomations(ctx, changed...)
}

func scanAutomationState(row pgx.CollectableRow) (s deviceops.AutomationState, err error) {
	var brake []byte
	if err = row.Scan(&s.Account, &s.Name, &s.Disabled, &brake, moment{&s.ChangedAt}, &s.ChangedBy, &s.Reason); err != nil {
		return s, err
	}
	return s, json.Unmarshal(brake, &s.Brake)
}

type runSlotRecord struct {
	Run string `json:"run"`
	slotRecord
}

// EnterAutomationRuns implements deviceops.AutomationRecords.
func (t tx) EnterAutomationRuns(ctx context.Context, runs map[string]deviceops.AutomationSlot) error {
	records := make([]runSlotRecord, 0, len(runs))
	for run, slot := range runs {
		records = append(records, runSlotRecord{run, recordSlot(slot)})
	}
	return bulk(ctx, t, "enter runs of automations", records, `
		insert into automation_runs (run, account, automation, key)
		select run, account, automation, key from json_to_recordset($1::json) as x(run text, account text, automation text, key text)
		order by run on conflict do nothing`)
}

// EndAutomationRuns implements deviceops.AutomationRecords.
func (t tx) EndAutomationRuns(ctx context.Context, runs []string) (map[string]deviceops.AutomationSlot, error) {
	type owned struct {
		Run, Account, Automation, Key string
	}
	found, err := list(ctx, t, "end runs of automations", pgx.RowToStructByPos[owned],
		`delete from automation_runs where run = any($1) returning run, account, automation, key`, runs)
	slots := make(map[string]deviceops.AutomationSlot, len(found))
	for _, o := range found {
		slots[o.Run] = deviceops.AutomationSlot{AutomationRef: deviceops.AutomationRef{Account: o.Account, Name: o.Automation}, Key: o.Key}
	}
	return slots, err
}

// CancelAutomationRuns implements deviceops.AutomationRecords.
func (t tx) CancelAutomationRuns(ctx context.Context, runs []string, now time.Time) error {
	_, err := t.exec(ctx, "cancel runs of automations", `update automation_runs set cancel_from = $2 where run = any($1)`, runs, now)
	return err
}

// CancelingAutomationRuns implements deviceops.AutomationRecords.
func (t tx) CancelingAutomationRuns(ctx context.Context, before, now time.Time, limit int) ([]string, error) {
	return list(ctx, t, "lease runs to be canceled", pgx.RowTo[string], `
		update automation_runs set cancel_from = $2 where run in (
			select run from automation_runs where cancel_from <= $1
			order by cancel_from limit $3 for update skip locked)
		returning run`, before, now, limitOf(limit))
}

type automationDecisionRecord struct {
	Account    string    `json:"account"`
	Automation string    `json:"automation"`
	Version    int       `json:"version"`
	Key        string    `json:"key"`
	Event      int64     `json:"event"`
	Device     string    `json:"device"`
	At         time.Time `json:"at"`
	DecidedAt  time.Time `json:"decided_at"`
	Outcome    string    `json:"outcome"`
	Run        string    `json:"run"`
	Since      time.Time `json:"since,omitzero"`
	Until      time.Time `json:"until,omitzero"`
	Detail     string    `json:"detail"`
}

const automationDecisionColumns = `account, automation, version, key, event, device, at, decided_at, outcome, run, since, until, detail`

// AppendAutomationDecisions implements deviceops.AutomationRecords.
func (t tx) AppendAutomationDecisions(ctx context.Context, decisions []deviceops.AutomationDecision) error {
	records := make([]automationDecisionRecord, len(decisions))
	for i, d := range decisions {
		records[i] = automationDecisionRecord{
			d.Account, d.Name, d.Version, d.Key, d.Event, d.Device, d.At, d.DecidedAt, string(d.Outcome), d.Run, d.Since, d.Until, d.Detail,
		}
	}
	return bulk(ctx, t, "append decisions of automations", records, `
		insert into automation_decisions (`+automationDecisionColumns+`)
		select `+automationDecisionColumns+` from json_to_recordset($1::json) as x(
			account text, automation text, version bigint, key text, event bigint, device text, at timestamptz, decided_at timestamptz,
			outcome text, run text, since timestamptz, until timestamptz, detail text)`)
}

// ListAutomationDecisions implements deviceops.AutomationRecords.
func (t tx) ListAutomationDecisions(ctx context.Context, f deviceops.AutomationDecisionFilter) ([]deviceops.AutomationDecision, error) {
	var where filter
	where.equal("account", f.Account)
	where.equal("automation", f.Name)
	if f.Event > 0 {
		where.add("event = ?", f.Event)
	}
	return list(ctx, t, "list decisions of automations", scanAutomationDecision, `
		select id, `+automationDecisionColumns+` from automation_decisions`+where.where()+`
		order by id desc limit `+where.arg(limitOf(f.Limit)), where.args...)
}

// FollowingAutomationDecision implements deviceops.AutomationRecords.
func (t tx) FollowingAutomationDecision(ctx context.Context, d deviceops.AutomationDecision) (deviceops.AutomationDecision, bool, error) {
	return first(ctx, t, "find what followed a decision", scanAutomationDecision, `
		select id, `+automationDecisionColumns+` from automation_decisions
		where account = $1 and automation = $2 and key = $3 and id > $4 and outcome <> all($5)
		order by id limit 1`,
		d.Account, d.Name, d.Key, d.ID, []string{string(deviceops.OutcomeHolding), string(deviceops.OutcomeStale)})
}

func scanAutomationDecision(row pgx.CollectableRow) (d deviceops.AutomationDecision, err error) {
	err = row.Scan(&d.ID, &d.Account, &d.Name, &d.Version, &d.Key, &d.Event, &d.Device, moment{&d.At}, moment{&d.DecidedAt}, &d.Outcome,
		&d.Run, moment{&d.Since}, moment{&d.Until}, &d.Detail)
	return d, err
}

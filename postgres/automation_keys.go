package postgres

import (
	"context"
	"encoding/json"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/deviceops/deviceops"
)

const keyColumns = `account, automation, key, state, deadline`

// automationKey is a row of automation_keys.
type automationKey struct {
	slot deviceops.AutomationSlot
	deviceops.AutomationKey
}

type keyRecord struct {
	slotRecord
	State    json.RawMessage `json:"state"`
	Deadline time.Time       `json:"deadline,omitzero"`
}

func recordSlot(s deviceops.AutomationSlot) slotRecord { return slotRecord{s.Account, s.Name, s.Key} }

// LockAutomationKeys implements deviceops.AutomationRecords. New keys are made
// before all are locked: both happens in their order.
func (t tx) LockAutomationKeys(ctx context.Context, slots []deviceops.AutomationSlot) (map[deviceops.AutomationSlot]*deviceops.AutomationKey, error) {
	records := make([]slotRecord, len(slots))
	for i, s := range slots {
		records[i] = recordSlot(s)
	}
	text, err := rows(records)
	if err != nil || len(slots) == 0 {
		return nil, err
	}
	if _, err := t.exec(ctx, "make keys of automations", `
		insert into automation_keys (account, automation, key)
		select account, automation, key from `+slotRecordset+` order by account, automation, key on conflict do nothing`, text); err != nil {
		return nil, err
	}
	found, err := list(ctx, t, "lock keys of automations", scanAutomationKey, `
		select `+keyColumns+` from automation_keys
		where (account, automation, key) in (select account, automation, key from `+slotRecordset+`)
		order by account, automation, key for no key update`, text)
	return keysBySlot(found), err
}

// SaveAutomationKeys implements deviceops.AutomationRecords.
func (t tx) SaveAutomationKeys(ctx context.Context, keys map[deviceops.AutomationSlot]*deviceops.AutomationKey, now time.Time) error {
	records := make([]keyRecord, 0, len(keys))
	for slot, k := range keys {
		state, err := json.Marshal(k)
		if err != nil {
			return deviceops.Errorf(deviceops.EINVALID, "what the automation %s remembers cannot be stored: %w", slot.Name, err)
		}
		records = append(records, keyRecord{recordSlot(slot), state, k.Deadline})
	}
	return bulk(ctx, t, "save keys of automations", records, `
		update automation_keys k set state = x.state, deadline = x.deadline, used_at = $2
		from json_to_recordset($1::json) as x(account text, automation text, key text, state jsonb, deadline timestamptz)
		where k.account = x.account and k.automation = x.automation and k.key = x.key`, now)
}

// FindAutomationKeys implements deviceops.AutomationRecords.
func (t tx) FindAutomationKeys(ctx context.Context, slot deviceops.AutomationSlot, limit int) (map[deviceops.AutomationSlot]*deviceops.AutomationKey, error) {
	var where filter
	where.equal("account", slot.Account)
	where.equal("automation", slot.Name)
	where.equal("key", slot.Key)
	found, err := list(ctx, t, "find keys of automations", scanAutomationKey, `
		select `+keyColumns+` from automation_keys`+where.where()+`
		order by used_at desc nulls last limit `+where.arg(limitOf(limit)), where.args...)
	return keysBySlot(found), err
}

// DueAutomationKeys implements deviceops.AutomationRecords.
func (t tx) DueAutomationKeys(ctx context.Context, now time.Time, limit int) (map[deviceops.AutomationSlot]*deviceops.AutomationKey, error) {
	found, err := list(ctx, t, "find due keys of automations", scanAutomationKey, `
		select `+keyColumns+` from automation_keys where deadline <= $1
		order by deadline limit $2 for no key update skip locked`, now, limitOf(limit))
	return keysBySlot(found), err
}

// OpenAutomationTickets implements deviceops.AutomationRecords.
func (t tx) OpenAutomationTickets(ctx context.Context, a deviceops.AutomationRef) (int, error) {
	n, _, err := first(ctx, t, "count open tickets of automation", pgx.RowTo[int], `
		select count(*)::int from automation_keys k join tickets t on t.id = k.state ->> 'ticket'
		where k.account = $1 and k.automation = $2 and t.status = 'open'`, a.Account, a.Name)
	return n, err
}

// PruneAutomations implements deviceops.AutomationRecords.
func (t tx) PruneAutomations(ctx context.Context, before, keysBefore time.Time) error {
	if _, err := t.exec(ctx, "prune decisions of automations", `delete from automation_decisions where decided_at < $1`, before); err != nil {
		return err
	}
	if _, err := t.exec(ctx, "prune calls of automations", `delete from automation_calls where at < $1`, before); err != nil {
		return err
	}
	_, err := t.exec(ctx, "prune keys of automations", `
		delete from automation_keys k where used_at < $1 and deadline is null and not state ? 'ticket'
			and not exists (select from automation_runs r where r.account = k.account and r.automation = k.automation and r.key = k.key)`, keysBefore)
	return err
}

func keysBySlot(found []automationKey) map[deviceops.AutomationSlot]*deviceops.AutomationKey {
	bySlot := make(map[deviceops.AutomationSlot]*deviceops.AutomationKey, len(found))
	for i := range found {
		bySlot[found[i].slot] = &found[i].AutomationKey
	}
	return bySlot
}

func scanAutomationKey(row pgx.CollectableRow) (k automationKey, err error) {
	var state []byte
	if err = row.Scan(&k.slot.Account, &k.slot.Name, &k.slot.Key, &state, moment{&k.Deadline}); err != nil {
		return k, err
	}
	return k, json.Unmarshal(state, &k.AutomationKey)
}

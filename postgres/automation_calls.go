package postgres

import (
	"context"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/deviceops/deviceops"
)

// ClaimCall implements deviceops.AutomationRecords. Of two that claim a call at the
// same time the second waits for what becomes of the first.
func (t tx) ClaimCall(ctx context.Context, account, key string, now time.Time) (event int64, fresh bool, err error) {
	entered, err := t.exec(ctx, "claim call", `
		insert into automation_calls (key, account, at) values ($1, $2, $3) on conflict do nothing`, key, account, now)
	if err != nil || entered == 1 {
		return 0, err == nil, err
	}
	event, _, err = first(ctx, t, "find call", pgx.RowTo[int64], `select event from automation_calls where key = $1`, key)
	return event, false, err
}

// SettleCall implements deviceops.AutomationRecords.
func (t tx) SettleCall(ctx context.Context, key string, event int64) error {
	_, err := t.exec(ctx, "settle call", `update automation_calls set event = $2 where key = $1`, key, event)
	return err
}

// DisabledAutomations implements deviceops.AutomationRecords.
func (t tx) DisabledAutomations(ctx context.Context) ([]deviceops.AutomationRef, error) {
	return list(ctx, t, "list disabled automations", pgx.RowToStructByPos[deviceops.AutomationRef],
		`select account, automation from automation_states where disabled order by account, automation`)
}

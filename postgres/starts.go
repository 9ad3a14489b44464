package postgres

import (
	"context"
	"encoding/json"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/deviceops/deviceops"
)

type startRecord struct {
	WorkflowID string `json:"workflow_id"`
	Type       string `json:"type"`
	Input      value  `json:"input,omitzero"`
	Device     string `json:"device"`
}

// RequestStarts implements deviceops.Starts.
func (t tx) RequestStarts(ctx context.Context, requests []deviceops.Start, now time.Time) error {
	records := make([]startRecord, len(requests))
	for i, r := range requests {
		records[i] = startRecord{r.WorkflowID, r.Type, value{r.Input}, r.Device}
	}
	return bulk(ctx, t, "request starts", records, `
		insert into starts (workflow_id, account, type, input, device, requested_at)
		select x.workflow_id, coalesce(d.account, 'root'), x.type, x.input, x.device, $2
		from json_to_recordset($1::json) as x(workflow_id text, type text, input jsonb, device text)
		left join devices d on d.id = x.device
		order by x.workflow_id
		on conflict do nothing`, now)
}

// PendingStarts implements deviceops.Starts.
func (t tx) PendingStarts(ctx context.Context, before, now time.Time, limit int) ([]deviceops.Start, error) {
	return list(ctx, t, "lease starts", scanStart, `
		with picked as materialized (
			select workflow_id from starts
			where requested_at <= $1 and coalesce(leased_until <= $2, true)
			order by requested_at limit $3
			for update skip locked),
		leased as (
			update starts set leased_until = $4 from picked where starts.workflow_id = picked.workflow_id
			returning starts.*)
		select workflow_id, type, input, device from leased order by requested_at, workflow_id`,
		before, now, limitOf(limit), now.Add(deviceops.PublishLease))
}

// DoneStarts implements deviceops.Starts.
func (t tx) DoneStarts(ctx context.Context, workflowIDs []string) error {
	if len(workflowIDs) == 0 {
		return nil
	}
	_, err := t.exec(ctx, "remove starts", `delete from starts where workflow_id = any($1)`, workflowIDs)
	return err
}

func scanStart(row pgx.CollectableRow) (s deviceops.Start, err error) {
	var input []byte
	err = row.Scan(&s.WorkflowID, &s.Type, &input, &s.Device)
	if input != nil {
		s.Input = json.RawMessage(input)
	}
	return s, err
}

package postgres

import (
	"context"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/deviceops/deviceops"
)

type wellnessRecord struct {
	Device        string    `json:"device"`
	Status        string    `json:"status"`
	DegradedSince time.Time `json:"degraded_since,omitzero"`
	Because       []string  `json:"because,omitempty"`
	TurningSince  time.Time `json:"turning_since,omitzero"`
	FlappingSince time.Time `json:"flapping_since,omitzero"`
	StableAt      time.Time `json:"stable_at,omitzero"`
	DueAt         time.Time `json:"due_at,omitzero"`
}

// SaveWellness implements deviceops.Devices.
func (t tx) SaveWellness(ctx context.Context, wellness map[string]deviceops.Wellness) error {
	records := make([]wellnessRecord, 0, len(wellness))
	for device, w := range wellness {
		status := string(w.Status)
		if status == "" {
			status = string(deviceops.Well)
		}
		records = append(records, wellnessRecord{device, status, w.DegradedSince, w.Because, w.TurningSince, w.FlappingSince, w.StableAt, w.DueAt})
	}
	return bulk(ctx, t, "save wellness", records, `
		update sessions set
			wellness = x.status, degraded_since = x.degraded_since, degraded_because = x.because, turning_since = x.turning_since,
			flapping_since = x.flapping_since, stable_at = x.stable_at, wellness_due = x.due_at
		from json_to_recordset($1::json) as x(device text, status text, degraded_since timestamptz, because text[],
			turning_since timestamptz, flapping_since timestamptz, stable_at timestamptz, due_at timestamptz)
		where sessions.device = x.device`)
}

// DueWellness implements deviceops.Devices.
func (t tx) DueWellness(ctx context.Context, now time.Time, limit int) ([]string, error) {
	return list(ctx, t, "find wellness that is due", pgx.RowTo[string],
		`select device from sessions where wellness_due <= $1 order by wellness_due limit $2`, now, limitOf(limit))
}

type flapRecord struct {
	Device  string      `json:"device"`
	Changes []time.Time `json:"changes"`
	Told    string      `json:"told"`
	Count   int         `json:"count"`
}

// FindFlaps implements deviceops.Devices.
func (t tx) FindFlaps(ctx context.Context, ids []string) (map[string]deviceops.FlapState, error) {
	found, err := list(ctx, t, "find flaps", pgx.RowToStructByPos[flapRecord],
		`select device, changes, told, count from flaps where device = any($1)`, ids)
	flaps := make(map[string]deviceops.FlapState, len(found))
	for _, f := range found {
		for i, at := range f.Changes {
			f.Changes[i] = at.UTC()
		}
		flaps[f.Device] = deviceops.FlapState{Changes: f.Changes, Told: deviceops.Connectivity(f.Told), Count: f.Count}
	}
	return flaps, err
}

// SaveFlaps implements deviceops.Devices. What is empty is removed.
func (t tx) SaveFlaps(ctx context.Context, flaps map[string]deviceops.FlapState) error {
	var records []flapRecord
	var over []string
	for device, f := range flaps {
		if f.Empty() {
			over = append(over, device)
			continue
		}
		records = append(records, flapRecord{device, f.Changes, string(f.Told), f.Count})
	}
	if len(over) > 0 {
		if _, err := t.exec(ctx, "forget flaps", `delete from flaps where device = any($1)`, over); err != nil {
			return err
		}
	}
	return bulk(ctx, t, "save flaps", records, `
		insert into flaps (device, account, changes, told, count)
		select x.device, d.account, x.changes, x.told, x.count
		from json_to_recordset($1::json) as x(device text, changes timestamptz[], told text, count bigint)
		join devices d on d.id = x.device
		on conflict (device) do update set changes = excluded.changes, told = excluded.told, count = excluded.count`)
}

// LatestMetrics implements deviceops.Devices.
func (t tx) LatestMetrics(ctx context.Context, ids []string) (map[string]map[string]any, error) {
	type latest struct {
		Device  string
		Metrics map[string]any
	}
	found, err := list(ctx, t, "read latest metrics", pgx.RowToStructByPos[latest],
		`select device, jsonb_object_agg(name, value) from device_metrics where device = any($1) group by device`, ids)
	byDevice := make(map[string]map[string]any, len(found))
	for _, l := range found {
		byDevice[l.Device] = l.Metrics
	}
	return byDevice, err
}

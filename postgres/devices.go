package postgres

import (
	"context"

	"github.com/jackc/pgx/v5"

	"github.com/deviceops/deviceops"
)

// deviceColumns are read by scanDevice from deviceTables.
const deviceColumns = `
	d.id, d.account, d.serial, d.profile, d.parent, d.tags, d.labels, d.attributes, d.zone, d.latitude, d.longitude, d.place_at,
	d.state, d.state_since, d.state_reason, d.claim_hash, d.created_at, d.updated_at,
	t.version, t.configuration, t.software, s.heartbeat_every, s.offline_after,
	t.config_version, t.reported_software, t.reported_attributes, t.reported_at,
	s.connectivity, s.since, s.connection, s.boot, s.hello_at, s.last_seen, s.last_heartbeat, s.uptime_s, s.wake_at,
	s.max_payload, s.claim_hash, s.presented_profile, s.presented_serial, s.digest, s.seq, s.acked_at, s.clock_skewed,
	s.wellness, s.degraded_since, s.degraded_because, s.turning_since, s.flapping_since, s.stable_at, s.wellness_due`

const deviceTables = `
	devices d join twins t on t.device = d.id join sessions s on s.device = d.id`

// FindDevice implements deviceops.Devices.
func (t tx) FindDevice(ctx context.Context, id string) (deviceops.Device, error) {
	d, ok, err := first(ctx, t, "find device", scanDevice(true), `
		select `+deviceColumns+`,
			(select jsonb_object_agg(m.name, m.value) from device_metrics m where m.device = d.id)
		from `+deviceTables+` where d.id = $1`, id)
	if !ok {
		return d, missing(err, "there is no device %s", id)
	}
	return d, nil
}

// FindDevices implements deviceops.Devices.
func (t tx) FindDevices(ctx context.Context, ids []string) (map[string]*deviceops.Device, error) {
	found, err := list(ctx, t, "find devices", scanDevice(true), `
		select `+deviceColumns+`,
			(select jsonb_object_agg(m.name, m.value) from device_metrics m where m.device = d.id)
		from `+deviceTables+` where d.id = any($1)`, ids)
	byID := make(map[string]*deviceops.Device, len(found))
	for i := range found {
		byID[found[i].ID] = &found[i]
	}
	return byID, err
}

// ListDevices implements deviceops.Devices.
func (t tx) ListDevices(ctx context.Context, f deviceops.DeviceFilter) ([]deviceops.Device, error) {
	where := deviceFilter(f)
	if f.After != "" {
		where.add("d.id > ?", f.After)
	}
	return list(ctx, t, "list devices", scanDevice(false), `
		select `+deviceColumns+` from `+deviceTables+where.where()+`
		order by d.id limit `+where.arg(limitOf(f.Limit)), where.args...)
}

// CountDevices implements deviceops.Devices.
func (t tx) CountDevices(ctx context.Context, f deviceops.DeviceFilter) (map[deviceops.State]int, error) {
	type count struct {
		State  deviceops.State
		Number int
	}
	where := deviceFilter(f)
	counts, err := list(ctx, t, "count devices", pgx.RowToStructByPos[count], `
		select d.state, count(*) from devices d join sessions s on s.device = d.id`+where.where()+` group by d.state`, where.args...)
	byState := make(map[deviceops.State]int, len(counts))
	for _, c := range counts {
		byState[c.State] = c.Number
	}
	return byState, err
}

// deviceFilter holds the conditions of f over devices d and sessions s, its
// page left out.
func deviceFilter(f deviceops.DeviceFilter) *filter {
	var where filter
	where.within("d.account", f.Account)
	where.equal("d.state", string(f.State))
	where.equal("s.connectivity", string(f.Connectivity))
	where.equal("s.wellness", string(f.Wellness))
	where.equal("d.profile", f.Profile)
	where.equal("d.parent", f.Parent)
	if f.Tag != "" {
		where.add("d.tags @> array[?]", f.Tag)
	}
	if len(f.Labels) > 0 {
		where.add("d.labels @> ?", f.Labels)
	}
	if f.Search != "" {
		where.add("(strpos(lower(d.id), lower(?)) > 0 or strpos(lower(d.serial), lower(?)) > 0)", f.Search)
	}
	return &where
}

// LockDevices implements deviceops.Devices. The lock is one statement and the
// reading another: a joined row read while waiting for a lock would be as old
// as the wait.
func (t tx) LockDevices(ctx context.Context, ids []string) (map[string]*deviceops.Device, error) {
	if err := t.HoldDevices(ctx, ids); err != nil {
		return nil, err
	}
	return t.ReadDevices(ctx, ids)
}

// HoldDevices implements deviceops.Devices.
func (t tx) HoldDevices(ctx context.Context, ids []string) error {
	if len(ids) == 0 {
		return nil
	}
	_, err := t.exec(ctx, "lock devices", `select from devices where id = any($1) order by id for no key update`, ids)
	return err
}

// ReadDevices implements deviceops.Devices.
func (t tx) ReadDevices(ctx context.Context, ids []string) (map[string]*deviceops.Device, error) {
	if len(ids) == 0 {
		return map[string]*deviceops.Device{}, nil
	}
	found, err := listOf(ctx, t, len(ids), "read devices", scanDevice(false),
		`select `+deviceColumns+` from `+deviceTables+` where d.id = any($1)`, ids)
	return byID(found), err
}

// ReadSessions implements deviceops.Devices. It is done for most of what devices
// say, and a column that is not needed costs as much as one that is.
func (t tx) ReadSessions(ctx context.Context, ids []string) (map[string]*deviceops.Device, error) {
	var d deviceops.Device
	s, w, h := &d.Session, &d.Wellness, &d.Twin.Desired.Heartbeat
	targets := []any{
		&d.ID, &d.Account, &d.Profile, &d.Parent, &d.State, &h.Every, &h.OfflineAfter,
		&s.Connectivity, moment{&s.Since}, &s.Boot, moment{&s.LastSeen}, moment{&s.AckedAt}, &s.ClockSkewed,
		moment{&w.DegradedSince}, moment{&w.TurningSince},
	}
	scan := func(row pgx.CollectableRow) (deviceops.Device, error) {
		d = deviceops.Device{}
		err := row.Scan(targets...)
		return d, err
	}
	found, err := listOf(ctx, t, len(ids), "read sessions", scan, `
		select d.id, d.account, d.profile, d.parent, d.state, s.heartbeat_every, s.offline_after,
			s.connectivity, s.since, s.boot, s.last_seen, s.acked_at, s.clock_skewed, s.degraded_since, s.turning_since
		from devices d join sessions s on s.device = d.id where d.id = any($1)`, ids)
	return byID(found), err
}

func byID(devices []deviceops.Device) map[string]*deviceops.Device {
	found := make(map[string]*deviceops.Device, len(devices))
	for i := range devices {
		found[devices[i].ID] = &devices[i]
	}
	return found
}

// AddDiscovered implements deviceops.Devices. Calls take turns, so that
// together they keep to max.
func (t tx) AddDiscovered(ctx context.Context, devices []deviceops.Device, max int) (added []string, err error) {
	records := make([]deviceRecord, len(devices))
	for i := range devices {
		records[i] = recordDevice(&devices[i])
		records[i].State = string(deviceops.Discovered)
	}
	text, err := rows(records)
	if err != nil || len(devices) == 0 {
		return nil, err
	}
	err = t.atomically(ctx, func(t tx) error {
		if err := t.lock(ctx, "discovered"); err != nil {
			return err
		}
		added, err = list(ctx, t, "add discovered devices", pgx.RowTo[string], insertDevices(`
			where not exists (select from devices where devices.id = x.id)
			limit greatest(0, $2 - (select count(*) from devices where state = 'discovered'))`), text, max)
		return err
	})
	return added, err
}

// SaveDevice implements deviceops.Devices.
func (t tx) SaveDevice(ctx context.Context, d *deviceops.Device) error {
	text, err := rows([]deviceRecord{recordDevice(d)})
	if err != nil {
		return err
	}
	saved, err := list(ctx, t, "save device "+d.ID, pgx.RowTo[string], updateDevices+`, desired as (
			update twins set version = x.version, configuration = x.configuration, software = x.software
			from x where twins.device = x.id),
		`+savePolicies("x.id")+`
		select id from updated`, text)
	if len(saved) == 0 {
		return missing(err, "there is no device %s", d.ID)
	}
	return nil
}

// ChildrenOf implements deviceops.Devices.
func (t tx) ChildrenOf(ctx context.Context, ids []string) ([]string, error) {
	return list(ctx, t, "find children", pgx.RowTo[string],
		`select id from devices where parent = any($1) and parent <> '' order by id`, ids)
}

// scanDevice reads deviceColumns and, if asked to, metrics after them. It is for
// one query: what rows are read into is made once.
func scanDevice(metrics bool) pgx.RowToFunc[deviceops.Device] {
	var d deviceops.Device
	targets, complete := deviceTargets(&d)
	if metrics {
		targets = append(targets, &d.Metrics)
	}
	return func(row pgx.CollectableRow) (deviceops.Device, error) {
		d = deviceops.Device{}
		err := row.Scan(targets...)
		complete()
		return d, err
	}
}

// deviceTargets gives what deviceColumns are read into, and what completes the
// device once a row was read.
func deviceTargets(d *deviceops.Device) (targets []any, complete func()) {
	var latitude, longitude *float64
	desired, reported := &d.Twin.Desired, &d.Twin.Reported
	targets = []any{
		&d.ID, &d.Account, &d.Serial, &d.Profile, &d.Parent, &d.Tags, &d.Labels, &d.Attributes, &d.Zone, &latitude, &longitude, moment{&d.PlaceAt},
		&d.State, moment{&d.StateSince}, &d.StateReason, &d.ClaimHash, moment{&d.CreatedAt}, moment{&d.UpdatedAt},
		&desired.Version, &desired.Configuration, &desired.Software, &desired.Heartbeat.Every, &desired.Heartbeat.OfflineAfter,
		&reported.ConfigVersion, &reported.Software, &reported.Attributes, moment{&reported.At},
	}
	return append(targets, sessionTargets(d)...), func() {
		if latitude != nil && longitude != nil {
			d.Place = &deviceops.Place{Latitude: *latitude, Longitude: *longitude}
		}
	}
}

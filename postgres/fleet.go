package postgres

import (
	"context"
	"maps"
	"slices"

	"github.com/jackc/pgx/v5"

	"github.com/deviceops/deviceops"
)

const (
	maxTroubles = 20
	maxVersions = 10 // of each component
	maxSilent   = 10
)

// fleetCell counts the devices of a group that have all of it in common.
type fleetCell struct {
	Key          string
	State        deviceops.State
	Connectivity deviceops.Connectivity
	Wellness     deviceops.WellnessStatus
	Devices      int
}

// FleetHealth implements deviceops.Fleet.
func (t tx) FleetHealth(ctx context.Context, q deviceops.FleetQuery) (h deviceops.FleetHealth, err error) {
	cells, err := t.fleetCells(ctx, q.Filter, deviceops.Grouping{})
	if err != nil {
		return h, err
	}
	h.ByState = map[deviceops.State]int{}
	for _, c := range cells {
		h.ByState[c.State] += c.Devices
		if c.State != deviceops.Retired {
			h.All.Add(c.Connectivity, c.Wellness, c.Devices)
		}
	}
	if q.By.Kind != deviceops.GroupAll {
		if cells, err = t.fleetCells(ctx, q.Filter, q.By); err != nil {
			return h, err
		}
		h.Groups = fleetGroups(cells)
		h.More = max(0, len(h.Groups)-maxGroups)
		h.Groups = h.Groups[:len(h.Groups)-h.More]
	}
	if h.Troubles, err = t.fleetTroubles(ctx, q.Filter); err != nil {
		return h, err
	}
	if h.Versions, err = t.fleetVersions(ctx, q.Filter); err != nil {
		return h, err
	}
	h.Silent, err = t.silentest(ctx, q.Filter)
	return h, err
}

func (t tx) fleetCells(ctx context.Context, f deviceops.DeviceFilter, by deviceops.Grouping) ([]fleetCell, error) {
	where := deviceFilter(f)
	key, join := grouped(where, by)
	return list(ctx, t, "count a fleet", pgx.RowToStructByPos[fleetCell], `
		select `+key+` as key, d.state, s.connectivity, s.wellness, count(*)
		from devices d join sessions s on s.device = d.id`+join+where.where()+` group by 1, 2, 3, 4`, where.args...)
}

func fleetGroups(cells []fleetCell) []deviceops.FleetGroup {
	byKey := map[string]*deviceops.FleetGroup{}
	for _, c := range cells {
		if c.State == deviceops.Retired {
			continue
		}
		if byKey[c.Key] == nil {
			byKey[c.Key] = &deviceops.FleetGroup{Key: c.Key}
		}
		byKey[c.Key].Add(c.Connectivity, c.Wellness, c.Devices)
	}
	groups := make([]deviceops.FleetGroup, 0, len(byKey))
	for _, key := range slices.Sorted(maps.Keys(byKey)) {
		groups = append(groups, *byKey[key])
	}
	slices.SortStableFunc(groups, func(a, b deviceops.FleetGroup) int { return b.Devices - a.Devices })
	return groups
}

// troubles are what may be wrong with a device, as (kind, detail). Most devices
// have none, and are left out before anything is listed.
const troubles = `
	lateral (
		select 'degraded', unnest(s.degraded_because) where s.degraded_since is not null
		union all select 'flapping', '' where s.flapping_since is not null
		union all select s.connectivity, '' where s.connectivity in ('offline', 'unreachable')
		union all select 'quarantined', left(d.state_reason, 80) where d.state = 'quarantined'
		union all select 'clock', '' where s.clock_skewed
		union all select 'configuration', '' where d.state in ('active', 'maintenance') and t.version > t.config_version
		union all select 'software', want.key from jsonb_each_text(t.software) as want
			where d.state in ('active', 'maintenance') and t.reported_software ->> want.key is distinct from want.value
	) as x(kind, detail)`

func (t tx) fleetTroubles(ctx context.Context, f deviceops.DeviceFilter) ([]deviceops.FleetTrouble, error) {
	where := inService(f)
	where.conditions = append(where.conditions, `(s.wellness <> 'well' or s.connectivity in ('offline', 'unreachable') or d.state = 'quarantined'
		or s.clock_skewed or t.version > t.config_version or not coalesce(t.reported_software, '{}') @> coalesce(t.software, '{}'))`)
	return list(ctx, t, "sum up what is wrong", pgx.RowToStructByPos[deviceops.FleetTrouble], `
		select x.kind, x.detail, count(*) from `+deviceTables+`, `+troubles+where.where()+`
		group by 1, 2 order by 3 desc, 1, 2 limit `+where.arg(maxTroubles), where.args...)
}

func (t tx) fleetVersions(ctx context.Context, f deviceops.DeviceFilter) ([]deviceops.FleetVersion, error) {
	where := inService(f)
	return list(ctx, t, "count versions", pgx.RowToStructByPos[deviceops.FleetVersion], `
		select component, version, devices from (
			select v.key as component, v.value as version, sum(devices)::bigint as devices,
				row_number() over (partition by v.key order by sum(devices) desc, v.value) as n
			from (
				select t.reported_software as software, count(*) as devices
				from `+deviceTables+where.where()+` group by 1) alike, jsonb_each_text(alike.software) as v
			group by 1, 2) counted
		where n <= `+where.arg(maxVersions)+` order by component, n`, where.args...)
}

func (t tx) silentest(ctx context.Context, f deviceops.DeviceFilter) ([]deviceops.SilentDevice, error) {
	where := inService(f)
	return list(ctx, t, "find who is silent", scanSilent, `
		select d.id, d.account, d.profile, s.connectivity, s.last_seen
		from devices d join sessions s on s.device = d.id`+where.where()+` and s.connectivity in ('offline', 'unreachable')
		order by s.last_seen nulls last, d.id limit `+where.arg(maxSilent), where.args...)
}

func scanSilent(row pgx.CollectableRow) (d deviceops.SilentDevice, err error) {
	err = row.Scan(&d.ID, &d.Account, &d.Profile, &d.Connectivity, moment{&d.LastSeen})
	return d, err
}

// inService selects devices that are not retired.
func inService(f deviceops.DeviceFilter) *filter {
	where := deviceFilter(f)
	where.add("d.state <> ?", string(deviceops.Retired))
	return where
}

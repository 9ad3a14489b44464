package postgres

import (
	"slices"
	"time"

	"github.com/deviceops/deviceops"
)

// deviceRecord is a device as JSON for insertDevices and updateDevices: without
// session, reported twin and metrics.
type deviceRecord struct {
	ID          string            `json:"id"`
	Account     string            `json:"account"`
	Serial      string            `json:"serial"`
	Profile     string            `json:"profile"`
	Parent      string            `json:"parent"`
	Tags        []string          `json:"tags"`
	Labels      map[string]string `json:"labels"`
	Attributes  object            `json:"attributes"`
	Zone        string            `json:"zone"`
	Latitude    *float64          `json:"latitude"`
	Longitude   *float64          `json:"longitude"`
	State       string            `json:"state"`
	StateSince  time.Time         `json:"state_since,omitzero"`
	StateReason string            `json:"state_reason"`
	ClaimHash   string            `json:"claim_hash"`
	CreatedAt   time.Time         `json:"created_at,omitzero"`
	UpdatedAt   time.Time         `json:"updated_at,omitzero"`

	Version        int64             `json:"version"`
	Configuration  object            `json:"configuration,omitempty"`
	Software       map[string]string `json:"software,omitempty"`
	HeartbeatEvery int64             `json:"heartbeat_every"`
	OfflineAfter   int               `json:"offline_after"`
}

// deviceRecordset reads deviceRecords as x.
const deviceRecordset = `json_to_recordset($1::json) as x(
	id text, account text, serial text, profile text, parent text, tags text[], labels jsonb, attributes jsonb,
	zone text, latitude double precision, longitude double precision,
	state text, state_since timestamptz, state_reason text, claim_hash text, created_at timestamptz, updated_at timestamptz,
	version bigint, configuration jsonb, software jsonb, heartbeat_every bigint, offline_after bigint)`

// insertDevices is a statement that stores the records that the clauses select
// with their twins and empty sessions, and gives the ids of those that are new.
func insertDevices(clauses string) string {
	return `
	with x as materialized (select * from ` + deviceRecordset + clauses + `),
	added as (
		insert into devices (id, account, serial, profile, parent, tags, labels, attributes, zone, latitude, longitude,
			state, state_since, state_reason, claim_hash, created_at, updated_at)
		select id, account, serial, profile, parent, tags, labels, attributes, zone, latitude, longitude,
			state, coalesce(state_since, now()), state_reason, claim_hash, coalesce(created_at, now()), coalesce(updated_at, now())
		from x order by id
		on conflict do nothing
		returning id, account, state_since),
	twin as (
		insert into twins (device, account, version, configuration, software)
		select x.id, added.account, x.version, x.configuration, x.software
		from x join added using (id)),
	session as (
		insert into sessions (device, account, since, heartbeat_every, offline_after)
		select x.id, added.account, added.state_since, x.heartbeat_every, x.offline_after
		from x join added using (id))
	select id from added`
}

// updateDevices begins a statement that writes all of a device's own table
// from records x; updated holds the ids that there were.
const updateDevices = `
	with x as materialized (select * from ` + deviceRecordset + `),
	updated as (
		update devices set
			account = x.account, serial = x.serial, profile = x.profile, parent = x.parent, tags = x.tags,
			labels = x.labels, attributes = x.attributes, zone = x.zone, latitude = x.latitude, longitude = x.longitude,
			state = x.state, state_since = coalesce(x.state_since, devices.state_since), state_reason = x.state_reason,
			claim_hash = x.claim_hash, updated_at = coalesce(x.updated_at, devices.updated_at)
		from x where devices.id = x.id
		returning devices.id)`

func recordDevice(d *deviceops.Device) deviceRecord {
	r := deviceRecord{
		ID: d.ID, Account: d.Account, Serial: d.Serial, Profile: d.Profile, Parent: d.Parent,
		Tags: tagSet(d.Tags), Labels: d.Labels, Attributes: d.Attributes, Zone: d.Zone,
		State: string(d.State), StateSince: d.StateSince, StateReason: d.StateReason,
		ClaimHash: d.ClaimHash, CreatedAt: d.CreatedAt, UpdatedAt: d.UpdatedAt,
		Version: d.Twin.Desired.Version, Configuration: d.Twin.Desired.Configuration, Software: d.Twin.Desired.Software,
		HeartbeatEvery: int64(d.Twin.Desired.Heartbeat.Every), OfflineAfter: d.Twin.Desired.Heartbeat.OfflineAfter,
	}
	if d.Place != nil {
		r.Latitude, r.Longitude = &d.Place.Latitude, &d.Place.Longitude
	}
	if r.Labels == nil {
		r.Labels = map[string]string{}
	}
	if r.Attributes == nil {
		r.Attributes = object{}
	}
	return r
}

// tagSet gives tags sorted and once each.
func tagSet(tags []string) []string {
	set := append([]string{}, tags...)
	slices.Sort(set)
	return slices.Compact(set)
}

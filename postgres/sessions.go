package postgres

import (
	"context"
	"time"

	"github.com/deviceops/deviceops"
)

type sessionRecord struct {
	Device           string
	Connectivity     string
	Since            time.Time
	Connection       string
	Boot             string
	HelloAt          time.Time
	LastSeen         time.Time
	LastHeartbeat    time.Time
	UptimeS          int64
	WakeAt           time.Time
	MaxPayload       int
	ClaimHash        string
	PresentedProfile string
	PresentedSerial  string
	Digest           string
	Seq              int64
	AckedAt          time.Time
	ClockSkewed      bool
}

// SaveSessions implements deviceops.Devices.
func (t tx) SaveSessions(ctx context.Context, sessions map[string]deviceops.Session) error {
	if len(sessions) == 0 {
		return nil
	}
	records := make([]sessionRecord, 0, len(sessions))
	for device, s := range sessions {
		records = append(records, recordSession(device, s))
	}
	_, err := t.exec(ctx, "save sessions", `
		update sessions set
			connectivity = x.connectivity, since = x.since, connection = x.connection, boot = x.boot, hello_at = x.hello_at,
			last_seen = x.last_seen, last_heartbeat = x.last_heartbeat, uptime_s = x.uptime_s, wake_at = x.wake_at,
			max_payload = x.max_payload, claim_hash = x.claim_hash, presented_profile = x.presented_profile,
			presented_serial = x.presented_serial, digest = x.digest, seq = x.seq, acked_at = x.acked_at,
			clock_skewed = x.clock_skewed
		from unnest($1::text[], $2::text[], $3::timestamptz[], $4::text[], $5::text[], $6::timestamptz[], $7::timestamptz[],
			$8::timestamptz[], $9::bigint[], $10::timestamptz[], $11::bigint[], $12::text[], $13::text[], $14::text[], $15::text[],
			$16::bigint[], $17::timestamptz[], $18::boolean[]) as x(
			device, connectivity, since, connection, boot, hello_at, last_seen, last_heartbeat, uptime_s, wake_at, max_payload,
			claim_hash, presented_profile, presented_serial, digest, seq, acked_at, clock_skewed)
		where sessions.device = x.device`, sessionArgs(records)...)
	return err
}

// sessionArgs gives the columns of records in the order of the type.
func sessionArgs(records []sessionRecord) []any {
	type r = sessionRecord
	return []any{
		texts(records, func(s *r) string { return s.Device }), texts(records, func(s *r) string { return s.Connectivity }),
		column(records, func(s *r) *time.Time { return orNull(s.Since) }), texts(records, func(s *r) string { return s.Connection }),
		texts(records, func(s *r) string { return s.Boot }), column(records, func(s *r) *time.Time { return orNull(s.HelloAt) }),
		column(records, func(s *r) *time.Time { return orNull(s.LastSeen) }), column(records, func(s *r) *time.Time { return orNull(s.LastHeartbeat) }),
		column(records, func(s *r) int64 { return s.UptimeS }), column(records, func(s *r) *time.Time { return orNull(s.WakeAt) }),
		column(records, func(s *r) int { return s.MaxPayload }), texts(records, func(s *r) string { return s.ClaimHash }),
		texts(records, func(s *r) string { return s.PresentedProfile }), texts(records, func(s *r) string { return s.PresentedSerial }),
		texts(records, func(s *r) string { return s.Digest }), column(records, func(s *r) int64 { return s.Seq }),
		column(records, func(s *r) *time.Time { return orNull(s.AckedAt) }), column(records, func(s *r) bool { return s.ClockSkewed }),
	}
}

func recordSession(device string, s deviceops.Session) sessionRecord {
	if s.Connectivity == "" {
		s.Connectivity = deviceops.Never
	}
	return sessionRecord{
		Device: device, Connectivity: string(s.Connectivity), Since: s.Since, Connection: s.Connection, Boot: s.Boot,
		HelloAt: s.HelloAt, LastSeen: s.LastSeen, LastHeartbeat: s.LastHeartbeat, UptimeS: s.UptimeS, WakeAt: s.WakeAt,
		MaxPayload: s.MaxPayload, ClaimHash: s.ClaimHash,
		PresentedProfile: s.Presented.Profile, PresentedSerial: s.Presented.Serial,
		Digest: s.Digest, Seq: s.Seq, AckedAt: s.AckedAt, ClockSkewed: s.ClockSkewed,
	}
}

// sessionTargets are what the columns of sessions are read into.
func sessionTargets(d *deviceops.Device) []any {
	s, w := &d.Session, &d.Wellness
	return []any{
		&s.Connectivity, moment{&s.Since}, &s.Connection, &s.Boot, moment{&s.HelloAt}, moment{&s.LastSeen},
		moment{&s.LastHeartbeat}, &s.UptimeS, moment{&s.WakeAt}, &s.MaxPayload, &s.ClaimHash,
		&s.Presented.Profile, &s.Presented.Serial, &s.Digest, &s.Seq, moment{&s.AckedAt}, &s.ClockSkewed,
		&w.Status, moment{&w.DegradedSince}, &w.Because, moment{&w.TurningSince}, moment{&w.FlappingSince}, moment{&w.StableAt}, moment{&w.DueAt},
	}
}

type desiredRecord struct {
	Device         string            `json:"device"`
	Version        int64             `json:"version"`
	Configuration  object            `json:"configuration,omitempty"`
	Software       map[string]string `json:"software,omitempty"`
	HeartbeatEvery int64             `json:"heartbeat_every"`
	OfflineAfter   int               `json:"offline_after"`
}

// SaveDesired implements deviceops.Devices.
func (t tx) SaveDesired(ctx context.Context, desired map[string]deviceops.Desired) error {
	records := make([]desiredRecord, 0, len(desired))
	for device, d := range desired {
		records = append(records, desiredRecord{device, d.Version, d.Configuration, d.Software, int64(d.Heartbeat.Every), d.Heartbeat.OfflineAfter})
	}
	return bulk(ctx, t, "save desired twins", records, `
		with x as materialized (select * from json_to_recordset($1::json) as x(
			device text, version bigint, configuration jsonb, software jsonb, heartbeat_every bigint, offline_after bigint)),
		`+savePolicies("x.device")+`
		update twins set version = x.version, configuration = x.configuration, software = x.software
		from x where twins.device = x.device`)
}

// savePolicies is a CTE that writes the heartbeat policies of records x that are not
// as they were: sessions change often enough without.
func savePolicies(device string) string {
	return `policy as (
		update sessions s set heartbeat_every = x.heartbeat_every, offline_after = x.offline_after
		from x where s.device = ` + device + ` and (s.heartbeat_every, s.offline_after) <> (x.heartbeat_every, x.offline_after))`
}

type reportedRecord struct {
	Device        string            `json:"device"`
	ConfigVersion int64             `json:"config_version"`
	Software      map[string]string `json:"software,omitempty"`
	Attributes    object            `json:"attributes,omitempty"`
	At            time.Time         `json:"at,omitzero"`
}

// SaveReported implements deviceops.Devices.
func (t tx) SaveReported(ctx context.Context, reported map[string]deviceops.Reported) error {
	records := make([]reportedRecord, 0, len(reported))
	for device, r := range reported {
		records = append(records, reportedRecord{device, r.ConfigVersion, r.Software, r.Attributes, r.At})
	}
	return bulk(ctx, t, "save reported twins", records, `
		update twins set
			config_version = x.config_version, reported_software = x.software,
			reported_attributes = x.attributes, reported_at = x.at
		from json_to_recordset($1::json) as x(
			device text, config_version bigint, software jsonb, attributes jsonb, at timestamptz)
		where twins.device = x.device`)
}

type metricRecord struct {
	Device string    `json:"device"`
	Name   string    `json:"name"`
	Value  value     `json:"value"`
	At     time.Time `json:"at,omitzero"`
}

// SaveMetrics implements deviceops.Devices.
func (t tx) SaveMetrics(ctx context.Context, metrics []deviceops.MetricValue) error {
	records := make([]metricRecord, 0, len(metrics))
	for _, m := range metrics {
		if m.Value != nil {
			records = append(records, metricRecord{m.Device, m.Name, value{m.Value}, m.At})
		}
	}
	return bulk(ctx, t, "save metrics", records, `
		insert into device_metrics (device, name, account, value, at)
		select distinct on (x.device, x.name) x.device, x.name, d.account, x.value, coalesce(x.at, now())
		from rows from (json_to_recordset($1::json) as (device text, name text, value jsonb, at timestamptz))
			with ordinality as x(device, name, value, at, n)
		join devices d on d.id = x.device
		order by x.device, x.name, x.at desc, x.n desc
		on conflict (device, name) do update set value = excluded.value, at = excluded.at
		where device_metrics.at <= excluded.at`)
}

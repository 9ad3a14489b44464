package postgres

import (
	"context"
	"strconv"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/deviceops/deviceops"
)

// QuietDevices implements deviceops.Devices. Devices whose policy is not set
// yet are held to the default one.
func (t tx) QuietDevices(ctx context.Context, q deviceops.QuietQuery) ([]deviceops.Quiet, error) {
	var f filter
	before, fallback := f.arg(q.Before), f.arg(int64(deviceops.DefaultHeartbeat.Silence()))
	selected := silenceWithin(q.AtLeast, q.Below)
	if len(q.Devices) > 0 {
		selected += ` and s.device = any(` + f.arg(q.Devices) + `)`
	}
	return list(ctx, t, "find quiet devices", scanQuiet, `
		select device, heard + silence from (
			select device, silence, greatest(heard, least(heard + make_interval(secs => `+f.arg(q.Outage.For.Seconds())+`), `+f.arg(q.Outage.Until)+`)) as heard from (
			select s.device,
				case s.connectivity
					when 'online' then greatest(s.last_seen, s.last_heartbeat, s.hello_at)
					else coalesce(s.wake_at, s.last_seen) end as heard,
				make_interval(secs => coalesce(nullif(s.heartbeat_every * s.offline_after, 0), `+fallback+`) / 1e9) as silence
			from sessions s
			where s.connectivity in ('online', 'sleeping')`+selected+`) as said) as present
		where heard + silence < `+before+`
		order by heard + silence, device limit `+f.arg(limitOf(q.Limit)), f.args...)
}

// LastHeard implements deviceops.Devices.
func (t tx) LastHeard(ctx context.Context, before time.Time) (time.Time, error) {
	at, _, err := first(ctx, t, "find who was heard last", func(row pgx.CollectableRow) (at time.Time, err error) {
		return at, row.Scan(moment{&at})
	}, `select max(last_seen) from sessions where last_seen < $1`, before)
	return at, err
}

func scanQuiet(row pgx.CollectableRow) (s deviceops.Quiet, err error) {
	return s, row.Scan(&s.Device, moment{&s.MissedAt})
}

// silenceWithin is true of sessions s whose policy allows a silence in a range. The
// bounds are part of the text: how many sessions they hold decides how they are best
// found, and differs between the few ranges that are asked for.
func silenceWithin(atLeast, below time.Duration) string {
	const silence = `s.heartbeat_every * s.offline_after`
	if atLeast == 0 && below == 0 {
		return ""
	}
	within := silence + ` >= ` + strconv.FormatInt(int64(max(atLeast, 1)), 10)
	if below > 0 {
		within += ` and ` + silence + ` < ` + strconv.FormatInt(int64(below), 10)
	}
	if d := deviceops.DefaultHeartbeat.Silence(); d >= atLeast && (below == 0 || d < below) {
		within += ` or ` + silence + ` = 0`
	}
	return ` and (` + within + `)`
}

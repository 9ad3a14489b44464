package dsl

import (
	"context"
	"os"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/deviceops/deviceops"
)

// manifestOf compiles a manifest that has to be right.
func manifestOf(t *testing.T, source string) *deviceops.RolloutSpec {
	t.Helper()
	spec, found := CompileRollout("rollout.yaml", source, Options{})
	require.NoError(t, found.Err())
	require.Empty(t, found)
	return spec
}

func TestRolloutOfTheDesign(t *testing.T) {
	t.Parallel()
	source, err := os.ReadFile("../examples/rollout.yaml")
	require.NoError(t, err)
	spec := manifestOf(t, string(source))

	require.Equal(t, "kiosk-2.4.0", spec.Name)
	require.Equal(t, deviceops.Change{Kind: deviceops.ChangeRelease, Release: "kiosk-os@2.4.0"}, spec.Change)
	require.Equal(t, `device.profile == "kiosk" && device.state == "active"`, spec.Targets.Source)
	require.Equal(t, deviceops.Limits{InFlight: 500, Rate: deviceops.RateSpec{Start: 60, Factor: 2, Every: 5 * time.Minute, Max: 6000}}, spec.Limits)
	require.Equal(t, &deviceops.BudgetSpec{Per: "labels.site", MaxUnavailable: 1}, spec.Budget)
	require.Equal(t, &deviceops.MaintenanceWindow{
		Days: []time.Weekday{time.Monday, time.Tuesday, time.Wednesday, time.Thursday, time.Friday},
		From: time.Hour, To: 5 * time.Hour, Zone: deviceops.ZoneDevice,
	}, spec.Window)
	require.Equal(t, deviceops.PhaseSpec{
		Download: deviceops.PhaseLimit{Timeout: 12 * time.Hour, AnyWindow: true}, Install: deviceops.PhaseLimit{Timeout: 20 * time.Minute},
	}, spec.Phases)
	require.Equal(t, 10*time.Minute, spec.AnswerWithin)
	require.Equal(t, deviceops.DeferralSpec{Max: 5, Then: deviceops.DeferralAsk}, spec.Deferrals)
	require.Equal(t, deviceops.StragglerSpec{After: 7 * 24 * time.Hour, Then: deviceops.StragglerExcuse}, spec.Stragglers)
	require.Equal(t, deviceops.FailRollback, spec.OnFail)
	require.Equal(t, deviceops.RollbackSpec{IgnoreWindow: true, MaxRate: true}, spec.Rollback)
	require.Equal(t, deviceops.ConflictWait, spec.Conflict)
	require.Equal(t, 3, spec.Retry.Times)
	require.Equal(t, time.Minute, spec.Retry.Min)
	require.Equal(t, time.Hour, spec.Retry.Max)

	names := []string{}
	for _, ring := range spec.Rings {
		names = append(names, ring.Name)
	}
	require.Equal(t, []string{"canary", "early", "everyone"}, names)
	canary, early, everyone := spec.Rings[0], spec.Rings[1], spec.Rings[2]
	require.Equal(t, 10, canary.Take)
	require.Equal(t, `"canary" in device.tags`, canary.Where.Source)
	require.Equal(t, `tags has "canary"`, filterText(canary.Where.Filter))
	require.Equal(t, 30*time.Minute, canary.Soak)
	require.Equal(t, "ring.failed + ring.unhealthy >= 2", canary.Gate.Fail.Source)
	require.InDelta(t, 10, early.Percent, 0)
	require.Equal(t, &deviceops.ApproveSpec{By: []string{"role:operator"}, Quorum: 1}, early.Approve)
	require.Nil(t, early.Gate)
	require.True(t, everyone.Rest())
	require.Equal(t, "pct(ring.healthy, ring.reached) >= 98", spec.Gate.Pass.Source)
	require.Equal(t, "ring.reached >= 10 && pct(ring.failed + ring.unhealthy, ring.reached) > 2", spec.Gate.Fail.Source)
	require.Equal(t, `and(profile == "kiosk", state == "active")`, filterText(spec.Targets.Filter))
}

func TestRolloutJudgesDevices(t *testing.T) {
	t.Parallel()
	source, err := os.ReadFile("../examples/rollout.yaml")
	require.NoError(t, err)
	spec := manifestOf(t, string(source))
	kiosk := func(os string, metrics map[string]any) *deviceops.Device {
		d := &deviceops.Device{ID: "k1", Profile: "kiosk", State: deviceops.Active, Metrics: metrics}
		d.Twin.Reported.Software = map[string]string{"os": os}
		return d
	}
	judge := func(c *deviceops.Condition, d *deviceops.Device) deviceops.Verdict {
		v, err := c.Judge(d)
		require.NoError(t, err)
		return v
	}
	require.Equal(t, deviceops.Yes, judge(&spec.Targets, kiosk("2.3.0", nil)))
	require.Equal(t, deviceops.No, judge(&spec.Targets, &deviceops.Device{Profile: "kiosk", State: deviceops.Maintenance}))

	require.Equal(t, deviceops.Yes, judge(spec.Ready, kiosk("", map[string]any{"battery_pct": 80.0, "in_use": false})))
	require.Equal(t, deviceops.No, judge(spec.Ready, kiosk("", map[string]any{"battery_pct": 80.0, "in_use": true})))
	require.Equal(t, deviceops.Unknown, judge(spec.Ready, kiosk("", map[string]any{"battery_pct": 80.0})))

	require.Equal(t, deviceops.Yes, judge(spec.Health, kiosk("2.4.0", map[string]any{"crashes": int64(0)})))
	require.Equal(t, deviceops.No, judge(spec.Health, kiosk("2.3.0", map[string]any{"crashes": int64(0)})))
	require.Equal(t, deviceops.Unknown, judge(spec.Health, kiosk("2.4.0", nil)), "it has said nothing since")
	require.Equal(t, deviceops.Unknown, judge(spec.Ready, kiosk("", map[string]any{"battery_pct": "full", "in_use": false})), "what it says has no order")

	for retryable, want := range map[bool]deviceops.Verdict{true: deviceops.Yes, false: deviceops.No} {
		v, err := spec.Retry.If(deviceops.CommandError{Code: "busy", Retryable: retryable})
		require.NoError(t, err)
		require.Equal(t, want, v)
	}
	require.Equal(t, "error.retryable", spec.Retry.Source)
}

// What a manifest leaves out has the value that the comments of RolloutSpec name.
func TestRolloutDefaults(t *testing.T) {
	t.Parallel()
	spec := manifestOf(t, "rollout: r\nchange: { config: { brightness: 80, night: null } }\ntargets: device.profile == \"kiosk\"\n")
	require.Equal(t, map[string]any{"brightness": int64(80), "night": nil}, spec.Change.Config)
	spec.Change, spec.Targets = deviceops.Change{}, deviceops.Condition{}
	require.Equal(t, &deviceops.RolloutSpec{
		Name:   "r",
		Rings:  []deviceops.RingSpec{{Name: "all"}},
		Limits: deviceops.Limits{InFlight: 500},
		Phases: deviceops.PhaseSpec{
			Download: deviceops.PhaseLimit{Timeout: 12 * time.Hour}, Install: deviceops.PhaseLimit{Timeout: 30 * time.Minute},
		},
		AnswerWithin: 10 * time.Minute,
		Deferrals:    deviceops.DeferralSpec{Max: 5, Then: deviceops.DeferralAsk},
		Gate:         deviceops.Gate{Otherwise: deviceops.OtherwiseAsk},
		OnFail:       deviceops.FailPause,
		Rollback:     deviceops.RollbackSpec{IgnoreWindow: true, MaxRate: true},
		Conflict:     deviceops.ConflictWait,
	}, spec)
}

// Everything that can be said and is not in the other examples.
func TestRolloutSaysTheRest(t *testing.T) {
	t.Parallel()
	spec := manifestOf(t, `rollout: r
description: Not the usual one.
change: { workflow: repair@latest, inputs: { mode: soft } }
targets: device.profile == "kiosk"
rings:
  - { name: lobby, take: 2.5%, tags: [lobby, '"quoted"'], where: device.zone == "Asia/Tokyo" || device.zone == "", soak: 1h30m }
  - { name: rest, gate: { pass: ring.failed < 3, otherwise: wait } }
rate: 10/s
in_flight: 50
budget: { max_unavailable: 12.5% }
window: { days: [fri..mon, wed], from: "22:30", to: "04:00" }
phases: { install: { timeout: 2h, window: any } }
answer_within: 1m
retry: { times: 1 }
deferrals: { max: 0, then: excuse }
stragglers: { after: 1d }
on_fail: stop
rollback: { window: keep, rate: keep, in_flight: 5, gate: { fail: ring.failed > 1 } }
conflict: supersede
approve:
  by: [role:manager, user:anna]
  quorum: 2
  four_eyes: true
  notify: pager
  expires: 1d
  escalate: [ { after: 1h, by: [role:duty-manager] } ]
start: 2026-06-01T08:00:00+02:00
deadline: 2026-06-30
blackout: [ { from: 2026-06-05 12:00, to: 2026-06-06, reason: fair } ]
calendars: [peaks]
urgent: true
reason: a hole
keep_open: 30d
`)
	require.Equal(t, deviceops.Change{Kind: deviceops.ChangeWorkflow, Workflow: "repair", Inputs: map[string]any{"mode": "soft"}}, spec.Change)
	lobby := spec.Rings[0]
	require.InDelta(t, 2.5, lobby.Percent, 0)
	require.Equal(t, `"lobby" in device.tags && "\"quoted\"" in device.tags && (device.zone == "Asia/Tokyo" || device.zone == "")`, lobby.Where.Source)
	require.Equal(t, 90*time.Minute, lobby.Soak)
	require.Equal(t, deviceops.OtherwiseWait, spec.Rings[1].Gate.Otherwise)
	require.Equal(t, deviceops.Limits{InFlight: 50, Rate: deviceops.RateSpec{Start: 600}}, spec.Limits)
	require.Equal(t, &deviceops.BudgetSpec{MaxPercent: 12.5}, spec.Budget)
	require.Equal(t, &deviceops.MaintenanceWindow{
		Days: []time.Weekday{time.Monday, time.Wednesday, time.Friday, time.Saturday, time.Sunday},
		From: 22*time.Hour + 30*time.Minute, To: 4 * time.Hour, Zone: deviceops.ZoneDevice,
	}, spec.Window)
	require.Equal(t, deviceops.PhaseLimit{Timeout: 2 * time.Hour, AnyWindow: true}, spec.Phases.Install)
	require.Equal(t, deviceops.RetrySpec{Times: 1, Min: time.Minute, Max: time.Hour}, spec.Retry)
	require.Equal(t, deviceops.DeferralSpec{Then: deviceops.DeferralExcuse}, spec.Deferrals)
	require.Equal(t, deviceops.StragglerSpec{After: 24 * time.Hour, Then: deviceops.StragglerExcuse}, spec.Stragglers)
	require.False(t, spec.Rollback.IgnoreWindow || spec.Rollback.MaxRate)
	require.Equal(t, 5, spec.Rollback.InFlight)
	require.Equal(t, "ring.failed > 1", spec.Rollback.Gate.Fail.Source)
	require.Equal(t, deviceops.ConflictSupersede, spec.Conflict)
	require.Equal(t, &deviceops.ApproveSpec{
		By: []string{"role:manager", "user:anna"}, Quorum: 2, FourEyes: true, Notify: "pager", Expires: 24 * time.Hour,
		Escalate: []deviceops.EscalateSpec{{After: time.Hour, By: []string{"role:duty-manager"}}},
	}, spec.Approve)
	at := func(text string) time.Time {
		moment, err := time.Parse(time.RFC3339, text)
		require.NoError(t, err)
		return moment
	}
	require.Equal(t, at("2026-06-01T06:00:00Z"), spec.Start)
	require.Equal(t, at("2026-07-01T00:00:00Z"), spec.Deadline, "the day is part of it")
	require.Equal(t, []deviceops.Blackout{{From: at("2026-06-05T12:00:00Z"), To: at("2026-06-07T00:00:00Z"), Reason: "fair"}}, spec.Blackouts)
	require.Equal(t, []string{"peaks"}, spec.Calendars)
	require.Equal(t, "a hole", spec.Urgent)
	require.Equal(t, 30*24*time.Hour, spec.KeepOpen)
}

func TestCalendar(t *testing.T) {
	t.Parallel()
	source, err := os.ReadFile("../examples/calendar.yaml")
	require.NoError(t, err)
	calendar, found := CompileCalendar(string(source))
	require.Empty(t, found)
	require.Equal(t, "retail-peaks", calendar.Name)
	require.Len(t, calendar.Blackouts, 3)
	require.Equal(t, "2026-11-25T23:00:00Z 2026-11-30T23:00:00Z", calendar.Blackouts[0].From.Format(time.RFC3339)+" "+calendar.Blackouts[0].To.Format(time.RFC3339))
	require.Equal(t, "2027-02-01T05:00:00Z", calendar.Blackouts[2].From.Format(time.RFC3339))
}

// oneDocument holds one document.
type oneDocument struct {
	deviceops.Documents
	document deviceops.Document
}

func (s oneDocument) FindDocument(_ context.Context, _, kind, name string, _ int) (deviceops.Document, error) {
	if kind != s.document.Kind || name != s.document.Name {
		return deviceops.Document{}, deviceops.Errorf(deviceops.ENOTFOUND, "there is no %s %s", kind, name)
	}
	return s.document, nil
}

func TestCatalogGivesRolloutsAndCalendars(t *testing.T) {
	t.Parallel()
	c := Catalog{Documents: oneDocument{document: deviceops.Document{
		Account: "acme", Kind: deviceops.KindCalendar, Name: "fair", Version: 3, Hash: "h1",
		Source: "calendar: fair\nblackout: [ { from: 2026-06-05, to: 2026-06-06 } ]\n",
	}}}
	calendar, err := c.Calendar(t.Context(), "acme/emea", "fair")
	require.NoError(t, err)
	require.Equal(t, "acme", calendar.Account)
	require.Equal(t, 3, calendar.Version)
	require.Len(t, calendar.Blackouts, 1)
	_, err = c.Calendar(t.Context(), "acme", "other")
	require.Equal(t, deviceops.ENOTFOUND, deviceops.ErrorCode(err))

	r := deviceops.Rollout{Name: "r", Hash: "h2", Source: "rollout: r\nchange: { release: os@1 }\ntargets: device.profile == \"kiosk\"\n"}
	spec, err := c.Rollout(t.Context(), r)
	require.NoError(t, err)
	require.Equal(t, "os@1", spec.Change.Release)
	again, err := c.Rollout(t.Context(), r)
	require.NoError(t, err)
	require.Same(t, spec, again, "it is compiled once")
	_, err = c.Rollout(t.Context(), deviceops.Rollout{Name: "old", Hash: "h3", Source: "rollout: old\n"})
	require.Equal(t, deviceops.EINVALID, deviceops.ErrorCode(err))
	require.ErrorContains(t, err, "the manifest of the rollout old cannot be used by this version of the engine")
	require.ErrorContains(t, err, "old.yaml:1:1")
}

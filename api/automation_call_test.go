package api_test

import (
	"fmt"
	"net/http"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/deviceops/deviceops"
)

const byHandYAML = `workflow: clean
version: 1
inputs: { site: string, device: { type: string, default: none } }
steps: [ { wait: 1s } ]
---
automation: clean
trigger: { manual: true, where: event.data.site != "closed" }
key: event.data.site
concurrency: parallel
run: clean@1
with: { site: "${{ event.data.site }} for ${{ event.by }}: ${{ event.reason }}", device: "${{ event.device }}" }
---
automation: listens
trigger: { event: automation.manual }
run: clean@1
with: { site: x }
`

func (r *rig) callByHand(token string, body deviceops.AutomationRequest, headers ...string) answer {
	r.Helper()
	return r.as(token, http.MethodPost, "/v1/automations/clean/run", body, headers...)
}

func TestPeopleCallAutomations(t *testing.T) {
	t.Parallel()
	r := newHookRig(t, byHandYAML)
	r.device("k1", "acme/emea", deviceops.Active)
	berlin := deviceops.AutomationRequest{Inputs: map[string]any{"site": "berlin"}, Device: "k1", Reason: "the fair begins"}
	var first deviceops.CallAnswer
	r.callByHand(olga, berlin, "Idempotency-Key", "k").into(&first)
	require.Len(t, first.Automations, 1)
	require.Equal(t, deviceops.OutcomeStarted, first.Automations[0].Outcome)
	require.Contains(t, first.Automations[0].Text, "it started run "+first.Automations[0].Run)
	runs := r.runs()
	require.Len(t, runs, 1)
	require.Equal(t, map[string]any{"site": "berlin for user:olga: the fair begins", "device": "k1"}, runs[0].Inputs)
	require.Equal(t, "acme/emea", runs[0].Account, "a run belongs to the account of the device")
	entry := r.audited("automation:clean")
	require.Equal(t, "automation.run", entry.Action)
	require.Equal(t, "the fair begins", entry.Reason)
	require.Equal(t, "user:olga", entry.Actor)

	var again, closed, fails deviceops.CallAnswer
	r.callByHand(olga, berlin, "Idempotency-Key", "k").into(&again)
	require.Equal(t, first, again)
	require.Len(t, r.runs(), 1)
	r.callByHand(olga, deviceops.AutomationRequest{Inputs: map[string]any{"site": "closed"}}).into(&closed)
	require.Equal(t, deviceops.OutcomeNo, closed.Automations[0].Outcome)
	r.callByHand(olga, deviceops.AutomationRequest{}).into(&fails)
	require.Equal(t, deviceops.OutcomeNo, fails.Automations[0].Outcome, "what is missing is not known to be open")

	r.callByHand(victor, berlin).refused(403, deviceops.EFORBIDDEN)
	r.callByHand(stranger, berlin).refused(404, deviceops.ENOTFOUND)
	r.callByHand(olga, deviceops.AutomationRequest{Device: "k9"}).refused(404, deviceops.ENOTFOUND)
	require.Contains(t, r.as(olga, http.MethodPost, "/v1/automations/listens/run", berlin).refused(422, deviceops.EINVALID), "its trigger is not manual: true")
	r.as(olga, http.MethodPost, "/v1/automations/clean/disable", nil)
	r.callByHand(olga, berlin).refused(409, deviceops.ECONFLICT)
}

const nightlyYAML = `calendar: fair
zone: Europe/Berlin
blackout: [ { from: 2026-11-22, to: 2026-11-23, reason: the fair } ]
---
workflow: tidy
version: 1
steps: [ { wait: 1s } ]
---
automation: nightly
trigger: { schedule: { cron: "0 3 * * mon-fri", zone: Europe/Berlin, calendars: [fair] } }
run: tidy@1
`

func TestSchedulesArePutInPlaceWhenTheyArePublished(t *testing.T) {
	t.Parallel()
	r := newHookRig(t, nightlyYAML)
	const id = "automation/acme/nightly"
	table := func() deviceops.Timetable {
		defer r.orchestrator.locked()()
		return r.orchestrator.tables[id]
	}
	require.Equal(t, "0 3 * * mon-fri", table().Times.Cron)
	require.Equal(t, "Europe/Berlin", table().Times.Zone)
	require.Equal(t, deviceops.DefaultCatchUp, table().Times.CatchUp)
	require.Equal(t, "Trigger", table().Start.Type)
	require.False(t, table().Paused)

	var shown deviceops.AutomationDetail
	r.as(victor, http.MethodGet, "/v1/automations/nightly", nil).into(&shown)
	require.Equal(t, "0 3 * * mon-fri Europe/Berlin", shown.Hears)
	require.Equal(t, []time.Time{now.AddDate(0, 0, 1), now.AddDate(0, 0, 4), now.AddDate(0, 0, 5), now.AddDate(0, 0, 6), now.AddDate(0, 0, 7)}, shown.Next, "without the days of the fair")

	r.as(olga, http.MethodPost, "/v1/automations/nightly/disable", nil)
	require.True(t, table().Paused)
	r.publish(anna, "", "automation: nightly\ntrigger: { schedule: { every: 6h } }\nrun: tidy@1\n")
	require.Equal(t, 6*time.Hour, table().Times.Every)
	require.True(t, table().Paused, "publishing enables nothing")
	r.as(olga, http.MethodPost, "/v1/automations/nightly/enable", nil)
	require.False(t, table().Paused)

	r.orchestrator.down = true
	report := r.publish(anna, "", "automation: nightly\ntrigger: { schedule: { every: 7h } }\nrun: tidy@1\n")
	require.Equal(t, []string{"automation nightly created"}, outcomes(report), "the sweeper does it later")
	bad := r.publish(anna, "", "automation: nightly\ntrigger: { schedule: { every: 7h, calendars: [fare] } }\nrun: tidy@1\n")
	require.True(t, bad.Refused)
	require.Contains(t, bad.Documents[0].Diagnostics[0].Text, `there is no calendar "fare"`)
}

func TestTimesAreHeardOnce(t *testing.T) {
	t.Parallel()
	r := newHookRig(t, nightlyYAML)
	ref := deviceops.AutomationRef{Account: "acme", Name: "nightly"}
	at := now.Add(-time.Minute)
	for range 2 {
		require.NoError(t, r.automations.Fire(t.Context(), ref, at))
	}
	runs := r.runs()
	require.Len(t, runs, 1)
	require.Equal(t, "automation:nightly@1", runs[0].StartedBy)
	events, err := r.store.ListEvents(t.Context(), deviceops.EventFilter{Account: "acme", Type: deviceops.EventSchedule})
	require.NoError(t, err)
	require.Len(t, events, 1)
	require.Equal(t, at, events[0].At.UTC(), "an event happens when it was planned")

	dark := time.Date(2026, 11, 22, 12, 0, 0, 0, time.UTC)
	for range 2 {
		require.NoError(t, r.automations.Fire(t.Context(), ref, now.Add(-11*time.Minute)))
		require.NoError(t, r.automations.Fire(t.Context(), ref, dark))
	}
	require.Len(t, r.runs(), 1)
	var shown deviceops.AutomationDetail
	r.as(victor, http.MethodGet, "/v1/automations/nightly", nil).into(&shown)
	var said []string
	for _, d := range shown.Decisions {
		said = append(said, fmt.Sprintf("%s %s", d.Outcome, d.Detail))
	}
	require.Equal(t, []string{"excluded calendar fair: the fair", "missed it came 11m0s late, and catch_up is 10m0s", "started "}, said)

	for _, c := range []struct {
		ref  deviceops.AutomationRef
		code string
	}{
		{deviceops.AutomationRef{Account: "acme", Name: "daily"}, deviceops.ENOTFOUND},
		{deviceops.AutomationRef{Account: "acme/emea", Name: "nightly"}, deviceops.ENOTFOUND},
	} {
		require.Equal(t, c.code, deviceops.ErrorCode(r.automations.Fire(t.Context(), c.ref, now)))
	}
	r.as(olga, http.MethodPost, "/v1/automations/nightly/disable", nil)
	forget := *r.automations
	forget.Automations = &deviceops.Automations{Catalog: r.automations.Automations.Catalog, Start: r.automations.Automations.Start, Now: r.automations.Automations.Now}
	require.Equal(t, deviceops.ECONFLICT, deviceops.ErrorCode(forget.Fire(t.Context(), ref, now)))
}

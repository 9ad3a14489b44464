package api_test

import (
	"context"
	"fmt"
	"net/http"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/deviceops/deviceops"
)

// replayed replays an automation of acme since a time.
func (r *rig) replayed(name string, since time.Time) (replayed deviceops.AutomationReplayed) {
	r.Helper()
	r.as(victor, http.MethodPost, "/v1/automations/"+name+"/replay", deviceops.ReplayRequest{Since: since}).into(&replayed)
	return replayed
}

// stored stores events as the engine did before anything listened.
func (r *rig) stored(events ...deviceops.Event) {
	r.Helper()
	for i := range events {
		events[i].Account, events[i].Severity, events[i].ReceivedAt = "acme", "info", events[i].At
	}
	require.NoError(r, r.store.InTx(r.Context(), func(ctx context.Context, tx deviceops.Tx) error { return tx.AppendEvents(ctx, events) }))
}

// A schedule is replayed by its times, so that one that was written a moment ago
// tells what it would have done. Calendars keep days free as in earnest.
func TestSchedulesAreReplayedByTheirTimes(t *testing.T) {
	t.Parallel()
	r := newHookRig(t, `calendar: past
zone: Europe/Berlin
blackout: [ { from: 2026-11-15, to: 2026-11-15, reason: a fair } ]
---
workflow: tidy
version: 1
steps: [ { wait: 1s } ]
---
automation: nightly
trigger: { schedule: { cron: "0 12 * * *", calendars: [past] } }
limit: 4 per 7d
run: tidy@1
`)
	replayed := r.replayed("nightly", now.AddDate(0, 0, -7))
	require.Equal(t, 8, replayed.Events, "both ends count")
	require.Equal(t, map[deviceops.AutomationOutcome]int{deviceops.OutcomeExcluded: 1, deviceops.OutcomeStarted: 4, deviceops.OutcomeStopped: 3}, replayed.Outcomes)
	require.Equal(t, now.AddDate(0, 0, -4), replayed.Starts[2].At.UTC(), "what was kept free starts nothing")
	require.Equal(t, now.AddDate(0, 0, -2), replayed.Stopped.UTC())
	require.False(t, replayed.Truncated)
	require.Empty(t, r.runs(), "nothing is started")

	r.orchestrator.tables = nil
	problem := r.as(victor, http.MethodPost, "/v1/automations/nightly/replay", deviceops.ReplayRequest{}).refused(503, deviceops.EUNAVAILABLE)
	require.Contains(t, problem, "is not in place yet: try again in half a minute")
}

// What a geofence arms, and what it cannot tell, counts as in earnest.
func TestGeofencesAreReplayed(t *testing.T) {
	t.Parallel()
	r := newHookRig(t, `workflow: astray
version: 1
inputs: { device: string }
steps: [ { wait: 1s } ]
---
automation: left
trigger: { leaves: { circle: [53.5, 10, 250], margin: 30 } }
run: astray@1
with: { device: "${{ event.device }}" }
`)
	const yard = 53.5
	place := func(minute int, from, to float64) deviceops.Event {
		return deviceops.Event{Device: "t1", Type: deviceops.EventPlace, At: now.Add(time.Duration(minute-60) * time.Minute), Data: map[string]any{
			"latitude": to, "longitude": 10.0, "moved_m": 500.0, "from": map[string]any{"latitude": from, "longitude": 10.0},
		}}
	}
	r.stored(place(0, yard, 53.6), place(1, 53.6, 53.7), place(2, 53.7, yard), place(3, yard, yard+0.0023), place(4, yard+0.0023, 53.6))
	replayed := r.replayed("left", now.Add(-2*time.Hour))
	require.Equal(t, 5, replayed.Events)
	require.Equal(t, 2, replayed.Started, "once for each time that it left; beside the fence it is neither in nor out")
	require.Equal(t, now.Add(-time.Hour), replayed.Starts[0].At.UTC())
	require.Equal(t, now.Add(-56*time.Minute), replayed.Starts[1].At.UTC())

	events, err := r.store.ListEvents(t.Context(), deviceops.EventFilter{Type: deviceops.EventPlace})
	require.NoError(t, err)
	var further deviceops.EventExplanation
	r.as(victor, http.MethodGet, fmt.Sprintf("/v1/events/%d/explain", events[3].ID), nil).into(&further) // newest first
	require.Contains(t, further.Automations[0].Text, "only its beginning counts")
}

// A dry run tells of inputs that would not fit, and of tickets as such.
func TestReplayMakesWhatItWouldStart(t *testing.T) {
	t.Parallel()
	r := newHookRig(t, `workflow: cool
version: 1
inputs: { degrees: integer }
steps: [ { wait: 1s } ]
---
automation: hot
trigger: { event: room.hot }
run: cool@1
with: { degrees: "${{ event.data.c }}" }
---
automation: told
trigger: { event: room.hot, where: event.data.c != 20 }
ticket: { title: "${{ event.device }} is hot" }
---
profile: fridge
attributes: { shelves: integer }
---
workflow: chill
version: 1
inputs: { fridge: device fridge }
steps: [ { wait: 1s } ]
---
automation: colder
trigger: { event: room.hot }
run: chill@1
with: { fridge: "${{ event.device }}" }
`)
	r.device("k1", "acme", deviceops.Active)
	hot := func(minute int, c any) deviceops.Event {
		return deviceops.Event{Device: "k1", Type: "room.hot", At: now.Add(time.Duration(minute-60) * time.Minute), Data: map[string]any{"c": c}}
	}
	r.stored(hot(0, int64(90)), hot(1, "warm"), hot(2, int64(20)))
	runs := r.replayed("hot", now.Add(-2*time.Hour))
	require.Equal(t, 2, runs.Started)
	require.Equal(t, 1, runs.Outcomes[deviceops.OutcomeFailed])
	require.Len(t, runs.Failures, 1)
	require.Contains(t, runs.Failures[0], `the text "warm" is given where an integer is needed`)

	unfit := r.replayed("colder", now.Add(-2*time.Hour))
	require.Zero(t, unfit.Started)
	require.Contains(t, unfit.Failures[0], `the input "fridge": device k1 is of profile kiosk, not fridge`)

	tickets := r.replayed("told", now.Add(-2*time.Hour))
	require.Equal(t, map[deviceops.AutomationOutcome]int{deviceops.OutcomeTicket: 2, deviceops.OutcomeRecovered: 1}, tickets.Outcomes)
	require.Equal(t, 2, tickets.Tickets)
	require.Zero(t, tickets.Started)
}

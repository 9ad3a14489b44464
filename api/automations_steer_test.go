package api_test

import (
	"context"
	"fmt"
	"net/http"
	"slices"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/deviceops/deviceops"
	"github.com/deviceops/deviceops/dsl"
	"github.com/deviceops/deviceops/workflows"
)

const hot = `workflow: cool
version: 1
inputs: { device: device }
steps: [ { wait: 1s } ]
---
automation: hot
trigger: { event: device.hot, where: event.data.c > 80 }
dedupe: 10m
limit: 2 per 1h
run: cool@1
with: { device: "${{ event.device }}" }
`

const held = `workflow: cool
version: 1
inputs: { device: device }
steps: [ { wait: 1s } ]
---
automation: held
trigger: { event: device.hot, where: event.data.c > 80, for: 2m }
key: "1"
run: cool@1
with: { device: "${{ event.device }}" }
---
automation: counted
trigger: { event: device.hot }
key: "1"
collect: { within: 10m, at_least: 2 }
run: cool@1
with: { device: "${{ event.device }}" }
`

// heard publishes hot and lets automations hear that devices were so hot, one
// event a minute from an hour ago.
func (r *rig) heard(celsius ...int) []deviceops.Event {
	r.Helper()
	return r.heardBy(hot, celsius...)
}

func (r *rig) heardBy(documents string, celsius ...int) []deviceops.Event {
	r.Helper()
	r.publish(anna, "?file=hot.yaml", documents)
	at := now.Add(-time.Hour)
	store := deviceops.AutomationStore{Store: r.store, Automations: &deviceops.Automations{
		Catalog: &dsl.Catalog{Documents: r.store}, Start: workflows.RunStart, Now: func() time.Time { return at },
	}}
	var events []deviceops.Event
	for i, c := range celsius {
		device := fmt.Sprintf("k%d", i)
		r.device(device, "acme", deviceops.Active)
		one := []deviceops.Event{{Account: "acme", Device: device, Type: "device.hot", Severity: "info", Data: map[string]any{"c": int64(c)}, At: at, ReceivedAt: at}}
		require.NoError(r, store.InTx(r.Context(), func(ctx context.Context, tx deviceops.Tx) error { return tx.AppendEvents(ctx, one) }))
		events = append(events, one...)
		at = at.Add(time.Minute)
	}
	return events
}

func (r *rig) automation(token, method, path string) deviceops.AutomationView {
	r.Helper()
	var view deviceops.AutomationView
	r.as(token, method, path, nil).into(&view)
	return view
}

func TestAutomationsAreSwitched(t *testing.T) {
	t.Parallel()
	r := newRig(t)
	r.heard(90, 91, 92, 20)
	var list struct{ Items []deviceops.AutomationView }
	r.as(victor, http.MethodGet, "/v1/automations", nil).into(&list)
	require.Len(t, list.Items, 1)
	require.Equal(t, deviceops.AutomationStopped, list.Items[0].Status)
	require.Equal(t, 1, list.Items[0].Refused)
	require.Equal(t, "cool@1", list.Items[0].Workflow)
	require.Equal(t, now.Add(-58*time.Minute), list.Items[0].Since)

	var detail deviceops.AutomationDetail
	r.as(victor, http.MethodGet, "/v1/automations/hot", nil).into(&detail)
	require.Len(t, detail.Decisions, 3)
	require.Equal(t, deviceops.OutcomeStopped, detail.Decisions[0].Outcome)
	require.Len(t, detail.Keys, 3)
	require.Len(t, detail.Keys[0].Running, 1)

	require.Equal(t, http.StatusForbidden, r.as(victor, http.MethodPost, "/v1/automations/hot/enable", nil).status)
	require.Equal(t, http.StatusNotFound, r.as(stranger, http.MethodPost, "/v1/automations/hot/enable", nil).status)
	require.Equal(t, deviceops.AutomationEnabled, r.automation(olga, http.MethodPost, "/v1/automations/hot/enable").Status)
	disabled := r.automation(olga, http.MethodPost, "/v1/automations/hot/disable")
	require.Equal(t, deviceops.AutomationDisabled, disabled.Status)
	require.Equal(t, "user:olga", disabled.By)
	r.automation(olga, http.MethodPost, "/v1/automations/hot/disable")
	audit, err := r.store.ListAudit(t.Context(), deviceops.AuditFilter{Target: "automation:hot"})
	require.NoError(t, err)
	require.Len(t, audit, 2, "what changes nothing is not audited")
	require.Equal(t, "automation.enable", audit[1].Action)
	require.Equal(t, deviceops.AutomationStopped, audit[1].Evidence["was"])
}

func TestEventsAreExplained(t *testing.T) {
	t.Parallel()
	r := newRig(t)
	events := r.heard(90, 20, 91, 92)
	explain := func(token string, e deviceops.Event) (x deviceops.EventExplanation) {
		r.as(token, http.MethodGet, fmt.Sprintf("/v1/events/%d/explain", e.ID), nil).into(&x)
		require.Len(t, x.Automations, 1)
		return x
	}
	started := explain(victor, events[0])
	require.Contains(t, started.Summary, "started a run")
	require.Equal(t, deviceops.OutcomeStarted, started.Automations[0].Outcome)
	_, err := r.store.FindRun(t.Context(), started.Automations[0].Run)
	require.NoError(t, err)
	require.Equal(t, "the condition does not hold: event.data.c > 80", explain(victor, events[1]).Automations[0].Text)
	require.Contains(t, explain(victor, events[3]).Automations[0].Text, "the brake has stopped the automation since")
	require.Equal(t, http.StatusNotFound, r.as(stranger, http.MethodGet, fmt.Sprintf("/v1/events/%d/explain", events[0].ID), nil).status)
	require.Equal(t, http.StatusNotFound, r.as(victor, http.MethodGet, "/v1/events/999999/explain", nil).status)
}

// Of an event that was no more than a beginning it is told what it came to.
func TestBeginningsAreExplainedByTheirEnd(t *testing.T) {
	t.Parallel()
	r := newRig(t)
	// It holds, is broken off, holds for two minutes and fires, and holds again.
	events := r.heardBy(held, 90, 20, 90, 90, 90, 95)
	explain := func(n int, automation string) deviceops.AutomationReason {
		var x deviceops.EventExplanation
		r.as(victor, http.MethodGet, fmt.Sprintf("/v1/events/%d/explain", events[n].ID), nil).into(&x)
		require.Len(t, x.Automations, 2, "each automation says one thing")
		return x.Automations[slices.IndexFunc(x.Automations, func(a deviceops.AutomationReason) bool { return a.Name == automation })]
	}
	broken := explain(0, "held")
	require.Equal(t, deviceops.OutcomeHolding, broken.Outcome)
	require.Equal(t, fmt.Sprintf("it held since 2026-11-20T11:00:00Z, until event %d broke it off", events[1].ID), broken.Text)
	require.Equal(t, deviceops.OutcomeBroken, broken.Then.Outcome)
	require.Equal(t, deviceops.OutcomeBroken, explain(1, "held").Outcome)
	began := explain(2, "held")
	require.Equal(t, fmt.Sprintf("it held since 2026-11-20T11:02:00Z; then, by event %d, it started run %s", events[4].ID, began.Then.Run), began.Text)
	require.Equal(t, deviceops.OutcomeStarted, explain(4, "held").Outcome)
	require.Contains(t, explain(5, "held").Text, "; the clock decides at 2026-11-20T11:06:30Z at the latest")
	require.Nil(t, explain(5, "held").Then, "it goes on")
	require.Contains(t, explain(0, "counted").Text, fmt.Sprintf("it held, and more of its kind were needed; then, by event %d, it started run", events[1].ID))
}

func TestReplayTellsWhatWouldHaveStarted(t *testing.T) {
	t.Parallel()
	r := newRig(t)
	events := r.heard(90, 20, 91, 92)
	runs, err := r.store.ListRuns(t.Context(), deviceops.RunFilter{})
	require.NoError(t, err)
	var replayed deviceops.AutomationReplayed
	r.as(victor, http.MethodPost, "/v1/automations/hot/replay", "{}").into(&replayed)
	require.Equal(t, 4, replayed.Events)
	require.Equal(t, 3, replayed.Held)
	require.Equal(t, map[deviceops.AutomationOutcome]int{deviceops.OutcomeStarted: 2, deviceops.OutcomeStopped: 1}, replayed.Outcomes)
	require.Equal(t, events[2].ID, replayed.Starts[1].Event)
	require.Equal(t, "k2", replayed.Starts[1].Device)
	require.Equal(t, events[3].At, replayed.Stopped)
	r.as(victor, http.MethodPost, "/v1/automations/hot/replay", fmt.Sprintf(`{"since":%q}`, now.Add(-58*time.Minute-30*time.Second).Format(time.RFC3339))).into(&replayed)
	require.Equal(t, 2, replayed.Events)
	after, err := r.store.ListRuns(t.Context(), deviceops.RunFilter{})
	require.NoError(t, err)
	require.Len(t, after, len(runs), "nothing is started")
}

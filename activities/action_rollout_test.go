package activities_test

import (
	"encoding/json"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/deviceops/deviceops"
	"github.com/deviceops/deviceops/activities"
	"github.com/deviceops/deviceops/dsl"
)

// newRollingWorld is a world whose catalog is the real one, on the same store.
func newRollingWorld(t *testing.T) *world {
	t.Helper()
	return newWorld(t, func(d *activities.Deps) { d.Catalog = &dsl.Catalog{Documents: d.Store} })
}

const brighter = `
rollout: brighter
change: { config: { brightness: 80 } }
targets: device.profile == "kiosk"
rings:
  - { name: canary, take: 1 } # one will do
  - { name: everyone }
`

func TestARolloutIsStartedOnce(t *testing.T) {
	t.Parallel()
	w := newRollingWorld(t)
	args := map[string]any{"manifest": brighter, "reason": "winter"}
	out, err := w.perform("rollout.start", "roll", args)
	require.NoError(t, err)
	id := deviceops.RolloutID("acme", "brighter")
	require.Equal(t, map[string]any{"id": id, "name": "brighter", "status": "planning", "created": true}, out)
	r, err := w.store.FindRollout(t.Context(), id)
	require.NoError(t, err)
	require.Equal(t, brighter, r.Source, "what was written stays as it was written")
	require.Equal(t, []any{"run:r1", "winter", "acme", 2}, []any{r.CreatedBy, r.Reason, r.Account, len(r.Rings)})

	starts, err := w.store.PendingStarts(t.Context(), w.now.Add(time.Second), w.now.Add(time.Second), 10)
	require.NoError(t, err)
	require.Len(t, starts, 1)
	require.Equal(t, []string{deviceops.RolloutWorkflowID(id), "Rollout"}, []string{starts[0].WorkflowID, starts[0].Type})
	require.JSONEq(t, `{"rollout": "`+id+`"}`, string(starts[0].Input.(json.RawMessage)))
	audit, err := w.store.ListAudit(t.Context(), deviceops.AuditFilter{Target: "rollout:" + id})
	require.NoError(t, err)
	require.Len(t, audit, 1)
	require.Equal(t, []any{"rollout.create", "run:r1", "winter", "r1"}, []any{audit[0].Action, audit[0].Actor, audit[0].Reason, audit[0].Evidence["run"]})

	out, err = w.perform("rollout.start", "again", args)
	require.NoError(t, err)
	require.Equal(t, false, out["created"])
	_, err = w.perform("rollout.start", "roll", map[string]any{"manifest": brighter + "in_flight: 3\n"})
	require.Equal(t, deviceops.ECONFLICT, activities.Cause(err).Code)
}

func TestManifestsOfStepsAreFilledIn(t *testing.T) {
	t.Parallel()
	w := newRollingWorld(t)
	keys := map[string]any{
		"change": map[string]any{"config": map[string]any{"brightness": 80}}, "targets": `device.profile == "kiosk"`,
		"rings": []any{map[string]any{"name": "all", "soak": "30m"}},
	}
	first, err := w.perform("rollout.start", "roll", map[string]any{"manifest": keys})
	require.NoError(t, err)
	require.Regexp(t, `^rollout-[0-9a-f]+$`, first["name"])
	r, err := w.store.FindRollout(t.Context(), first["id"].(string))
	require.NoError(t, err)
	require.Contains(t, r.Source, "  config:\n    brightness: 80\n", "it is YAML for people to read")
	same, err := w.perform("rollout.start", "roll", map[string]any{"manifest": keys})
	require.NoError(t, err)
	require.Equal(t, []any{first["id"], false}, []any{same["id"], same["created"]}, "the step is tried again")
	other, err := w.perform("rollout.start", "roll2", map[string]any{"manifest": keys})
	require.NoError(t, err)
	require.NotEqual(t, first["id"], other["id"])

	named, err := w.perform("rollout.start", "roll", map[string]any{"manifest": brighter, "name": "much-brighter"})
	require.NoError(t, err)
	require.Equal(t, "much-brighter", named["name"])

	for want, args := range map[string]map[string]any{
		"there is no release kiosk-os@9.9.9": {"manifest": brighter, "release": "kiosk-os@9.9.9"},
		"it is not said which devices":       {"manifest": map[string]any{"change": map[string]any{"config": map[string]any{"a": 1}}}},
		"manifest: it is no YAML":            {"manifest": "kiosk-os@2.4.0"},
		"manifest is missing":                {"name": "x"},
	} {
		_, err := w.perform("rollout.start", "bad", args)
		require.Equal(t, deviceops.EINVALID, activities.Cause(err).Code, want)
		require.ErrorContains(t, err, want)
	}
}

func TestARolloutIsWaitedFor(t *testing.T) {
	t.Parallel()
	w := newRollingWorld(t)
	started, err := w.perform("rollout.start", "roll", map[string]any{"manifest": brighter})
	require.NoError(t, err)
	r, err := w.store.FindRollout(t.Context(), started["id"].(string))
	require.NoError(t, err)
	becomes := func(status deviceops.RolloutStatus, canary deviceops.RingStatus) {
		t.Helper()
		r.Status, r.StatusReason, r.Rings[0].Status, r.StartedAt = status, "so it is", canary, noon
		require.NoError(t, w.store.SaveRollout(t.Context(), r))
	}
	wait := func(args map[string]any) (string, string) {
		t.Helper()
		args["rollout"] = "brighter"
		out, err := w.perform("rollout.wait", "wait", args)
		if err != nil {
			return activities.Cause(err).Code, activities.Cause(err).Message
		}
		return out["status"].(string), ""
	}
	for _, c := range []struct {
		status deviceops.RolloutStatus
		canary deviceops.RingStatus
		args   map[string]any
		want   string
	}{
		{deviceops.RolloutRunning, deviceops.RingRunning, map[string]any{}, deviceops.EUNAVAILABLE},
		{deviceops.RolloutPaused, deviceops.RingRunning, map[string]any{"ring": "canary"}, deviceops.EUNAVAILABLE},
		{deviceops.RolloutRunning, deviceops.RingPassed, map[string]any{"ring": "canary"}, "running"},
		{deviceops.RolloutRunning, deviceops.RingSkipped, map[string]any{"ring": "canary"}, "running"},
		{deviceops.RolloutRunning, deviceops.RingPassed, map[string]any{"ring": "everyone"}, deviceops.EUNAVAILABLE},
		{deviceops.RolloutRunning, deviceops.RingPassed, map[string]any{"ring": "nobody"}, deviceops.ENOTFOUND},
		{deviceops.RolloutSucceeded, deviceops.RingPassed, map[string]any{}, "succeeded"},
		{deviceops.RolloutSucceeded, deviceops.RingPassed, map[string]any{"status": "running"}, "succeeded"},
		{deviceops.RolloutSucceeded, deviceops.RingPassed, map[string]any{"status": "reverted"}, activities.CodeRolloutEnded},
		{deviceops.RolloutReverting, deviceops.RingFailed, map[string]any{}, deviceops.EUNAVAILABLE},
		{deviceops.RolloutReverted, deviceops.RingFailed, map[string]any{}, activities.CodeRolloutReverted},
		{deviceops.RolloutReverted, deviceops.RingFailed, map[string]any{"ring": "canary"}, activities.CodeRolloutReverted},
		{deviceops.RolloutFailed, deviceops.RingFailed, map[string]any{}, activities.CodeRolloutFailed},
		{deviceops.RolloutFailed, deviceops.RingFailed, map[string]any{"status": "failed"}, "failed"},
		{deviceops.RolloutCanceled, deviceops.RingRunning, map[string]any{}, activities.CodeRolloutCanceled},
	} {
		becomes(c.status, c.canary)
		got, message := wait(c.args)
		require.Equal(t, c.want, got, "%s, canary %s, %v: %s", c.status, c.canary, c.args, message)
	}
	require.True(t, activities.Waits("rollout.wait"))
	require.False(t, activities.Waits("rollout.start"))

	elsewhere := r
	elsewhere.ID, elsewhere.Account = deviceops.RolloutID("globex", "brighter"), "globex"
	_, _, err = w.store.CreateRollout(t.Context(), elsewhere)
	require.NoError(t, err)
	_, err = w.perform("rollout.wait", "wait", map[string]any{"rollout": elsewhere.ID})
	require.Equal(t, deviceops.ENOTFOUND, activities.Cause(err).Code, "it is none of the run's business")
}

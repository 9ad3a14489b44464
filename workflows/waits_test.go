package workflows_test

import (
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"go.temporal.io/sdk/temporal"

	"github.com/deviceops/deviceops"
	"github.com/deviceops/deviceops/activities"
)

// until answers an action that waits: it goes on to until it is over. The test
// environment asks ten times, within half a minute, where Temporal goes on.
func (w *world) until(over func() bool) {
	w.action = func(activities.ActionInput) (activities.ActionOutput, error) {
		if !over() {
			return activities.ActionOutput{}, temporal.NewApplicationError("rollout x is running", deviceops.EUNAVAILABLE)
		}
		return activities.ActionOutput{Output: map[string]any{"status": "succeeded"}}, nil
	}
}

func TestActionsThatWait(t *testing.T) {
	t.Parallel()
	const source = "workflow: w\nsteps:\n  - id: done\n    action: rollout.wait\n    with: { rollout: x }\n"
	t.Run("wait", func(t *testing.T) {
		t.Parallel()
		w := newWorld(t)
		w.until(func() bool { return !w.Now().Before(noon.Add(20 * time.Second)) })
		run := execute(t, w, source, nil)
		require.Equal(t, deviceops.RunSucceeded, run.Status)
		require.WithinDuration(t, noon.Add(20*time.Second), w.Now(), 10*time.Second)
	})
	t.Run("until the time of their step is up", func(t *testing.T) {
		t.Parallel()
		w := newWorld(t)
		w.until(func() bool { return false })
		run := execute(t, w, source+"    timeout: 20s\n", nil)
		require.Equal(t, []any{deviceops.RunFailed, deviceops.ETIMEOUT}, []any{run.Status, run.Error.Code})
		require.Contains(t, run.Error.Message, "the time for step done ran out")
		require.WithinDuration(t, noon.Add(20*time.Second), w.Now(), 10*time.Second)
	})
	t.Run("and fail as they are told to", func(t *testing.T) {
		t.Parallel()
		w := newWorld(t)
		w.action = func(activities.ActionInput) (activities.ActionOutput, error) {
			return activities.ActionOutput{}, activities.RunFailure(&deviceops.RunError{Code: activities.CodeRolloutReverted, Message: "no good", Data: map[string]any{"failed": 2}})
		}
		run := execute(t, w, "workflow: w\nsteps:\n  - try:\n      - action: rollout.wait\n        with: { rollout: x }\n    catch:\n      - return: ${{ error.code + string(error.data.failed) }}\n", nil)
		require.Equal(t, map[string]any{"value": "rollout_reverted2"}, run.Outputs)
	})
}

// A run that grows long beside an action that waits goes on in new executions, in
// which the action is waited for again.
func TestRelayWhileAnActionWaits(t *testing.T) {
	t.Parallel()
	w, executions := relayed(t, `workflow: w
steps:
  - parallel:
      roll: [ { id: done, action: rollout.wait, with: { rollout: x }, timeout: 2h } ]
      loop: [ { wait: 1s }, { wait: 1s }, { wait: 1s } ]
  - return: ${{ steps.done.output.status }}
`, 2, func(w *world, n int) {
		w.until(func() bool { return n > 0 })
	})
	require.NoError(t, w.GetWorkflowError())
	require.Greater(t, executions, 1)
	require.Equal(t, map[string]any{"value": "succeeded"}, map[string]any(w.saved[len(w.saved)-1].Outputs))
}

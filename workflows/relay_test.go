package workflows_test

import (
	"errors"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"go.temporal.io/sdk/workflow"

	"github.com/deviceops/deviceops"
	"github.com/deviceops/deviceops/activities"
	"github.com/deviceops/deviceops/starter"
	"github.com/deviceops/deviceops/workflows"
)

// relayed executes a run that goes on in a new execution after every few steps.
// It gives how the run was saved last and how many executions it took.
func relayed(t *testing.T, source string, every int, setup func(w *world, n int)) (last *world, executions int) {
	t.Helper()
	in := started(nil)
	in.Every = every
	now := noon
	var worlds []*world
	for {
		w := newWorld(t)
		w.SetStartTime(now)
		w.sources["w"] = source
		setup(w, len(worlds))
		w.ExecuteWorkflow("w", in)
		require.True(t, w.IsWorkflowCompleted())
		worlds = append(worlds, w)
		var next *workflow.ContinueAsNewError
		if !errors.As(w.GetWorkflowError(), &next) {
			last = w
			break
		}
		require.Less(t, len(worlds), 2000)
		in = workflows.RunInput{}
		require.NoError(t, starter.DataConverter().FromPayloads(next.Input, &in))
		now = w.Now()
	}
	var commands []activities.CommandInput
	var saved []deviceops.Run
	for _, w := range worlds {
		commands, saved = append(commands, w.commands...), append(saved, w.saved...)
	}
	last.commands, last.saved = commands, saved
	return last, len(worlds)
}

// However often a run goes on in a new execution, it does the same.
func TestRelay(t *testing.T) {
	t.Parallel()
	const source = `workflow: w
device: k1
outputs: { n: "${{ vars.n }}", at: "${{ string(run.now) }}", each: "${{ map(steps.each.output.results, #.output.n) }}", race: "${{ steps.race.output.winner }}", uptime: "${{ steps.ask.output.n }}" }
steps:
  - set: { n: 0 }
  - { id: ask, command: ask, timeout: 1h, undo: [ { command: never } ] }
  - while: vars.n < 20
    steps:
      - set: { n: "${{ vars.n + 1 }}" }
      - if: vars.n % 5 == 0
        wait: 1m
  - id: each
    foreach:
      items: [1, 2, 3, 4, 5, 6]
      max_parallel: 3
      steps:
        - wait: ${{ string(item) }}m
        - set: { n: "${{ vars.n + item }}" }
        - { command: ask, timeout: 1h, with: { item: "${{ item }}" }, retry: { times: 2, delay: 10s } }
  - id: race
    parallel:
      slow: [ { wait: 10h } ]
      fast: [ { set: { a: 1 } }, { set: { a: 2 } }, { wait: 1h }, { set: { a: 3 } } ]
    race: true
  - try:
      - { command: ask, undo: [ { command: undo }, { wait: 1m }, { set: { undone: true } } ] }
      - fail: now
    catch:
      - set: { caught: "${{ error.message }}" }
      - set: { n: "${{ vars.undone ? vars.n : 0 }}" }
    finally:
      - set: { cleaned: true }
      - set: { n: "${{ vars.cleaned && vars.caught == 'now' ? vars.n : 0 }}" }
`
	answer := func(w *world, _ int) {
		w.command = func(in activities.CommandInput) (activities.CommandOutput, error) {
			if in.Args["item"] != nil && in.Attempt == 1 {
				return answered(in, deviceops.CommandFailed, "busy", true)
			}
			return activities.CommandOutput{Output: map[string]any{"n": 1 << 60}}, nil
		}
	}
	whole, executions := relayed(t, source, 0, answer)
	require.Equal(t, 1, executions)
	require.NoError(t, whole.GetWorkflowError())
	want := whole.saved[len(whole.saved)-1]
	require.Equal(t, int64(41), want.Outputs["n"])
	require.Equal(t, int64(1<<60), want.Outputs["uptime"])
	for _, every := range []int{1, 2, 3, 7} {
		w, executions := relayed(t, source, every, answer)
		require.NoError(t, w.GetWorkflowError())
		got := w.saved[len(w.saved)-1]
		require.Greater(t, executions, 60/every/4)
		require.Equal(t, want.Outputs, got.Outputs, "every %d", every)
		require.Equal(t, ids(whole), ids(w), "every %d", every)
		require.Equal(t, rowsOf(whole), rowsOf(w), "every %d", every)
	}
}

// ids gives the commands that were sent, without repeats: an execution asks
// again for what the one before waited for.
func ids(w *world) map[string]bool {
	all := map[string]bool{}
	for _, c := range w.commands {
		all[c.ID+"#"+string(rune('0'+c.Attempt))] = true
	}
	return all
}

// rowsOf gives how often each step ended how.
func rowsOf(w *world) map[string]int {
	counts := map[string]int{}
	for _, row := range w.rows() {
		counts[row.Step+" "+string(row.Status)]++
	}
	return counts
}

// A command that is on its way is waited for again, with the same id and
// attempt, until its own deadline.
func TestRelayWhileADeviceIsWaitedFor(t *testing.T) {
	t.Parallel()
	w, executions := relayed(t, `workflow: w
device: k1
steps:
  - parallel:
      ask: [ { id: ask, command: ask, timeout: 1h } ]
      loop: [ { wait: 1m }, { wait: 1m }, { wait: 1m } ]
  - return: ${{ steps.ask.output.n }}
`, 2, func(w *world, n int) {
		w.command = func(activities.CommandInput) (activities.CommandOutput, error) {
			if n < 1 {
				return activities.CommandOutput{}, errPending
			}
			return activities.CommandOutput{Output: map[string]any{"n": 7}}, nil
		}
	})
	require.NoError(t, w.GetWorkflowError())
	require.Greater(t, executions, 1)
	require.Equal(t, map[string]any{"value": int64(7)}, map[string]any(w.saved[len(w.saved)-1].Outputs))
	require.Equal(t, map[string]bool{"r1.steps.0.1-0.steps.0.parallel.ask.0.0#1": true}, ids(w))
	require.Equal(t, noon.Add(time.Hour), w.commands[len(w.commands)-1].ExpiresAt)
}

// A loop of thousands of rounds goes through many executions while a person is
// waited for.
func TestLongLoopWithAPendingApproval(t *testing.T) {
	t.Parallel()
	w, executions := relayed(t, `workflow: w
device: k1
steps:
  - set: { n: 0 }
  - parallel:
      people: [ { id: decision, approve: Go on?, by: [role:operator], expires: 2h } ]
      loop:
        - while: vars.n < 5000
          max_iterations: 5000
          steps:
            - set: { n: "${{ vars.n + 1 }}" }
            - if: vars.n % 10 == 0
              wait: 1s
  - return: { n: "${{ vars.n }}", by: "${{ steps.decision.output.by }}", at: "${{ string(run.now) }}" }
`, 900, func(w *world, n int) {
		if n == 5 {
			w.at(time.Second, func() {
				w.mustDecide(t, deviceops.Decision{Approval: "r1/decision/steps.1.1-0", Approve: true, By: maria})
			})
		}
		if n == 8 {
			w.at(time.Second, func() {
				w.decide(deviceops.Decision{Approval: "r1/decision/steps.1.1-0", By: maria}, func(_ deviceops.Approval, err error) {
					require.Equal(t, deviceops.ECONFLICT, deviceops.ErrorCode(err), "it is decided already")
				})
			})
		}
	})
	require.NoError(t, w.GetWorkflowError())
	require.Equal(t, 12, executions)
	run := w.saved[len(w.saved)-1]
	require.Equal(t, map[string]any{"n": int64(5000), "by": "user:maria", "at": "2026-05-01T12:08:20Z"}, map[string]any(run.Outputs))
	require.Len(t, w.rows(), 10_005)
}

// An approval expires when it was to, whichever execution waits for it.
func TestApprovalExpiresAfterRelay(t *testing.T) {
	t.Parallel()
	w, executions := relayed(t, `workflow: w
device: k1
steps:
  - parallel:
      people: [ { id: decision, approve: Go on?, by: [role:operator], expires: 10m } ]
      other: [ { wait: 1m }, { wait: 1m }, { wait: 1m } ]
`, 2, func(*world, int) {})
	require.Greater(t, executions, 1)
	run := w.saved[len(w.saved)-1]
	require.Equal(t, "approval.expired", run.Error.Code)
	require.Equal(t, noon.Add(10*time.Minute), run.FinishedAt)
}

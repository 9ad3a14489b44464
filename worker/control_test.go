package worker_test

import (
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/deviceops/deviceops"
	"github.com/deviceops/deviceops/dsl"
	"github.com/deviceops/deviceops/workflows"
)

// control asks the run r1 to pause or to go on.
func (s *stack) control(t *testing.T, update string, c deviceops.RunControl) error {
	t.Helper()
	return s.starter.Update(t.Context(), "r1", c.ID, update, c, nil)
}

// A run is paused while a person is asked. The decision is taken, and what
// follows from it waits.
func TestPauseOnARealServer(t *testing.T) {
	s := newStack(t)
	s.register(t, "k1")
	s.publish(t, "held", `workflow: held
device: k1
steps:
  - parallel:
      people: [ { id: decision, approve: Go on?, by: [role:operator] }, { command: diagnostics, timeout: 1m } ]
      time: [ { wait: 50ms }, { command: diagnostics, timeout: 1m } ]
`)
	run := deviceops.Run{ID: "r1", Account: "acme", Workflow: "held", Version: 1}
	s.start(t, workflows.RunStart(run))
	open := func() bool {
		a, err := s.store.FindApproval(t.Context(), "r1/decision/steps.0.1-0")
		return err == nil && a.Status == deviceops.ApprovalOpen
	}
	require.Eventually(t, open, patience, 20*time.Millisecond)
	require.Eventually(t, func() bool { return s.executions() == 1 }, patience, 20*time.Millisecond)

	require.Equal(t, deviceops.ECONFLICT, deviceops.ErrorCode(s.control(t, workflows.UpdateResume, deviceops.RunControl{ID: "u0", By: "user:maria"})))
	for range 2 {
		require.NoError(t, s.control(t, workflows.UpdatePause, deviceops.RunControl{ID: "u1", By: "user:maria", Reason: "smoke"}))
	}
	stored, err := s.store.FindRun(t.Context(), "r1")
	require.NoError(t, err)
	require.Equal(t, deviceops.RunPaused, stored.Status, "it is stored before it is confirmed")
	require.Equal(t, "smoke", stored.Paused.Reason)
	d := deviceops.Decision{Approval: "r1/decision/steps.0.1-0", Approve: true, By: deviceops.Engine}
	require.NoError(t, s.starter.Update(t.Context(), "r1", "yes", workflows.UpdateDecide, d, &deviceops.Approval{}))
	again := s.control(t, workflows.UpdatePause, deviceops.RunControl{ID: "u2", By: "user:peter"})
	require.Contains(t, deviceops.ErrorMessage(again), "is paused already, by user:maria since")
	require.Equal(t, 1, s.executions())

	require.NoError(t, s.control(t, workflows.UpdateResume, deviceops.RunControl{ID: "u3", By: "user:peter", Reason: "all clear"}))
	require.NoError(t, s.wait(t, "r1", nil))
	require.Equal(t, 2, s.executions())
	audit, err := s.store.ListAudit(t.Context(), deviceops.AuditFilter{Target: "run:r1"})
	require.NoError(t, err)
	require.Len(t, audit, 2)
	require.Equal(t, "run.resume user:peter all clear", audit[0].Action+" "+audit[0].Actor+" "+audit[0].Reason)
	require.Equal(t, "run.pause user:maria smoke", audit[1].Action+" "+audit[1].Actor+" "+audit[1].Reason)
	events := kinds(s.history(t, "r1", "pause"))
	require.Equal(t, 3, strings.Count(events, "WorkflowExecutionUpdateAccepted"), "what was refused left no trace: %s", events)
}

// executions counts what the devices of the stack did.
func (s *stack) executions() (n int) {
	s.fleet.mu.Lock()
	defer s.fleet.mu.Unlock()
	for _, times := range s.fleet.executed {
		n += times
	}
	return n
}

// A run that failed is run again: what succeeded in it is not sent again.
func TestRerunOnARealServer(t *testing.T) {
	s := newStack(t)
	for _, id := range []string{"k1", "k2"} {
		s.register(t, id)
	}
	s.fleet.failures["k2"] = 1 // the first attempt
	const source = `workflow: staged
outputs: { n: "${{ vars.n }}", uptime: "${{ steps.look.output.uptime_s }}", kept: "${{ steps.kept.output.winner }}" }
steps:
  - set: { n: 9007199254740993 }
  - { id: look, command: diagnostics, device: k1, timeout: 1m }
  - id: kept
    race: true
    parallel:
      slow: [ { wait: 1h } ]
      fast: [ { command: diagnostics, device: k1, timeout: 1m }, { set: { n: "${{ vars.n + 1 }}" } } ]
  - { id: act, command: diagnostics, device: k2, timeout: 1m }
  - { command: diagnostics, device: k1, timeout: 1m }
`
	s.publish(t, "staged", source)
	run := deviceops.Run{ID: "r1", Account: "acme", Workflow: "staged", Version: 1}
	s.start(t, workflows.RunStart(run))
	require.Error(t, s.wait(t, "r1", nil))
	require.Equal(t, 3, s.executions())
	failed, err := s.store.FindRun(t.Context(), "r1")
	require.NoError(t, err)
	require.Equal(t, "act", failed.Error.Step)

	program, found := dsl.Compile(source)
	require.NoError(t, found.Err())
	plan, err := workflows.PlanRerun(program, failed, "")
	require.NoError(t, err)
	again := deviceops.Run{
		ID: "r2", Account: "acme", Workflow: "staged", Version: 1, Status: deviceops.RunPending, StartedAt: time.Now(), Steps: plan.Copied,
		RerunOf: &deviceops.RunOrigin{Run: "r1", Step: "act", Because: plan.Because},
	}
	_, err = s.store.CreateRun(t.Context(), again)
	require.NoError(t, err)
	s.fleet.failures["k2"] = 0
	s.start(t, workflows.RunStart(again))
	var result workflows.RunResult
	require.NoError(t, s.wait(t, "r2", &result))
	require.EqualValues(t, map[string]any{"n": int64(9007199254740994), "uptime": int64(7), "kept": "fast"}, result.Outputs)
	require.Equal(t, 5, s.executions(), "two more: what failed, and what comes after it")

	stored, err := s.store.FindRun(t.Context(), "r2")
	require.NoError(t, err)
	require.Len(t, stored.Steps, len(plan.Copied)+2)
	for i, row := range stored.Steps {
		require.Equal(t, i, row.Index)
		require.Equal(t, i < len(plan.Copied), row.Copied, row.Step)
	}
	s.history(t, "r2", "rerun")
}

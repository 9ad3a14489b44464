package worker_test

import (
	"fmt"
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"go.temporal.io/api/enums/v1"
	historypb "go.temporal.io/api/history/v1"
	sdkworker "go.temporal.io/sdk/worker"
	"google.golang.org/protobuf/encoding/protojson"

	"github.com/deviceops/deviceops"
	"github.com/deviceops/deviceops/starter"
	"github.com/deviceops/deviceops/workflows"
)

// control has every verb that leads from one block to another, and every
// modifier.
const control = `workflow: control
device: k1
outputs:
  order: ${{ vars.order }}
  each: "${{ map(steps.each.output.results, #.status) }}"
  winner: ${{ steps.race.output.winner }}
  heard: ${{ steps.heard.output.data.n }}
steps:
  - set: { order: [], n: 0 }
  - switch:
      - { if: vars.n > 0, steps: [ { fail: never } ] }
      - if: vars.n == 0
        steps:
          - set: { order: "${{ concat(vars.order, ['switch']) }}" }
  - while: vars.n < 3
    steps:
      - set: { n: "${{ vars.n + 1 }}" }
      - wait: 10ms
  - id: each
    foreach:
      items: [k1, k2, k3]
      as: kiosk
      max_parallel: 2
      on_error: tolerate 50%
      steps:
        - command: diagnostics
          device: ${{ kiosk }}
          timeout: 1m
          offline: fail
          retry: { times: 1, delay: 10ms }
        - if: kiosk == "k3"
          fail: { code: odd, message: strange }
  - parallel:
      speak:
        - wait: 300ms
        - emit: store.closed
          with: { n: 1 }
        - emit: store.closed
          with: { n: 2 }
      hear:
        - id: heard
          wait: { event: store.closed, where: event.data.n > 1, timeout: 1m }
  - id: race
    parallel:
      slow: [ { wait: 1h } ]
      fast: [ { wait: 10ms } ]
    race: true
  - command: diagnostics
    until: output.uptime_s == 7 && vars.n > 2
    every: 10ms
    timeout: 1m
  - try:
      - command: diagnostics
        timeout: 1m
        undo:
          - set: { order: "${{ concat(vars.order, ['undo']) }}" }
          - { command: diagnostics, timeout: 1m }
      - wait: { until: run.now.Add(duration("10ms")) }
      - fail: { code: odd, message: strange }
    catch:
      - set: { order: "${{ concat(vars.order, ['catch']) }}" }
    finally:
      - set: { order: "${{ concat(vars.order, ['finally']) }}" }
finally:
  - command: diagnostics
    timeout: 1m
`

var controlOutputs = map[string]any{
	"order": []any{"switch", "undo", "catch", "finally"}, "each": []any{"succeeded", "succeeded", "failed"},
	"winner": "fast", "heard": int64(2),
}

func TestLanguageOnARealServer(t *testing.T) {
	s := newStack(t)
	for _, id := range []string{"k1", "k2", "k3"} {
		s.register(t, id)
	}
	s.fleet.failures["k2"] = 1
	s.publish(t, "control", control)
	for _, c := range []struct {
		id         string
		every      int
		executions int
	}{{"whole", 0, 1}, {"pieces", 3, 5}} {
		run := deviceops.Run{ID: c.id, Account: "acme", Workflow: "control", Version: 1}
		start := workflows.RunStart(run)
		start.Input = workflows.RunInput{Run: run, Every: c.every}
		s.start(t, start)
		var result workflows.RunResult
		require.NoError(t, s.wait(t, c.id, &result))
		require.EqualValues(t, controlOutputs, result.Outputs)

		stored, err := s.store.FindRun(t.Context(), c.id)
		require.NoError(t, err)
		require.Equal(t, deviceops.RunSucceeded, stored.Status)
		require.Len(t, stored.Steps, 35)
		for i, row := range stored.Steps {
			require.Equal(t, i, row.Index)
			require.True(t, row.Status.Ended(), row.Step)
		}
		require.GreaterOrEqual(t, len(s.histories(t, c.id, "control-"+c.id)), c.executions)
	}
	events, err := s.store.ListEvents(t.Context(), deviceops.EventFilter{Account: "acme", Type: "store.closed"})
	require.NoError(t, err)
	require.Len(t, events, 4, "two runs, two events each")
}

// A run that is called off while it waits cleans up, in whatever execution it
// is then.
func TestCleanUpOnARealServer(t *testing.T) {
	s := newStack(t)
	s.register(t, "k1")
	s.publish(t, "tidy", `workflow: tidy
device: k1
steps:
  - command: diagnostics
    timeout: 1m
    undo: [ { command: diagnostics, timeout: 1m, with: { undo: "${{ error.code }}" } } ]
  - parallel:
      people: [ { id: decision, approve: Go on?, by: [role:operator] } ]
      time: [ { set: { a: 1 } }, { set: { a: 2 } }, { set: { a: 3 } }, { wait: 1h } ]
finally:
  - { command: diagnostics, timeout: 1m }
`)
	run := deviceops.Run{ID: "r1", Account: "acme", Workflow: "tidy", Version: 1}
	start := workflows.RunStart(run)
	start.Input = workflows.RunInput{Run: run, Every: 2}
	s.start(t, start)
	require.Eventually(t, func() bool {
		a, err := s.store.FindRun(t.Context(), "r1")
		return err == nil && len(a.Steps) == 7 && a.Steps[6].Status == deviceops.RunWaiting
	}, patience, 20*time.Millisecond)
	require.NoError(t, s.starter.Cancel(t.Context(), "r1", "enough"))
	require.Error(t, s.wait(t, "r1", nil))

	a, err := s.store.FindApproval(t.Context(), "r1/decision/steps.1.1-0")
	require.NoError(t, err)
	require.Equal(t, deviceops.ApprovalCanceled, a.Status)
	stored, err := s.store.FindRun(t.Context(), "r1")
	require.NoError(t, err)
	require.Equal(t, deviceops.RunCanceled, stored.Status)
	var last []string
	for _, row := range stored.Steps[7:] {
		last = append(last, row.Step+" "+string(row.Status))
	}
	require.Equal(t, []string{"steps.0.undo.0 succeeded", "finally.0 succeeded"}, last)
	require.Greater(t, len(s.histories(t, "r1", "cleanup")), 1)
}

// histories gives the histories of all executions of a run, the last one first.
// It records them if asked and requires that they can be replayed.
func (s *stack) histories(t *testing.T, id, name string) (all []*historypb.History) {
	t.Helper()
	for runID := ""; len(all) == 0 || runID != ""; {
		h := &historypb.History{}
		events := s.client.GetWorkflowHistory(t.Context(), id, runID, false, enums.HISTORY_EVENT_FILTER_TYPE_ALL_EVENT)
		for events.HasNext() {
			e, err := events.Next()
			require.NoError(t, err)
			h.Events = append(h.Events, e)
		}
		all = append(all, h)
		runID = h.Events[0].GetWorkflowExecutionStartedEventAttributes().GetContinuedExecutionRunId()
	}
	for i, h := range all {
		record(t, h, fmt.Sprintf("%s-%d", name, len(all)-i))
		replayer, err := sdkworker.NewWorkflowReplayerWithOptions(sdkworker.WorkflowReplayerOptions{DataConverter: starter.DataConverter()})
		require.NoError(t, err)
		workflows.Register(replayer)
		require.NoError(t, replayer.ReplayWorkflowHistory(nil, h))
	}
	return all
}

func record(t *testing.T, h *historypb.History, name string) {
	t.Helper()
	folder := os.Getenv(recordVariable)
	if folder == "" {
		return
	}
	data, err := protojson.MarshalOptions{Indent: " "}.Marshal(h)
	require.NoError(t, err)
	require.NoError(t, os.WriteFile(filepath.Join(folder, name+".json"), data, 0o644))
}

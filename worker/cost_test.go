package worker_test

import (
	"context"
	"fmt"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"go.temporal.io/api/enums/v1"

	"github.com/deviceops/deviceops"
	"github.com/deviceops/deviceops/activities"
	"github.com/deviceops/deviceops/workflows"
)

// A run that does not wait begins in the process that started it and costs one
// workflow task, whatever it does in the store.
func TestARunThatNeverWaitsIsOneTask(t *testing.T) {
	s := newStack(t)
	s.register(t, "k1")
	s.publish(t, "note", `workflow: note
device: k1
steps:
  - set: { n: 1 }
  - emit: noted
    with: { n: "${{ vars.n }}" }
  - action: notify
    with: { text: dark }
  - id: ticket
    action: ticket.open
    with: { title: dark }
  - action: log
    with: { message: "${{ steps.ticket.output.id }}" }
`)
	s.begin(t, "r1", "note")
	require.NoError(t, s.wait(t, "r1", nil))
	events := s.history(t, "r1", "quick")
	require.True(t, events[0].GetWorkflowExecutionStartedEventAttributes().GetEagerExecutionAccepted())
	require.Equal(t, "WorkflowExecutionStarted WorkflowTaskScheduled WorkflowTaskStarted WorkflowTaskCompleted "+
		strings.Repeat("MarkerRecorded ", 6)+"WorkflowExecutionCompleted", kinds(events), "the definition, four effects and the end")
	run, err := s.store.FindRun(t.Context(), "r1")
	require.NoError(t, err)
	require.Equal(t, deviceops.RunSucceeded, run.Status)
	require.Len(t, run.Steps, 5)
	tickets, err := s.store.ListTickets(t.Context(), deviceops.TicketFilter{})
	require.NoError(t, err)
	require.Len(t, tickets, 1)
	require.Equal(t, map[string]any{"text": tickets[0].ID, "run": "r1", "step": "steps.4"}, s.said(t, activities.EventRunLog)[0].Data)
}

// Quick actions are performed once each, also where the store was away for longer
// than a workflow task may take.
func TestQuickActionsOutlastAStoreThatIsAway(t *testing.T) {
	away := &away{lasts: 12 * time.Second}
	s := newStack(t, func(d *activities.Deps) { away.Store, d.Store = d.Store, away })
	s.publish(t, "lines", `workflow: lines
steps:
  - foreach:
      items: "[1, 2, 3]"
      as: item
      steps: [ { action: log, with: { message: "line ${{ item }}" } } ]
`)
	s.begin(t, "r1", "lines")
	require.NoError(t, s.wait(t, "r1", nil))
	events := s.history(t, "r1", "quick-away")
	for _, e := range events {
		require.NotEqual(t, enums.EVENT_TYPE_ACTIVITY_TASK_SCHEDULED, e.GetEventType())
	}
	var lines []string
	for _, e := range s.said(t, activities.EventRunLog) {
		lines = append(lines, fmt.Sprint(e.Data["text"]))
	}
	require.ElementsMatch(t, []string{"line 1", "line 2", "line 3"}, lines)
	require.Greater(t, away.refused.Load(), int64(1))
}

// away is a store that takes no transactions for a while after the first is asked
// for.
type away struct {
	deviceops.Store
	lasts   time.Duration
	once    sync.Once
	until   time.Time
	refused atomic.Int64
}

func (a *away) InTx(ctx context.Context, do func(context.Context, deviceops.Tx) error) error {
	a.once.Do(func() { a.until = time.Now().Add(a.lasts) })
	if time.Now().Before(a.until) {
		a.refused.Add(1)
		return deviceops.Errorf(deviceops.EUNAVAILABLE, "the store is away")
	}
	return a.Store.InTx(ctx, do)
}

// begin starts a run of account acme.
func (s *stack) begin(t *testing.T, id, workflow string) {
	t.Helper()
	s.start(t, workflows.RunStart(deviceops.Run{
		ID: id, Account: "acme", Workflow: workflow, Version: 1, StartedBy: "automation:" + workflow, StartedAt: time.Now().UTC().Truncate(time.Millisecond),
	}))
}

func (s *stack) said(t *testing.T, kind string) []deviceops.Event {
	t.Helper()
	events, err := s.store.ListEvents(t.Context(), deviceops.EventFilter{Type: kind})
	require.NoError(t, err)
	return events
}

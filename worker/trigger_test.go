package worker_test

import (
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	workflowpb "go.temporal.io/api/workflow/v1"
	"go.temporal.io/api/workflowservice/v1"

	"github.com/deviceops/deviceops"
	"github.com/deviceops/deviceops/activities"
	"github.com/deviceops/deviceops/dev"
	"github.com/deviceops/deviceops/dsl"
	"github.com/deviceops/deviceops/workflows"
)

const hourly = `automation: hourly
trigger: { schedule: { every: 1h } }
run: tidy@1
`

// A timetable of the server starts a workflow for each of its times, which lets the
// automation hear the time that was planned; by hand it hears the present one.
func TestTimesOnARealServer(t *testing.T) {
	s := newStack(t, func(d *activities.Deps) {
		d.Automations = &deviceops.AutomationStore{Store: d.Store, Automations: &deviceops.Automations{
			Catalog: &dsl.Catalog{Documents: d.Store}, Start: workflows.RunStart, Now: time.Now,
		}}
	})
	s.publish(t, "tidy", "workflow: tidy\nversion: 1\nsteps: [ { wait: 1s } ]\n")
	require.NoError(t, s.store.MaintainEvents(t.Context(), time.Now(), 24*time.Hour))
	_, _, err := s.store.PublishDocument(t.Context(), deviceops.Document{
		Account: "acme", Kind: deviceops.KindAutomation, Name: "hourly", Hash: "hourly", Source: hourly, PublishedAt: time.Now(), PublishedBy: "user:maria",
	})
	require.NoError(t, err)
	ref := deviceops.AutomationRef{Account: "acme", Name: "hourly"}
	heard := func() []time.Time { // whatever became of it
		decided, err := s.store.ListAutomationDecisions(t.Context(), deviceops.AutomationDecisionFilter{AutomationRef: ref})
		require.NoError(t, err)
		times := make([]time.Time, len(decided))
		for i, d := range decided {
			times[i] = d.At
		}
		return times
	}

	start := workflows.TriggerStart(ref)
	table := deviceops.Timetable{ID: deviceops.TimetableID(ref), Times: deviceops.Schedule{Every: 2 * time.Second, CatchUp: time.Minute}, Start: start}
	require.NoError(t, s.starter.Schedule(t.Context(), table))
	require.Eventually(t, func() bool { return len(heard()) > 0 }, patience, 20*time.Millisecond)
	require.NoError(t, s.starter.Unschedule(t.Context(), table.ID))
	planned := s.started(t, start.WorkflowID)
	require.NoError(t, s.wait(t, planned, nil))
	at, err := time.Parse(time.RFC3339, strings.TrimPrefix(planned, start.WorkflowID+"-"))
	require.NoError(t, err, planned)
	require.Zero(t, at.UnixNano()%int64(table.Times.Every))
	require.Contains(t, heard(), at, "the time that was planned, not that of the start")
	s.history(t, planned, "trigger")

	before := len(heard())
	s.start(t, start)
	require.NoError(t, s.wait(t, start.WorkflowID, nil))
	require.Len(t, heard(), before+1)
	s.history(t, start.WorkflowID, "trigger-by-hand")
}

// started gives the id of a workflow that a timetable started.
func (s *stack) started(t *testing.T, prefix string) (id string) {
	t.Helper()
	require.Eventually(t, func() bool {
		listed, err := s.client.ListWorkflow(t.Context(), &workflowservice.ListWorkflowExecutionsRequest{Namespace: dev.Namespace, Query: "WorkflowType = 'Trigger'"})
		require.NoError(t, err)
		for _, e := range listed.Executions {
			if id = idOf(e); strings.HasPrefix(id, prefix+"-") {
				return true
			}
		}
		return false
	}, patience, 20*time.Millisecond)
	return id
}

func idOf(e *workflowpb.WorkflowExecutionInfo) string { return e.GetExecution().GetWorkflowId() }

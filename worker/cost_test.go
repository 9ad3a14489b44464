package worker_test

import (
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/deviceops/deviceops"
	"github.com/deviceops/deviceops/workflows"
)

// A run that does not wait begins in the process that started it and costs one
// workflow task.
func TestARunThatNeverWaitsIsOneTask(t *testing.T) {
	s := newStack(t)
	s.publish(t, "note", "workflow: note\nsteps:\n  - set: { n: 1 }\n  - emit: noted\n    with: { n: \"${{ vars.n }}\" }\n")
	s.start(t, workflows.RunStart(deviceops.Run{
		ID: "r1", Account: "acme", Workflow: "note", Version: 1, StartedBy: "automation:note", StartedAt: time.Now().UTC().Truncate(time.Millisecond),
	}))
	require.NoError(t, s.wait(t, "r1", nil))
	events := s.history(t, "r1", "note")
	require.True(t, events[0].GetWorkflowExecutionStartedEventAttributes().GetEagerExecutionAccepted())
	require.Equal(t, "WorkflowExecutionStarted WorkflowTaskScheduled WorkflowTaskStarted WorkflowTaskCompleted "+
		"MarkerRecorded MarkerRecorded MarkerRecorded WorkflowExecutionCompleted", kinds(events), "the definition, the event and the end")
	run, err := s.store.FindRun(t.Context(), "r1")
	require.NoError(t, err)
	require.Equal(t, deviceops.RunSucceeded, run.Status)
	require.Len(t, run.Steps, 2)
}

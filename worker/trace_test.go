package worker_test

import (
	"log/slog"
	"net/http/httptest"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"go.temporal.io/api/common/v1"
	"go.temporal.io/api/workflowservice/v1"

	"github.com/deviceops/deviceops"
	"github.com/deviceops/deviceops/api"
	"github.com/deviceops/deviceops/client"
	"github.com/deviceops/deviceops/dev"
	"github.com/deviceops/deviceops/dsl"
	"github.com/deviceops/deviceops/ingest"
	"github.com/deviceops/deviceops/workflows"
)

const patientYAML = `workflow: patient
version: 1
inputs: { pause: { type: duration, default: 0s } }
outputs: { noted: true }
steps:
  - id: note
    action: log
    with: { message: "here I am" }
  - id: pause
    wait: ${{ inputs.pause }}
`

// TestARunIsShownBeyondTemporal ends one run in its way and one by force, has
// Temporal forget both, and looks at them as a person would.
func TestARunIsShownBeyondTemporal(t *testing.T) {
	t.Parallel()
	s := newStack(t)
	s.publish(t, "patient", patientYAML)
	people := s.api(t)
	begin := func(id, pause string) {
		run := deviceops.Run{
			ID: id, Account: "acme", Workflow: "patient", Version: 1, Status: deviceops.RunPending, StartedBy: "user:maria",
			StartedAt: time.Now().UTC().Truncate(time.Millisecond), Inputs: map[string]any{"pause": pause},
		}
		_, err := s.store.CreateRun(t.Context(), run)
		require.NoError(t, err)
		s.start(t, workflows.RunStart(run))
	}
	begin("run-short", "1ms")
	begin("run-long", "30d")
	require.NoError(t, s.wait(t, "run-short", nil))
	require.Eventually(t, func() bool {
		run, err := s.store.FindRun(t.Context(), "run-long")
		return err == nil && len(run.Steps) == 2 && run.Steps[1].Status == deviceops.RunWaiting
	}, patience, 50*time.Millisecond)

	live, err := people.Run(t.Context(), "run-long")
	require.NoError(t, err)
	require.Equal(t, deviceops.RunWaiting, live.Status)
	require.NoError(t, s.client.TerminateWorkflow(t.Context(), "run-long", "", "by the test"))
	s.sweepRuns(t)
	s.forget(t, "run-short")
	s.forget(t, "run-long")

	short, err := people.Run(t.Context(), "run-short")
	require.NoError(t, err)
	require.Equal(t, deviceops.RunSucceeded, short.Status)
	require.Equal(t, map[string]any{"noted": true}, short.Outputs)
	require.Equal(t, deviceops.RunSucceeded, short.Steps[0].Status)
	require.Equal(t, map[string]any{"message": "here I am"}, short.Steps[0].Input.(map[string]any)["with"])

	long, err := people.Run(t.Context(), "run-long")
	require.NoError(t, err)
	require.Equal(t, deviceops.RunFailed, long.Status)
	require.Equal(t, "terminated", long.Error.Code)
	require.Equal(t, deviceops.RunSucceeded, long.Steps[0].Status)
	require.Equal(t, deviceops.RunFailed, long.Steps[1].Status)
	picture, err := people.RunGraph(t.Context(), "run-long", "text")
	require.NoError(t, err)
	require.Contains(t, picture, "✗ patient@1  failed after ")
	require.Contains(t, picture, "├─ ✓ note  action log")
	require.Contains(t, picture, "└─ ✗ pause  wait inputs.pause")
}

// api serves the API over the stack and gives a client with all rights.
func (s *stack) api(t *testing.T) *client.Client {
	t.Helper()
	require.NoError(t, s.store.SaveToken(t.Context(), deviceops.Token{
		Hash: deviceops.HashToken("admin"), CreatedAt: time.Now(),
		Principal: deviceops.Principal{Name: "user:root", Account: deviceops.RootAccount, Roles: []string{deviceops.RoleAdmin}},
	}))
	server := httptest.NewServer(api.New(api.Config{
		Store: s.store, Orchestrator: s.starter, Gateway: s.fleet, Catalog: &dsl.Catalog{Documents: s.store}, Log: slog.New(slog.DiscardHandler),
	}))
	t.Cleanup(server.Close)
	return client.New(server.URL, "admin")
}

// sweepRuns compares the open runs with Temporal, as if they had been open for
// an hour.
func (s *stack) sweepRuns(t *testing.T) {
	t.Helper()
	sweeper := ingest.NewSweeper(ingest.SweeperConfig{
		Store: s.store, Gateway: s.fleet, Orchestrator: s.starter, Catalog: catalog{}, Log: slog.New(slog.DiscardHandler),
		Now: func() time.Time { return time.Now().UTC().Truncate(time.Millisecond).Add(time.Hour) },
	})
	require.NoError(t, sweeper.Sweep(t.Context()))
}

// forget has Temporal delete a workflow that has ended, as it does when the
// retention is over.
func (s *stack) forget(t *testing.T, id string) {
	t.Helper()
	_, err := s.client.WorkflowService().DeleteWorkflowExecution(t.Context(), &workflowservice.DeleteWorkflowExecutionRequest{
		Namespace: dev.Namespace, WorkflowExecution: &common.WorkflowExecution{WorkflowId: id},
	})
	require.NoError(t, err)
	require.Eventually(t, func() bool {
		_, err := s.starter.Describe(t.Context(), id)
		return deviceops.ErrorCode(err) == deviceops.ENOTFOUND
	}, patience, 50*time.Millisecond)
}

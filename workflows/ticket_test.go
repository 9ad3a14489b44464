package workflows_test

import (
	"context"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"go.temporal.io/sdk/activity"
	"go.temporal.io/sdk/testsuite"
	"go.temporal.io/sdk/workflow"

	"github.com/deviceops/deviceops"
	"github.com/deviceops/deviceops/activities"
	"github.com/deviceops/deviceops/workflows"
)

// passes gives an environment in which each pass over a ticket says whether it was
// the last, and the times at which they were made.
func passes(t *testing.T, ended func(pass int) bool) (*testsuite.TestWorkflowEnvironment, *[]time.Duration) {
	var suite testsuite.WorkflowTestSuite
	env := suite.NewTestWorkflowEnvironment()
	start := time.Date(2026, 6, 1, 12, 0, 0, 0, time.UTC)
	env.SetStartTime(start)
	workflows.Register(env)
	var at []time.Duration
	env.RegisterActivityWithOptions(func(_ context.Context, in activities.TicketInput) (activities.TicketOutput, error) {
		require.Equal(t, "t1", in.Ticket)
		at = append(at, env.Now().Sub(start).Round(time.Second))
		return activities.TicketOutput{Ended: ended(len(at))}, nil
	}, activity.RegisterOptions{Name: activities.NameSyncTicket})
	return env, &at
}

func TestTicketIsLookedAtLessAndLess(t *testing.T) {
	t.Parallel()
	env, at := passes(t, func(pass int) bool { return pass == 5 })
	env.ExecuteWorkflow(deviceops.TicketWorkflow, deviceops.TicketSyncInput{Ticket: "t1"})
	require.NoError(t, env.GetWorkflowError())
	require.Equal(t, []time.Duration{0, 15 * time.Second, 45 * time.Second, 105 * time.Second, 225 * time.Second}, *at)
}

func TestTicketIsLookedAtWhenItChanged(t *testing.T) {
	t.Parallel()
	env, at := passes(t, func(pass int) bool { return pass == 3 })
	env.RegisterDelayedCallback(func() { env.SignalWorkflow(deviceops.TicketNudge, nil) }, 20*time.Second)
	env.ExecuteWorkflow(deviceops.TicketWorkflow, deviceops.TicketSyncInput{Ticket: "t1"})
	require.NoError(t, env.GetWorkflowError())
	require.Equal(t, []time.Duration{0, 15 * time.Second, 20 * time.Second}, *at)
}

func TestTicketGoesOnInANewExecution(t *testing.T) {
	t.Parallel()
	env, at := passes(t, func(int) bool { return false })
	env.ExecuteWorkflow(deviceops.TicketWorkflow, deviceops.TicketSyncInput{Ticket: "t1", Looks: 3})
	var again *workflow.ContinueAsNewError
	require.ErrorAs(t, env.GetWorkflowError(), &again)
	require.Len(t, *at, 3)
}

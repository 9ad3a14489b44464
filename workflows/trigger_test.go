package workflows_test

import (
	"context"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"go.temporal.io/sdk/activity"
	"go.temporal.io/sdk/temporal"
	"go.temporal.io/sdk/testsuite"

	"github.com/deviceops/deviceops"
	"github.com/deviceops/deviceops/activities"
	"github.com/deviceops/deviceops/workflows"
)

// fired gives what the workflow that a timetable starts tells, after some tries
// that fail.
func fired(t *testing.T, planned *time.Time, failures int) (activities.FireInput, time.Duration) {
	var suite testsuite.WorkflowTestSuite
	suite.SetLogger(quiet{})
	env := suite.NewTestWorkflowEnvironment()
	begin := time.Date(2026, 6, 1, 12, 0, 3, 0, time.UTC)
	env.SetStartTime(begin)
	workflows.Register(env)
	if planned != nil {
		require.NoError(t, env.SetTypedSearchAttributesOnStart(temporal.NewSearchAttributes(temporal.NewSearchAttributeKeyTime("TemporalScheduledStartTime").ValueSet(*planned))))
	}
	var told activities.FireInput
	env.RegisterActivityWithOptions(func(_ context.Context, in activities.FireInput) error {
		if failures--; failures >= 0 {
			return activities.Failure(deviceops.Errorf(deviceops.EUNAVAILABLE, "the store is away"))
		}
		told = in
		return nil
	}, activity.RegisterOptions{Name: activities.NameFireSchedule})
	ref := deviceops.AutomationRef{Account: "acme", Name: "nightly"}
	env.ExecuteWorkflow(workflows.TypeTrigger, workflows.TriggerStart(ref).Input)
	require.NoError(t, env.GetWorkflowError())
	require.Equal(t, ref, told.Automation)
	return told, env.Now().Sub(begin)
}

func TestTriggerTellsTheTimeThatWasPlanned(t *testing.T) {
	t.Parallel()
	planned := time.Date(2026, 6, 1, 12, 0, 0, 0, time.UTC)
	told, _ := fired(t, &planned, 0)
	require.Equal(t, planned, told.At.UTC())
	told, took := fired(t, &planned, 5)
	require.Equal(t, planned, told.At.UTC(), "also when the store was away for a time")
	require.Greater(t, took, 30*time.Second)
	told, _ = fired(t, nil, 0)
	require.Equal(t, time.Date(2026, 6, 1, 12, 0, 3, 0, time.UTC), told.At.UTC(), "somebody started it by hand")
}

package workflows_test

import (
	"testing"

	"github.com/stretchr/testify/require"
	"go.temporal.io/sdk/converter"
	"go.temporal.io/sdk/workflow"

	"github.com/deviceops/deviceops"
	"github.com/deviceops/deviceops/activities"
	"github.com/deviceops/deviceops/workflows"
)

const (
	outerYAML = "workflow: outer\nsteps:\n  - run: inner@1\n"
	innerYAML = "workflow: inner\nsteps:\n  - set: { a: 1 }\n"
)

// typesOf executes a run under a type and gives the types of the runs that it
// starts.
func typesOf(t *testing.T, kind string) (types []string) {
	t.Helper()
	w := newWorld(t)
	w.sources["outer"], w.sources["inner"] = outerYAML, innerYAML
	w.SetOnChildWorkflowStartedListener(func(info *workflow.Info, _ workflow.Context, _ converter.EncodedValues) {
		types = append(types, info.WorkflowType.Name)
	})
	in := started(nil)
	in.Run.Workflow = "outer"
	w.ExecuteWorkflow(kind, in)
	require.NoError(t, w.GetWorkflowError())
	return types
}

func TestTheTypeOfARunIsTheNameOfItsDefinition(t *testing.T) {
	t.Parallel()
	require.Equal(t, "outer", workflows.RunStart(deviceops.Run{ID: "r1", Workflow: "outer"}).Type)
	require.Equal(t, []string{"inner"}, typesOf(t, "outer"))
	require.Equal(t, []string{workflows.TypeRun}, typesOf(t, workflows.TypeRun), "histories of earlier runs name this type")
}

func TestWhatNamesNoDefinitionIsRefused(t *testing.T) {
	t.Parallel()
	for name, in := range map[string]any{"Roll": started(nil), "w": "no run"} {
		w := newWorld(t)
		w.ExecuteWorkflow(name, in)
		err := activities.DomainError(w.GetWorkflowError())
		require.Equal(t, deviceops.EINVALID, deviceops.ErrorCode(err))
		require.Equal(t, "this engine has no workflow type "+name, deviceops.ErrorMessage(err))
	}
}

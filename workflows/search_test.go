package workflows_test

import (
	"testing"
	"time"

	"github.com/stretchr/testify/mock"
	"github.com/stretchr/testify/require"
	"go.temporal.io/sdk/converter"
	"go.temporal.io/sdk/temporal"
	"go.temporal.io/sdk/workflow"

	"github.com/deviceops/deviceops"
	"github.com/deviceops/deviceops/workflows"
)

const searchedYAML = `workflow: w
device: k1
steps:
  - wait: 1m
  - { id: one, approve: Go on?, by: [role:operator] }
  - parallel:
      person: [ { id: two, approve: And now?, by: [role:operator] } ]
      event: [ { wait: { event: store.closed, timeout: 1m } } ]
`

// waits executes the run and gives what it said that it waits for.
func waits(t *testing.T, attributes temporal.SearchAttributes) (told []string, err error) {
	t.Helper()
	w := newWorld(t)
	require.NoError(t, w.SetTypedSearchAttributesOnStart(attributes))
	w.OnUpsertTypedSearchAttributes(mock.Anything).Run(func(args mock.Arguments) {
		what, _ := args.Get(0).(temporal.SearchAttributes).GetKeyword(workflows.AttributeWaitingFor)
		told = append(told, what)
	}).Return(nil)
	for at, id := range map[time.Duration]string{2 * time.Minute: "r1/one", 10 * time.Minute: "r1/two/steps.2.0-1"} {
		w.at(at, func() { w.mustDecide(t, deviceops.Decision{Approval: id, Approve: true, By: maria}) })
	}
	w.sources["w"] = searchedYAML
	w.ExecuteWorkflow("w", started(nil))
	return told, w.GetWorkflowError()
}

func TestRunsTellWhatTheyWaitFor(t *testing.T) {
	t.Parallel()
	told, err := waits(t, workflows.RunAttributes(started(nil).Run))
	require.Error(t, err, "nobody closed the store")
	require.Equal(t, []string{"approval", "none", "approval", "none"}, told, "a person before an event")
}

func TestRunsThatAreNotFoundTellNothing(t *testing.T) {
	t.Parallel()
	told, _ := waits(t, temporal.SearchAttributes{})
	require.Empty(t, told, "Temporal would refuse an attribute that is not registered")
}

func TestRunAttributesHoldNoNames(t *testing.T) {
	t.Parallel()
	a := workflows.RunAttributes(deviceops.Run{Account: "acme", Device: "k1", StartedBy: "user:maria"})
	by, _ := a.GetKeyword(workflows.AttributeStartedBy)
	require.Regexp(t, "^[0-9a-f]{16}$", by)
	account, _ := a.GetKeyword(workflows.AttributeAccount)
	device, _ := a.GetKeyword(workflows.AttributeDevice)
	require.Equal(t, "acme k1", account+" "+device)
	require.Equal(t, 1, workflows.RunAttributes(deviceops.Run{Account: "acme"}).Size())
}

func TestRunsThatRunsStartAreFoundToo(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	require.NoError(t, w.SetTypedSearchAttributesOnStart(workflows.RunAttributes(started(nil).Run)))
	w.sources["w"], w.sources["inner"] = "workflow: w\nsteps:\n  - run: inner@1\n", innerYAML
	var by string
	w.SetOnChildWorkflowStartedListener(func(_ *workflow.Info, ctx workflow.Context, _ converter.EncodedValues) {
		by, _ = workflow.GetTypedSearchAttributes(ctx).GetKeyword(workflows.AttributeStartedBy)
	})
	w.ExecuteWorkflow("w", started(nil))
	require.NoError(t, w.GetWorkflowError())
	require.Equal(t, workflows.StarterHash("run:r1"), by)
}

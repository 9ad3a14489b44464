package workflows

import (
	"fmt"
	"strconv"
	"time"

	"go.temporal.io/api/enums/v1"
	"go.temporal.io/sdk/workflow"

	"github.com/deviceops/deviceops"
	"github.com/deviceops/deviceops/dsl"
)

var _ = addVerb("run", verb{try: tryRun})

// tryRun runs another workflow as a child and waits for it. Its output is the
// outputs of that run, its failure that run's failure.
func tryRun(x *execution, ctx workflow.Context, step *dsl.Step, c *call) outcome {
	in, err := x.childInput(ctx, step, c)
	if err != nil {
		return faulty(err)
	}
	limit, err := step.AttemptTimeout.Duration(x.env(ctx))
	if err != nil {
		return faulty(err)
	}
	timeout, over := left(ctx, c.Deadline, limit)
	if over {
		return failed(outOfTime(step))
	}
	x.state.waiting(c.Row, fmt.Sprintf("the run %s of %s", in.Run.ID, in.Run.Workflow))
	x.facts = nil
	if err := x.flush(ctx); err != nil {
		return faulty(err)
	}
	ctx = workflow.WithChildOptions(ctx, workflow.ChildWorkflowOptions{
		WorkflowID:            in.Run.ID,
		TypedSearchAttributes: childAttributes(ctx, in.Run),
		WorkflowIDReusePolicy: enums.WORKFLOW_ID_REUSE_POLICY_REJECT_DUPLICATE,
		ParentClosePolicy:     enums.PARENT_CLOSE_POLICY_REQUEST_CANCEL,
		WaitForCancellation:   true,
	})
	x.relay.children++
	defer func() { x.relay.children-- }()
	var result RunResult
	err, timedOut := within(ctx, timeout, func(ctx workflow.Context) workflow.Future {
		return workflow.ExecuteChildWorkflow(ctx, x.childType(ctx, in.Run), in)
	}, &result)
	x.state.waiting(c.Row, "")
	switch {
	case timedOut && err != nil:
		return failed(&dsl.Failure{Code: deviceops.ETIMEOUT, Message: "the run " + in.Run.ID + " took too long and was canceled", Retryable: true})
	case err != nil:
		return faulty(err)
	}
	return gave(map[string]any(result.Outputs))
}

// childType gives the type of a run that this one starts.
func (x *execution) childType(ctx workflow.Context, r deviceops.Run) string {
	if workflow.GetInfo(ctx).WorkflowType.Name == TypeRun {
		return TypeRun
	}
	return RunType(r)
}

// childInput says what to run. The id follows from run, step and try, so that no
// history can give two.
func (x *execution) childInput(ctx workflow.Context, step *dsl.Step, c *call) (RunInput, error) {
	op := step.Op.(*dsl.Run)
	if x.depth+1 >= maxDepth {
		return RunInput{}, deviceops.Errorf(deviceops.EEXHAUSTED, "runs may start one another %d deep; see that %s does not run itself", maxDepth, op.Workflow)
	}
	inputs, err := op.Inputs.Map(x.env(ctx))
	if err != nil {
		return RunInput{}, err
	}
	device, err := x.device(ctx, step)
	return RunInput{Depth: x.depth + 1, Run: deviceops.Run{
		ID:      effectID(x.run.ID, x.place(step)+"."+strconv.Itoa(c.Round), c.Tries),
		Account: x.run.Account, Workflow: op.Workflow, Version: op.Version, Device: device, Inputs: inputs,
		Status: deviceops.RunRunning, StartedBy: "run:" + x.run.ID, Reason: x.run.Reason, StartedAt: workflow.Now(ctx),
	}}, err
}

// within waits for what begin starts, at most timeout (0: for ever), after which
// it is canceled; timedOut tells that it was. It waits for the end all the same.
func within(ctx workflow.Context, timeout time.Duration, begin func(workflow.Context) workflow.Future, out any) (err error, timedOut bool) {
	inner, cancel := workflow.WithCancel(ctx)
	defer cancel()
	future := begin(inner)
	if timeout > 0 {
		timer, stop := workflow.WithCancel(ctx)
		defer stop()
		workflow.NewSelector(ctx).
			AddFuture(future, func(workflow.Future) {}).
			AddFuture(workflow.NewTimer(timer, timeout), func(f workflow.Future) { timedOut = f.Get(ctx, nil) == nil }).
			Select(ctx)
	}
	if timedOut {
		cancel()
	}
	return future.Get(ctx, out), timedOut
}

package bench

import (
	"fmt"
	"time"

	"go.temporal.io/sdk/temporal"
	"go.temporal.io/sdk/workflow"

	"github.com/deviceops/deviceops/activities"
)

// handInput is what handWritten is started with.
type handInput struct {
	Account string
	Run     string
	Actions int
	Local   bool // call the action as a local activity
}

// handWritten is the yardstick of the interpreter: what benchWorkflow writes in
// YAML, as a Go programmer would write it. Nobody sees its steps, and its
// definition is the binary. One who knows that the action only touches the store,
// and that it is done soon, would call it as a local activity, as the interpreter
// does.
func handWritten(ctx workflow.Context, in handInput) (map[string]any, error) {
	n := 0
	for i := range in.Actions {
		n++
		if n <= i {
			continue
		}
		action := activities.ActionInput{
			Action: "log", Account: in.Account, RunID: in.Run, Step: fmt.Sprintf("act_%d", i), By: "run:" + in.Run,
			Args: map[string]any{"message": fmt.Sprintf("action %d of %d", n, in.Actions)},
		}
		if err := perform(ctx, in.Local, action).Get(ctx, nil); err != nil {
			return nil, err
		}
	}
	return map[string]any{"total": n}, nil
}

func perform(ctx workflow.Context, local bool, in activities.ActionInput) workflow.Future {
	const attempt, all = 30 * time.Second, 2 * time.Minute
	retry := &temporal.RetryPolicy{InitialInterval: 500 * time.Millisecond, BackoffCoefficient: 1.5, MaximumInterval: 15 * time.Second}
	if local {
		ctx = workflow.WithLocalActivityOptions(ctx, workflow.LocalActivityOptions{StartToCloseTimeout: attempt, ScheduleToCloseTimeout: all, RetryPolicy: retry})
		return workflow.ExecuteLocalActivity(ctx, activities.NameAction, in)
	}
	ctx = workflow.WithActivityOptions(ctx, workflow.ActivityOptions{StartToCloseTimeout: attempt, ScheduleToCloseTimeout: all, RetryPolicy: retry})
	return workflow.ExecuteActivity(ctx, activities.NameAction, in)
}

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
}

// handWritten is the yardstick of the interpreter: what benchWorkflow writes in
// YAML, as a Go programmer would write it who knows that the action only touches
// the store: as a local activity. Nobody sees its steps, and its definition is the
// binary.
func handWritten(ctx workflow.Context, in handInput) (map[string]any, error) {
	ctx = workflow.WithLocalActivityOptions(ctx, workflow.LocalActivityOptions{
		StartToCloseTimeout:    30 * time.Second,
		ScheduleToCloseTimeout: 2 * time.Minute,
		RetryPolicy:            &temporal.RetryPolicy{InitialInterval: 500 * time.Millisecond, BackoffCoefficient: 1.5, MaximumInterval: 15 * time.Second},
	})
	n := 0
	for i := range in.Actions {
		n++
		if n <= i {
			continue
		}
		err := workflow.ExecuteLocalActivity(ctx, activities.NameAction, activities.ActionInput{
			Action: "log", Account: in.Account, RunID: in.Run, Step: fmt.Sprintf("act_%d", i), By: "run:" + in.Run,
			Args: map[string]any{"message": fmt.Sprintf("action %d of %d", n, in.Actions)},
		}).Get(ctx, nil)
		if err != nil {
			return nil, err
		}
	}
	return map[string]any{"total": n}, nil
}

package workflows

import (
	"fmt"

	"go.temporal.io/sdk/workflow"

	"github.com/deviceops/deviceops"
	"github.com/deviceops/deviceops/activities"
	"github.com/deviceops/deviceops/dsl"
)

// again decides whether a failed step is tried again, and waits until then. A
// condition that cannot be evaluated is the step's failure, since it says what
// the author has to correct.
func (x *execution) again(ctx workflow.Context, step *dsl.Step, s *settlement) bool {
	r := step.Retry
	if r == nil || s.Call.Tries > r.Times || s.Call.Delivery != nil && s.Call.Delivery.Final {
		return false
	}
	wanted, err := x.retryWanted(ctx, r, s.Error)
	if err != nil {
		s.Error = failureOf(err)
		return false
	}
	delay := max(r.Delay(s.Call.Tries), activities.RetryAfter(s.Error))
	remaining, over := left(ctx, s.Call.Deadline, 0)
	if !wanted || over || !s.Call.Deadline.IsZero() && delay >= remaining {
		return false
	}
	x.state.waiting(s.Call.Row, fmt.Sprintf("try %d of %d, after %s (%s)", s.Call.Tries+1, r.Times+1, s.Error.Message, s.Error.Code))
	if workflow.Sleep(ctx, delay) != nil {
		return false // canceled
	}
	x.facts = nil
	x.state.waiting(s.Call.Row, "")
	return true
}

func (x *execution) retryWanted(ctx workflow.Context, r *dsl.Retry, failure *dsl.Failure) (bool, error) {
	if failure.Code == deviceops.ECANCELED {
		return false, nil
	}
	if r.If == nil {
		return failure.Retryable, nil
	}
	env := x.env(ctx)
	env.Error = failure
	return r.If.Bool(env)
}

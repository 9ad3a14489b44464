package workflows

import (
	"fmt"
	"time"

	"go.temporal.io/sdk/workflow"

	"github.com/deviceops/deviceops"
	"github.com/deviceops/deviceops/activities"
	"github.com/deviceops/deviceops/dsl"
)

// again decides whether a step is tried again, because it failed or because its
// until is not true yet, and waits until then. A condition that cannot be
// evaluated is the step's failure, since it says what the author has to correct.
func (x *execution) again(ctx workflow.Context, step *dsl.Step, s *settlement) verdict {
	if s.Again.IsZero() && !x.plan(ctx, step, s) {
		return no
	}
	stopped, err := x.pause(ctx, s.Again)
	if err == nil && !stopped {
		stopped, err = x.hold(ctx)
	}
	switch {
	case err != nil:
		return no // canceled
	case stopped:
		return parked
	}
	x.facts = nil
	x.state.waiting(s.Call.Row, "")
	if s.Error == nil { // another round of until, which has an effect of its own
		s.Call.Round, s.Call.Before, s.Call.Delivery = x.at.Rounds[step.ID], s.Call.Tries, nil
		x.at.Rounds[step.ID]++
	}
	return yes
}

// plan sets when the next try begins. It reports whether there is one.
func (x *execution) plan(ctx workflow.Context, step *dsl.Step, s *settlement) bool {
	if s.Error == nil {
		return x.planRound(ctx, step, s)
	}
	r := step.Retry
	tries := s.Call.Tries - s.Call.Before
	if r == nil || tries > r.Times || s.Call.Delivery != nil && s.Call.Delivery.Final {
		return false
	}
	wanted, err := x.retryWanted(ctx, r, s.Error)
	if err != nil {
		s.Error = failureOf(err)
		return false
	}
	delay := max(r.Delay(tries), activities.RetryAfter(s.Error))
	if !wanted || !roomFor(ctx, s.Call.Deadline, delay) {
		return false
	}
	s.Again = workflow.Now(ctx).Add(delay)
	x.state.waiting(s.Call.Row, fmt.Sprintf("try %d of %d, after %s (%s)", tries+1, r.Times+1, s.Error.Message, s.Error.Code))
	return true
}

// planRound sets when the step is repeated because its until is not true.
func (x *execution) planRound(ctx workflow.Context, step *dsl.Step, s *settlement) bool {
	if step.Until == nil {
		return false
	}
	env := x.env(ctx)
	env.Locals = with(env.Locals, "output", s.Output.value)
	done, err := step.Until.Bool(env)
	switch {
	case err != nil:
		s.Error = failureOf(err)
		return false
	case done:
		return false
	case !roomFor(ctx, s.Call.Deadline, step.Every):
		s.Error = &dsl.Failure{Code: deviceops.ETIMEOUT, Message: "`" + step.Until.Source + "` did not become true in time", Data: map[string]any{"output": s.Output.value}}
		return false
	}
	s.Again = workflow.Now(ctx).Add(step.Every)
	x.state.waiting(s.Call.Row, "the next look at "+s.Again.UTC().Format(time.RFC3339)+", until "+step.Until.Source)
	return true
}

// roomFor reports whether a pause ends before a deadline.
func roomFor(ctx workflow.Context, deadline time.Time, pause time.Duration) bool {
	remaining, over := left(ctx, deadline, 0)
	return !over && (deadline.IsZero() || pause < remaining)
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

package workflows

import (
	"go.temporal.io/sdk/workflow"

	"github.com/deviceops/deviceops"
	"github.com/deviceops/deviceops/dsl"
)

var _ = addVerb("while", verb{try: tryWhile})

// tryWhile enters the first round, if there is one.
func tryWhile(x *execution, ctx workflow.Context, step *dsl.Step, _ *call) outcome {
	more, err := x.another(ctx, step.Op.(*dsl.While), 0)
	switch {
	case err != nil:
		return faulty(err)
	case !more:
		return gave(iterations(0))
	}
	o := entering(step.Op.(*dsl.While).Body)
	o.enter.Rounds = 1
	return o
}

// iterate begins the next round of the loop that the top frame is a round of, or
// ends the loop.
func (x *execution) iterate(ctx workflow.Context, f *frame) {
	step, _ := x.program.Step(f.Owner.Step)
	op := step.Op.(*dsl.While)
	err := x.refresh(ctx)
	more := false
	if _, over := left(ctx, f.Deadline, 0); err == nil && over {
		x.leave(ctx, exit{Error: outOfTime(step)})
		return
	}
	if err == nil {
		more, err = x.another(ctx, op, f.Rounds)
	}
	switch {
	case err != nil:
		x.leave(ctx, exit{Error: failureOf(err)})
	case more:
		f.Rounds++
		f.Next = 0
	default:
		x.at.Settling = &settlement{Call: *f.Owner, Output: datum{iterations(f.Rounds)}}
		x.at.pop()
	}
}

// another asks whether there is one more round after so many.
func (x *execution) another(ctx workflow.Context, op *dsl.While, rounds int) (bool, error) {
	env := x.env(ctx)
	env.Locals = with(env.Locals, "index", int64(rounds))
	more, err := op.If.Bool(env)
	if err == nil && more && rounds >= op.Max {
		err = deviceops.Errorf(deviceops.EEXHAUSTED, "the loop has run %d times, which is its max_iterations", rounds)
	}
	return more, err
}

func iterations(n int) map[string]any { return map[string]any{"iterations": int64(n)} }

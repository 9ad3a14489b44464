package workflows

import (
	"time"

	"go.temporal.io/sdk/workflow"

	"github.com/deviceops/deviceops"
	"github.com/deviceops/deviceops/dsl"
)

var _ = addVerb("wait", verb{try: tryWait})

// tryWait pauses the run. A pause that would end after the deadline of what is
// around it fails there.
func tryWait(x *execution, ctx workflow.Context, step *dsl.Step, c *call) outcome {
	op := step.Op.(*dsl.Wait)
	pause, err := op.For.Duration(x.env(ctx))
	if err != nil {
		return faulty(err)
	}
	until := workflow.Now(ctx).Add(pause)
	x.state.waiting(c.Row, until.UTC().Format(time.RFC3339))
	x.facts = nil
	if err := x.flush(ctx); err != nil {
		return faulty(err)
	}
	until = earliest(until, c.Deadline)
	if err := workflow.Sleep(ctx, until.Sub(workflow.Now(ctx))); err != nil {
		return faulty(err)
	}
	x.state.waiting(c.Row, "")
	if !c.Deadline.IsZero() && !workflow.Now(ctx).Before(c.Deadline) {
		return failed(outOfTime(step))
	}
	return gave(nil)
}

// outOfTime is the failure of a step whose time, or that of what is around it,
// has run out. Trying again does not help.
func outOfTime(step *dsl.Step) *dsl.Failure {
	return &dsl.Failure{Code: deviceops.ETIMEOUT, Message: "the time for step " + step.ID + " ran out"}
}

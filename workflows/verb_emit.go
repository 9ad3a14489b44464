package workflows

import (
	"go.temporal.io/sdk/workflow"

	"github.com/deviceops/deviceops/activities"
	"github.com/deviceops/deviceops/dsl"
)

var _ = addVerb("emit", verb{try: tryEmit})

// tryEmit stores an event. Its id follows from the step, so that repeating the
// activity stores it once.
func tryEmit(x *execution, ctx workflow.Context, step *dsl.Step, c *call) outcome {
	op := step.Op.(*dsl.Emit)
	data, err := op.Data.Map(x.env(ctx))
	if err != nil {
		return faulty(err)
	}
	device, err := x.device(ctx, step)
	if err != nil {
		return faulty(err)
	}
	x.state.row(c.Row).Input = map[string]any{"event": op.Type, "device": device, "with": data}
	err = local(ctx, activities.NameEmitEvent, activities.EmitInput{
		ID: effectID(x.run.ID, x.place(step), c.Round), Account: x.run.Account, Device: device,
		Type: op.Type, Severity: op.Severity, Data: data, At: workflow.Now(ctx),
	}, nil)
	if err != nil {
		return faulty(err)
	}
	return gave(nil)
}

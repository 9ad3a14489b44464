package workflows

import (
	"go.temporal.io/sdk/workflow"

	"github.com/deviceops/deviceops/dsl"
)

var _ = addVerb("switch", verb{try: trySwitch})

// trySwitch enters the block of the first case that applies.
func trySwitch(x *execution, ctx workflow.Context, step *dsl.Step, _ *call) outcome {
	op := step.Op.(*dsl.Switch)
	env := x.env(ctx)
	for _, c := range op.Cases {
		applies, err := c.If.Bool(env)
		switch {
		case err != nil:
			return faulty(err)
		case applies:
			return entering(c.Block)
		}
	}
	if op.Default == nil {
		return gave(nil)
	}
	return entering(op.Default)
}

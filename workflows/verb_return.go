package workflows

import (
	"go.temporal.io/sdk/workflow"

	"github.com/deviceops/deviceops"
	"github.com/deviceops/deviceops/dsl"
)

var _ = addVerb("return", verb{try: tryReturn})

// tryReturn ends the run. A value that is no map is given as the output value.
func tryReturn(x *execution, ctx workflow.Context, step *dsl.Step, _ *call) outcome {
	op := step.Op.(*dsl.Return)
	env := x.env(ctx)
	if op.Value == nil {
		outputs, err := x.program.EvalOutputs(env)
		return x.ends(ctx, outputs, err)
	}
	value, err := op.Value.Eval(env)
	outputs, ok := value.(map[string]any)
	if !ok && value != nil {
		outputs = map[string]any{"value": value}
	}
	return x.ends(ctx, outputs, err)
}

// ends gives the outcome of a step that ends the run with outputs.
func (x *execution) ends(ctx workflow.Context, outputs map[string]any, err error) outcome {
	if err == nil {
		outputs, err = x.keep(ctx, outputs)
	}
	if err != nil {
		return faulty(err)
	}
	return outcome{end: &ending{Status: deviceops.RunSucceeded, Outputs: outputs}}
}

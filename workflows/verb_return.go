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
		if err != nil {
			return faulty(err)
		}
		return outcome{end: &ending{Status: deviceops.RunSucceeded, Outputs: outputs}}
	}
	value, err := op.Value.Eval(env)
	if err != nil {
		return faulty(err)
	}
	outputs, ok := value.(map[string]any)
	if !ok && value != nil {
		outputs = map[string]any{"value": value}
	}
	return outcome{end: &ending{Status: deviceops.RunSucceeded, Outputs: outputs}}
}

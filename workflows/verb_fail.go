package workflows

import (
	"go.temporal.io/sdk/workflow"

	"github.com/deviceops/deviceops/dsl"
)

var _ = addVerb("fail", verb{try: tryFail})

func tryFail(x *execution, ctx workflow.Context, step *dsl.Step, _ *call) outcome {
	value, err := step.Op.(*dsl.Fail).Error.Eval(x.env(ctx))
	if err != nil {
		return faulty(err)
	}
	failure := dsl.FailureOf(value)
	return failed(&failure)
}

package workflows

import (
	"go.temporal.io/sdk/workflow"

	"github.com/deviceops/deviceops/dsl"
)

var _ = addVerb("try", verb{try: tryTry})

// tryTry enters the body. What a failure in it leads to is decided where all
// failures are: in execution.leave.
func tryTry(_ *execution, _ workflow.Context, step *dsl.Step, _ *call) outcome {
	return entering(step.Op.(*dsl.Try).Body)
}

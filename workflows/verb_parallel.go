package workflows

import (
	"go.temporal.io/sdk/workflow"

	"github.com/deviceops/deviceops/dsl"
)

var _ = addVerb("parallel", verb{try: tryParallel})

// tryParallel forks the branches. What becomes of them is decided in
// execution.join.
func tryParallel(_ *execution, _ workflow.Context, step *dsl.Step, _ *call) outcome {
	n := len(step.Op.(*dsl.Parallel).Branches)
	return outcome{enter: &frame{Fork: &fork{Results: make([]datum, n)}}}
}

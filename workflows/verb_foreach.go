package workflows

import (
	"go.temporal.io/sdk/workflow"

	"github.com/deviceops/deviceops"
	"github.com/deviceops/deviceops/dsl"
)

var _ = addVerb("foreach", verb{try: tryForeach})

// tryForeach forks a branch for each item. What becomes of them is decided in
// execution.join.
func tryForeach(x *execution, ctx workflow.Context, step *dsl.Step, _ *call) outcome {
	items, err := step.Op.(*dsl.Foreach).Items.List(x.env(ctx))
	switch {
	case err != nil:
		return faulty(err)
	case len(items) > dsl.MaxItems:
		return faulty(deviceops.Errorf(deviceops.EEXHAUSTED, "there are %d items; a foreach may have %d", len(items), dsl.MaxItems))
	}
	f := &fork{Results: make([]datum, len(items))}
	for _, item := range items {
		f.Items = append(f.Items, datum{item})
	}
	return outcome{enter: &frame{Fork: f}}
}

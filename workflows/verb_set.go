package workflows

import (
	"go.temporal.io/sdk/workflow"

	"github.com/deviceops/deviceops/dsl"
)

var _ = addVerb("set", verb{try: trySet})

// trySet assigns in order; each value sees the ones before it. When one cannot
// be evaluated none is assigned.
func trySet(x *execution, ctx workflow.Context, step *dsl.Step, _ *call) outcome {
	op := step.Op.(*dsl.Set)
	env := x.env(ctx)
	env.Vars = with(env.Vars, "", nil)
	delete(env.Vars, "")
	for _, a := range op.Vars {
		v, err := a.Value.Eval(env)
		if err != nil {
			return faulty(err)
		}
		env.Vars[a.Name] = v
	}
	x.state.Vars = env.Vars
	return gave(nil)
}

package workflows

import (
	"slices"

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
	x.state.assigned(op)
	return gave(nil)
}

// assigned notes which variables were set.
func (s *state) assigned(op *dsl.Set) {
	if s.Engine < 2 {
		return
	}
	for _, a := range op.Vars {
		if !slices.Contains(s.Assigned, a.Name) {
			s.Assigned = append(s.Assigned, a.Name)
		}
	}
}

// takeAssigned gives the variables that were set since it was called last; nil:
// none was.
func (s *state) takeAssigned() map[string]any {
	if len(s.Assigned) == 0 {
		return nil
	}
	vars := make(map[string]any, len(s.Assigned))
	for _, name := range s.Assigned {
		vars[name] = s.Vars[name]
	}
	s.Assigned = nil
	return vars
}

package workflows

import (
	"strconv"

	"go.temporal.io/sdk/workflow"

	"github.com/deviceops/deviceops/dsl"
)

// env gives what expressions see now.
func (x *execution) env(ctx workflow.Context) dsl.Env {
	return dsl.Env{
		Inputs: x.state.Inputs, Steps: x.results(), Vars: x.state.Vars, Error: x.caught(), Device: x.facts, Locals: x.locals(),
		Run: dsl.RunInfo{
			ID: x.run.ID, Workflow: x.run.Workflow, Version: x.run.Version, StartedBy: x.run.StartedBy, Now: workflow.Now(ctx),
		},
	}
}

// results gives the results of steps that expressions see here: those of this
// branch before those of the branches around it.
func (x *execution) results() map[string]dsl.StepResult {
	seen := x.at.Results
	if x.parent != nil {
		seen = overlay(x.parent.results(), seen)
	}
	for i := range x.at.Frames {
		if u := x.at.Frames[i].Undoing; u != nil {
			seen = overlay(seen, u.Results)
		}
	}
	return seen
}

// overlay gives the entries of both, of upper where they have the same name.
//
//workflowcheck:ignore the order in which a map is copied does not matter
func overlay[V any](lower, upper map[string]V) map[string]V {
	out := make(map[string]V, len(lower)+len(upper))
	for k, v := range lower {
		out[k] = v
	}
	for k, v := range upper {
		out[k] = v
	}
	return out
}

// caught gives the error that expressions see, which may be that of a catch
// around the branch.
func (x *execution) caught() *dsl.Failure {
	for ; x != nil; x = x.parent {
		if e := x.at.caught(); e != nil {
			return e
		}
	}
	return nil
}

// locals gives the variables of the loops around the present step, the inner
// ones before the outer ones; nil where there are none.
func (x *execution) locals() map[string]any {
	var seen map[string]any
	if x.parent != nil {
		seen = x.parent.locals()
	}
	if len(x.at.Locals) > 0 {
		seen = overlay(seen, x.at.Locals)
	}
	for i := range x.at.Frames {
		f := &x.at.Frames[i]
		if f.Rounds > 0 {
			seen = with(seen, "index", int64(f.Rounds-1))
		}
		if f.Undoing != nil {
			seen = overlay(seen, f.Undoing.Locals)
		}
	}
	return seen
}

// place names a step in this branch, for the ids of its effects.
func (x *execution) place(step *dsl.Step) string { return x.at.place(step.Path) }

func (b *branch) place(path string) string {
	if b.Key == "" {
		return path
	}
	return b.Key + "." + plainPath(path)
}

// childKey names a branch that a step of this one forks.
func (b *branch) childKey(path string, round, index int) string {
	return plainPath(b.place(path)) + "." + strconv.Itoa(round) + "-" + strconv.Itoa(index)
}

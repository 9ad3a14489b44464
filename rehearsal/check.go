package rehearsal

import (
	"fmt"
	"maps"
	"slices"
	"strings"

	"github.com/deviceops/deviceops/dsl"
)

func reference(name string, version int) string {
	if version == 0 {
		return name
	}
	return fmt.Sprintf("%s@%d", name, version)
}

// vocabulary is what the runs of a subject can name.
type vocabulary struct {
	steps   map[string]bool // ids of steps, as written
	asking  map[string]bool // ids of steps that ask people
	callees map[string]bool // commands, actions and workflows
	actions map[string]bool // all that there are
}

// vocabulary collects the names of all workflows that a subject may run.
func (s *Suite) vocabulary(about subject) vocabulary {
	v := vocabulary{steps: map[string]bool{}, asking: map[string]bool{}, callees: map[string]bool{}, actions: s.actions}
	seen := map[*definition]bool{}
	var visit func(d *definition)
	visit = func(d *definition) {
		if d == nil || seen[d] {
			return
		}
		seen[d] = true
		for _, step := range d.AllSteps() {
			v.steps[step.ID] = true
			switch op := step.Op.(type) {
			case *dsl.Approve:
				v.asking[step.ID] = true
			case *dsl.Command:
				v.callees[op.Name] = true
			case *dsl.Action:
				v.callees[op.Name] = true
			case *dsl.Run:
				v.callees[op.Workflow] = true
				visit(s.workflow(op.Workflow, op.Version))
			}
		}
	}
	visit(about.workflow)
	for _, a := range about.automations {
		visit(s.workflow(a.Workflow, a.WorkflowVersion))
	}
	return v
}

// checkCases reports steps, calls and people that cannot come up.
func (s *Suite) checkCases(t *dsl.Test, about subject) dsl.Diagnostics {
	v := s.vocabulary(about)
	var found dsl.Diagnostics
	for _, c := range t.Cases {
		for _, a := range c.Answers {
			if !v.asking[a.Step] {
				found = append(found, unknown(a.StepAt, "step with approve", a.Step, v.asking))
			}
		}
		for _, name := range slices.Sorted(maps.Keys(c.Mocks)) {
			if !v.callees[name] {
				found = append(found, unknown(c.Mocks[name].Place, "command, action or workflow", name, v.callees))
			}
		}
		for _, e := range c.Expect {
			found = append(found, v.checkExpectation(e)...)
		}
		found = append(found, checkOpening(c, about)...)
	}
	return distinct(found)
}

func (v vocabulary) checkExpectation(e dsl.Expectation) dsl.Diagnostics {
	switch e.Kind {
	case dsl.ExpectRan:
		for _, step := range e.Want.([]string) {
			if !v.steps[step] {
				return dsl.Diagnostics{unknown(e.Place, "step", step, v.steps)}
			}
		}
	case dsl.ExpectSteps:
		if !v.steps[e.Name] {
			return dsl.Diagnostics{unknown(e.Place, "step", e.Name, v.steps)}
		}
	case dsl.ExpectCalls:
		if !v.callees[e.Name] && !v.actions[e.Name] {
			return dsl.Diagnostics{unknown(e.Place, "command, action or workflow", e.Name, v.callees)}
		}
	}
	return nil
}

// checkOpening reports a case that starts nothing.
func checkOpening(c dsl.TestCase, about subject) dsl.Diagnostics {
	switch {
	case about.workflow == nil && c.Inputs != nil:
		return dsl.Diagnostics{c.Diagnostic("no-meaning", "write events:, or make it a test of the workflow: add workflow: NAME to the test",
			"this test is about automations, which take their inputs from events")}
	case about.workflow == nil && len(c.Events) == 0:
		return dsl.Diagnostics{c.Diagnostic("missing-key", "add events:", "nothing happens in this case")}
	}
	return nil
}

func unknown(at dsl.Place, what, name string, known map[string]bool) dsl.Diagnostic {
	names := slices.Sorted(maps.Keys(known))
	fix := "there is none at all"
	if len(names) > 0 {
		fix = "use one of " + strings.Join(names, ", ")
	}
	return at.Diagnostic("unknown-name", fix, "what is tested has no %s %q%s", what, name, dsl.DidYouMean(name, names))
}

// distinct drops what is said of one place twice: shared mocks belong to every
// case.
func distinct(found dsl.Diagnostics) dsl.Diagnostics {
	seen := map[string]bool{}
	return slices.DeleteFunc(found, func(d dsl.Diagnostic) bool {
		key := d.String()
		twice := seen[key]
		seen[key] = true
		return twice
	})
}

package dsl

import (
	"strings"

	"github.com/expr-lang/expr/types"
)

// scope is what an expression may use at its place in a document.
type scope struct {
	env   types.Map // roots and their types, without steps and vars
	steps map[string]stepInfo
	vars  map[string]bool
	later map[string]hidden // steps that have no result at this place
	used  *Uses             // collects what expressions need
	reads map[string]bool   // collects what expressions name: "vars.x", "steps.x"

	// notices says that an operand that is missing ends the evaluation, as in
	// conditions: it is compared with nothing.
	notices bool
}

// hidden says why a step has no result at a place. The zero value says that it
// has not run yet.
type hidden struct{ why, fix string }

// Reasons why a step is hidden.
var (
	notYet   = hidden{"has not run yet at this point", "move this step behind it, or use a step that runs before"}
	beside   = hidden{"is in another branch, which may run at any time or not at all", "use it after the branches have come together"}
	perItem  = hidden{"runs once for each item", "read steps.ID.output.results of the foreach"}
	forUndo  = hidden{"is part of an undo, which runs only after a failure", "use a step that runs before"}
	forClean = hidden{"runs after everything else", "use a step that runs before"}
)

// stepInfo is what is known of a step that runs before.
type stepInfo struct {
	output  types.Type
	missing string // why the step may have no result, as the end of a sentence; "" if it always has one
	number  int    // how many steps had been read when it was
}

func newScope(env types.Map) *scope {
	return &scope{env: env, steps: map[string]stepInfo{}, vars: map[string]bool{}, later: map[string]hidden{}, used: &Uses{}, reads: map[string]bool{}}
}

// with gives a scope that has another root besides; the two share their steps.
func (s *scope) with(name string, t types.Type) *scope {
	env := make(types.Map, len(s.env)+1)
	for k, v := range s.env {
		env[k] = v
	}
	env[name] = t
	inner := *s
	inner.env = env
	return &inner
}

// without gives a scope that lacks a root; the two share their steps.
func (s *scope) without(name string) *scope {
	inner := s.with(name, nil)
	delete(inner.env, name)
	return inner
}

// isWorkflow reports whether steps and variables exist in this scope.
func (s *scope) isWorkflow() bool { return s.env["run"] != nil && s.env["inputs"] != nil }

func (s *scope) has(root string) bool {
	return s.env[root] != nil || s.isWorkflow() && (root == "steps" || root == "vars")
}

func (s *scope) roots() []string {
	roots := sortedKeys(s.env)
	if s.isWorkflow() {
		roots = append(roots, "steps", "vars")
	}
	return roots
}

// members gives the names that a root has; nil when they are not known.
func (s *scope) members(root string) []string {
	switch {
	case root == "steps" && s.isWorkflow():
		return sortedKeys(s.steps)
	case root == "vars" && s.isWorkflow():
		return sortedKeys(s.vars)
	}
	fields, ok := s.env[root].(types.Map)
	if !ok || fields[types.Extra] != nil {
		return nil
	}
	return sortedKeys(fields)
}

// knows reports whether a root has a member, or whether that cannot be told.
func (s *scope) knows(root, name string) bool {
	switch {
	case root == "steps" && s.isWorkflow():
		_, ok := s.steps[name]
		return ok
	case root == "vars" && s.isWorkflow():
		return s.vars[name]
	}
	fields, ok := s.env[root].(types.Map)
	return !ok || fields[types.Extra] != nil || fields[name] != nil
}

// environment gives the types of all that an expression may use. Of steps and
// variables it holds only those used, since there may be hundreds, and an
// environment is made for every expression.
func (s *scope) environment(used map[string]bool) types.Map {
	env := types.Map{budgetName: types.Any}
	for name, t := range s.env {
		env[name] = t
	}
	if !s.isWorkflow() {
		return env
	}
	steps, vars := types.Map{}, types.Map{}
	for name := range used {
		root, member, _ := strings.Cut(name, ".")
		if info, ok := s.steps[member]; ok && root == "steps" {
			steps[member] = info.resultType()
		}
		if root == "vars" && s.vars[member] {
			vars[member] = types.Any
		}
	}
	env["steps"], env["vars"] = steps, vars
	return env
}

// resultType is the type of steps.ID. A step that may be missing has none, since
// a typed operand must not turn out to be nil.
func (i stepInfo) resultType() types.Type {
	if i.missing != "" {
		return types.Any
	}
	return types.Map{"output": i.output, "status": types.String, "error": types.Any, "attempts": types.Int64}
}

// Types of the roots that every workflow has.
var (
	runType = types.Map{
		"id": types.String, "workflow": types.String, "version": types.Int64, "started_by": types.String,
		"now": types.TypeOf(zeroTime),
	}
	errorType = types.Map{
		"code": types.String, "message": types.String, "retryable": types.Bool, "step": types.String, "data": openMap,
	}
	eventType = types.Map{
		"id": types.Int64, "type": types.String, "device": types.String, "severity": types.String, "at": types.String, "data": openMap,
	}
)

// exprType gives the type that expressions see of a declared type.
func (t Type) exprType() types.Type {
	switch t.Kind {
	case TypeString, TypeDevice, TypeDuration:
		return types.String
	case TypeNumber:
		return types.Float64
	case TypeInteger:
		return types.Int64
	case TypeBoolean:
		return types.Bool
	case TypeMap:
		return openMap
	case TypeList:
		return types.Array(types.Any)
	case TypeEnum:
		if allText(t.Enum) {
			return types.String
		}
	}
	return types.Any
}

func allText(values []any) bool {
	for _, v := range values {
		if _, ok := v.(string); !ok {
			return false
		}
	}
	return true
}

package dsl

import (
	"fmt"
	"strings"

	"github.com/expr-lang/expr/ast"
)

func sprintf(format string, args ...any) string { return fmt.Sprintf(format, args...) }

// linter finds what is wrong with an expression besides syntax and types: names
// that do not exist, functions that are not deterministic, steps that may be
// missing.
type linter struct {
	scope    *scope
	problems []problem
	names    []string        // variables declared by let
	used     map[string]bool // steps and variables that the expression names: "steps.x"
	device   bool            // the expression reads the device
}

func (l *linter) report(n ast.Node, code, fix, format string, args ...any) {
	at := n.Location()
	l.problems = append(l.problems, problem{at.From, max(at.To, at.From+1), code, sprintf(format, args...), fix})
}

// walk visits n and what is below it; depth counts predicates around it.
func (l *linter) walk(n ast.Node, depth int) {
	switch n := n.(type) {
	case *ast.IdentifierNode:
		l.identifier(n)
		l.whole(n)
	case *ast.MemberNode:
		l.member(n, depth)
	case *ast.ChainNode:
		l.walk(n.Node, depth)
	case *ast.CallNode:
		l.call(n, depth)
	case *ast.BuiltinNode:
		l.builtin(n, depth)
	case *ast.PredicateNode:
		if depth == maxPredicates {
			l.report(n, "expression-nesting", "move the inner part into a set step", "predicates may be nested %d deep", maxPredicates)
			return
		}
		l.walk(n.Node, depth+1)
	case *ast.VariableDeclaratorNode:
		l.walk(n.Value, depth)
		l.names = append(l.names, n.Name)
		l.walk(n.Expr, depth)
		l.names = l.names[:len(l.names)-1]
	default:
		l.children(n, depth)
	}
}

func (l *linter) children(n ast.Node, depth int) {
	switch n := n.(type) {
	case *ast.UnaryNode:
		l.walk(n.Node, depth)
	case *ast.BinaryNode:
		l.walkAll(depth, n.Left, n.Right)
	case *ast.ConditionalNode:
		l.walkAll(depth, n.Cond, n.Exp1, n.Exp2)
	case *ast.SliceNode:
		l.walkAll(depth, n.Node, n.From, n.To)
	case *ast.SequenceNode:
		l.walkAll(depth, n.Nodes...)
	case *ast.ArrayNode:
		l.walkAll(depth, n.Nodes...)
	case *ast.MapNode:
		l.walkAll(depth, n.Pairs...)
	case *ast.PairNode:
		l.walkAll(depth, n.Key, n.Value)
	}
}

func (l *linter) walkAll(depth int, nodes ...ast.Node) {
	for _, n := range nodes {
		if n != nil {
			l.walk(n, depth)
		}
	}
}

func (l *linter) declared(name string) bool {
	for _, known := range l.names {
		if known == name {
			return true
		}
	}
	return false
}

// identifier checks a name that stands alone.
func (l *linter) identifier(n *ast.IdentifierNode) {
	switch {
	case l.declared(n.Value):
	case n.Value == "device" && l.scope.has("device"):
		l.scope.used.Device, l.device = true, true
	case strings.HasPrefix(n.Value, "__"), n.Value == "$env":
		l.report(n, "unknown-name", "", "%s is not available in expressions", n.Value)
	case !l.scope.has(n.Value):
		l.unknownName(n)
	}
}

// whole notes that an expression may read all inputs: it names none of them, as
// in toJSON(inputs).
func (l *linter) whole(n *ast.IdentifierNode) {
	if n.Value != "inputs" || l.declared(n.Value) {
		return
	}
	for _, name := range l.scope.members("inputs") {
		l.used["inputs."+name] = true
	}
}

func (l *linter) unknownName(n *ast.IdentifierNode) {
	for _, group := range []string{"inputs", "vars", "steps", "run"} {
		for _, name := range l.scope.members(group) {
			if name == n.Value {
				l.report(n, "unknown-name", "write "+group+"."+name, "there is no %q; there is %s.%s", n.Value, group, name)
				return
			}
		}
	}
	if l.rolloutName(n) {
		return
	}
	if n.Value == "device" {
		l.report(n, "unknown-name", "add device: ${{ inputs.device }} to the workflow", "it is not said whose facts these are")
		return
	}
	if n.Value == "error" {
		l.report(n, "unknown-name", "use it in a catch block or in retry.if", "there is no error here")
		return
	}
	if n.Value == "secret" || n.Value == "secrets" {
		l.report(n, "secret-place", "give the reference itself, such as secret:ticketing/api-token, to a field that takes secrets", "secrets cannot be reached from expressions")
		return
	}
	known := l.scope.roots()
	l.report(n, "unknown-name", orElse(fixWrite("", closest(n.Value, known)), "use "+strings.Join(known, ", ")+"; a text needs quotes"),
		"there is no %q%s", n.Value, didYouMean(n.Value, known))
}

// rolloutName reports names that exist in another condition of a rollout.
func (l *linter) rolloutName(n *ast.IdentifierNode) bool {
	switch {
	case n.Value == "device" && l.scope.has("rollout"):
		l.report(n, "unknown-name", "put it into ready: or health:, and count here what comes of it", "a gate sees counts of ring and rollout, and no devices")
	case n.Value == "release" && l.scope.has("device") && !l.scope.isWorkflow():
		l.report(n, "unknown-name", "write the version itself, in quotes", "release is known only in the health of a rollout of a release")
	default:
		return false
	}
	return true
}

func fixWrite(prefix, name string) string {
	if name == "" {
		return ""
	}
	return "write " + prefix + name
}

func orElse(s, other string) string {
	if s != "" {
		return s
	}
	return other
}

// member checks x.y: the names that the document declares, and steps that may
// be missing.
func (l *linter) member(n *ast.MemberNode, depth int) {
	if _, constant := n.Property.(*ast.StringNode); !constant {
		l.walk(n.Property, depth)
	}
	if root, ok := n.Node.(*ast.IdentifierNode); ok && !l.declared(root.Value) && l.scope.has(root.Value) {
		l.identifier(root)
		l.rootMember(root, n)
		return
	}
	l.stepField(n)
	l.walk(n.Node, depth)
}

// rootMember checks inputs.x, steps.x, vars.x, run.x and error.x.
func (l *linter) rootMember(root *ast.IdentifierNode, n *ast.MemberNode) {
	property, ok := n.Property.(*ast.StringNode)
	if !ok {
		l.whole(root)
		if root.Value == "steps" {
			l.report(n, "unknown-name", "name the step, as in steps.reboot", "a step must be named, not computed")
		}
		return
	}
	l.used[root.Value+"."+property.Value] = true
	if l.scope.knows(root.Value, property.Value) {
		return
	}
	known := l.scope.members(root.Value)
	if why, later := l.scope.later[property.Value]; later && root.Value == "steps" {
		l.report(n.Property, "step-order", why.fix, "the step %q %s", property.Value, why.why)
		return
	}
	what := map[string]string{"inputs": "input", "vars": "variable", "steps": "step"}[root.Value]
	fix := orElse(fixWrite(root.Value+".", closest(property.Value, known)), l.declareFix(root.Value, known))
	if what == "" {
		l.report(n.Property, "unknown-name", fix, "%s has no %q%s", root.Value, property.Value, didYouMean(property.Value, known))
		return
	}
	l.report(n.Property, "unknown-name", fix, "there is no %s %q%s", what, property.Value, didYouMean(property.Value, known))
}

func (l *linter) declareFix(root string, known []string) string {
	switch {
	case root == "inputs":
		return "declare it under inputs:"
	case root == "vars":
		return "give it a value with set: in a step before"
	case root == "steps":
		return "give a step before this one the id"
	}
	return "use " + strings.Join(known, ", ")
}

// stepFields are what a step's result has.
var stepFields = []string{"output", "status", "error", "attempts"}

// stepField checks steps.x.y: y exists, and ?. is there when x may be missing.
func (l *linter) stepField(n *ast.MemberNode) {
	id, ok := stepID(n.Node)
	if !ok || l.declared("steps") || !l.scope.knows("steps", id) {
		return
	}
	if property, ok := n.Property.(*ast.StringNode); ok && !contains(stepFields, property.Value) {
		l.report(n.Property, "unknown-name", "write steps."+id+".output."+property.Value+" for a part of what the step gave",
			"a step has %s, and no %q", strings.Join(stepFields, ", "), property.Value)
		return
	}
	if reason := l.scope.steps[id].missing; reason != "" && !n.Optional {
		l.report(n.Property, "step-may-be-missing", "write steps."+id+"?."+propertyText(n.Property)+", and ?? for a default", "the step %q %s, so it may be missing", id, reason)
	}
}

func propertyText(n ast.Node) string {
	if s, ok := n.(*ast.StringNode); ok {
		return s.Value
	}
	return "..."
}

// stepID recognizes steps.ID.
func stepID(n ast.Node) (string, bool) {
	if chain, ok := n.(*ast.ChainNode); ok {
		n = chain.Node
	}
	m, ok := n.(*ast.MemberNode)
	if !ok {
		return "", false
	}
	root, ok := m.Node.(*ast.IdentifierNode)
	property, constant := m.Property.(*ast.StringNode)
	if !ok || !constant || root.Value != "steps" {
		return "", false
	}
	return property.Value, true
}

// call checks the call of a function or method.
func (l *linter) call(n *ast.CallNode, depth int) {
	l.walkAll(depth, n.Arguments...)
	switch callee := n.Callee.(type) {
	case *ast.IdentifierNode:
		l.function(callee)
	case *ast.MemberNode:
		l.walk(callee.Node, depth)
		if name, ok := callee.Property.(*ast.StringNode); !ok || !allowedMethods[name.Value] {
			l.report(callee.Property, "unknown-function", "", "there is no method %s", propertyText(callee.Property))
		}
	default:
		l.report(n, "unknown-function", "", "only functions can be called")
	}
}

func (l *linter) function(n *ast.IdentifierNode) {
	if _, ok := ownFunctions[n.Value]; ok {
		return
	}
	if fix, refused := refusedBuiltins[n.Value]; refused {
		l.refuse(n, n.Value, fix)
		return
	}
	known := functionNames()
	l.report(n, "unknown-function", orElse(fixWrite("", closest(n.Value, known)), "use one of "+strings.Join(known, ", ")),
		"there is no function %s%s", n.Value, didYouMean(n.Value, known))
}

func (l *linter) refuse(n ast.Node, name, fix string) {
	l.report(n, "nondeterministic", fix, "%s() is not available: an expression must give the same result on every machine at every time", name)
}

func (l *linter) builtin(n *ast.BuiltinNode, depth int) {
	if !allowedBuiltins[n.Name] {
		l.refuse(n, n.Name, refusedBuiltins[n.Name])
	}
	l.walkAll(depth, n.Arguments...)
}

func contains(list []string, s string) bool {
	for _, item := range list {
		if item == s {
			return true
		}
	}
	return false
}

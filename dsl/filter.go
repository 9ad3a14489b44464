package dsl

import (
	"slices"
	"strings"
	"unicode/utf8"

	"github.com/expr-lang/expr/ast"
	"github.com/expr-lang/expr/parser"
	"github.com/expr-lang/expr/types"

	"github.com/deviceops/deviceops"
)

// filterer says conditions over a device as filters, in which comparisons have a
// field of the device on one side and a constant on the other.
type filterer struct {
	facts map[string]any // what the condition sees besides the device: constants
}

// filterOf gives a condition that compiles as a filter, nil where a filter
// cannot say the same, and the filter that lets pass at least what meets the
// condition, nil if there is none.
func filterOf(source string, facts map[string]any) (exact, narrow *deviceops.Filter) {
	tree, err := parser.ParseWithConfig(source, baseConfig)
	if err != nil {
		return nil, nil
	}
	f := filterer{facts}
	if whole, ok := f.condition(tree.Node); ok {
		return &whole, &whole
	}
	var parts []deviceops.Filter
	for _, n := range conjunctsOf(tree.Node) { // each of them has to hold
		if part, ok := f.condition(n); ok {
			parts = append(parts, part)
		}
	}
	switch len(parts) {
	case 0:
		return nil, nil
	case 1:
		return nil, &parts[0]
	}
	return nil, &deviceops.Filter{Op: deviceops.FilterAnd, Args: parts}
}

// condition gives what is true or false.
func (f filterer) condition(n ast.Node) (deviceops.Filter, bool) {
	switch n := n.(type) {
	case *ast.BoolNode:
		return constantFilter(n.Value), true
	case *ast.UnaryNode:
		if n.Operator != "!" && n.Operator != "not" {
			return deviceops.Filter{}, false
		}
		inner, ok := f.condition(n.Node)
		return not(inner), ok
	case *ast.BinaryNode:
		return f.binary(n)
	case *ast.MemberNode, *ast.ChainNode:
		field, ok := filterField(n)
		return deviceops.Filter{Op: deviceops.FilterTrue, Field: field}, ok && field != lastSeen
	}
	return deviceops.Filter{}, false
}

func not(f deviceops.Filter) deviceops.Filter {
	return deviceops.Filter{Op: deviceops.FilterNot, Args: []deviceops.Filter{f}}
}

func constantFilter(holds bool) deviceops.Filter {
	all := deviceops.Filter{Op: deviceops.FilterAll}
	if holds {
		return all
	}
	return not(all)
}

// filterOps are the comparisons that filters have.
var filterOps = map[string]deviceops.FilterOp{
	"==": deviceops.FilterEq, "!=": deviceops.FilterNe, "<": deviceops.FilterLt, "<=": deviceops.FilterLe,
	">": deviceops.FilterGt, ">=": deviceops.FilterGe, "startsWith": deviceops.FilterPrefix,
}

func (f filterer) binary(n *ast.BinaryNode) (deviceops.Filter, bool) {
	switch n.Operator {
	case "&&", "and":
		return f.joined(deviceops.FilterAnd, n)
	case "||", "or":
		return f.joined(deviceops.FilterOr, n)
	case "in":
		return f.in(n)
	case "??":
		return f.orDefault(n, func(n ast.Node) (deviceops.Filter, bool) { return f.condition(n) }, f.boolean)
	}
	op, known := filterOps[n.Operator]
	if !known {
		return deviceops.Filter{}, false
	}
	if op == deviceops.FilterEq || op == deviceops.FilterNe {
		if presence, ok := f.presence(n, op); ok {
			return presence, true
		}
	}
	if c, ok := f.constant(n.Right); ok {
		return f.compare(n.Left, op, c)
	}
	if c, ok := f.constant(n.Left); ok && mirrored[n.Operator] != "" {
		return f.compare(n.Right, filterOps[mirrored[n.Operator]], c)
	}
	return deviceops.Filter{}, false
}

// joined flattens && and ||: they are judged from left to right, whatever their
// brackets are.
func (f filterer) joined(op deviceops.FilterOp, n *ast.BinaryNode) (deviceops.Filter, bool) {
	joined := deviceops.Filter{Op: op}
	for _, side := range []ast.Node{n.Left, n.Right} {
		part, ok := f.condition(side)
		if !ok {
			return joined, false
		}
		if part.Op == op {
			joined.Args = append(joined.Args, part.Args...)
		} else {
			joined.Args = append(joined.Args, part)
		}
	}
	return joined, true
}

// presence gives x == nil and x != nil.
func (f filterer) presence(n *ast.BinaryNode, op deviceops.FilterOp) (deviceops.Filter, bool) {
	side := n.Left
	switch {
	case isNil(n.Left):
		side = n.Right
	case !isNil(n.Right):
		return deviceops.Filter{}, false
	}
	field, ok := filterField(side)
	present := deviceops.Filter{Op: deviceops.FilterPresent, Field: field}
	if op == deviceops.FilterEq {
		return not(present), ok
	}
	return present, ok
}

// compare gives the comparison of a field, or of a field with a default, with a
// constant.
func (f filterer) compare(n ast.Node, op deviceops.FilterOp, c any) (deviceops.Filter, bool) {
	if or, ok := n.(*ast.BinaryNode); ok && or.Operator == "??" {
		return f.orDefault(or,
			func(n ast.Node) (deviceops.Filter, bool) { return f.compare(n, op, c) },
			func(fallback any) (bool, bool) { return compareConstants(op, fallback, c) })
	}
	field, ok := filterField(n)
	return deviceops.Filter{Op: op, Field: field, Value: c}, ok && field != lastSeen
}

// orDefault gives a condition over x ?? constant: with a value it is what of
// makes of x, without one what the constant makes of it.
func (f filterer) orDefault(n *ast.BinaryNode, of func(ast.Node) (deviceops.Filter, bool), constant func(any) (holds, ok bool)) (deviceops.Filter, bool) {
	field, isField := filterField(n.Left)
	c, isConstant := f.constant(n.Right)
	if !isField || !isConstant || field == lastSeen {
		return deviceops.Filter{}, false
	}
	given, ok := of(n.Left)
	holds, known := constant(c)
	if !ok || !known { // with a default that cannot be judged either, nothing changes
		return given, ok
	}
	present := deviceops.Filter{Op: deviceops.FilterPresent, Field: field}
	if holds {
		return deviceops.Filter{Op: deviceops.FilterOr, Args: []deviceops.Filter{not(present), given}}, true
	}
	return deviceops.Filter{Op: deviceops.FilterAnd, Args: []deviceops.Filter{present, given}}, true
}

func (f filterer) boolean(c any) (holds, ok bool) {
	holds, ok = c.(bool)
	return holds, ok
}

// constantsScope knows two values of any kind.
var constantsScope = newScope(types.Map{"a": types.Any, "b": types.Any})

// compareConstants compares as expressions do; ok is false where that fails.
func compareConstants(op deviceops.FilterOp, a, b any) (holds, ok bool) {
	expression := "a " + string(op) + " b"
	if op == deviceops.FilterPrefix {
		expression = "a startsWith b"
	}
	e, problems := compileExpression(expression, constantsScope, wantAny)
	if len(problems) > 0 {
		return false, false
	}
	v, err := e.run(map[string]any{"a": a, "b": b})
	holds, ok = v.(bool)
	return holds, ok && err == nil
}

// in gives x in [a, b], "a" in device.tags and "a" in device.labels.
func (f filterer) in(n *ast.BinaryNode) (deviceops.Filter, bool) {
	if list, ok := n.Right.(*ast.ArrayNode); ok {
		values := []any{}
		for _, item := range list.Nodes {
			c, ok := f.constant(item)
			if !ok {
				return deviceops.Filter{}, false
			}
			values = append(values, c)
		}
		field, ok := filterField(n.Left)
		return deviceops.Filter{Op: deviceops.FilterIn, Field: field, Value: values}, ok && field != lastSeen
	}
	c, isConstant := f.constant(n.Left)
	name, isText := c.(string)
	path, ok := devicePath(n.Right)
	if !isConstant || !isText || !ok {
		return deviceops.Filter{}, false
	}
	around := strings.Join(path, ".")
	switch {
	case around == "tags":
		return deviceops.Filter{Op: deviceops.FilterHas, Field: "tags", Value: name}, true
	case contains(textMaps, around): // their values are never nil
		return deviceops.Filter{Op: deviceops.FilterPresent, Field: around + "." + name}, true
	}
	return deviceops.Filter{}, false
}

// constant gives the value of an expression that is the same for all devices.
func (f filterer) constant(n ast.Node) (any, bool) {
	switch n := n.(type) {
	case *ast.StringNode:
		return n.Value, utf8.ValidString(n.Value) && !strings.ContainsRune(n.Value, 0)
	case *ast.IntegerNode:
		return int64(n.Value), true
	case *ast.FloatNode:
		return n.Value, true
	case *ast.BoolNode:
		return n.Value, true
	case *ast.UnaryNode:
		return f.negative(n)
	case *ast.MemberNode:
		root, isRoot := n.Node.(*ast.IdentifierNode)
		property, constant := n.Property.(*ast.StringNode)
		if !isRoot || !constant {
			return nil, false
		}
		fact, _ := f.facts[root.Value].(map[string]any)
		v, ok := fact[property.Value]
		return v, ok
	}
	return nil, false
}

func (f filterer) negative(n *ast.UnaryNode) (any, bool) {
	c, ok := f.constant(n.Node)
	if !ok || n.Operator != "-" {
		return nil, false
	}
	switch c := c.(type) {
	case int64:
		return -c, true
	case float64:
		return -c, true
	}
	return nil, false
}

// lastSeen is a time, which filters can only ask for.
const lastSeen = "last_seen"

// filterFields are the fields of a device with one value, filterMaps those with
// named values. Values of textMaps are texts.
var (
	filterFields = []string{"id", "serial", "profile", "account", "parent", "zone", "state", "connectivity", "wellness", "desired.version", "reported.config_version", lastSeen}
	textMaps     = []string{"labels", "desired.software", "reported.software"}
	filterMaps   = append([]string{"attributes", "metrics", "desired.configuration", "reported.attributes"}, textMaps...)
)

// filterField gives the field of a device that an expression is, if filters have
// it.
func filterField(n ast.Node) (string, bool) {
	path, ok := devicePath(n)
	if !ok || len(path) == 0 {
		return "", false
	}
	field := strings.Join(path, ".")
	last := len(path) - 1
	sayable := utf8.ValidString(field) && !strings.ContainsRune(field, 0)
	return field, sayable && (slices.Contains(filterFields, field) || contains(filterMaps, strings.Join(path[:last], ".")))
}

// devicePath gives the names by which an expression reaches into device.
func devicePath(n ast.Node) ([]string, bool) { return pathBelow("device", n) }

// pathBelow gives the names by which an expression reaches into a variable: none
// for device itself, labels and site for device.labels.site.
func pathBelow(variable string, n ast.Node) ([]string, bool) {
	if chain, ok := n.(*ast.ChainNode); ok {
		n = chain.Node
	}
	if id, ok := n.(*ast.IdentifierNode); ok {
		return nil, id.Value == variable
	}
	member, ok := n.(*ast.MemberNode)
	if !ok {
		return nil, false
	}
	property, constant := member.Property.(*ast.StringNode)
	around, known := pathBelow(variable, member.Node)
	if !constant || !known {
		return nil, false
	}
	return append(around, property.Value), true
}

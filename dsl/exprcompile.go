package dsl

import (
	"errors"
	"regexp"
	"strings"

	"github.com/expr-lang/expr/ast"
	exprchecker "github.com/expr-lang/expr/checker"
	"github.com/expr-lang/expr/checker/nature"
	"github.com/expr-lang/expr/compiler"
	"github.com/expr-lang/expr/file"
	"github.com/expr-lang/expr/parser"
)

// Limits of one expression.
const (
	MaxExpression = 4096 // characters
	maxNodes      = 1000
	maxPredicates = 2 // predicates inside one another, as in all(a, any(b, ...))
)

// want is what a field needs of its expression.
type want int

const (
	wantAny       want = iota
	wantBool           // a condition
	wantPredicate      // a condition over values that may be missing
	wantDuration       // a duration, or the text of one
	wantTime           // a time, or the text of one
	wantList           // a list
	wantText           // text
	wantNumber         // a number
	wantMap            // a map
)

// kindWants are what arguments of actions need, by type in a JSON Schema.
var kindWants = map[string]want{
	"string": wantText, "number": wantNumber, "integer": wantNumber, "boolean": wantBool, "array": wantList, "object": wantMap,
}

// wantedKinds are the wants that are no more than a kind of value.
var wantedKinds = map[want]struct {
	name, fix string
	is        func(*nature.Nature) bool
}{
	wantText:   {"text", "write string(...) around it", (*nature.Nature).IsString},
	wantNumber: {"a number", "write int(...) or float(...) around it", (*nature.Nature).IsNumber},
	wantMap:    {"a map", `write { "key": value }`, (*nature.Nature).IsMap},
}

// problem is something wrong with an expression; from and to are runes of it.
type problem struct {
	from, to           int
	code, message, fix string
}

// compileExpression compiles source for evaluation in sc. With problems there
// is no expression.
func compileExpression(source string, sc *scope, w want) (*Expression, []problem) {
	if n := runes(source); n > MaxExpression {
		return nil, []problem{{0, n, "too-large", sprintf("the expression has %d characters; at most %d are allowed", n, MaxExpression), "move a part of it into a set step"}}
	}
	tree, err := parser.ParseWithConfig(source, baseConfig)
	if err != nil {
		return nil, []problem{syntaxProblem(source, err)}
	}
	lint := &linter{scope: sc, used: map[string]bool{}}
	lint.walk(tree.Node, 0)
	for name := range lint.used {
		sc.reads[name] = true
	}
	if len(lint.problems) > 0 {
		return nil, lint.problems
	}
	config := newConfig(sc.environment(lint.used))
	if _, err := exprchecker.Check(tree, config); err != nil {
		return nil, []problem{typeProblem(source, err, tree.Node)}
	}
	if p := resultProblem(tree.Node, source, w); p != nil {
		return nil, []problem{*p}
	}
	constant, _ := tree.Node.(*ast.BoolNode)
	rewrite(&tree.Node, w == wantPredicate || sc.notices)
	program, err := compiler.Compile(tree, config)
	if err != nil {
		return nil, []problem{{0, runes(source), "expression", "the expression cannot be compiled: " + firstLine(err.Error()), ""}}
	}
	e := &Expression{Source: source, program: program, readsDevice: lint.device}
	if constant != nil {
		e.constant = &constant.Value
	}
	return e, nil
}

// resultProblem reports a condition whose result can be no boolean.
func resultProblem(n ast.Node, source string, w want) *problem {
	result := n.Nature()
	switch {
	case w == wantAny, result.Type == nil && !result.Nil:
		return nil
	case w == wantDuration:
		if result.IsString() || result.IsDuration() {
			return nil
		}
		return &problem{0, runes(source), "expression-type",
			"a duration is needed, and this gives " + friendlyTypes(result.String()), `use an input of type duration, or build the text: string(x) + "m"`}
	case w == wantTime:
		if result.IsString() || result.IsTime() {
			return nil
		}
		return &problem{0, runes(source), "expression-type", "a time is needed, and this gives " + friendlyTypes(result.String()), `use date("2026-05-01"), or run.now.Add(duration("2h"))`}
	case w == wantList:
		if result.IsArray() {
			return nil
		}
		return &problem{0, runes(source), "expression-type", "a list is needed, and this gives " + friendlyTypes(result.String()), "use a list, such as inputs.devices or [1, 2]"}
	case wantedKinds[w].is != nil:
		kind := wantedKinds[w]
		if kind.is(result) {
			return nil
		}
		return &problem{0, runes(source), "expression-type", kind.name + " is needed, and this gives " + friendlyTypes(result.String()), kind.fix}
	case result.IsBool():
		return nil
	}
	return &problem{0, runes(source), "expression-type",
		"a condition must be true or false, and this gives " + friendlyTypes(result.String()), "compare it with something, as in x == 1"}
}

func syntaxProblem(source string, err error) problem {
	from, to, message := unpack(source, err)
	fix := ""
	switch {
	case strings.Contains(message, "unexpected token EOF"):
		message, fix = "the expression ends too early", "complete it, or close the open bracket"
	case strings.Contains(message, `Operator("=")`):
		message, fix = "a single = compares nothing", "write =="
	case strings.Contains(message, "literal not terminated"):
		message, fix = "a text in the expression is not closed", `close it with the quote it begins with`
	case strings.Contains(message, "exceeds maximum allowed nodes") || strings.Contains(message, "compilation failed"):
		message, fix = sprintf("the expression has more than %d parts", maxNodes), "move a part of it into a set step"
	default:
		message = "the expression cannot be read: " + message
	}
	return problem{from, to, "expression-syntax", message, fix}
}

var (
	mismatch     = regexp.MustCompile(`^invalid operation: (\S+) \(mismatched types (.+) and (.+)\)$`)
	needsList    = regexp.MustCompile(`^builtin (\w+) takes only array \(got (.+)\)$`)
	unknownField = regexp.MustCompile(`^unknown field (\w+)$`)
)

func typeProblem(source string, err error, tree ast.Node) problem {
	from, to, message := unpack(source, err)
	message = friendlyTypes(message)
	p := problem{from: from, to: to, code: "expression-type", message: message}
	if m := mismatch.FindStringSubmatch(message); m != nil {
		p.message = sprintf("%s does not work between %s and %s", m[1], m[2], m[3])
		p.fix = "convert one side with string(), int() or float(), or use a value of the same type"
	}
	if m := needsList.FindStringSubmatch(message); m != nil {
		p.message = sprintf("%s needs a list, and this is %s", m[1], m[2])
	}
	if m := unknownField.FindStringSubmatch(message); m != nil {
		known := fieldsAt(tree, from)
		p.code, p.message = "unknown-name", sprintf("there is no %q here%s", m[1], didYouMean(m[1], known))
		p.fix = orElse(fixWrite("", closest(m[1], known)), "use "+strings.Join(known, ", "))
	}
	return p
}

// fieldsAt gives the fields that the map has of which a field at from is asked.
func fieldsAt(tree ast.Node, from int) []string {
	finder := &fieldFinder{from: from}
	ast.Walk(&tree, finder)
	return finder.known
}

type fieldFinder struct {
	from  int
	known []string
}

// Visit implements ast.Visitor.
func (f *fieldFinder) Visit(n *ast.Node) {
	member, ok := (*n).(*ast.MemberNode)
	if !ok || member.Property.Location().From != f.from || member.Node.Nature().TypeData == nil {
		return
	}
	f.known = sortedKeys(member.Node.Nature().Fields)
}

// unpack gives place and message of an error of expr.
func unpack(source string, err error) (from, to int, message string) {
	var at *file.Error
	if !errors.As(err, &at) {
		return 0, runes(source), firstLine(err.Error())
	}
	from, to = at.From, at.To
	if n := runes(source); from >= n {
		from, to = max(n-1, 0), n
	}
	return from, max(to, from+1), at.Message
}

func firstLine(s string) string {
	line, _, _ := strings.Cut(s, "\n")
	return line
}

var typeNames = regexp.MustCompile(`\*?map\[string\](interface \{\}|any)|\[\](interface \{\}|any|string)|interface \{\}|\bfloat64\b|\bint64\b|\bint\b|\bbool\b|\btime\.Time\b|\btime\.Duration\b`)

var friendlyNames = map[string]string{
	"float64": "number", "int64": "integer", "int": "integer", "bool": "boolean",
	"time.Time": "time", "time.Duration": "duration", "interface {}": "any",
}

// friendlyTypes replaces the names of Go's types by those of the language.
func friendlyTypes(message string) string {
	return typeNames.ReplaceAllStringFunc(message, func(name string) string {
		switch {
		case strings.Contains(name, "map["):
			return "map"
		case strings.HasPrefix(name, "[]"):
			return "list"
		}
		return friendlyNames[name]
	})
}

// rewrite puts the counting of work around everything whose cost depends on the
// data. Where a missing value is to be noticed rather than compared, it also puts
// needArg around operands.
func rewrite(n *ast.Node, notices bool) {
	ast.Walk(n, &rewriter{notices: notices})
}

type rewriter struct{ notices bool }

// Visit implements ast.Visitor; children come before their parents.
func (r *rewriter) Visit(n *ast.Node) {
	switch node := (*n).(type) {
	case *ast.BinaryNode:
		r.binary(n, node)
	case *ast.UnaryNode:
		r.operand(&node.Node)
	case *ast.ConditionalNode:
		if r.notices {
			r.operand(&node.Cond)
		}
	case *ast.PredicateNode:
		wrap(&node.Node, chargeName)
	case *ast.ArrayNode, *ast.MapNode:
		wrap(n, chargeName)
	case *ast.BuiltinNode:
		r.arguments(node.Arguments)
		wrap(n, chargeName)
	case *ast.CallNode:
		r.arguments(node.Arguments)
		wrap(n, chargeName)
	}
}

func (r *rewriter) binary(n *ast.Node, node *ast.BinaryNode) {
	switch node.Operator {
	case "??":
		return
	case "==", "!=":
		if isNil(node.Left) || isNil(node.Right) {
			return
		}
	}
	r.operand(&node.Left)
	r.operand(&node.Right)
	if node.Operator == "+" {
		wrap(n, chargeName)
	}
}

func (r *rewriter) operand(n *ast.Node) {
	switch (*n).(type) {
	case *ast.NilNode, *ast.IntegerNode, *ast.FloatNode, *ast.BoolNode, *ast.StringNode:
		return
	}
	if r.notices {
		wrap(n, needName)
	} else {
		wrap(n, chargeName)
	}
}

func (r *rewriter) arguments(args []ast.Node) {
	for i := range args {
		if _, ok := args[i].(*ast.PredicateNode); !ok {
			r.operand(&args[i])
		}
	}
}

func isNil(n ast.Node) bool {
	_, ok := n.(*ast.NilNode)
	return ok
}

// wrap replaces n by a call of an own function with the budget and n.
func wrap(n *ast.Node, function string) {
	inner := *n
	call := &ast.CallNode{
		Callee:    &ast.IdentifierNode{Value: function},
		Arguments: []ast.Node{&ast.IdentifierNode{Value: budgetName}, inner},
	}
	call.SetLocation(inner.Location())
	*n = call
}

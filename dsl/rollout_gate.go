package dsl

import (
	"github.com/expr-lang/expr/ast"
	"github.com/expr-lang/expr/parser"
	"github.com/expr-lang/expr/types"
	"go.yaml.in/yaml/v4"

	"github.com/deviceops/deviceops"
)

var gateKeys = []fieldSpec{
	{"pass", expressionSchema("judged after the soak; left out: no device failed or is unhealthy")},
	{"fail", expressionSchema("judged on every count; left out: never")},
	{"otherwise", schema{"enum": words(otherwiseWords), "description": "neither: ask a person, or wait for the counts to change; left out: ask"}},
}

var rollbackKeys = []fieldSpec{
	{"window", schema{"enum": []any{"ignore", "keep"}, "description": "ignore: it begins at any time; keep: it waits for the window; left out: ignore"}},
	{"rate", schema{"enum": []any{"max", "keep"}, "description": "max: as fast as in_flight allows; keep: at the rollout's rate; left out: max"}},
	{"in_flight", integerSchema("left out: the rollout's", 1)},
	{"gate", described(gateSchema(), "left out: it never fails, and passes when all are done")},
}

var otherwiseWords = []string{"ask", "wait"}

func gateSchema() schema {
	return objectSchema("conditions over ring and rollout, which have counts, and pct(a, b)", nil, gateKeys)
}

// gateOwner is what a gate belongs to.
type gateOwner int

const (
	gateOfRollout gateOwner = iota // that is, of the rings without one
	gateOfRing
	gateOfRollback
)

// readGate is a condition of a gate that was read.
type readGate struct {
	node  *yaml.Node
	key   string // pass or fail
	owner gateOwner
	ring  int // gateOfRing
	tree  ast.Node
}

// gateScope is what conditions of gates may use.
func gateScope() *scope {
	counts := types.Map{}
	for _, c := range gateCounts {
		counts[c.name] = types.Int64
	}
	return newScope(types.Map{"ring": counts, "rollout": counts})
}

func (m *manifest) rolloutGate(n *yaml.Node) {
	if gate := m.gate(n, gateOfRollout, 0); gate != nil {
		m.spec.Gate = *gate
	}
}

// gate reads a gate. ring is the index of the ring that it belongs to.
func (m *manifest) gate(n *yaml.Node, owner gateOwner, ring int) *deviceops.Gate {
	o := m.object(n, "a gate", fieldNames(gateKeys)...)
	if o == nil {
		return nil
	}
	gate := &deviceops.Gate{Otherwise: deviceops.OtherwiseAsk}
	for key, to := range map[string]**deviceops.GateCondition{"pass": &gate.Pass, "fail": &gate.Fail} {
		if v := o.get(key); v != nil {
			*to = m.gateCondition(readGate{node: v, key: key, owner: owner, ring: ring})
		}
	}
	if v := o.get("otherwise"); v != nil {
		gate.Otherwise = deviceops.Otherwise(m.choice(v, "otherwise", otherwiseWords...))
	}
	return gate
}

func (m *manifest) gateCondition(g readGate) *deviceops.GateCondition {
	e := m.expression(g.node, g.key, gateScope(), wantPredicate)
	if e.program == nil {
		return nil
	}
	tree, err := parser.ParseWithConfig(e.Source, baseConfig)
	if err != nil {
		return nil
	}
	g.tree = tree.Node
	m.gates = append(m.gates, g)
	terms := gateTerms(tree.Node)
	return &deviceops.GateCondition{
		Source: e.Source,
		Judge:  func(f deviceops.GateFacts) (deviceops.Verdict, error) { return e.verdict(gateVariables(f)) },
		Terms: func(f deviceops.GateFacts) []deviceops.GateTerm {
			now := make([]deviceops.GateTerm, len(terms))
			for i, t := range terms {
				now[i] = t.at(f)
			}
			return now
		},
	}
}

func gateVariables(f deviceops.GateFacts) map[string]any {
	return map[string]any{"ring": gateFacts(f.Ring), "rollout": gateFacts(f.Rollout)}
}

func gateFacts(c deviceops.Counts) map[string]any {
	facts := make(map[string]any, len(gateCounts))
	for _, count := range gateCounts {
		facts[count.name] = int64(count.of(c))
	}
	return facts
}

// gateTerm is a comparison of a gate, compiled.
type gateTerm struct {
	text                    string
	op                      string
	value, threshold, whole *Expression
}

// mirrored are comparisons with their sides swapped.
var mirrored = map[string]string{"<": ">", "<=": ">=", ">": "<", ">=": "<=", "==": "==", "!=": "!="}

// gateTerms gives the comparisons that a condition is made of, in the order of
// its text, the number that is compared with on the right.
func gateTerms(n ast.Node) []gateTerm {
	switch n := n.(type) {
	case *ast.UnaryNode:
		return gateTerms(n.Node)
	case *ast.BinaryNode:
		if mirrored[n.Operator] == "" {
			return append(gateTerms(n.Left), gateTerms(n.Right)...)
		}
		if t, ok := compileTerm(n); ok {
			return []gateTerm{t}
		}
	}
	return nil
}

func compileTerm(n *ast.BinaryNode) (gateTerm, bool) {
	left, right, op := n.Left, n.Right, n.Operator
	if isNumber(left) && !isNumber(right) {
		left, right, op = right, left, mirrored[op]
	}
	t := gateTerm{text: left.String(), op: op}
	for _, part := range []struct {
		n  ast.Node
		w  want
		to **Expression
	}{{left, wantAny, &t.value}, {right, wantAny, &t.threshold}, {n, wantPredicate, &t.whole}} {
		e, problems := compileExpression(part.n.String(), gateScope(), part.w)
		if len(problems) > 0 {
			return t, false
		}
		*part.to = e
	}
	return t, true
}

func isNumber(n ast.Node) bool {
	switch n.(type) {
	case *ast.IntegerNode, *ast.FloatNode:
		return true
	}
	return false
}

// at gives the term with its values.
func (t gateTerm) at(f deviceops.GateFacts) deviceops.GateTerm {
	term := deviceops.GateTerm{Text: t.text, Op: t.op, Value: t.value.number(f), Threshold: t.threshold.number(f)}
	if v, err := t.whole.verdict(gateVariables(f)); err == nil {
		term.Verdict = v
	}
	return term
}

// number evaluates one side of a comparison; nil: it is not known.
func (e *Expression) number(f deviceops.GateFacts) *float64 {
	v, err := e.run(gateVariables(f))
	if err != nil {
		return nil
	}
	number, ok := toFloat(v)
	if !ok {
		return nil
	}
	return &number
}

// rollback reads how a rollback goes.
func (m *manifest) rollback(n *yaml.Node) {
	o := m.object(n, "rollback", fieldNames(rollbackKeys)...)
	if o == nil {
		return
	}
	spec := &m.spec.Rollback
	if v := o.get("window"); v != nil {
		spec.IgnoreWindow = m.choice(v, "window", "ignore", "keep") == "ignore"
	}
	if v := o.get("rate"); v != nil {
		spec.MaxRate = m.choice(v, "rate", "max", "keep") == "max"
	}
	if v := o.get("in_flight"); v != nil {
		spec.InFlight = m.integer(v, "in_flight", 1, maxInFlight)
	}
	if v := o.get("gate"); v != nil {
		spec.Gate = m.gate(v, gateOfRollback, 0)
	}
}

package dsl

import (
	"math"
	"strings"

	"github.com/expr-lang/expr/ast"
)

// checkGates reports conditions of gates that the counts of their rings can
// never make true, or false.
func (m *manifest) checkGates() {
	if len(m.spec.Rings) == 0 {
		return
	}
	for _, g := range m.gates {
		m.divisions(g, g.tree)
		switch g.owner {
		case gateOfRollback:
			m.checkGate(g, -1)
		case gateOfRing:
			m.checkGate(g, g.ring)
		case gateOfRollout:
			m.checkSharedGate(g)
		}
	}
}

// checkSharedGate checks the gate of the rollout for the first ring in which it
// is worth nothing.
func (m *manifest) checkSharedGate(g readGate) {
	for i, ring := range m.spec.Rings {
		if ring.Gate == nil && !m.checkGate(g, i) {
			return
		}
	}
}

// checkGate checks a condition in a ring, -1 for any; false means that something
// was reported.
func (m *manifest) checkGate(g readGate, ring int) bool {
	s := sizes{math.Inf(1), math.Inf(1)}
	if ring >= 0 && ring < len(m.spec.Rings) {
		s = m.sizesAt(ring)
	}
	r := s.reachOf(g.tree)
	switch {
	case s.ring == 0 || r.yes && r.no:
		return true
	case !r.yes:
		m.reportNever(g, s, ring)
	default:
		m.reportAlways(g, ring)
	}
	return false
}

func (m *manifest) reportNever(g readGate, s sizes, ring int) {
	part := s.blame(g.tree)
	where, effect := "", "the gate can never fail"
	if g.key == "pass" {
		effect = "the gate can never pass"
	}
	if ring >= 0 && !math.IsInf(s.ring, 1) {
		where = sprintf(" in ring %s, which has %s at most", m.spec.Rings[ring].Name, sprintCount(int(s.ring)))
	}
	m.reportPart(g, part, m.weight(ring), "gate-never", s.fix(part, g), "this never holds%s, so %s", where, effect)
}

// weight is how bad a gate is that is worth nothing in a ring. By the devices that
// there are now it is no error where more may join later.
func (m *manifest) weight(ring int) Severity {
	if m.opts.ringSizes != nil && ring >= 0 && m.spec.Rings[ring].Rest() {
		return SeverityWarning
	}
	return SeverityError
}

// fix says what a comparison that never holds could say instead.
func (s sizes) fix(n ast.Node, g readGate) string {
	const generic = "write a condition over ring and rollout, such as ring.failed + ring.unhealthy >= 2"
	comparison, ok := n.(*ast.BinaryNode)
	if !ok || mirrored[comparison.Operator] == "" {
		return generic
	}
	side := comparison.Left
	if isNumber(side) {
		side = comparison.Right
	}
	if isNumber(side) {
		return generic
	}
	x := s.amountOf(side)
	another := ""
	if g.owner == gateOfRollout {
		another = "; or give the ring a gate of its own"
	}
	switch {
	case x.low > x.high:
		return sprintf("%s is never known: name a denominator that counts something", side)
	case math.IsInf(x.low, -1) && math.IsInf(x.high, 1):
		return generic
	case math.IsInf(x.low, -1):
		return sprintf("%s is %s at most%s", side, Format(x.high), another)
	case math.IsInf(x.high, 1):
		return sprintf("%s is %s at least%s", side, Format(x.low), another)
	}
	return sprintf("%s is from %s to %s there%s", side, Format(x.low), Format(x.high), another)
}

func (m *manifest) reportAlways(g readGate, ring int) {
	effect, fix := "the ring fails at its first count", "write how many may fail, as in ring.failed + ring.unhealthy >= 2"
	if g.key == "pass" {
		effect, fix = "the gate passes whatever happens", "write what is good enough, as in pct(ring.healthy, ring.reached) >= 98"
	}
	m.reportPart(g, g.tree, m.weight(ring), "gate-always", fix, "this always holds, so %s", effect)
}

// divisions reports counts that are divided by counts: where there are none yet
// the result is no number, and compares as if it were one.
func (m *manifest) divisions(g readGate, n ast.Node) {
	switch n := n.(type) {
	case *ast.UnaryNode:
		m.divisions(g, n.Node)
	case *ast.BinaryNode:
		if (n.Operator == "/" || n.Operator == "%") && !isNumber(n.Right) {
			m.reportPart(g, n, SeverityError, "gate-division", sprintf("write pct(%s, %s), which is in percent", n.Left, n.Right),
				"this is no number while %s is 0; pct is not known then, and neither passes nor fails", n.Right)
			return
		}
		m.divisions(g, n.Left)
		m.divisions(g, n.Right)
	}
}

// reportPart reports a part of a condition.
func (m *manifest) reportPart(g readGate, part ast.Node, weight Severity, code, fix, format string, args ...any) {
	from, to := extent(part)
	lead := runes(g.node.Value) - runes(strings.TrimLeft(g.node.Value, " \t\n"))
	m.doc.src.add(weight, m.doc.part(g.node, lead+from, lead+to), code, fix, format, args...)
}

// extent gives the runes of an expression that a node stands for, without
// brackets at its end.
func extent(n ast.Node) (from, to int) {
	e := &extents{from: math.MaxInt}
	ast.Walk(&n, e)
	return e.from, e.to
}

type extents struct{ from, to int }

// Visit implements ast.Visitor.
func (e *extents) Visit(n *ast.Node) {
	at := (*n).Location()
	e.from, e.to = min(e.from, at.From), max(e.to, at.To)
}

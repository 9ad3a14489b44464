package dsl

import (
	"math"

	"github.com/expr-lang/expr/ast"
)

// A condition of a gate is worth nothing if the counts of its ring can never
// make it true, or never make it anything else. What counts can be is known:
// every device of a ring has one fate, so all fates together are at most as many
// as the ring takes. A sum of counts is linear over fates, and such a sum takes
// its extremes where all devices have the same fate, or where there are none
// (the corners of a simplex).

// reach is what values a condition can have.
type reach struct{ yes, no bool }

// sizes is how many devices there can be.
type sizes struct{ ring, others float64 } // others: in all other rings

// linear is a sum of counts, and a number: how much each device adds, by its
// fate.
type linear struct {
	constant     float64
	ring, others [fates]float64
}

// span gives the least and the largest value.
func (l linear) span(s sizes) (low, high float64) {
	low, high = l.constant, l.constant
	for _, part := range []struct {
		weights [fates]float64
		devices float64
	}{{l.ring, s.ring}, {l.others, s.others}} {
		least, most := 0.0, 0.0
		for _, w := range part.weights {
			least, most = min(least, w), max(most, w)
		}
		low, high = low+times(least, part.devices), high+times(most, part.devices)
	}
	return low, high
}

// times is a product where nothing of infinitely many is nothing.
func times(a, b float64) float64 {
	if a == 0 {
		return 0
	}
	return a * b
}

func (l linear) isConstant() bool { return l.ring == [fates]float64{} && l.others == [fates]float64{} }

// plus gives l + factor·o.
func (l linear) plus(o linear, factor float64) linear {
	l.constant += factor * o.constant
	for f := range l.ring {
		l.ring[f] += factor * o.ring[f]
		l.others[f] += factor * o.others[f]
	}
	return l
}

// amount is what is known of a number: that it is a sum of counts, or at least
// where it lies.
type amount struct {
	sum       *linear
	low, high float64
}

var anyAmount = amount{low: math.Inf(-1), high: math.Inf(1)}

// reachOf gives the values that a condition of a gate can have. What cannot be
// told counts as possible.
func (s sizes) reachOf(n ast.Node) reach {
	switch n := n.(type) {
	case *ast.BoolNode:
		return reach{n.Value, !n.Value}
	case *ast.UnaryNode:
		if n.Operator == "!" || n.Operator == "not" {
			r := s.reachOf(n.Node)
			return reach{r.no, r.yes}
		}
	case *ast.BinaryNode:
		return s.reachOfBinary(n)
	}
	return reach{true, true}
}

func (s sizes) reachOfBinary(n *ast.BinaryNode) reach {
	switch {
	case mirrored[n.Operator] != "":
		low, high := s.difference(n)
		return reach{holds(n.Operator, low, high), holds(negated[n.Operator], low, high)}
	case n.Operator == "&&" || n.Operator == "and":
		a, b := s.reachOf(n.Left), s.reachOf(n.Right)
		return reach{a.yes && b.yes, a.no || a.yes && b.no}
	case n.Operator == "||" || n.Operator == "or":
		a, b := s.reachOf(n.Left), s.reachOf(n.Right)
		return reach{a.yes || a.no && b.yes, a.no && b.no}
	}
	return reach{true, true}
}

// negated are the comparisons that hold where the others do not.
var negated = map[string]string{"<": ">=", "<=": ">", ">": "<=", ">=": "<", "==": "!=", "!=": "=="}

// holds reports whether a difference between low and high may compare with zero
// as op says. low above high: there is no difference at all.
func holds(op string, low, high float64) bool {
	switch {
	case low > high:
		return false
	case op == "<":
		return low < 0
	case op == "<=":
		return low <= 0
	case op == ">":
		return high > 0
	case op == ">=":
		return high >= 0
	case op == "==":
		return low <= 0 && high >= 0
	}
	return low != 0 || high != 0
}

// difference gives where the left side minus the right side of a comparison lies.
func (s sizes) difference(n *ast.BinaryNode) (low, high float64) {
	left, right := s.amountOf(n.Left), s.amountOf(n.Right)
	if left.sum != nil && right.sum != nil {
		return left.sum.plus(*right.sum, -1).span(s)
	}
	if left.low > left.high || right.low > right.high {
		return 1, 0
	}
	return left.low - right.high, left.high - right.low
}

// amountOf gives what is known of a number.
func (s sizes) amountOf(n ast.Node) amount {
	switch n := n.(type) {
	case *ast.IntegerNode:
		return s.sum(linear{constant: float64(n.Value)})
	case *ast.FloatNode:
		return s.sum(linear{constant: n.Value})
	case *ast.MemberNode:
		return s.count(n)
	case *ast.UnaryNode:
		if inner := s.amountOf(n.Node); n.Operator == "-" && inner.sum != nil {
			return s.sum(linear{}.plus(*inner.sum, -1))
		}
	case *ast.BinaryNode:
		return s.arithmetic(n)
	case *ast.CallNode:
		if callee, ok := n.Callee.(*ast.IdentifierNode); ok && callee.Value == "pct" && len(n.Arguments) == 2 {
			return s.share(s.amountOf(n.Arguments[0]), s.amountOf(n.Arguments[1]))
		}
	}
	return anyAmount
}

func (s sizes) sum(l linear) amount {
	low, high := l.span(s)
	return amount{&l, low, high}
}

// count gives what ring.x or rollout.x is. The rollout counts the ring's devices
// and those of all other rings.
func (s sizes) count(n *ast.MemberNode) amount {
	root, _ := n.Node.(*ast.IdentifierNode)
	property, _ := n.Property.(*ast.StringNode)
	if root == nil || property == nil {
		return anyAmount
	}
	for _, c := range gateCounts {
		if c.name != property.Value {
			continue
		}
		var l linear
		for _, f := range c.made {
			l.ring[f] = 1
			if root.Value == "rollout" {
				l.others[f] = 1
			}
		}
		return s.sum(l)
	}
	return anyAmount
}

func (s sizes) arithmetic(n *ast.BinaryNode) amount {
	left, right := s.amountOf(n.Left).sum, s.amountOf(n.Right).sum
	if left == nil || right == nil {
		return anyAmount
	}
	switch {
	case n.Operator == "+":
		return s.sum(left.plus(*right, 1))
	case n.Operator == "-":
		return s.sum(left.plus(*right, -1))
	case n.Operator == "*" && right.isConstant():
		return s.sum(linear{}.plus(*left, right.constant))
	case n.Operator == "*" && left.isConstant():
		return s.sum(linear{}.plus(*right, left.constant))
	case n.Operator == "/" && right.isConstant() && right.constant != 0:
		return s.sum(linear{}.plus(*left, 1/right.constant))
	}
	return anyAmount
}

// share gives where pct(a, b) lies, as far as it is known at all: where b is 0
// it is not.
func (s sizes) share(part, whole amount) amount {
	a, b := part.sum, whole.sum
	switch {
	case a == nil || b == nil:
		return anyAmount
	case b.isConstant() && b.constant > 0:
		return s.sum(linear{}.plus(*a, 100/b.constant))
	case a.constant != 0 || b.constant != 0:
		return anyAmount
	}
	low, high := math.Inf(1), math.Inf(-1)
	for f := range fates {
		for _, w := range [][2]float64{{a.ring[f], b.ring[f]}, {a.others[f], b.others[f]}} {
			switch {
			case w[1] < 0:
				return anyAmount
			case w[1] > 0:
				low, high = min(low, 100*w[0]/w[1]), max(high, 100*w[0]/w[1])
			}
		}
	}
	return amount{low: low, high: high}.beyond(a, b)
}

// beyond widens a share for devices that count in a and not in b: there may be
// any number of them beside one that counts in b.
func (x amount) beyond(a, b *linear) amount {
	if x.low > x.high {
		return x
	}
	for f := range fates {
		for _, w := range [][2]float64{{a.ring[f], b.ring[f]}, {a.others[f], b.others[f]}} {
			if w[1] == 0 && w[0] > 0 {
				x.high = math.Inf(1)
			}
			if w[1] == 0 && w[0] < 0 {
				x.low = math.Inf(-1)
			}
		}
	}
	return x
}

// blame gives the innermost part that keeps a condition from ever holding.
func (s sizes) blame(n ast.Node) ast.Node {
	if and, ok := n.(*ast.BinaryNode); ok && (and.Operator == "&&" || and.Operator == "and") {
		for _, part := range []ast.Node{and.Left, and.Right} {
			if !s.reachOf(part).yes {
				return s.blame(part)
			}
		}
	}
	return n
}

// ringSize gives how many devices a ring takes at most.
func (m *manifest) ringSize(i int) float64 {
	if given := m.opts.ringSizes; i < len(given) {
		return float64(given[i])
	}
	if take := m.spec.Rings[i].Take; take > 0 {
		return float64(take)
	}
	return math.Inf(1)
}

// sizesAt gives how many devices there can be from where a ring looks.
func (m *manifest) sizesAt(ring int) sizes {
	s := sizes{ring: m.ringSize(ring)}
	for i := range m.spec.Rings {
		if i != ring {
			s.others += m.ringSize(i)
		}
	}
	return s
}

// CheckGates checks a manifest as CompileRollout does, with the number of
// devices that each ring really has, by index: a gate that cannot fail with so
// many is worth nothing. Rings without devices are left alone, and of one that takes
// the rest, and whoever joins later, it is a warning.
func CheckGates(file, source string, ringSizes []int) Diagnostics {
	_, found := CompileRollout(file, source, Options{ringSizes: ringSizes})
	return found
}

package serverless

import (
	"regexp"
	"slices"
)

// jqOperator is what becomes of operators of jq. The table is what
// docs/import.md shows.
type jqOperator struct {
	ops       []string
	gives     string // what it becomes, for the table
	remark    string // where it differs, for the table
	translate func(t *translation, n *jqBinary, env jqEnv) exp
}

// binaries are the binary operators that are translated.
var binaries []jqOperator

func init() { // the table and the translator refer to each other
	binaries = []jqOperator{
		{[]string{"|"}, "the right side over the left", "", (*translation).piped},
		{[]string{"//"}, "`a in [nil, false] ? b : a`", "errors in `a` are not hidden", (*translation).alternative},
		{[]string{"and", "or"}, "`&&`, `\\|\\|`", "null and false are false, all else is true", (*translation).logic},
		{[]string{"==", "!="}, "`==`, `!=`", "lists and maps are compared as a whole", (*translation).equality},
		{[]string{"<", "<=", ">", ">="}, "the same", "null is less than all else; other values of different kinds fail", (*translation).ordering},
		{[]string{"+"}, "`+`, `concat`, `merge`", "null gives the other side; where nothing tells the kind, `.` and `$input` are taken for maps, other values for numbers or texts; else it fails", (*translation).plus},
		{[]string{"-", "*"}, "the same", "numbers only", (*translation).arithmetic},
		{[]string{"/", "%"}, "the same", "numbers only; dividing by zero fails", (*translation).division},
	}
}

func (t *translation) binary(n *jqBinary, env jqEnv) exp {
	for _, o := range binaries {
		if slices.Contains(o.ops, n.op) {
			return o.translate(t, n, env)
		}
	}
	fix := "write . + { name: value } for a map with one value changed"
	from := n.opAt
	return t.refuse(&jqUnsupported{pos: pos{from, from + len(n.op)}}, fix, "the operator "+n.op+", which changes parts of a value, is not translated")
}

func (t *translation) piped(n *jqBinary, env jqEnv) exp {
	return t.once(t.single(n.left, env), func(left exp) exp {
		return t.single(n.right, env.with(left))
	})
}

func (t *translation) alternative(n *jqBinary, env jqEnv) exp {
	left, right := t.single(n.left, env), t.single(n.right, env)
	switch {
	case left.kind == kindNull:
		return right
	case !left.nullable() && left.kind != kindBool:
		return left
	}
	return t.once(left, func(left exp) exp { return choose(not(left.truth()), right, left) })
}

func (t *translation) logic(n *jqBinary, env jqEnv) exp {
	left, right := t.single(n.left, env).truth(), t.single(n.right, env).truth()
	if n.op == "and" {
		return both(left, right)
	}
	return either(left, right)
}

// equality compares. What the expression language would refuse to compare, since
// its kinds differ, is never equal.
func (t *translation) equality(n *jqBinary, env jqEnv) exp {
	left, right := t.single(n.left, env), t.single(n.right, env)
	differ := left.kind != kindAny && right.kind != kindAny && left.kind != right.kind
	if differ && !left.orNull && !right.orNull && !left.unsure && !right.unsure {
		return constant(map[string]string{"==": "false", "!=": "true"}[n.op])
	}
	a, b := left.at(levelSum), right.at(levelSum)
	if differ || !comparable(left, right) {
		a, b = "toJSON("+left.src+")", "toJSON("+right.src+")"
	}
	return compared(a, n.op, opposites[n.op], b)
}

var opposites = map[string]string{"==": "!=", "!=": "=="}

// comparable reports whether == of the expression language is that of jq: it is
// for scalars, and for lists and maps as the run keeps them.
func comparable(a, b exp) bool {
	scalar := func(e exp) bool { return e.kind != kindAny && e.kind != kindList && e.kind != kindMap }
	return scalar(a) || scalar(b) || a.data && b.data
}

// ordering compares by size. To jq null is less than everything else; the
// expression language refuses to order it.
func (t *translation) ordering(n *jqBinary, env jqEnv) exp {
	left, right := t.single(n.left, env), t.single(n.right, env)
	for _, side := range []struct {
		n jqNode
		e exp
	}{{n.left, left}, {n.right, right}} {
		if side.e.kind != kindAny && side.e.kind != kindNumber && side.e.kind != kindText {
			return t.refuse(side.n, "compare numbers or texts", "only numbers and texts are ordered, and this is "+kindNames[side.e.kind])
		}
	}
	if left.kind != right.kind && left.kind != kindAny && right.kind != kindAny {
		return t.refuse(n, "compare numbers with numbers, and texts with texts", "a number is compared with text")
	}
	op := n.op
	if op[0] == '>' { // a > b is b < a
		left, right, op = right, left, "<"+op[1:]
		return t.once(left, func(left exp) exp {
			return t.once(right, func(right exp) exp { return ordered(left, op, right, true) })
		})
	}
	return t.once(left, func(left exp) exp {
		return t.once(right, func(right exp) exp { return ordered(left, op, right, false) })
	})
}

// ordered gives left < right or left <= right, written the other way around when
// turned.
func ordered(left exp, op string, right exp, turned bool) exp {
	e := exp{src: left.at(levelSum) + " " + op + " " + right.at(levelSum), level: levelCompare, kind: kindBool}
	if turned {
		e.src = right.at(levelSum) + " >" + op[1:] + " " + left.at(levelSum)
	}
	if left.nullable() && (op == "<=" || !right.nullable()) {
		if right.nullable() { // null <= null
			return either(isNull(left), both(isNotNull(right), e))
		}
		return either(isNull(left), e)
	}
	switch {
	case left.nullable():
		return both(isNotNull(right), exp{src: "(" + either(isNull(left), e).src + ")", level: levelAtom, kind: kindBool})
	case right.nullable():
		return both(isNotNull(right), e)
	}
	return e
}

// plus adds numbers, texts, lists and maps. What is known of one side tells what
// the other must be, or the step fails.
func (t *translation) plus(n *jqBinary, env jqEnv) exp {
	left, right := t.single(n.left, env), t.single(n.right, env)
	switch {
	case left.kind == kindNull:
		return right
	case right.kind == kindNull:
		return left
	}
	k := left.kind
	if k == kindAny {
		k = right.kind
	}
	if left.kind != kindAny && right.kind != kindAny && left.kind != right.kind || k == kindBool {
		return t.refuse(n, "add numbers, texts, lists or maps", "jq cannot add "+kindNames[left.kind]+" and "+kindNames[right.kind])
	}
	return t.plusOf(n, k, left, right)
}

func (t *translation) plusOf(n jqNode, k kind, left, right exp) exp {
	sum := plusUnknown
	switch k {
	case kindNumber, kindText, kindList, kindMap:
		sum = func(left, right exp) exp { return plusKnown(k, left, right) }
	default:
		if left.flows || right.flows {
			t.warn(n, "write . + 0 on one side, if these are numbers", "this merges maps, as data mostly are; anything else would fail here, since nothing tells which it is")
			sum = func(left, right exp) exp { return plusKnown(kindMap, left, right) }
			break
		}
		t.warn(n, "write . + [] or . + {} on one side, if these are lists or maps", "this adds numbers and texts; lists and maps would fail here, since nothing tells which it is")
	}
	return t.once(left, func(left exp) exp {
		return t.once(right, func(right exp) exp { return sum(left, right) })
	})
}

// nothing is what null counts for in a sum, by kind.
var nothing = map[kind]string{kindNumber: "0", kindText: `""`, kindList: "[]"}

func plusKnown(k kind, left, right exp) exp {
	sum := exp{level: levelAtom, kind: k}
	switch k {
	case kindList:
		sum.src = "concat(" + left.orElse("[]", levelLoose) + ", " + right.orElse("[]", levelLoose) + ")"
	case kindMap:
		sum.src = "merge(" + left.src + ", " + right.src + ")"
	default:
		sum.src, sum.level = left.orElse(nothing[k], levelSum)+" + "+right.orElse(nothing[k], levelProduct), levelSum
	}
	if left.nullable() && right.nullable() {
		return choose(both(isNull(left), isNull(right)), atom(kindNull, "nil"), sum)
	}
	return sum
}

func plusUnknown(left, right exp) exp {
	sum := exp{src: left.at(levelSum) + " + " + right.at(levelProduct), level: levelSum}
	return choose(isNull(left), right, choose(isNull(right), left, sum))
}

func (t *translation) numbers(n *jqBinary, env jqEnv) (left, right exp, ok bool) {
	left, right = t.single(n.left, env), t.single(n.right, env)
	for _, side := range []struct {
		n jqNode
		e exp
	}{{n.left, left}, {n.right, right}} {
		if !side.e.maybe(kindNumber) {
			t.refuse(side.n, "use numbers only", "the operator "+n.op+" is translated for numbers, and this is "+kindNames[side.e.kind])
			return left, right, false
		}
	}
	return left, right, true
}

func (t *translation) arithmetic(n *jqBinary, env jqEnv) exp {
	left, right, ok := t.numbers(n, env)
	if !ok {
		return atom(kindNumber, "nil")
	}
	level := map[string]int{"-": levelSum, "*": levelProduct}[n.op]
	e := exp{src: left.at(level) + " " + n.op + " " + right.at(level+1), level: level, kind: kindNumber}
	e.unsure = !left.known(kindNumber) || !right.known(kindNumber) // lists and texts to jq
	return e
}

// division fails when the divisor is zero, as it does in jq; the expression
// language alone would give infinity, which is null in JSON.
func (t *translation) division(n *jqBinary, env jqEnv) exp {
	left, right, ok := t.numbers(n, env)
	if !ok {
		return atom(kindNumber, "nil")
	}
	e := exp{level: levelProduct, kind: kindNumber}
	e.unsure = !left.known(kindNumber) && !right.known(kindNumber) // texts to jq
	_, constant := n.right.(*jqNumber)
	switch {
	case n.op == "%":
		e.src = whole(left) + " % " + whole(right)
	case constant && right.src != "0":
		e.src = left.at(levelProduct) + " / " + right.src
	default:
		return t.once(right, func(right exp) exp {
			e.src = left.at(levelProduct) + " / (" + right.at(levelSum) + " == 0 ? nil : " + right.src + ")"
			return e
		})
	}
	return e
}

var wholeNumber = regexp.MustCompile(`^\d+$`)

// whole gives a number without its fraction, as jq takes it for a remainder. The
// sum makes anything else than a number fail.
func whole(e exp) string {
	if wholeNumber.MatchString(e.src) {
		return e.src
	}
	return "int(" + e.at(levelSum) + " + 0)"
}

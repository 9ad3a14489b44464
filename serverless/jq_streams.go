package serverless

import "github.com/deviceops/deviceops/dsl"

// jq's expressions give any number of values; those of the expression language
// give one. A part that may give none or several is translated into the list of
// what it gives, and has a place where jq makes a list of it too: in [ ], map,
// any, all, first and limit.

// maxPredicates is how deep the expression language lets predicates stand inside
// one another.
const maxPredicates = 2

// many reports whether an expression may give other than one value.
func many(n jqNode) bool {
	switch n := n.(type) {
	case *jqEach:
		return true
	case *jqField:
		return many(n.target)
	case *jqIndex:
		return many(n.target) || many(n.key)
	case *jqBinary:
		return n.op == "," || many(n.left) || many(n.right)
	case *jqNegate:
		return many(n.operand)
	case *jqIf:
		return many(n.cond) || many(n.yes) || many(n.no)
	case *jqBind:
		return many(n.source) || many(n.body)
	case *jqCall:
		return isStreamFunction(n)
	case *jqText:
		for _, p := range n.parts {
			if p.expr != nil && many(p.expr) {
				return true
			}
		}
	case *jqObject:
		for _, e := range n.entries {
			if many(e.key) || many(e.value) {
				return true
			}
		}
	}
	return false
}

// stream translates an expression into the list of what it gives.
func (t *translation) stream(n jqNode, env jqEnv) exp {
	if !many(n) {
		return atom(kindList, "[%s]", t.single(n, env).src)
	}
	switch n := n.(type) {
	case *jqEach:
		return t.each(n, env)
	case *jqBinary:
		switch n.op {
		case ",":
			return joinLists(t.stream(n.left, env), t.stream(n.right, env))
		case "|":
			return t.pipedStream(n.left, n.right, env)
		}
	case *jqField:
		return t.pipedStream(n.target, &jqField{n.pos, &jqIdentity{n.pos}, n.name}, env)
	case *jqIndex:
		if !many(n.key) && constantKey(n.key) {
			return t.pipedStream(n.target, &jqIndex{n.pos, &jqIdentity{n.pos}, n.key}, env)
		}
	case *jqIf:
		if !many(n.cond) {
			return choose(t.single(n.cond, env).truth(), t.stream(n.yes, env), t.stream(n.no, env))
		}
	case *jqBind:
		if !many(n.source) {
			return t.bind(n, env, t.stream)
		}
	case *jqCall:
		return t.call(n, env)
	}
	return t.refuse(n, "compute the list first, and use map over it", "combining each value with each other one is not translated")
}

// constantKey reports whether a key means the same with another dot.
func constantKey(n jqNode) bool {
	switch n.(type) {
	case *jqNumber, *jqText, *jqVariable:
		return true
	}
	return false
}

// joinLists gives one list of two. Brackets of a list that is written out are
// merged.
func joinLists(a, b exp) exp {
	if isWritten(a) && isWritten(b) {
		if a.src == "[]" || b.src == "[]" {
			return atom(kindList, "%s", map[bool]string{true: b.src, false: a.src}[a.src == "[]"])
		}
		return exp{src: a.src[:len(a.src)-1] + ", " + b.src[1:], level: levelAtom, kind: kindList}
	}
	return atom(kindList, "concat(%s, %s)", a.src, b.src)
}

// isWritten reports whether the whole of a source is one list that is written
// out.
func isWritten(e exp) bool {
	if e.src == "" || e.src[0] != '[' || e.level != levelAtom {
		return false
	}
	depth, quoted := 0, false
	for i := 0; i < len(e.src); i++ {
		switch c := e.src[i]; {
		case quoted && c == '\\':
			i++
		case c == '"':
			quoted = !quoted
		case quoted:
		case c == '[' || c == '(' || c == '{':
			depth++
		case c == ']' || c == ')' || c == '}':
			if depth--; depth == 0 {
				return i == len(e.src)-1
			}
		}
	}
	return false
}

// each translates target[]. concat lets lists pass and nothing else.
func (t *translation) each(n *jqEach, env jqEnv) exp {
	if many(n.target) {
		return t.pipedStream(n.target, &jqEach{n.pos, &jqIdentity{n.pos}}, env)
	}
	target := t.single(n.target, env)
	if !target.maybe(kindList) {
		return t.refuse(n, "use it on a list", ".[] is translated for lists, and this is "+kindNames[target.kind])
	}
	if target.known(kindList) {
		return target
	}
	return exp{src: "concat(" + target.src + ")", level: levelAtom, kind: kindList, data: target.data}
}

// listOf translates what a predicate goes through. A predicate fails by itself
// over what is no list.
func (t *translation) listOf(n jqNode, env jqEnv) exp {
	if each, ok := n.(*jqEach); ok && !many(each.target) {
		if target := t.single(each.target, env); target.maybe(kindList) {
			return target
		}
	}
	return t.stream(n, env)
}

// pipedStream translates left | right where one of them gives several values.
func (t *translation) pipedStream(left, right jqNode, env jqEnv) exp {
	if !many(left) {
		return t.once(t.single(left, env), func(left exp) exp { return t.stream(right, env.with(left)) })
	}
	switch right := right.(type) {
	case *jqIdentity:
		return t.stream(left, env)
	case *jqBinary: // a | (b | c) is (a | b) | c
		if right.op == "|" {
			return t.pipedStream(joined(left, "|", right.opAt, right.left), right.right, env)
		}
	}
	list := t.listOf(left, env)
	inner, ok := t.inside(right, env, list)
	if !ok {
		return atom(kindList, "[]")
	}
	if call, is := right.(*jqCall); is && call.name == "select" && len(call.args) == 1 {
		return t.filtered(call, inner, list)
	}
	if many(right) {
		return atom(kindList, "reduce(%s, concat(#acc, %s), [])", list.src, t.stream(right, inner).src)
	}
	return atom(kindList, "map(%s, %s)", list.src, predicate(t.single(right, inner)))
}

// filtered translates list | select(condition).
func (t *translation) filtered(call *jqCall, inner jqEnv, list exp) exp {
	condition := t.single(call.args[0], inner).truth()
	return exp{src: "filter(" + list.src + ", " + predicate(condition) + ")", level: levelAtom, kind: kindList, data: list.data}
}

// inside gives the environment of a predicate over list.
func (t *translation) inside(n jqNode, env jqEnv, list exp) (jqEnv, bool) {
	if env.depth >= maxPredicates {
		t.refuse(n, "set the inner list in a task before", "lists inside lists are gone through two deep at most")
		return env, false
	}
	env.depth++
	env.dot = exp{src: "#", level: levelAtom, data: list.data}
	return env, true
}

// predicate writes an expression where a predicate is expected: a brace at its
// beginning would be taken for the predicate's own.
func predicate(e exp) string {
	switch {
	case e.src == "nil": // which alone is no predicate
		return "get(nil, 0)"
	case e.src[0] == '{':
		return "(" + e.src + ")"
	}
	return e.src
}

// truthList gives the condition of any or all over the values of a stream.
func (t *translation) truthList(function string, list exp) exp {
	return atom(kindBool, "%s(%s, %s)", function, list.src, exp{src: "#", level: levelAtom}.truth().src)
}

// literalCount gives a whole number that is written out.
func literalCount(n jqNode) (int64, bool) {
	literal, ok := n.(*jqNumber)
	if !ok {
		return 0, false
	}
	v, err := dsl.DecodeJSON([]byte(literal.text))
	count, whole := v.(int64)
	return count, err == nil && whole
}

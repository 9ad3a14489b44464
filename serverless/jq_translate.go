package serverless

import (
	"regexp"
	"slices"
	"strconv"
	"strings"

	"github.com/deviceops/deviceops/dsl"
)

// maxJQ is the largest expression that is read, in characters.
const maxJQ = 16 << 10

// jqVariableValue is what a variable stands for. Members are what stands for
// $name.a and $name.a.b; a variable may have members alone.
type jqVariableValue struct {
	value   exp
	members map[string]exp
	why     string // it cannot be translated, because
}

// jqEnv is what an expression sees at its place.
type jqEnv struct {
	dot   exp
	vars  map[string]jqVariableValue
	depth int // of predicates around the place
}

// with gives an environment with another dot.
func (v jqEnv) with(dot exp) jqEnv {
	v.dot = dot
	return v
}

// binding gives an environment with one variable more.
func (v jqEnv) binding(name string, value exp) jqEnv {
	vars := make(map[string]jqVariableValue, len(v.vars)+1)
	for n, known := range v.vars {
		vars[n] = known
	}
	vars[name] = jqVariableValue{value: value}
	v.vars = vars
	return v
}

// translation turns one jq expression into one of the expression language. What
// it gives is what jq gives, or it fails where the step runs; it never gives
// another value. What it cannot hold to that is reported, all of it.
type translation struct {
	problems []*jqProblem
	warnings []*jqProblem
	used     map[string]bool // the sources of the variables that were read
	holes    int
	lets     int
}

// translateJQ translates source as seen from env. With problems the expression
// is of no use.
func translateJQ(source string, env jqEnv) (exp, *translation) {
	t := &translation{used: map[string]bool{}}
	if n := len([]rune(source)); n > maxJQ {
		t.problems = append(t.problems, &jqProblem{0, n, "too-large", "the expression is longer than any that can be translated", "set parts of it in tasks before"})
		return exp{}, t
	}
	n, problem := parseJQ(source)
	if problem != nil {
		t.problems = append(t.problems, problem)
		return exp{}, t
	}
	e := t.single(n, env)
	if len(t.problems) == 0 && len([]rune(e.src)) > dsl.MaxExpression {
		from, to := n.span()
		t.problems = append(t.problems, &jqProblem{from, to, "too-large", "the expression becomes longer than expressions may be", "set parts of it in tasks before"})
	}
	return e, t
}

func (t *translation) refuse(n jqNode, fix, message string) exp {
	from, to := n.span()
	t.problems = append(t.problems, &jqProblem{from, to, codeJQUnsupported, message, fix})
	return atom(kindAny, "nil")
}

func (t *translation) warn(n jqNode, fix, message string) {
	from, to := n.span()
	t.warnings = append(t.warnings, &jqProblem{from, to, "approximated", message, fix})
}

// single translates an expression that gives one value.
func (t *translation) single(n jqNode, env jqEnv) exp {
	if many(n) {
		return t.refuse(n, "put it in brackets, [ ... ], for a list of what it gives", "this gives any number of values, and one is needed")
	}
	switch n := n.(type) {
	case *jqIdentity:
		return env.dot
	case *jqField:
		return t.field(n, env)
	case *jqIndex:
		return t.index(n, env)
	case *jqNumber:
		return t.number(n)
	case *jqConstant:
		return constant(n.name)
	case *jqText:
		return t.text(n, env)
	case *jqVariable:
		return t.variable(n, env)
	case *jqArray:
		return t.array(n, env)
	case *jqObject:
		return t.object(n, env)
	case *jqNegate:
		return exp{src: "-" + t.single(n.operand, env).at(levelAtom), level: levelUnary, kind: kindNumber}
	case *jqIf:
		return choose(t.single(n.cond, env).truth(), t.single(n.yes, env), t.single(n.no, env))
	case *jqBinary:
		return t.binary(n, env)
	case *jqBind:
		return t.bind(n, env, t.single)
	case *jqCall:
		return t.call(n, env)
	case *jqFormat:
		return t.formatted(n, env)
	case *jqUnsupported:
		return t.refuse(n, n.fix, n.what+" is not translated")
	}
	return t.refuse(n, "", "this is not translated")
}

// number translates a literal, which jq also reads with leading zeros and
// without digits before or after the point.
func (t *translation) number(n *jqNumber) exp {
	if i, err := strconv.ParseInt(n.text, 10, 64); err == nil {
		return atom(kindNumber, "%d", i)
	}
	f, err := strconv.ParseFloat(n.text, 64)
	if err != nil {
		return t.refuse(n, "write a smaller one", "this number is beyond what can be computed with")
	}
	return atom(kindNumber, "%s", dsl.Format(f))
}

func constant(name string) exp {
	if name == "null" {
		return atom(kindNull, "nil")
	}
	return atom(kindBool, "%s", name)
}

var plainField = regexp.MustCompile(`^[A-Za-z_]\w*$`)

// field translates target.name; a name that is missing gives null, and so does a
// target that is null.
func (t *translation) field(n *jqField, env jqEnv) exp {
	if v, path := memberPath(n); v != nil && env.vars[v.name].members != nil {
		if e, ok := env.vars[v.name].members[path]; ok {
			return e
		}
		if _, direct := n.target.(*jqVariable); direct && env.vars[v.name].value.src == "" {
			return t.unknownMember(n, v, env)
		}
	}
	target := t.single(n.target, env)
	switch target.kind {
	case kindNull:
		return target
	case kindList, kindText, kindNumber, kindBool:
		return t.refuse(n, "take an item first, as in .[0], or use map", kindNames[target.kind]+" has no names in it")
	}
	if target.data && target.level == levelAtom && simpleRoot.MatchString(target.src) {
		if plainField.MatchString(n.name) {
			return exp{src: target.src + "?." + n.name, level: levelAtom, data: true}
		}
		return exp{src: target.src + "?.[" + quote(n.name) + "]", level: levelAtom, data: true}
	}
	return exp{src: "get(" + target.src + ", " + quote(n.name) + ")", level: levelAtom, data: target.data}
}

// simpleRoot matches what a chain of names can be put behind.
var simpleRoot = regexp.MustCompile(`^[#A-Za-z_]`)

// memberPath gives the variable at the beginning of $name.a.b and what follows it,
// joined by dots; nil for anything else.
func memberPath(n jqNode) (v *jqVariable, path string) {
	switch n := n.(type) {
	case *jqVariable:
		return n, ""
	case *jqField:
		v, path = memberPath(n.target)
		return v, strings.TrimPrefix(path+"."+n.name, ".")
	}
	return nil, ""
}

func (t *translation) unknownMember(n *jqField, v *jqVariable, env jqEnv) exp {
	known := make([]string, 0, len(env.vars[v.name].members))
	for name := range env.vars[v.name].members {
		known = append(known, "$"+v.name+"."+name)
	}
	slices.Sort(known)
	return t.refuse(n, "use "+strings.Join(known, ", "), "$"+v.name+"."+n.name+" is not translated")
}

// index translates target[key]; an index beyond the end gives null.
func (t *translation) index(n *jqIndex, env jqEnv) exp {
	target, key := t.single(n.target, env), t.single(n.key, env)
	switch {
	case target.kind == kindNull:
		return target
	case target.kind == kindText || target.kind == kindNumber || target.kind == kindBool:
		return t.refuse(n, "take items of lists and maps", kindNames[target.kind]+" has no items")
	case key.kind != kindAny && key.kind != kindNumber && key.kind != kindText, target.kind == kindList && key.kind == kindText, target.kind == kindMap && key.kind == kindNumber:
		return t.refuse(n.key, "use a number in a list, a text in a map", "this cannot be the key here")
	}
	return exp{src: "get(" + target.src + ", " + key.src + ")", level: levelAtom, data: target.data}
}

// text translates a text with what is put into it.
func (t *translation) text(n *jqText, env jqEnv) exp {
	var parts []string
	for _, p := range n.parts {
		switch {
		case p.expr != nil:
			parts = append(parts, asText(t.single(p.expr, env)).at(levelSum))
		case p.text != "" || len(n.parts) == 1:
			parts = append(parts, quote(p.text))
		}
	}
	if len(parts) == 1 {
		return exp{src: parts[0], level: levelAtom, kind: kindText}
	}
	return exp{src: strings.Join(parts, " + "), level: levelSum, kind: kindText}
}

// asText gives the text of a value: jq writes null where a template writes
// nothing.
func asText(e exp) exp {
	switch {
	case e.known(kindText):
		return e
	case e.nullable():
		return atom(kindText, `string(%s ?? "null")`, e.at(levelAtom))
	}
	return atom(kindText, "string(%s)", e.src)
}

func (t *translation) variable(n *jqVariable, env jqEnv) exp {
	v, ok := env.vars[n.name]
	switch {
	case !ok:
		return t.refuse(n, "", "there is no $"+n.name+" here")
	case v.why != "":
		return t.refuse(n, "", "$"+n.name+" is not translated: "+v.why)
	case v.value.src == "":
		return t.refuse(n, "use what it holds, such as $"+n.name+"."+slices.Min(keys(v.members)), "$"+n.name+" as a whole is not translated")
	}
	t.used[v.value.src] = true
	return v.value
}

func keys[V any](m map[string]V) []string {
	names := make([]string, 0, len(m))
	for name := range m {
		names = append(names, name)
	}
	return names
}

// array translates [items].
func (t *translation) array(n *jqArray, env jqEnv) exp {
	if n.items == nil {
		return atom(kindList, "[]")
	}
	return t.stream(n.items, env)
}

// object translates {entries}. Of a key that is written twice the last counts,
// in both languages.
func (t *translation) object(n *jqObject, env jqEnv) exp {
	var parts []string
	for _, entry := range n.entries {
		key, value := t.single(entry.key, env), t.single(entry.value, env)
		if !key.maybe(kindText) {
			t.refuse(entry.key, "put it in quotes", "a key of an object must be text, and this is "+kindNames[key.kind])
		}
		written := key.src
		if key.kind != kindText || key.level != levelAtom || !strings.HasPrefix(key.src, `"`) {
			written = "(" + key.src + ")"
		}
		parts = append(parts, written+": "+value.src)
	}
	return exp{src: "{" + strings.Join(parts, ", ") + "}", level: levelAtom, kind: kindMap}
}

// bind translates source as $name | body. The body is translated by inner.
func (t *translation) bind(n *jqBind, env jqEnv, inner func(jqNode, jqEnv) exp) exp {
	source := t.single(n.source, env)
	if source.simple() && !strings.Contains(source.src, "#") {
		return inner(n.body, env.binding(n.name, source))
	}
	name := t.newLet()
	body := inner(n.body, env.binding(n.name, exp{src: name, level: levelAtom, kind: source.kind, orNull: source.orNull, data: source.data}))
	return let(name, source, body)
}

func (t *translation) newLet() string {
	t.lets++
	return letPrefix + string(rune('a'+(t.lets-1)%26)) + strings.Repeat("x", (t.lets-1)/26)
}

// letPrefix begins the names that translations declare. Names of documents never
// begin so.
const letPrefix = "_v"

func let(name string, value, body exp) exp {
	body.inverse = ""
	body.src, body.level = "(let "+name+" = "+value.src+"; "+body.src+")", levelAtom
	return body
}

// once hands an expression to use, which may write it several times. One that is
// long is computed once and given a name.
func (t *translation) once(e exp, use func(exp) exp) exp {
	if e.simple() || t.holes > lastHole-firstHole-1 {
		return use(e)
	}
	hole := string(rune(firstHole + t.holes))
	t.holes++
	in := e
	in.src, in.level, in.inverse = hole, levelAtom, ""
	out := use(in)
	out.inverse = "" // which may hold the hole, too
	switch strings.Count(out.src, hole) {
	case 0:
		return out
	case 1:
		out.src = strings.Replace(out.src, hole, e.at(levelAtom), 1)
		return out
	}
	name := t.newLet()
	out.src = strings.ReplaceAll(out.src, hole, name)
	return let(name, e, out)
}

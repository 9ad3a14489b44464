package serverless

import (
	"fmt"
	"regexp"
	"strings"
)

// kind is what is known of a value before anything runs.
type kind int

const (
	kindAny kind = iota // nothing; it may be null
	kindNull
	kindBool
	kindNumber
	kindText
	kindList
	kindMap
)

var kindNames = map[kind]string{
	kindNull: "null", kindBool: "a boolean", kindNumber: "a number", kindText: "text", kindList: "a list", kindMap: "a map",
}

// Levels of expressions, by how strongly their outermost operator binds.
const (
	levelLoose = iota // conditions ? :, let, ??
	levelOr
	levelAnd
	levelCompare
	levelSum
	levelProduct
	levelUnary
	levelAtom
)

// exp is a translated expression.
type exp struct {
	src    string
	level  int
	kind   kind
	orNull bool // it may be null besides what kind says

	// flows is set for what goes from task to task as a whole, which in most
	// workflows is a map.
	flows bool

	// unsure is set where jq may give another kind of value, and the translation
	// fails instead: it must not be left out as if its kind were certain.
	unsure bool

	// data is set for a value as the run keeps it, whose numbers are canonical at
	// any depth. Lists and maps that an expression makes are not, and comparing
	// them takes a detour.
	data bool

	inverse string // the source of the opposite, at the same level; "": ! does it
}

// ifAny marks an expression over e as unsure unless e certainly is of a kind.
func (e exp) ifAny(over exp, k kind) exp {
	e.unsure = !over.known(k) || over.unsure
	return e
}

func atom(k kind, format string, args ...any) exp {
	return exp{src: fmt.Sprintf(format, args...), level: levelAtom, kind: k}
}

// at gives the source for a place that needs at least a level.
func (e exp) at(level int) string {
	if e.level < level {
		return "(" + e.src + ")"
	}
	return e.src
}

// known reports whether e certainly is of the kind, and not null.
func (e exp) known(k kind) bool { return e.kind == k && !e.orNull }

// maybe reports whether e may be of the kind.
func (e exp) maybe(k kind) bool { return e.kind == k || e.kind == kindAny }

// nullable reports whether e may be null.
func (e exp) nullable() bool { return e.kind == kindAny || e.kind == kindNull || e.orNull }

// orElse gives e for a place that needs a level, or a constant when it is null.
func (e exp) orElse(constant string, level int) string {
	if !e.nullable() {
		return e.at(level)
	}
	return exp{src: e.at(levelAtom) + " ?? " + constant, level: levelLoose}.at(level)
}

// simple reports whether an expression may be written several times.
func (e exp) simple() bool {
	return e.level == levelAtom && len(e.src) <= 60 && simpleSource.MatchString(e.src)
}

// simpleSource matches names, paths and numbers.
var simpleSource = regexp.MustCompile(`^[#\w][\w.?]*$`)

// truth gives a condition that is true when jq takes e for true: all but null
// and false are.
func (e exp) truth() exp {
	switch {
	case e.kind == kindBool && !e.orNull:
		return e
	case e.kind == kindNull:
		return atom(kindBool, "false")
	case !e.nullable() && !e.unsure:
		return atom(kindBool, "true")
	}
	return compared(e.at(levelSum), "not in", "in", "[nil, false]")
}

func not(e exp) exp {
	switch e.src {
	case "true":
		return atom(kindBool, "false")
	case "false":
		return atom(kindBool, "true")
	}
	if e.inverse != "" {
		return exp{src: e.inverse, level: e.level, kind: kindBool, inverse: e.src}
	}
	return exp{src: "!" + e.at(levelAtom), level: levelUnary, kind: kindBool}
}

// choose gives cond ? yes : no.
func choose(cond, yes, no exp) exp {
	switch cond.src {
	case "true":
		return yes
	case "false":
		return no
	}
	e := exp{src: cond.at(levelOr) + " ? " + yes.at(levelOr) + " : " + no.src, level: levelLoose, data: yes.data && no.data, unsure: yes.unsure || no.unsure}
	switch {
	case yes.kind == kindAny || no.kind == kindAny:
	case yes.kind == no.kind:
		e.kind, e.orNull = yes.kind, yes.orNull || no.orNull
	case no.kind == kindNull:
		e.kind, e.orNull = yes.kind, true
	case yes.kind == kindNull:
		e.kind, e.orNull = no.kind, true
	}
	return e
}

func both(a, b exp) exp {
	return exp{src: a.at(levelAnd) + " && " + b.at(levelAnd), level: levelAnd, kind: kindBool}
}

func either(a, b exp) exp {
	return exp{src: a.at(levelAnd) + " || " + b.at(levelAnd), level: levelOr, kind: kindBool}
}

// compared gives a comparison, which has an opposite.
func compared(left, op, opposite, right string) exp {
	return exp{src: left + " " + op + " " + right, level: levelCompare, kind: kindBool, inverse: left + " " + opposite + " " + right}
}

func isNull(e exp) exp { return compared(e.at(levelSum), "==", "!=", "nil") }

func isNotNull(e exp) exp { return compared(e.at(levelSum), "!=", "==", "nil") }

// Holes stand in a source for a value that is put in later, once it is known how
// often it is needed. They are characters that no text of a source holds.
const (
	firstHole = '\ue000'
	lastHole  = '\uf8ff'
)

// quote writes a text as a literal of the expression language. Braces that a
// template would take for its own are escaped, and so are holes.
func quote(text string) string {
	var b strings.Builder
	b.WriteByte('"')
	before := rune(0)
	for _, r := range text {
		switch {
		case r == '"' || r == '\\':
			b.WriteRune('\\')
			b.WriteRune(r)
		case r == '\n':
			b.WriteString(`\n`)
		case r == '\t':
			b.WriteString(`\t`)
		case r == '{' && (before == '{' || before == '$'), r == '}' && before == '}', r < ' ', r == 0x7f:
			fmt.Fprintf(&b, `\x%02x`, r)
		case r >= firstHole && r <= lastHole, r >= 0x80 && r < 0xa0, r == 0x2028, r == 0x2029, r == 0xfeff:
			fmt.Fprintf(&b, `\u%04x`, r)
		default:
			b.WriteRune(r)
		}
		before = r
	}
	b.WriteByte('"')
	return b.String()
}

// textExp is a literal text.
func textExp(text string) exp { return atom(kindText, "%s", quote(text)) }

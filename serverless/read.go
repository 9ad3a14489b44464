package serverless

import (
	"maps"
	"regexp"
	"slices"
	"strings"

	"go.yaml.in/yaml/v4"

	"github.com/deviceops/deviceops/dsl"
)

// Codes of diagnostics besides those about expressions.
const (
	codeUnsupported  = "unsupported"
	codeApproximated = "approximated"
	codeUnknownKey   = "unknown-key"
	codeWrongType    = "wrong-type"
	codeMissingKey   = "missing-key"
	codeUnknownName  = "unknown-name"
)

// object is a map of the document.
type object struct {
	node   *yaml.Node
	keys   map[string]*yaml.Node
	values map[string]*yaml.Node
	order  []string
}

func (o *object) get(key string) *yaml.Node {
	if o == nil {
		return nil
	}
	return o.values[key]
}

func (o *object) has(key string) bool { return o.get(key) != nil }

// without gives the object without one of its keys.
func (o *object) without(key string) *object {
	out := &object{node: o.node, keys: maps.Clone(o.keys), values: maps.Clone(o.values), order: slices.Clone(o.order)}
	delete(out.values, key)
	out.order = slices.DeleteFunc(out.order, func(k string) bool { return k == key })
	return out
}

// entries reads a map whose keys the author chooses; nil was reported.
func (b *builder) entries(n *yaml.Node, what string) *object {
	if n.Kind != yaml.MappingNode {
		b.Report(n, codeWrongType, "write its keys below it, each as key: value", "%s must be a map", what)
		return nil
	}
	o := &object{node: n, keys: map[string]*yaml.Node{}, values: map[string]*yaml.Node{}}
	for i := 0; i+1 < len(n.Content); i += 2 {
		name := n.Content[i].Value
		o.keys[name], o.values[name] = n.Content[i], n.Content[i+1]
		o.order = append(o.order, name)
	}
	return o
}

// object reads a map and reports keys that the specification does not have.
func (b *builder) object(n *yaml.Node, what string, known ...string) *object {
	o := b.entries(n, what)
	if o == nil {
		return nil
	}
	for _, key := range o.order {
		if !slices.Contains(known, key) {
			b.Report(o.keys[key], codeUnknownKey, "use "+strings.Join(known, ", "), "%s has no key %q in DSL 1.0", what, key)
		}
	}
	return o
}

// unsupported reports keys of an object that cannot be translated, where they
// are given.
func (b *builder) unsupported(o *object, what, fix string, keys ...string) {
	for _, key := range keys {
		if o.has(key) {
			b.Report(o.keys[key], codeUnsupported, fix, "%s of %s is not translated", key, what)
		}
	}
}

// required gives the value of a key that must be there.
func (b *builder) required(o *object, key, what string) *yaml.Node {
	if o == nil {
		return nil
	}
	n := o.get(key)
	if n == nil {
		b.Report(o.node, codeMissingKey, "add "+key+":", "%s needs %s", what, key)
	}
	return n
}

// text reads a text.
func (b *builder) text(n *yaml.Node, what string) (string, bool) {
	if n == nil {
		return "", false
	}
	if !isText(n) {
		b.Report(n, codeWrongType, "put it in quotes", "%s must be text", what)
		return "", false
	}
	return n.Value, true
}

func isText(n *yaml.Node) bool {
	return n.Kind == yaml.ScalarNode && (n.Tag == "!!str" || n.Tag == "!!timestamp" || n.Style&(yaml.DoubleQuotedStyle|yaml.SingleQuotedStyle|yaml.LiteralStyle|yaml.FoldedStyle) != 0)
}

// boolean reads true or false; absent gives otherwise.
func (b *builder) boolean(n *yaml.Node, what string, otherwise bool) bool {
	if n == nil {
		return otherwise
	}
	if n.Kind != yaml.ScalarNode || n.Tag != "!!bool" {
		b.Report(n, codeWrongType, "write true or false", "%s must be true or false", what)
		return otherwise
	}
	return strings.EqualFold(n.Value, "true")
}

// approximate tells of something that is nearly, and not quite, what it was: as
// a warning, and as a comment above the step that the task becomes.
func (b *builder) approximate(n *yaml.Node, fix, message string) {
	b.Warn(n, codeApproximated, fix, "%s", message)
	b.notes = append(b.notes, message)
}

var (
	wholeExpression = regexp.MustCompile(`(?s)^\s*\$\{(.*)\}\s*$`)
	partExpression  = regexp.MustCompile(`\$\{[^{]`)
)

// expression translates a field that is always an expression, with or without
// ${ } around it.
func (b *builder) expression(n *yaml.Node, what string, env jqEnv) exp {
	if n.Kind != yaml.ScalarNode {
		b.Report(n, codeWrongType, "write an expression such as .color", "%s must be an expression", what)
		return atom(kindAny, "nil")
	}
	source, offset := n.Value, 0
	if m := wholeExpression.FindStringSubmatchIndex(n.Value); m != nil {
		source, offset = n.Value[m[2]:m[3]], len([]rune(n.Value[:m[2]]))
	}
	return b.jq(n, source, offset, env)
}

// jq translates an expression that begins offset characters into a scalar.
func (b *builder) jq(n *yaml.Node, source string, offset int, env jqEnv) exp {
	if strings.TrimSpace(source) == "" {
		b.Report(n, codeJQSyntax, "write an expression, or leave the key out", "the expression is empty")
		return atom(kindAny, "nil")
	}
	e, t := translateJQ(source, env)
	for _, p := range t.problems {
		b.ReportPart(n, offset+p.from, offset+p.to, p.code, p.fix, "%s", p.message)
	}
	for _, p := range t.warnings {
		b.approximate(n, p.fix, p.message)
	}
	for name := range t.used {
		b.used[name] = true
	}
	b.context = b.context || t.used[variable(contextVariable).src]
	return e
}

// asValue translates what from and as take: an expression, or a map with
// expressions in it.
func (b *builder) asValue(n *yaml.Node, what string, env jqEnv) (*yaml.Node, exp) {
	if n.Kind == yaml.ScalarNode {
		e := b.expression(n, what, env)
		return template(e), e
	}
	return b.value(n, env), exp{kind: kindMap}
}

// value translates a value in which texts may be expressions.
func (b *builder) value(n *yaml.Node, env jqEnv) *yaml.Node {
	switch n.Kind {
	case yaml.MappingNode:
		out := mapping()
		for i := 0; i+1 < len(n.Content); i += 2 {
			put(out, n.Content[i].Value, b.value(n.Content[i+1], env))
		}
		return out
	case yaml.SequenceNode:
		out := sequence()
		for _, item := range n.Content {
			out.Content = append(out.Content, b.value(item, env))
		}
		return out
	}
	return b.scalar(n, env)
}

func (b *builder) scalar(n *yaml.Node, env jqEnv) *yaml.Node {
	if !isText(n) {
		return constantNode(plainValue(n))
	}
	if m := wholeExpression.FindStringSubmatchIndex(n.Value); m != nil {
		return template(b.jq(n, n.Value[m[2]:m[3]], len([]rune(n.Value[:m[2]])), env))
	}
	if m := partExpression.FindStringIndex(n.Value); m != nil {
		from := len([]rune(n.Value[:m[0]]))
		b.ReportPart(n, from, from+2, codeUnsupported, `make the whole text one expression: ${ "Hello \(.name)" }`,
			"an expression has to be the whole text")
	}
	if looksLikeJQ.MatchString(n.Value) {
		b.Warn(n, "plain-text", "write ${ "+n.Value+" } if it is meant as an expression", "this is text, and looks like an expression")
	}
	return literal(n.Value)
}

// looksLikeJQ matches texts that are paths to those who forget ${ }.
var looksLikeJQ = regexp.MustCompile(`^(\.[A-Za-z_]\w*)+$|^\$(input|context|workflow|task)\b`)

// plainValue gives the value of a scalar that is no text, as YAML reads it.
func plainValue(n *yaml.Node) any {
	var v any
	if err := n.Decode(&v); err != nil {
		return n.Value
	}
	return dsl.Canonical(v)
}

var notInNames = regexp.MustCompile(`\W+`)

// unique gives a name made of letters, digits and _ that is not in taken yet.
func unique(name string, taken map[string]bool) string {
	name = strings.Trim(notInNames.ReplaceAllString(name, "_"), "_")
	if name == "" || name[0] >= '0' && name[0] <= '9' {
		name = "t_" + name
	}
	name = name[:min(len(name), 48)]
	free := name
	for i := 2; taken[free]; i++ {
		free = name + "_" + strings.TrimSpace(dsl.Format(int64(i)))
	}
	taken[free] = true
	return free
}

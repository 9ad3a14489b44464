package dsl

import (
	"regexp"
	"strconv"
	"strings"

	"go.yaml.in/yaml/v4"
)

// segment is a piece of a text with templates; from and to are runes of it, for
// an expression those between its braces.
type segment struct {
	from, to int
	isExpr   bool
}

// segments splits a text at its ${{ }}. A template that is not closed gives its
// position instead.
func segments(text []rune) (parts []segment, open int) {
	start := 0
	for i := 0; i+2 < len(text); i++ {
		if text[i] != '$' || text[i+1] != '{' || text[i+2] != '{' {
			continue
		}
		end := closing(text, i+3)
		if end < 0 {
			return nil, i
		}
		if i > start {
			parts = append(parts, segment{start, i, false})
		}
		parts = append(parts, segment{i + 3, end, true})
		start = end + 2
		i = start - 1
	}
	if start < len(text) {
		parts = append(parts, segment{start, len(text), false})
	}
	return parts, -1
}

// closing finds the }} that ends a template, outside texts and inner braces.
func closing(text []rune, i int) int {
	depth := 0
	var quoted rune
	for ; i < len(text); i++ {
		r := text[i]
		switch {
		case quoted != 0 && r == '\\' && quoted != '`':
			i++
		case quoted != 0:
			if r == quoted {
				quoted = 0
			}
		case r == '"' || r == '\'' || r == '`':
			quoted = r
		case r == '{':
			depth++
		case r == '}' && depth > 0:
			depth--
		case r == '}' && i+1 < len(text) && text[i+1] == '}':
			return i
		}
	}
	return -1
}

// value compiles a field that may hold templates, with all that is in it.
func (c *checker) value(n *yaml.Node, sc *scope) *Value {
	switch n.Kind {
	case yaml.MappingNode:
		return c.mapValue(n, sc)
	case yaml.SequenceNode:
		v := &Value{kind: listValue}
		constant := []any{}
		for _, item := range n.Content {
			compiled := c.value(item, sc)
			v.items = append(v.items, compiled)
			constant = appendConstant(constant, compiled)
		}
		if constant != nil {
			return &Value{literal: constant}
		}
		return v
	case yaml.ScalarNode:
		return c.scalarValue(n, sc)
	}
	return &Value{}
}

// appendConstant grows a list as long as all its values are constant.
func appendConstant(list []any, v *Value) []any {
	if constant, ok := v.Constant(); ok && list != nil {
		return append(list, constant)
	}
	return nil
}

func (c *checker) mapValue(n *yaml.Node, sc *scope) *Value {
	v := &Value{kind: mapValue}
	constant := map[string]any{}
	for i := 0; i+1 < len(n.Content); i += 2 {
		compiled := c.value(n.Content[i+1], sc)
		v.fields = append(v.fields, field{n.Content[i].Value, compiled})
		if literal, ok := compiled.Constant(); ok {
			constant[n.Content[i].Value] = literal
		}
	}
	if len(constant) == len(v.fields) {
		v.kind, v.literal = literalValue, constant
	}
	return v
}

func (c *checker) scalarValue(n *yaml.Node, sc *scope) *Value {
	if !isText(n) {
		return &Value{literal: scalar(n)}
	}
	if strings.HasPrefix(n.Value, secretPrefix) {
		c.secretTrap(n)
		return &Value{}
	}
	return c.template(n, sc)
}

// secretPrefix begins a reference to a secret.
const secretPrefix = "secret:"

func (c *checker) secretTrap(n *yaml.Node) {
	c.report(n, "secret-place", "give it to a field of an action that takes a secret; everywhere else it would be text in the history of the run",
		"a secret cannot be used here")
}

// scalar gives the value of a scalar that is no text.
func scalar(n *yaml.Node) any {
	switch n.Tag {
	case "!!null":
		return nil
	case "!!bool":
		return strings.EqualFold(n.Value, "true")
	case "!!int":
		if i, err := strconv.ParseInt(n.Value, 10, 64); err == nil {
			return i
		}
	}
	if v, err := DecodeJSON([]byte(n.Value)); err == nil {
		return v
	}
	return n.Value
}

// template compiles a text.
func (c *checker) template(n *yaml.Node, sc *scope) *Value {
	return c.templateFor(n, sc, wantAny)
}

// templateFor compiles a text of which a lone expression has to give what is
// wanted.
func (c *checker) templateFor(n *yaml.Node, sc *scope, w want) *Value {
	text := []rune(n.Value)
	parts, open := segments(text)
	if open >= 0 {
		c.doc.src.report(c.doc.part(n, open, open+3), "template-open", "end it with }}", "this template is not closed")
		return &Value{}
	}
	if lone, ok := loneExpression(text, parts); ok {
		return &Value{kind: exprValue, expr: c.compile(n, lone.from, lone.to, sc, w)}
	}
	v := &Value{kind: templateValue}
	for _, p := range parts {
		if p.isExpr {
			v.parts = append(v.parts, part{expr: c.compile(n, p.from, p.to, sc, wantAny)})
		} else {
			v.parts = append(v.parts, part{text: string(text[p.from:p.to])})
		}
	}
	if len(parts) == 0 || len(parts) == 1 && !parts[0].isExpr {
		return &Value{literal: n.Value}
	}
	return v
}

// loneExpression recognizes a text that is one template and blanks.
func loneExpression(text []rune, parts []segment) (segment, bool) {
	var lone segment
	found := 0
	for _, p := range parts {
		switch {
		case p.isExpr:
			lone = p
			found++
		case strings.TrimSpace(string(text[p.from:p.to])) != "":
			return segment{}, false
		}
	}
	return lone, found == 1
}

// compile compiles runes [from, to) of a scalar and reports problems at their
// place in the file.
func (c *checker) compile(n *yaml.Node, from, to int, sc *scope, w want) *Expression {
	text := []rune(n.Value)[from:to]
	lead := len(text) - len([]rune(strings.TrimLeft(string(text), " \t\n")))
	source := strings.TrimSpace(string(text))
	if source == "" {
		c.doc.src.report(c.doc.part(n, from, to), "expression-empty", "write an expression, or leave the key out", "the expression is empty")
		return &Expression{}
	}
	e, problems := compileExpression(source, sc, w)
	for _, p := range problems {
		c.doc.src.report(c.doc.part(n, from+lead+p.from, from+lead+p.to), p.code, p.fix, "%s", p.message)
	}
	if e == nil {
		return &Expression{Source: source}
	}
	return e
}

var loneTemplate = regexp.MustCompile(`^\s*\$\{\{(.*)\}\}\s*$`)

// expression compiles a field that is always an expression.
func (c *checker) expression(n *yaml.Node, what string, sc *scope, w want) *Expression {
	if n.Kind != yaml.ScalarNode || n.Tag == "!!null" {
		c.wrongExpression(n, what)
		return &Expression{}
	}
	if m := loneTemplate.FindStringSubmatch(n.Value); m != nil {
		c.report(n, "template-in-expression", "write "+strings.TrimSpace(m[1]), "%s is always an expression, without ${{ }}", what)
		return &Expression{}
	}
	return c.compile(n, 0, runes(n.Value), sc, w)
}

func (c *checker) wrongExpression(n *yaml.Node, what string) {
	if c.isColonMap(n) {
		c.colonMap(n, what)
		return
	}
	c.report(n, "wrong-type", "write a condition such as inputs.battery < 20", "%s must be an expression, and this is %s", what, kindOf(n))
}

// textValue compiles a field that gives text.
func (c *checker) textValue(n *yaml.Node, what string, sc *scope) *Value {
	if _, ok := c.text(n, what); !ok {
		return &Value{}
	}
	return c.scalarValue(n, sc)
}

// durationValue compiles a field that gives a duration.
func (c *checker) durationValue(n *yaml.Node, what string, sc *scope) *Value {
	if !c.isDurationText(n, what) {
		return &Value{}
	}
	if strings.Contains(n.Value, "${{") {
		return c.templateFor(n, sc, wantDuration)
	}
	if _, err := ParseDuration(n.Value); err != nil {
		c.badDuration(n, what)
	}
	return &Value{literal: n.Value}
}

package dsl

import (
	"regexp"
	"strconv"
	"strings"

	"go.yaml.in/yaml/v4"
)

// TypeKind is the kind of a declared type.
type TypeKind string

// Kinds of types.
const (
	TypeString   TypeKind = "string"
	TypeNumber   TypeKind = "number"
	TypeInteger  TypeKind = "integer"
	TypeBoolean  TypeKind = "boolean"
	TypeDuration TypeKind = "duration"
	TypeDevice   TypeKind = "device" // the id of a device
	TypeEnum     TypeKind = "enum"
	TypeMap      TypeKind = "map"  // any keys and values
	TypeList     TypeKind = "list" // of any values
)

// Type is a declared type: `number 0..100`, `device kiosk`, { enum: [a, b] }.
type Type struct {
	Kind     TypeKind
	Profile  string   // TypeDevice: the profile that the device must have; "" means any
	Min, Max *float64 // TypeNumber and TypeInteger: inclusive
	Enum     []any    // TypeEnum: the values allowed
}

// declaration is a type with what else can be said of an input or argument.
type declaration struct {
	Type
	def         any
	hasDefault  bool
	optional    bool
	description string
}

const typeFix = "write string, number, number 0..100, integer, boolean, duration, device kiosk, map, list or { enum: [a, b] }"

// typeForms are the kinds that stand at the start of a short type.
var typeForms = []string{"string", "number", "integer", "boolean", "duration", "device", "map", "list"}

var rangeText = regexp.MustCompile(`^(-?\d+(?:\.\d+)?)?\.\.(-?\d+(?:\.\d+)?)?$`)

// parseType reads a short type. The message is "" when it is one.
func parseType(text string) (t Type, message string) {
	head, rest, _ := strings.Cut(strings.TrimSpace(text), " ")
	rest = strings.TrimSpace(rest)
	t.Kind = TypeKind(head)
	switch {
	case !contains(typeForms, head):
		return t, sprintf("there is no type %q%s", head, didYouMean(head, typeForms))
	case rest == "":
		return t, ""
	case t.Kind == TypeDevice && documentName.MatchString(rest):
		t.Profile = rest
		return t, ""
	case t.Kind == TypeNumber || t.Kind == TypeInteger:
		return t, t.parseRange(rest)
	}
	return t, sprintf("%q cannot follow the type %s", rest, head)
}

func (t *Type) parseRange(text string) string {
	m := rangeText.FindStringSubmatch(text)
	if m == nil || m[1] == "" && m[2] == "" {
		return sprintf("%q is not a range such as 0..100", text)
	}
	t.Min, t.Max = bound(m[1]), bound(m[2])
	if t.Min != nil && t.Max != nil && *t.Min > *t.Max {
		return sprintf("the range %s is empty", text)
	}
	return ""
}

func bound(text string) *float64 {
	f, err := strconv.ParseFloat(text, 64)
	if err != nil {
		return nil
	}
	return &f
}

// declaration reads a type in its short form or as a map.
func (c *checker) declaration(n *yaml.Node, what string, extra ...string) (declaration, bool) {
	if n.Kind == yaml.MappingNode {
		return c.longDeclaration(n, what, extra)
	}
	s, ok := c.text(n, "the type of "+what)
	if !ok {
		return declaration{}, false
	}
	t, message := parseType(s)
	if message != "" {
		c.report(n, "bad-type", typeFix, "%s", message)
	}
	return declaration{Type: t}, message == ""
}

func (c *checker) longDeclaration(n *yaml.Node, what string, extra []string) (declaration, bool) {
	o := c.object(n, "the type of "+what, append([]string{"type", "enum", "default", "min", "max", "description"}, extra...)...)
	d, ok := c.baseType(o, what)
	if !ok {
		return d, false
	}
	c.bounds(o, &d)
	if v := o.get("description"); v != nil {
		d.description, _ = c.text(v, "a description")
	}
	if v := o.get("optional"); v != nil {
		d.optional = c.boolean(v, "optional")
	}
	c.defaultOf(o, &d, what)
	return d, true
}

func (c *checker) baseType(o *object, what string) (declaration, bool) {
	switch {
	case o.has("type") && o.has("enum"):
		c.report(o.keys["type"], "bad-type", "leave out type: an enum has the type of its values", "type and enum exclude each other")
		return declaration{}, false
	case o.has("enum"):
		values := c.enum(o.get("enum"))
		return declaration{Type: Type{Kind: TypeEnum, Enum: values}}, len(values) > 0
	case o.has("type"):
		s, ok := c.text(o.get("type"), "a type")
		if !ok {
			return declaration{}, false
		}
		t, message := parseType(s)
		if message != "" {
			c.report(o.get("type"), "bad-type", typeFix, "%s", message)
		}
		return declaration{Type: t}, message == ""
	}
	c.report(o.node, "bad-type", typeFix, "the type of %s is missing", what)
	return declaration{}, false
}

func (c *checker) enum(n *yaml.Node) []any {
	var values []any
	for _, item := range c.list(n, "enum", "write it as [soft, hard]") {
		if item.Kind != yaml.ScalarNode || item.Tag == "!!null" {
			c.report(item, "wrong-type", "write texts or numbers", "a value of an enum must be a text or number, and this is %s", kindOf(item))
			return nil
		}
		values = append(values, scalar(item))
	}
	if n.Kind == yaml.SequenceNode && len(values) == 0 {
		c.report(n, "bad-type", "write it as [soft, hard]", "an enum needs values")
	}
	return values
}

func (c *checker) bounds(o *object, d *declaration) {
	for _, b := range []struct {
		key string
		to  **float64
	}{{"min", &d.Min}, {"max", &d.Max}} {
		n := o.get(b.key)
		if n == nil {
			continue
		}
		f, isNumber := toFloat(scalar(n))
		if n.Kind != yaml.ScalarNode || !isNumber || d.Kind != TypeNumber && d.Kind != TypeInteger {
			c.report(n, "bad-type", "give min and max as numbers to number and integer only", "%s has no meaning here", b.key)
			continue
		}
		*b.to = &f
	}
}

func (c *checker) defaultOf(o *object, d *declaration, what string) {
	n := o.get("default")
	if n == nil {
		return
	}
	v, err := d.Coerce(c.constant(n))
	if err != nil {
		c.report(n, "bad-default", "", "the default of %s: %s", what, err)
		return
	}
	d.def, d.hasDefault = v, true
}

// constant reads a value without templates.
func (c *checker) constant(n *yaml.Node) any {
	switch n.Kind {
	case yaml.MappingNode:
		m := map[string]any{}
		for i := 0; i+1 < len(n.Content); i += 2 {
			m[n.Content[i].Value] = c.constant(n.Content[i+1])
		}
		return m
	case yaml.SequenceNode:
		list := make([]any, len(n.Content))
		for i, item := range n.Content {
			list[i] = c.constant(item)
		}
		return list
	case yaml.ScalarNode:
		return c.constantScalar(n)
	}
	return nil
}

func (c *checker) constantScalar(n *yaml.Node) any {
	switch {
	case !isText(n):
		return scalar(n)
	case strings.HasPrefix(n.Value, secretPrefix):
		c.secretTrap(n)
	case strings.Contains(n.Value, "${{"):
		c.report(n, "template-place", "write the value itself", "templates are not available here, since there is no run")
	}
	return n.Value
}

package dsl

import "go.yaml.in/yaml/v4"

// fieldsSchema reads a map of names and types, such as the arguments of a
// command, into a JSON Schema. All names are required unless they have a
// default, are optional, or partial is true. Nothing else is allowed when closed.
func (c *checker) fieldsSchema(n *yaml.Node, what string, partial, closed bool) (schema, map[string]any) {
	o := c.entries(n, what)
	if o == nil {
		return nil, nil
	}
	properties, defaults := schema{}, map[string]any{}
	var required []any
	for _, name := range o.order {
		c.word(o.keys[name], "a name in "+what)
		s, d := c.fieldSchema(o.get(name), what+"."+name, partial, closed)
		properties[name] = s
		if d.hasDefault {
			defaults[name] = d.def
		} else if !partial && !d.optional {
			required = append(required, name)
		}
	}
	s := schema{"type": "object", "properties": properties}
	if len(required) > 0 {
		s["required"] = required
	}
	if closed {
		s["additionalProperties"] = false
	}
	return s, defaults
}

// fieldSchema reads the type of one field: short, long, [type] for a list, or a
// map of further fields.
func (c *checker) fieldSchema(n *yaml.Node, what string, partial, closed bool) (schema, declaration) {
	switch {
	case n.Kind == yaml.SequenceNode:
		if len(n.Content) != 1 {
			c.report(n, "bad-type", "write [string] for a list of texts", "a list has the type of its items, once")
			return schema{}, declaration{}
		}
		items, _ := c.fieldSchema(n.Content[0], what, partial, closed)
		return schema{"type": "array", "items": items}, declaration{}
	case n.Kind == yaml.MappingNode && !isLongType(n):
		s, _ := c.fieldsSchema(n, what, partial, closed)
		return s, declaration{}
	case isText(n) && n.Value == "any":
		return schema{}, declaration{}
	}
	d, ok := c.declaration(n, what, "optional")
	if !ok {
		return schema{}, d
	}
	s := d.jsonSchema()
	if d.description != "" {
		s["description"] = d.description
	}
	if d.hasDefault {
		s["default"] = d.def
	}
	return s, d
}

// isLongType tells { type: integer, min: 0 } from a map of further fields.
func isLongType(n *yaml.Node) bool {
	for i := 0; i+1 < len(n.Content); i += 2 {
		switch n.Content[i].Value {
		case "enum":
			return true
		case "type":
			return n.Content[i+1].Kind == yaml.ScalarNode
		}
	}
	return false
}

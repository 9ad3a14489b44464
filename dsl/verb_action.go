package dsl

import (
	"strings"

	"go.yaml.in/yaml/v4"
)

// Action performs a side effect of the engine, such as device.transition.
// The step's output is what the action gives.
type Action struct {
	Name string
	Args *Value // a map; nil: none
}

func (*Action) op() {}

var _ = register(verb{
	name:    "action",
	summary: "does something in the engine, such as bringing the device into another state",
	value:   textSchema("the name of the action, such as device.transition"),
	fields: []fieldSpec{
		{"with", mapOf("arguments", valueSchema(""))},
	},
	modifiers: []string{"timeout", "attempt_timeout", "retry", "until", "every", "undo"},
	read:      readAction,
})

func readAction(b *builder, s *reading) Op {
	op := &Action{}
	name, ok := b.action(s.own(), "an action")
	if !ok {
		return op
	}
	op.Name = name
	spec, known := b.opts.actions()[name]
	if b.opts.anyAction {
		op.Args = b.looseArguments(s.get("with"), s.scope)
		return op
	}
	if !known {
		names := sortedKeys(b.opts.actions())
		b.report(s.own(), "unknown-action", orElse(fixWrite("", closest(name, names)), "use one of "+joinNames(names)),
			"there is no action %q%s", name, didYouMean(name, names))
		return op
	}
	if spec.Device && s.step.Device == nil {
		b.report(s.own(), "missing-device", "add device: ${{ inputs.device }} to the workflow or to this step", "it is not said which device the action %s works on", name)
	}
	op.Args = b.actionArguments(s, name, spec)
	return op
}

// actionArguments reads with: against the arguments that the action declares.
func (b *builder) actionArguments(s *reading, name string, spec ActionSpec) *Value {
	n := s.get("with")
	given := &object{}
	if n != nil {
		if given = b.object(n, "the action "+name, spec.argNames()...); given == nil {
			return nil
		}
	}
	for _, a := range spec.Args {
		if a.Required && !given.has(a.Name) {
			b.report(s.own(), "missing-argument", "add "+a.Name+": below with:", "the action %s needs the argument %q: %s", name, a.Name, a.Summary)
		}
	}
	if n == nil {
		return nil
	}
	v := &Value{kind: mapValue}
	for _, a := range spec.Args {
		if value := given.get(a.Name); value != nil {
			v.fields = append(v.fields, field{a.Name, b.actionArgument(value, a, s.scope)})
		}
	}
	return v
}

func (b *builder) actionArgument(n *yaml.Node, a ArgSpec, sc *scope) *Value {
	switch {
	case a.Kind == ArgSecret:
		return b.secret(n, a)
	case isText(n) && strings.Contains(n.Value, "${{"):
		return b.template(n, sc)
	case a.Kind == ArgText:
		return b.textArgument(n, a, sc)
	case a.Kind == ArgBoolean:
		return Literal(b.boolean(n, a.Name))
	case a.Kind == ArgMap && b.entries(n, a.Name) == nil:
		return nil
	}
	return b.value(n, sc)
}

func (b *builder) textArgument(n *yaml.Node, a ArgSpec, sc *scope) *Value {
	v := b.textValue(n, a.Name, sc)
	if text, ok := v.literal.(string); ok && len(a.Enum) > 0 && !contains(a.Enum, text) {
		b.report(n, "bad-argument", orElse(fixWrite("", closest(text, a.Enum)), "use one of "+joinNames(a.Enum)),
			"%s must be one of %s, and this is %s", a.Name, joinNames(a.Enum), quoteShort(text))
	}
	return v
}

// secret reads a reference; it stays a reference until the action resolves it.
func (b *builder) secret(n *yaml.Node, a ArgSpec) *Value {
	if !isText(n) || !strings.HasPrefix(n.Value, secretPrefix) || len(n.Value) == len(secretPrefix) {
		b.report(n, "secret-place", "write secret: and the path of the secret, such as secret:ticketing/api-token", "%s takes a reference to a secret, never its value", a.Name)
	}
	return &Value{literal: n.Value}
}

// looseArguments reads with: when it is not asked which arguments there are.
func (b *builder) looseArguments(n *yaml.Node, sc *scope) *Value {
	if n == nil || n.Kind != yaml.MappingNode {
		return nil
	}
	v := &Value{kind: mapValue}
	for i := 0; i+1 < len(n.Content); i += 2 {
		item := n.Content[i+1]
		compiled := &Value{literal: item.Value}
		if !isText(item) || !strings.HasPrefix(item.Value, secretPrefix) {
			compiled = b.value(item, sc)
		}
		v.fields = append(v.fields, field{n.Content[i].Value, compiled})
	}
	return v
}

func joinNames(names []string) string { return strings.Join(names, ", ") }

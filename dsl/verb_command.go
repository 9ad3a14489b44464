package dsl

import (
	"encoding/json"

	"github.com/expr-lang/expr/types"
	"go.yaml.in/yaml/v4"

	"github.com/deviceops/deviceops"
)

// Command sends a command to a device and waits for its result.
// The step's output is the output of the command.
type Command struct {
	Name string
	Args *Value // a map; nil: none
}

func (*Command) op() {}

var _ = register(verb{
	name:    "command",
	summary: "sends a command to the device and waits for its result",
	gives:   "what the device gives",
	value:   textSchema("the name of the command, as the profile of the device declares it"),
	fields: []fieldSpec{
		{"with", argumentsSchema("arguments")},
	},
	modifiers: []string{"timeout", "attempt_timeout", "retry", "until", "every", "undo", "offline"},
	read:      readCommand,
})

func readCommand(b *builder, s *reading) Op {
	op := &Command{}
	name, ok := b.action(s.own(), "a command")
	if !ok {
		return op
	}
	op.Name = name
	if s.step.Device == nil {
		b.report(s.own(), "missing-device", "add device: ${{ inputs.device }} to the workflow or to this step", "it is not said which device gets the command %s", name)
	}
	var spec *deviceops.CommandSpec
	if s.around.profile != nil {
		spec = b.commandSpec(s.own(), s.around.profile, name)
	}
	if n := s.get("with"); n != nil {
		op.Args = b.arguments(n, s.scope)
	}
	if spec != nil {
		b.checkArguments(givenTo{spec, s.own(), s.get("with"), "with", op.Args})
		s.outputs = resultType(spec.Result)
	}
	return op
}

// commandSpec finds a command in the profile of the device that gets it.
func (c *checker) commandSpec(n *yaml.Node, profile *deviceops.Profile, name string) *deviceops.CommandSpec {
	spec, err := profile.Command(name)
	if err == nil {
		return &spec
	}
	known := profile.CommandNames()
	c.report(n, "unknown-command", orElse(fixWrite("", closest(name, known)), "use one of "+joinNames(known)+", or declare it in the profile"),
		"the profile %s has no command %q%s", profile.Name, name, didYouMean(name, known))
	return nil
}

// arguments compiles what with: holds.
func (b *builder) arguments(n *yaml.Node, sc *scope) *Value {
	if n.Kind == yaml.ScalarNode && isText(n) && loneTemplate.MatchString(n.Value) {
		return b.template(n, sc)
	}
	if b.entries(n, "with") == nil {
		return nil
	}
	return b.mapValue(n, sc)
}

// givenTo is what a document gives to a command.
type givenTo struct {
	spec *deviceops.CommandSpec
	name *yaml.Node // of the command
	args *yaml.Node // nil: none are given
	key  string     // of args
	read *Value     // args, compiled
}

// checkArguments compares what is written with the schema of the arguments.
func (c *checker) checkArguments(g givenTo) {
	spec, n := g.spec, g.args
	if len(spec.ArgsSchema) == 0 || n != nil && n.Kind != yaml.MappingNode {
		if n != nil && spec.Prepare != nil && len(spec.ArgsSchema) == 0 && n.Kind == yaml.MappingNode && len(n.Content) > 0 {
			c.report(n.Content[0], "unknown-argument", "remove "+g.key+":", "the command %s takes no arguments", spec.Name)
		}
		return
	}
	var shape struct {
		Properties map[string]json.RawMessage
		Required   []string
	}
	if err := json.Unmarshal(spec.ArgsSchema, &shape); err != nil {
		return // made by another version; the engine checks it when the command is sent
	}
	given := g.byName()
	for _, name := range shape.Required {
		if given[name] == nil {
			c.report(g.name, "missing-argument", "add it below "+g.key+":", "the command %s needs the argument %q", spec.Name, name)
		}
	}
	if n == nil {
		return
	}
	for i := 0; i+1 < len(n.Content); i += 2 {
		c.checkArgument(spec, shape.Properties, n.Content[i], n.Content[i+1], given[n.Content[i].Value])
	}
}

func (g givenTo) byName() map[string]*Value {
	given := map[string]*Value{}
	if g.args == nil {
		return given
	}
	literal, _ := g.read.literal.(map[string]any)
	for name, v := range literal {
		given[name] = Literal(v)
	}
	for _, f := range g.read.fields {
		given[f.name] = f.value
	}
	return given
}

func (c *checker) checkArgument(spec *deviceops.CommandSpec, properties map[string]json.RawMessage, key, n *yaml.Node, v *Value) {
	raw, known := properties[key.Value]
	if !known {
		names := sortedKeys(properties)
		c.report(key, "unknown-argument", orElse(fixWrite("", closest(key.Value, names)), "use one of "+joinNames(names)),
			"the command %s has no argument %q%s", spec.Name, key.Value, didYouMean(key.Value, names))
		return
	}
	constant, ok := v.Constant()
	if !ok {
		return
	}
	if err := validateJSON(raw, constant); err != nil {
		c.report(n, "bad-argument", "", "the argument %q of the command %s: %s", key.Value, spec.Name, err)
	}
}

// resultType gives the type of a command's output.
func resultType(raw []byte) types.Type {
	if len(raw) == 0 {
		return nil
	}
	var s any
	if err := json.Unmarshal(raw, &s); err != nil {
		return nil
	}
	return schemaType(s)
}

// schemaType gives the type that expressions see of what a JSON Schema allows.
func schemaType(s any) types.Type {
	m, _ := s.(map[string]any)
	switch m["type"] {
	case "string":
		return types.String
	case "number":
		return types.Float64
	case "integer":
		return types.Int64
	case "boolean":
		return types.Bool
	case "array":
		return types.Array(schemaType(m["items"]))
	case "object":
		return objectType(m)
	}
	return types.Any
}

func objectType(m map[string]any) types.Type {
	properties, ok := m["properties"].(map[string]any)
	if !ok {
		return openMap
	}
	t := types.Map{}
	for name, p := range properties {
		t[name] = schemaType(p)
	}
	return t
}

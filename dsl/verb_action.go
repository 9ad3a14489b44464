package dsl

import (
	"strings"

	"github.com/expr-lang/expr/types"

	"github.com/deviceops/deviceops"
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
	gives:   "what the action gives",
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
	if onlyReads(name) && !s.has("until") {
		i := idle{node: s.own(), what: "what this step reads"}
		if s.step.Named {
			i.name = "steps." + s.step.ID
		}
		b.idle = append(b.idle, i)
	}
	if len(b.opts.Actions) == 0 {
		op.Args = b.looseArguments(s.get("with"), s.scope)
		return op
	}
	spec := b.actionSpec(s, name)
	if spec == nil {
		return op
	}
	if spec.Device && s.step.Device == nil {
		b.report(s.own(), "missing-device", "add device: ${{ inputs.device }} to the workflow or to this step", "it is not said which device the action %s works on", name)
	}
	op.Args = b.actionArguments(s, spec)
	s.outputs = b.actionOutput(s, spec)
	return op
}

// actionSpec finds an action.
func (b *builder) actionSpec(s *reading, name string) *deviceops.ActionSpec {
	names := make([]string, len(b.opts.Actions))
	for i := range b.opts.Actions {
		if b.opts.Actions[i].Name == name {
			return &b.opts.Actions[i]
		}
		names[i] = b.opts.Actions[i].Name
	}
	b.report(s.own(), "unknown-action", orElse(fixWrite("", closest(name, names)), "use one of "+joinNames(names)),
		"there is no action %q%s", name, didYouMean(name, names))
	return nil
}

// actionOutput gives the type of an action's output.
func (b *builder) actionOutput(s *reading, spec *deviceops.ActionSpec) types.Type {
	if schemaOf(spec.Output).text("format") == deviceops.FormatDevice {
		return deviceType(s.around.profile)
	}
	return resultType(spec.Output)
}

func joinNames(names []string) string { return strings.Join(names, ", ") }

// onlyReads reports whether an action has no effect, which its name says.
func onlyReads(action string) bool {
	return strings.HasSuffix(action, ".get") || strings.HasSuffix(action, ".find")
}

package dsl

import "go.yaml.in/yaml/v4"

// Return ends the run successfully. Value replaces the declared outputs.
type Return struct {
	Value *Value // nil: the declared outputs
}

func (*Return) op() {}

// ends implements ender.
func (*Return) ends() bool { return true }

var _ = register(verb{
	name:    "return",
	summary: "ends the run successfully",
	value:   valueSchema("what the run gives; left empty, the outputs of the workflow"),
	read:    readReturn,
})

func readReturn(b *builder, s *reading) Op {
	n := s.own()
	b.afterReturn = true
	if n.Kind == yaml.ScalarNode && n.Tag == "!!null" {
		return &Return{}
	}
	return &Return{Value: b.value(n, s.scope)}
}

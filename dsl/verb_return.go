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
	if s.around.branch != "" {
		b.report(s.keys["return"], "return-in-branch", "set a variable, and return after the "+s.around.branch,
			"a return inside %s cannot end the run, since other branches are going on", s.around.branch)
	}
	if s.around.cleanup != "" {
		b.report(s.keys["return"], "return-in-branch", "remove it", "a return inside %s cannot end the run, since the run is ending already", s.around.cleanup)
	}
	if n.Kind == yaml.ScalarNode && n.Tag == "!!null" {
		return &Return{}
	}
	return &Return{Value: b.value(n, s.scope)}
}

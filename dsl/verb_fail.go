package dsl

import "go.yaml.in/yaml/v4"

// Fail ends the run, or the enclosing try, with an error. Use FailureOf on what
// Error gives.
type Fail struct {
	Error *Value // text, a map {code, message, retryable, data}, or an error as caught
}

func (*Fail) op() {}

// ends implements ender.
func (*Fail) ends() bool { return true }

var _ = register(verb{
	name:    "fail",
	summary: "ends the run, or the try around it, with an error",
	value:   valueSchema("a text, { code, message, retryable, data }, or ${{ error }} in a catch block"),
	read:    readFail,
})

func readFail(b *builder, s *reading) Op {
	n := s.own()
	switch n.Kind {
	case yaml.MappingNode:
		if b.isColonMap(n) && !contains(failKeys, n.Content[0].Value) {
			b.colonMap(n, "fail")
			return &Fail{}
		}
		b.object(n, "fail", failKeys...)
		return &Fail{Error: b.mapValue(n, s.scope)}
	case yaml.ScalarNode:
		return &Fail{Error: b.textValue(n, "fail", s.scope)}
	}
	b.report(n, "wrong-type", "write a text, or ${{ error }}", "fail must be a text, and this is %s", kindOf(n))
	return &Fail{}
}

var failKeys = []string{"code", "message", "retryable", "data"}

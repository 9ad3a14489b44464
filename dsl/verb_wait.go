package dsl

// Wait pauses the run.
type Wait struct {
	For *Value // a duration
}

func (*Wait) op() {}

var _ = register(verb{
	name:    "wait",
	summary: "pauses the run",
	value:   durationSchema("how long: 30s, 10m, 2h, 7d"),
	read:    readWait,
})

func readWait(b *builder, s *reading) Op {
	return &Wait{For: b.durationValue(s.own(), "wait", s.scope)}
}

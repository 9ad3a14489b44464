package dsl

var _ = register(verb{
	name:    "wait",
	summary: "pauses the run",
	value:   durationSchema("how long: 30s, 10m, 2h, 7d"),
	read:    readWait,
})

func readWait(b *builder, s *reading) Op {
	return &Wait{For: b.durationValue(s.own(), "wait", s.scope)}
}

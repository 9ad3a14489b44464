package dsl

// Try runs Body; when a step of it fails, Catch runs with `error` set. A failure
// in Catch fails the step.
type Try struct {
	Body  *Block
	Catch *Block
}

func (*Try) op() {}

// ends implements ender: whichever block ran last must end.
func (t *Try) ends() bool { return t.Body.ends() && t.Catch.ends() }

var _ = register(verb{
	name:    "try",
	summary: "runs steps, and others when one of them fails",
	value:   refTo("steps"),
	fields: []fieldSpec{
		{"catch", refTo("steps")},
	},
	modifiers: []string{"timeout", "retry"},
	read:      readTry,
})

func readTry(b *builder, s *reading) Op {
	op := &Try{Body: &Block{}, Catch: &Block{}}
	inner := s.around
	inner.depth++
	outside := sortedKeys(b.scope.steps)
	op.Body = b.block(s.own(), s.step.Path+".try", inner)
	body := b.newSteps(outside)
	b.markMissing(body, "may not have run when its try failed")
	n := s.get("catch")
	if n == nil {
		b.report(s.keys["try"], "missing-key", "add catch: with the steps to run after a failure", "try needs catch")
		return op
	}
	known := sortedKeys(b.scope.steps)
	around := b.scope
	b.scope = around.with("error", errorType)
	op.Catch = b.block(n, s.step.Path+".catch", inner)
	b.scope = around
	b.markMissing(b.newSteps(known), "runs only when its try failed")
	if op.Catch.ends() { // whoever comes after the try saw all of its body
		b.unmark(body)
	}
	return op
}

// newSteps gives the steps that came into scope since known.
func (b *builder) newSteps(known []string) map[string]stepInfo {
	added := map[string]stepInfo{}
	for id, info := range b.scope.steps {
		if !contains(known, id) {
			added[id] = info
		}
	}
	return added
}

func (b *builder) markMissing(steps map[string]stepInfo, why string) {
	for id, info := range steps {
		info.missing = orElse(info.missing, why)
		b.scope.steps[id] = info
	}
}

// unmark restores what was known of steps.
func (b *builder) unmark(steps map[string]stepInfo) {
	for id, info := range steps {
		b.scope.steps[id] = info
	}
}

package dsl

// Try runs Body; when a step of it fails, what it completed is undone and Catch
// runs with `error` set. A failure in Catch fails the step. Finally runs last in
// any case, also when the run is canceled or a return ends it.
type Try struct {
	Body    *Block
	Catch   *Block // nil: a failure fails the step
	Finally *Block // nil: nothing
}

func (*Try) op() {}

// ends implements ender: whichever block ran last must end.
func (t *Try) ends() bool {
	return t.Body.ends() && (t.Catch == nil || t.Catch.ends()) || t.Finally != nil && t.Finally.ends()
}

var _ = register(verb{
	name:    "try",
	summary: "runs steps, and others when one of them fails",
	value:   refTo("steps"),
	fields: []fieldSpec{
		{"catch", described(refTo("steps"), "runs when a step of try failed, with error set")},
		{"finally", described(refTo("steps"), "runs last in any case, also on cancel")},
	},
	modifiers: []string{"timeout", "retry", "undo"},
	read:      readTry,
})

func readTry(b *builder, s *reading) Op {
	op := &Try{}
	if !s.has("catch") && !s.has("finally") {
		b.report(s.keys["try"], "missing-key", "add catch: with the steps to run after a failure, or finally: with those to run in any case", "try needs catch or finally")
	}
	inner := s.around.inside()
	known := sortedKeys(b.scope.steps)
	op.Body = b.block(s.own(), s.step.Path+".try", inner)
	body := b.newSteps(known)
	b.markMissing(body, "may not have run when its try failed")
	if n := s.get("catch"); n != nil {
		op.Catch = b.catchBlock(n, s.step.Path+".catch", inner)
	}
	if n := s.get("finally"); n != nil {
		op.Finally = b.finallyBlock(n, s.step.Path+".finally", inner)
	}
	if op.Catch == nil || op.Catch.ends() { // whoever comes after the try saw all of its body
		b.unmark(body)
	}
	return op
}

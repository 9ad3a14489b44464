package dsl

import "github.com/expr-lang/expr/types"

// Rounds of a while: how many there may be where the document does not say, and
// at most.
const (
	DefaultIterations = 1000
	MaxIterations     = 10_000
)

// While repeats Body as long as If is true; index counts the rounds from 0. A
// loop that would exceed Max fails with the code exhausted. The step's output is
// {iterations}.
type While struct {
	If   *Expression
	Body *Block
	Max  int
}

func (*While) op() {}

var _ = register(verb{
	name:    "while",
	summary: "repeats steps as long as a condition is true",
	gives:   "{iterations}",
	value:   expressionSchema("asked before each round; index counts them from 0"),
	fields: []fieldSpec{
		{"steps", refTo("steps")},
		{"max_iterations", schema{
			"type": "integer", "minimum": 1, "maximum": MaxIterations,
			"description": sprintf("the step fails instead of beginning one more round; %d when left out", DefaultIterations),
		}},
	},
	required:  []string{"steps"},
	modifiers: []string{"timeout", "retry", "undo"},
	read:      readWhile,
})

// readWhile reads the steps before the condition, which may ask for what the
// last round gave.
func readWhile(b *builder, s *reading) Op {
	op := &While{Body: &Block{}, Max: DefaultIterations}
	outer := b.scope
	b.scope = outer.with("index", types.Int64)
	known := sortedKeys(b.scope.steps)
	if n := s.get("steps"); n != nil {
		op.Body = b.block(n, s.step.Path+".steps", s.around.inside())
	} else {
		b.report(s.keys["while"], "missing-key", "add steps: with what to repeat", "while needs steps")
	}
	b.markMissing(b.newSteps(known), "is in a while, which may not run it")
	op.If = b.expression(s.own(), "while", b.scope, wantBool)
	b.scope = outer
	if op.If.always(false) {
		b.warn(s.own(), "unreachable", "remove it", "the steps of this while never run: its condition is always false")
	}
	if n := s.get("max_iterations"); n != nil {
		op.Max = b.integer(n, "max_iterations", 1, MaxIterations)
	}
	s.outputs = types.Map{"iterations": types.Int64}
	return op
}

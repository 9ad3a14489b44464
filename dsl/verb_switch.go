package dsl

import "go.yaml.in/yaml/v4"

// Switch runs the block of the first case whose condition is true, else
// Default.
type Switch struct {
	Cases   []Case
	Default *Block // nil: nothing is done
}

// Case is one case of a switch.
type Case struct {
	If    *Expression
	Block *Block
}

func (*Switch) op() {}

// ends implements ender: whichever block runs must end.
func (s *Switch) ends() bool {
	if s.Default == nil || !s.Default.ends() {
		return false
	}
	for _, c := range s.Cases {
		if !c.Block.ends() {
			return false
		}
	}
	return true
}

var _ = register(verb{
	name:    "switch",
	summary: "runs the steps of the first case whose condition is true",
	value: schema{
		"type": "array", "minItems": 1, "maxItems": MaxBranches, "description": "cases, asked in order",
		"items": objectSchema("a case", []string{"if", "steps"}, []fieldSpec{
			{"if", expressionSchema("the case applies when this is true")}, {"steps", refTo("steps")},
		}),
	},
	fields: []fieldSpec{
		{"default", described(refTo("steps"), "runs when no case applies; left out, nothing does")},
	},
	modifiers: []string{"timeout", "retry", "undo"},
	read:      readSwitch,
})

const casesFix = "write each case below it as - if: CONDITION and steps:"

func readSwitch(b *builder, s *reading) Op {
	op := &Switch{}
	items := b.branchList(s.own(), "switch", casesFix)
	f := b.fork()
	certain := false
	for i, item := range items {
		o := b.object(item, "a case", "if", "steps")
		if o == nil {
			continue
		}
		c := Case{If: b.caseCondition(o, s), Block: &Block{}}
		if certain {
			b.warn(item, "unreachable", "remove it", "this case never applies: the one before it always does")
		}
		certain = certain || c.If.always(true)
		if n := o.get("steps"); n != nil {
			c.Block = f.read(n, sprintf("%s.switch[%d]", s.step.Path, i), s.around.inside())
		} else {
			b.report(item, "missing-key", "add steps: with what to do", "a case needs steps")
		}
		op.Cases = append(op.Cases, c)
	}
	if n := s.get("default"); n != nil {
		if certain {
			b.warn(s.keys["default"], "unreachable", "remove it", "default never applies: a case before it always does")
		}
		op.Default = f.read(n, s.step.Path+".default", s.around.inside())
	}
	f.join("is in a case of a switch, which may not apply")
	if only := f.survivor(); op.Default != nil && only >= 0 { // whoever comes after went through it
		b.unmark(f.added[only])
	}
	return op
}

func (b *builder) caseCondition(o *object, s *reading) *Expression {
	n := o.get("if")
	if n == nil {
		b.report(o.node, "missing-key", "add if: with a condition, or use default: for the rest", "a case needs a condition")
		return &Expression{}
	}
	e := b.expression(n, "if", s.scope, wantBool)
	if e.always(false) {
		b.warn(n, "unreachable", "remove the case", "this case never applies: its condition is always false")
	}
	return e
}

// branchList reads a list of blocks.
func (b *builder) branchList(n *yaml.Node, what, fix string) []*yaml.Node {
	items := b.list(n, what, fix)
	switch {
	case n.Kind == yaml.SequenceNode && len(items) == 0:
		b.report(n, "empty-steps", fix, "%s holds nothing", what)
	case len(items) > MaxBranches:
		b.report(items[MaxBranches], "too-large", "move some of them into a workflow of their own", "%s has %d branches; at most %d are allowed", what, len(items), MaxBranches)
		return items[:MaxBranches]
	}
	return items
}

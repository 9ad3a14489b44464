package dsl

import (
	"strconv"

	"github.com/expr-lang/expr/types"
	"go.yaml.in/yaml/v4"
)

// Parallel runs its branches beside one another. Without Race all must succeed,
// the first failure calls the others off, and the step's output holds the output
// of each branch's last step: a map by name where branches have names, else a
// list. With Race the first branch that succeeds wins, the others are called
// off, and the output is {winner, output}; the step fails when all branches do.
type Parallel struct {
	Branches []Branch
	Named    bool
	Race     bool
}

// Branch is one branch of a parallel.
type Branch struct {
	Name  string // its number, from 0, where it has no name
	Block *Block
}

func (*Parallel) op() {}

// ends implements ender: a branch that always fails fails the step, in a race
// only together with the others.
func (p *Parallel) ends() bool {
	ending := 0
	for _, branch := range p.Branches {
		if branch.Block.ends() {
			ending++
		}
	}
	return ending > 0 && (!p.Race || ending == len(p.Branches))
}

var _ = register(verb{
	name:    "parallel",
	summary: "runs branches beside one another",
	gives:   "the output of each branch, by name where branches have names; of a race {winner, output}",
	value: schema{"description": "branches by name, each a list of steps; or a list of steps, each of which is a branch", "anyOf": []any{
		schema{"type": "object", "minProperties": 1, "maxProperties": MaxBranches, "additionalProperties": refTo("steps")},
		schema{"type": "array", "minItems": 1, "maxItems": MaxBranches, "items": refTo("step")},
	}},
	fields: []fieldSpec{
		{"race", booleanSchema("the first branch that succeeds wins, and the others are called off")},
	},
	modifiers: []string{"timeout", "retry", "undo"},
	read:      readParallel,
})

func readParallel(b *builder, s *reading) Op {
	op := &Parallel{}
	if n := s.get("race"); n != nil {
		op.Race = b.boolean(n, "race")
	}
	f := b.fork()
	inner := s.around.inside()
	inner.branch = "parallel"
	if n := s.own(); n.Kind == yaml.MappingNode {
		op.Named = true
		b.namedBranches(n, s, op, f, inner)
	} else {
		for i, item := range b.branchList(n, "parallel", "write branches below it: - command: NAME, or NAME: and a list of steps") {
			list := &yaml.Node{Kind: yaml.SequenceNode, Content: []*yaml.Node{item}, Line: item.Line, Column: item.Column}
			op.Branches = append(op.Branches, Branch{strconv.Itoa(i), f.read(list, sprintf("%s.parallel[%d]", s.step.Path, i), inner)})
		}
	}
	why := ""
	if op.Race {
		why = "is in a branch of a race, and another may have won"
	}
	f.join(why)
	s.outputs = op.outputType()
	return op
}

func (b *builder) namedBranches(n *yaml.Node, s *reading, op *Parallel, f *fork, inner frame) {
	o := b.entries(n, "parallel")
	if len(o.order) > MaxBranches {
		b.report(o.keys[o.order[MaxBranches]], "too-large", "move some of them into a workflow of their own", "parallel has %d branches; at most %d are allowed", len(o.order), MaxBranches)
		return
	}
	if len(o.order) == 0 {
		b.report(n, "empty-steps", "write branches below it: NAME: and a list of steps", "parallel holds nothing")
	}
	for _, name := range o.order {
		if b.word(o.keys[name], "the name of a branch") {
			op.Branches = append(op.Branches, Branch{name, f.read(o.get(name), s.step.Path+".parallel."+name, inner)})
		}
	}
}

func (p *Parallel) outputType() types.Type {
	switch {
	case p.Race:
		return types.Map{"winner": types.String, "output": types.Any}
	case !p.Named:
		return types.Array(types.Any)
	}
	t := types.Map{}
	for _, branch := range p.Branches {
		t[branch.Name] = types.Any
	}
	return t
}

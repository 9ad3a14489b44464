package dsl

import (
	"maps"
	"slices"
	"strings"
)

// AllSteps gives the steps of the program in the order of the document.
func (p *Program) AllSteps() []*Step {
	steps := slices.Collect(maps.Values(p.steps))
	slices.SortFunc(steps, func(a, b *Step) int {
		if a.Line != b.Line {
			return a.Line - b.Line
		}
		return strings.Compare(a.Path, b.Path)
	})
	return steps
}

// AllBlocks gives the blocks of the program that hold steps, in the order of the
// document.
func (p *Program) AllBlocks() []*Block {
	blocks := slices.Collect(maps.Values(p.blocks))
	blocks = slices.DeleteFunc(blocks, func(b *Block) bool { return len(b.Steps) == 0 })
	slices.SortFunc(blocks, func(a, b *Block) int {
		if a.Steps[0].Line != b.Steps[0].Line {
			return a.Steps[0].Line - b.Steps[0].Line
		}
		return strings.Compare(a.Path, b.Path)
	})
	return blocks
}

// DidYouMean gives "; did you mean x?" for a name that is close to a known one,
// else "".
func DidYouMean(name string, known []string) string { return didYouMean(name, known) }

package dsl

import "go.yaml.in/yaml/v4"

// fork reads blocks of which none sees what another holds: the branches of a
// parallel, the cases of a switch.
type fork struct {
	b      *builder
	blocks []*Block
	added  []map[string]stepInfo // the steps of each block, by id
}

func (b *builder) fork() *fork { return &fork{b: b} }

// read reads one block and hides its steps from those that follow.
func (f *fork) read(n *yaml.Node, path string, around frame) *Block {
	known := sortedKeys(f.b.scope.steps)
	block := f.b.block(n, path, around)
	added := f.b.newSteps(known)
	f.b.hide(added, beside)
	f.blocks, f.added = append(f.blocks, block), append(f.added, added)
	return block
}

// join makes the steps of all blocks known to those that come after. Why says
// why they may be missing, "" that all of them ran.
func (f *fork) join(why string) {
	for _, added := range f.added {
		f.b.unhide(added)
		if why != "" {
			f.b.markMissing(added, why)
		}
	}
}

// survivor gives the only block after which the run goes on, -1 if there are
// several or none.
func (f *fork) survivor() int {
	only := -1
	for i, block := range f.blocks {
		switch {
		case block.ends():
		case only >= 0:
			return -1
		default:
			only = i
		}
	}
	return only
}

// apart reads a block whose steps nobody outside can see. They may read
// everything in sc.
func (b *builder) apart(n *yaml.Node, path string, around frame, why hidden, sc *scope) *Block {
	known := sortedKeys(b.scope.steps)
	outer := b.scope
	b.scope = sc
	block := b.block(n, path, around)
	b.scope = outer
	b.hide(b.newSteps(known), why)
	return block
}

// hide takes steps out of scope.
func (b *builder) hide(steps map[string]stepInfo, why hidden) {
	for id := range steps {
		delete(b.scope.steps, id)
		b.scope.later[id] = why
	}
}

// unhide brings them back as they were known.
func (b *builder) unhide(steps map[string]stepInfo) {
	for id, info := range steps {
		b.scope.steps[id] = info
		delete(b.scope.later, id)
	}
}

// catchBlock reads the steps that run after a failure.
func (b *builder) catchBlock(n *yaml.Node, path string, around frame) *Block {
	known := sortedKeys(b.scope.steps)
	outer := b.scope
	b.scope = outer.with("error", errorType)
	block := b.block(n, path, around)
	b.scope = outer
	b.markMissing(b.newSteps(known), "runs only when its try failed")
	return block
}

// finallyBlock reads the steps that run last in any case.
func (b *builder) finallyBlock(n *yaml.Node, path string, around frame) *Block {
	around.cleanup = orElse(around.cleanup, "finally")
	return b.block(n, path, around)
}

// newSteps gives the steps that came into scope since known.
func (b *builder) newSteps(known []string) map[string]stepInfo {
	before := make(map[string]bool, len(known))
	for _, id := range known {
		before[id] = true
	}
	added := map[string]stepInfo{}
	for id, info := range b.scope.steps {
		if !before[id] {
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

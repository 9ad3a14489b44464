package dsl

import (
	"slices"
	"strings"

	"github.com/expr-lang/expr/types"
	"go.yaml.in/yaml/v4"

	"github.com/deviceops/deviceops"
)

// verb is what a step can do. Each is registered by its own file.
type verb struct {
	name      string
	summary   string
	gives     string            // the output of the step; "": none
	value     schema            // of the verb's own key
	fields    []fieldSpec       // further keys that belong to it
	required  []string          // those of them that must be there
	modifiers []string          // modifiers that have a meaning with it, besides id, if and device
	instead   map[string]string // what to do instead of giving another modifier
	read      func(b *builder, s *reading) Op
}

// verbs holds the verbs by name.
var verbs = map[string]*verb{}

// register adds a verb to the language.
func register(v verb) *verb {
	verbs[v.name] = &v
	return &v
}

// futureModifiers are the modifiers that this version does not know.
var futureModifiers = []string{"auth"}

// frame is what a block hands down to its steps.
type frame struct {
	device  *Value
	profile *deviceops.Profile
	depth   int
	branch  string // the verb (parallel, foreach) in one of whose branches the block is; "": in none
	cleanup string // the key (undo, finally) below which the block is; "": below none
}

// inside gives the frame of a block one level deeper.
func (f frame) inside() frame {
	f.depth++
	return f
}

// reading is a step that is being read.
type reading struct {
	*object
	verb    *verb
	step    *Step
	scope   *scope
	around  frame // for the blocks of the step
	outputs types.Type
}

// own gives the value of the verb's own key.
func (s *reading) own() *yaml.Node { return s.get(s.verb.name) }

// collectIDs gives all ids below a list of steps, so that a reference to a step
// can be told from a typing error.
func (b *builder) collectIDs(nodes ...*yaml.Node) map[string]hidden {
	ids := map[string]hidden{}
	var walk func(n *yaml.Node)
	walk = func(n *yaml.Node) {
		if n == nil {
			return
		}
		for i, child := range n.Content {
			if n.Kind == yaml.MappingNode && i%2 == 0 {
				if child.Value == "id" && n.Content[i+1].Kind == yaml.ScalarNode {
					ids[n.Content[i+1].Value] = notYet
				}
				continue
			}
			walk(child)
		}
	}
	for _, n := range nodes {
		walk(n)
	}
	return ids
}

const stepsFix = "write each step below it as - command: NAME, - action: NAME and so on"

// block reads a list of steps.
func (b *builder) block(n *yaml.Node, path string, around frame) *Block {
	block := &Block{Path: path}
	b.program.blocks[path] = block
	b.program.Limits.Depth = max(b.program.Limits.Depth, around.depth+1)
	if around.depth >= MaxBlocks {
		b.report(n, "too-deep", "move the inner steps into a workflow of their own", "blocks are nested more than %d deep", MaxBlocks)
		return block
	}
	items := b.list(n, lastPart(path), stepsFix)
	if n.Kind == yaml.SequenceNode && len(items) == 0 {
		b.report(n, "empty-steps", stepsFix, "%s holds no step", lastPart(path))
	}
	var ended *Step
	for i, item := range items {
		step := b.step(item, sprintf("%s[%d]", path, i), around)
		if step == nil {
			continue
		}
		if ended != nil {
			b.doc.src.add(SeverityWarning, b.doc.at(item), "unreachable", "remove it, or give the "+ended.Verb+" an if",
				"this step is never run: the %s before it ends the run", ended.Verb)
			ended = nil
		}
		if step.ends() {
			ended = step
		}
		block.Steps = append(block.Steps, step)
	}
	return block
}

func lastPart(path string) string { return path[strings.LastIndexByte(path, '.')+1:] }

// ends reports whether nothing can run after the step in its block.
func (s *Step) ends() bool {
	if s.If != nil {
		return false
	}
	op, ok := s.Op.(ender)
	return ok && op.ends()
}

// ender is an Op after which, in some cases, nothing can run in its block.
type ender interface{ ends() bool }

func (b *Block) ends() bool { return slices.ContainsFunc(b.Steps, (*Step).ends) }

// step reads one step.
func (b *builder) step(n *yaml.Node, path string, around frame) *Step {
	if b.steps++; b.steps > MaxSteps {
		if b.steps == MaxSteps+1 {
			b.report(n, "too-large", "move some of them into a workflow of their own", "a workflow may have %d steps", MaxSteps)
		}
		return nil
	}
	all := b.entries(n, "a step")
	if all == nil {
		return nil
	}
	v := b.findVerb(all)
	if v == nil {
		return nil
	}
	b.dropUnknown(all, v)
	s := &reading{object: all, verb: v, scope: b.scope, around: around}
	s.step = &Step{Path: path, Verb: v.name, Line: n.Line}
	reads := b.watchReads()
	b.identify(s)
	b.readModifiers(s)
	outside, before := len(b.scope.steps), b.steps
	s.step.Op = v.read(b, s)
	b.readUntil(s)
	if s.step.If != nil && len(b.scope.steps) > outside {
		b.doubt(before)
	}
	b.define(s)
	b.readUndo(s)
	s.step.Reads = reads()
	return s.step
}

// keys are all keys that a step of this verb may have.
func (v *verb) keys() []string {
	names := append([]string{v.name}, fieldNames(v.fields)...)
	for _, m := range modifierKeys {
		if v.takes(m.name) {
			names = append(names, m.name)
		}
	}
	return names
}

// takes reports whether a modifier has a meaning with the verb.
func (v *verb) takes(modifier string) bool {
	return contains([]string{"id", "if", "device"}, modifier) || contains(v.modifiers, modifier)
}

// findVerb finds the one key of a step that is a verb.
func (b *builder) findVerb(o *object) *verb {
	var found []string
	for _, key := range o.order {
		if verbs[key] != nil {
			found = append(found, key)
		}
	}
	switch {
	case len(found) == 1:
		return verbs[found[0]]
	case len(found) > 1:
		b.report(o.keys[found[1]], "two-verbs", "make "+found[1]+" a step of its own: begin its line with \"- \"",
			"a step has one verb, and this has %s", strings.Join(found, " and "))
		return nil
	}
	b.noVerb(o)
	return nil
}

func colon(key string) string {
	if key == "" {
		return ""
	}
	return key + ":"
}

// noVerb reports a step without a verb: it has one of another version, one that
// is written wrongly, or none.
func (b *builder) noVerb(o *object) {
	known := sortedKeys(verbs)
	list := "use one of " + strings.Join(known, ", ")
	for _, key := range o.order {
		if !isModifier(key) && !contains(futureModifiers, key) {
			b.report(o.keys[key], "unknown-verb", orElse(fixWrite("", colon(closest(key, known))), list), "unknown verb %q%s", key, didYouMean(key, known))
			return
		}
	}
	b.report(o.node, "no-verb", list, "this step has no verb, so it does nothing")
}

// dropUnknown reports and drops the keys that do not belong to a step with v.
func (b *builder) dropUnknown(o *object, v *verb) {
	known := v.keys()
	for _, key := range o.order {
		switch {
		case contains(known, key):
			continue
		case isModifier(key):
			b.report(o.keys[key], "no-meaning", orElse(v.instead[key], "remove it"), "%s has no meaning in a step with %s", key, v.name)
		default:
			b.unknownKey(o.keys[key], "a step with "+v.name, known)
		}
		delete(o.values, key)
	}
}

// identify gives the step its id.
func (b *builder) identify(s *reading) {
	s.step.ID = strings.NewReplacer("[", ".", "]", "").Replace(s.step.Path)
	n := s.get("id")
	if n == nil {
		b.program.steps[s.step.ID] = s.step
		return
	}
	if id, ok := b.text(n, "an id"); ok && b.word(n, "an id") {
		if earlier := b.program.steps[id]; earlier != nil {
			b.report(n, "duplicate-id", "give one of them another id", "two steps have the id %q; the first is in line %d", id, earlier.Line+b.doc.offset)
		}
		s.step.ID, s.step.Named = id, true
	}
	b.program.steps[s.step.ID] = s.step
}

// doubt marks what a step with an if holds, the steps read after so many, as
// uncertain as itself.
func (b *builder) doubt(before int) {
	for id, info := range b.scope.steps {
		if info.number > before && info.missing == "" {
			info.missing = "is inside a step that has an if"
			b.scope.steps[id] = info
		}
	}
}

// define makes the step known to those after it.
func (b *builder) define(s *reading) {
	if !s.step.Named {
		return
	}
	info := stepInfo{output: types.Any, number: b.steps}
	if s.outputs != nil {
		info.output = s.outputs
	}
	if s.step.If != nil {
		info.missing = "has an if"
	}
	if b.afterReturn {
		b.atEnd[s.step.ID] = "does not run when a return comes before it"
	}
	b.scope.steps[s.step.ID] = info
	delete(b.scope.later, s.step.ID)
}

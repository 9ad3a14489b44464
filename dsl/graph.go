package dsl

import (
	"strings"
	"time"

	"github.com/deviceops/deviceops"
)

// Graph is a workflow as a picture: its steps in the order in which they run,
// each with the blocks that it holds. Programs are structured, so that order and
// nesting are all the edges there are. Trace puts a run onto it; Text and SVG
// draw it.
type Graph struct {
	Name    string
	Version int // 0: not numbered yet
	Blocks  []GraphBlock

	// Run is the run that Trace put on the graph, without its steps; nil: none.
	Run *deviceops.Run
	now time.Time
}

// BlockKind is why a block runs.
type BlockKind string

// Kinds of blocks.
const (
	BlockSteps   BlockKind = "steps"   // in its turn
	BlockBranch  BlockKind = "branch"  // beside or instead of others
	BlockCatch   BlockKind = "catch"   // after a failure
	BlockFinally BlockKind = "finally" // last, in any case
	BlockUndo    BlockKind = "undo"    // to take its step back
)

// GraphBlock is a list of steps that run one after the other.
type GraphBlock struct {
	Kind  BlockKind
	Title string // "otherwise"; "" for the steps of the workflow
	Nodes []GraphNode
}

// GraphNode is one step.
type GraphNode struct {
	Step   string // id, as in the rows of a run
	Title  string // its id, or what it does where it has none
	Text   string // what it does; "" when Title says it
	Notes  []string
	Blocks []GraphBlock
	Ran    *GraphTrace // nil: no run is shown, or it did not come here
}

// GraphTrace is what a run made of a step, all its rounds together.
type GraphTrace struct {
	Last   deviceops.RunStep // the newest round, or the one that is still going on
	Rounds int
	Failed int // rounds that failed
}

// Graph draws the program.
func (p *Program) Graph() *Graph {
	g := &Graph{Name: p.Name, Version: p.Version}
	g.Blocks = p.appendBlock(g.Blocks, BlockSteps, "", p.Root)
	g.Blocks = p.appendBlock(g.Blocks, BlockCatch, "catch: when a step failed", p.Catch)
	g.Blocks = p.appendBlock(g.Blocks, BlockFinally, "finally: in any case", p.Finally)
	return g
}

// appendBlock adds a block, unless there is none.
func (p *Program) appendBlock(blocks []GraphBlock, kind BlockKind, title string, b *Block) []GraphBlock {
	if b == nil {
		return blocks
	}
	out := GraphBlock{Kind: kind, Title: title}
	for _, s := range b.Steps {
		out.Nodes = append(out.Nodes, p.node(s))
	}
	return append(blocks, out)
}

func (p *Program) node(s *Step) GraphNode {
	n := GraphNode{Step: s.ID, Title: graphText(s.Op), Notes: p.notes(s), Blocks: p.blocksOf(s)}
	if s.Named {
		n.Title, n.Text = s.ID, n.Title
	}
	return n
}

// graphText says in a few words what a step does.
func graphText(op Op) string {
	switch op := op.(type) {
	case *Command:
		return "command " + op.Name
	case *Action:
		return "action " + op.Name
	case *Approve:
		return "approve: " + op.Title.headline()
	case *Wait:
		return op.graphText()
	case *Run:
		return "run " + op.Workflow + "@" + orElse(versionText(op.Version), "latest")
	case *Set:
		return op.graphText()
	case *Emit:
		return "emit " + op.Type
	case *Fail:
		return "fail: " + op.Error.headline()
	case *Return:
		return "return"
	case *Try:
		return "try"
	case *Switch:
		return "switch"
	case *While:
		return "while " + op.If.Source
	case *Foreach:
		return "foreach " + op.As + " in " + op.Items.headline()
	case *Parallel:
		return op.graphText()
	default:
		return ""
	}
}

func versionText(version int) string {
	if version == 0 {
		return ""
	}
	return sprintf("%d", version)
}

func (w *Wait) graphText() string {
	switch {
	case w.Event != "":
		return "wait for " + w.Event
	case w.Until != nil:
		return "wait until " + w.Until.headline()
	default:
		return "wait " + w.For.headline()
	}
}

func (s *Set) graphText() string {
	names := make([]string, len(s.Vars))
	for i, v := range s.Vars {
		names[i] = v.Name
	}
	return "set " + joinNames(names)
}

func (p *Parallel) graphText() string {
	if p.Race {
		return "parallel, the first to succeed wins"
	}
	return "parallel"
}

// headline gives a value on one line: an expression without its braces, the
// message of an error.
func (v *Value) headline() string {
	switch {
	case v == nil:
		return ""
	case v.kind == exprValue:
		return v.expr.Source
	}
	for _, name := range []string{"message", "code"} {
		if f := v.entry(name); f != nil {
			return f.headline()
		}
	}
	return strings.Join(strings.Fields(templateMarks.Replace(v.String())), " ")
}

// templateMarks shortens the marks around expressions to what a picture has
// room for.
var templateMarks = strings.NewReplacer("${{ ", "{", " }}", "}")

// entry gives one entry of a map, nil if it has none of that name.
func (v *Value) entry(name string) *Value {
	for _, f := range v.fields {
		if f.name == name {
			return f.value
		}
	}
	if m, ok := v.literal.(map[string]any); ok && m[name] != nil {
		return Literal(m[name])
	}
	return nil
}

// notes are the modifiers of a step, and what else its text leaves out.
func (p *Program) notes(s *Step) []string {
	var notes []string
	add := func(wanted bool, format string, args ...any) {
		if wanted {
			notes = append(notes, sprintf(format, args...))
		}
	}
	if s.If != nil {
		add(true, "if %s", s.If.Source)
	}
	switch op := s.Op.(type) {
	case *Wait:
		if op.Where != nil {
			add(true, "where %s", op.Where.Source)
		}
		add(op.Timeout != nil, "timeout %s", op.Timeout.headline())
	case *Approve:
		add(len(op.By) > 0, "by %s", joinNames(op.By))
		add(op.Expires > 0, "expires after %s", FormatDuration(op.Expires))
	case *Foreach:
		add(op.Parallel > 1, "%d at once", op.Parallel)
		add(!op.Tolerance.Stop, "%s", op.Tolerance)
	}
	add(s.Device != nil && (p.Device == nil || s.Device.String() != p.Device.String()), "on %s", s.Device.headline())
	if s.Until != nil {
		add(true, "until %s, every %s", s.Until.Source, FormatDuration(s.Every))
	}
	if r := s.Retry; r != nil {
		add(true, "%d re-tries after %s", r.Times, r.pause())
	}
	add(s.Timeout != nil, "timeout %s", s.Timeout.headline())
	return notes
}

func (r *Retry) pause() string {
	if r.Min == r.Max {
		return FormatDuration(r.Min)
	}
	return FormatDuration(r.Min) + ".." + FormatDuration(r.Max)
}

// String says how many items may fail.
func (t Tolerance) String() string {
	switch {
	case t.Stop:
		return "the first failure stops it"
	case t.Percent >= 100:
		return "goes on after failures"
	default:
		return Format(t.Percent) + " % may fail"
	}
}

// blocksOf gives the blocks that a step holds.
func (p *Program) blocksOf(s *Step) (blocks []GraphBlock) {
	switch op := s.Op.(type) {
	case *Try:
		blocks = p.appendBlock(blocks, BlockSteps, "", op.Body)
		blocks = p.appendBlock(blocks, BlockCatch, "catch: when one of them failed", op.Catch)
		blocks = p.appendBlock(blocks, BlockFinally, "finally: in any case", op.Finally)
	case *Switch:
		for _, c := range op.Cases {
			blocks = p.appendBlock(blocks, BlockBranch, "if "+c.If.Source, c.Block)
		}
		blocks = p.appendBlock(blocks, BlockBranch, "otherwise", op.Default)
	case *Parallel:
		for _, branch := range op.Branches {
			title := ""
			if op.Named {
				title = branch.Name
			}
			blocks = p.appendBlock(blocks, BlockBranch, title, branch.Block)
		}
	case *Foreach:
		blocks = p.appendBlock(blocks, BlockSteps, "", op.Body)
	case *While:
		blocks = p.appendBlock(blocks, BlockSteps, "", op.Body)
	}
	return p.appendBlock(blocks, BlockUndo, "undo: to take it back", s.Undo)
}

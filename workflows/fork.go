package workflows

import (
	"cmp"
	"slices"
	"strconv"

	"go.temporal.io/sdk/workflow"

	"github.com/deviceops/deviceops"
	"github.com/deviceops/deviceops/dsl"
)

// fork is a step whose branches run beside one another: a parallel, or a foreach
// with its items.
type fork struct {
	Items     []datum   `json:"items,omitempty"` // of a foreach
	Next      int       `json:"next"`            // index of the branch to begin next
	Branches  []*branch `json:"branches,omitempty"`
	Results   []datum   `json:"results"` // by index
	Succeeded int       `json:"succeeded"`
	Failed    int       `json:"failed"`

	Winner *int         `json:"winner,omitempty"` // index of the branch that won a race
	Error  *dsl.Failure `json:"error,omitempty"`  // why the step fails
}

// forkRules is what tells parallel, race and foreach from one another.
type forkRules interface {
	total(f *fork) int
	limit() int // branches at once
	block(i int) *dsl.Block
	locals(f *fork, i int) dsl.Object
	label(i int) string
	scope() bool                 // a branch that does not succeed undoes what it completed
	merges() bool                // later steps see the results of the branches
	ended(f *fork, b *branch)    // takes the end of a branch into account
	output(f *fork) any          // once all have ended
	settled(f *fork) (over bool) // the others are to be called off
}

func newBranch() branch {
	return branch{Results: map[string]dsl.StepResult{}, Rounds: map[string]int{}}
}

// strand is a branch that is being executed.
type strand struct {
	x     *execution
	ended bool // its execution has returned: the branch has ended, or has stopped
}

// join executes the branches of the top frame until all have ended, or have
// stopped because the run goes on in a new execution.
func (x *execution) join(ctx workflow.Context) {
	f := x.at.top().Fork
	rules := x.rules(x.at.top().Owner)
	inner, callOff := workflow.WithCancel(ctx)
	defer callOff()
	patient, done := workflow.NewDisconnectedContext(ctx)
	defer done()
	var live []*strand
	for _, b := range f.Branches {
		live = append(live, x.spawn(inner, b))
	}
	if rules.settled(f) {
		callOff()
	}
	for {
		for inner.Err() == nil && !x.relay.stopping && f.Next < rules.total(f) && len(f.Branches) < rules.limit() {
			live = append(live, x.spawn(inner, x.branchOff(f, rules)))
		}
		_ = workflow.Await(patient, func() bool { return slices.ContainsFunc(live, (*strand).arrived) || allStopped(live) })
		var reaped bool
		if live, reaped = x.reap(f, rules, live); !reaped {
			break
		}
		if rules.settled(f) {
			callOff()
		}
	}
	switch {
	case len(live) > 0: // they go on in the next execution
	case rules.settled(f) || f.Succeeded+f.Failed == rules.total(f):
		x.joined(f, rules)
	case ctx.Err() != nil:
		x.leave(ctx, exit{Canceled: true})
	}
}

// arrived reports whether the branch has come to its end.
func (s *strand) arrived() bool { return s.x.at.Exit != nil && s.ended }

func allStopped(live []*strand) bool {
	return !slices.ContainsFunc(live, func(s *strand) bool { return !s.ended })
}

func (x *execution) spawn(ctx workflow.Context, b *branch) *strand {
	s := &strand{x: &execution{process: x.process, at: b, parent: x}}
	workflow.Go(ctx, func(ctx workflow.Context) {
		s.x.execute(ctx)
		s.ended = true
	})
	return s
}

// branchOff makes the next branch.
func (x *execution) branchOff(f *fork, rules forkRules) *branch {
	owner := x.at.top().Owner
	step, _ := x.program.Step(owner.Step)
	b := newBranch()
	b.Index, b.Scope, b.Locals = f.Next, rules.scope(), rules.locals(f, f.Next)
	b.Key = x.at.childKey(step.Path, owner.Round*(dsl.MaxRetries+1)+owner.Tries, f.Next)
	b.Label = x.at.Label + rules.label(f.Next)
	b.push(frame{Block: rules.block(f.Next).Path, Deadline: x.at.top().Deadline})
	f.Next++
	f.Branches = append(f.Branches, &b)
	return &b
}

// reap takes the branches that have ended into account, in the order in which
// they began.
func (x *execution) reap(f *fork, rules forkRules, live []*strand) (rest []*strand, reaped bool) {
	for _, s := range live {
		if !s.arrived() {
			rest = append(rest, s)
			continue
		}
		reaped = true
		f.Branches = slices.DeleteFunc(f.Branches, func(b *branch) bool { return b == s.x.at })
		x.merge(s.x.at, rules)
		rules.ended(f, s.x.at)
	}
	return rest, reaped
}

// merge keeps of a branch what outlives it: what it completed, to be undone with
// the rest, and the results of its steps.
func (x *execution) merge(b *branch, rules forkRules) {
	for _, u := range b.Undo {
		u.Locals, u.Results = overlay(b.Locals, u.Locals), overlay(b.Results, u.Results)
		x.at.Undo = append(x.at.Undo, u)
	}
	slices.SortStableFunc(x.at.Undo, func(a, b undoable) int { return cmp.Compare(a.At, b.At) })
	if rules.merges() {
		x.at.Results = overlay(x.at.Results, b.Results)
	}
}

// joined ends the step when all its branches have.
func (x *execution) joined(f *fork, rules forkRules) {
	owner := x.at.pop().Owner
	x.facts = nil
	s := &settlement{Call: *owner, Error: f.Error}
	if f.Error == nil {
		s.Output = datum{dsl.Canonical(rules.output(f))}
	}
	x.at.Settling = s
}

// rules gives the rules of the step that forked.
func (x *execution) rules(owner *call) forkRules {
	step, _ := x.program.Step(owner.Step)
	if op, ok := step.Op.(*dsl.Foreach); ok {
		return eachRules{op}
	}
	return parallelRules{step.Op.(*dsl.Parallel)}
}

// eachRules are the rules of a foreach.
type eachRules struct{ op *dsl.Foreach }

func (r eachRules) total(f *fork) int    { return len(f.Items) }
func (r eachRules) limit() int           { return r.op.Parallel }
func (r eachRules) block(int) *dsl.Block { return r.op.Body }
func (r eachRules) label(i int) string   { return "[" + strconv.Itoa(i) + "]" }
func (r eachRules) scope() bool          { return false }
func (r eachRules) merges() bool         { return false }
func (r eachRules) settled(f *fork) bool { return f.Error != nil }
func (r eachRules) locals(f *fork, i int) dsl.Object {
	return dsl.Object{"index": int64(i), r.op.As: f.Items[i].value}
}

func (r eachRules) ended(f *fork, b *branch) {
	result := map[string]any{"item": f.Items[b.Index].value, "status": dsl.StatusSucceeded, "output": b.Output.value, "error": nil}
	switch {
	case b.Exit.Canceled:
		result["status"] = string(deviceops.RunCanceled)
	case b.Exit.Error != nil:
		f.Failed++
		result["status"], result["output"], result["error"] = dsl.StatusFailed, nil, failureMap(b.Exit.Error)
		if r.op.Tolerance.Exceeded(f.Failed, len(f.Items)) && f.Error == nil {
			f.Error = r.failure(f, b.Exit.Error)
		}
	default:
		f.Succeeded++
	}
	f.Results[b.Index] = datum{dsl.Canonical(result)}
}

// failure says why a foreach fails: the failure of its item, where none is
// tolerated.
func (r eachRules) failure(f *fork, last *dsl.Failure) *dsl.Failure {
	if r.op.Tolerance.Stop {
		return last
	}
	return &dsl.Failure{
		Code: deviceops.EFAILED, Message: strconv.Itoa(f.Failed) + " of " + strconv.Itoa(len(f.Items)) + " items failed, the last one because " + last.Message,
		Data: map[string]any{"failed": f.Failed, "total": len(f.Items), "last": failureMap(last)},
	}
}

func (r eachRules) output(f *fork) any {
	return map[string]any{"total": len(f.Items), "succeeded": f.Succeeded, "failed": f.Failed, "results": values(f.Results)}
}

// failureMap gives a failure as expressions see it.
func failureMap(f *dsl.Failure) map[string]any {
	return map[string]any{"code": f.Code, "message": f.Message, "retryable": f.Retryable, "step": f.Step, "data": f.Data}
}

// parallelRules are the rules of a parallel.
type parallelRules struct{ op *dsl.Parallel }

func (r parallelRules) total(*fork) int              { return len(r.op.Branches) }
func (r parallelRules) limit() int                   { return len(r.op.Branches) }
func (r parallelRules) block(i int) *dsl.Block       { return r.op.Branches[i].Block }
func (r parallelRules) label(int) string             { return "" }
func (r parallelRules) scope() bool                  { return r.op.Race }
func (r parallelRules) merges() bool                 { return true }
func (r parallelRules) locals(*fork, int) dsl.Object { return nil }
func (r parallelRules) settled(f *fork) bool         { return f.Error != nil || f.Winner != nil }

func (r parallelRules) ended(f *fork, b *branch) {
	switch {
	case b.Exit.Canceled:
	case b.Exit.Error != nil:
		f.Failed++
		if f.Winner == nil && f.Error == nil && (!r.op.Race || f.Failed == len(r.op.Branches)) {
			f.Error = b.Exit.Error
		}
	default:
		f.Succeeded++
		f.Results[b.Index] = b.Output
		if r.op.Race && f.Winner == nil {
			f.Winner = &b.Index
		}
	}
}

func (r parallelRules) output(f *fork) any {
	switch {
	case r.op.Race:
		return map[string]any{"winner": r.op.Branches[*f.Winner].Name, "output": f.Results[*f.Winner].value}
	case !r.op.Named:
		return values(f.Results)
	}
	out := map[string]any{}
	for i, branch := range r.op.Branches {
		out[branch.Name] = f.Results[i].value
	}
	return out
}

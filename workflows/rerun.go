package workflows

import (
	"cmp"
	"slices"
	"strconv"
	"strings"

	"go.temporal.io/sdk/workflow"

	"github.com/deviceops/deviceops"
	"github.com/deviceops/deviceops/activities"
	"github.com/deviceops/deviceops/dsl"
)

// Resumption is where a run that goes on with another one begins: at a step of
// the run's own list. The steps before it are copied.
type Resumption struct {
	At      int                 // its index in the list
	Because string              // why it is that one
	Copied  []deviceops.RunStep // the timeline of the steps before it, as rows of the new run
}

// PlanRerun says where a run that goes on with r begins, and what of r, which
// executed p, it copies. from names the step to begin at; "" means the one that
// did not succeed or, since its effect is gone, the first one that was taken back
// when the run ended. What is inside a step begins with that step. ECONFLICT when
// r has not ended, or needs no rerun; EINVALID when from cannot be the first step.
func PlanRerun(p *dsl.Program, r deviceops.Run, from string) (Resumption, error) {
	past := newPast(p, r.Steps)
	var s Resumption
	var err error
	switch {
	case !r.Status.Ended():
		err = deviceops.Errorf(deviceops.ECONFLICT, "run %s has not ended yet: it is %s", r.ID, r.Status)
	case from != "":
		s.Because = "it was asked for"
		s.At, err = past.asked(from)
	case past.open == len(p.Root.Steps) || r.Status == deviceops.RunSucceeded:
		err = deviceops.Errorf(deviceops.ECONFLICT, "all steps of run %s succeeded; say from which step to run it again", r.ID)
	default:
		s.At, s.Because = past.firstDue()
	}
	if err == nil {
		err = past.copyable(s.At)
	}
	if err == nil {
		s.Copied = past.before(s.At)
	}
	return s, err
}

// OuterStep gives the id of the step of the run's own list that a row is about,
// or about something in it; "" for what is in none.
func OuterStep(p *dsl.Program, row deviceops.RunStep) string {
	if _, at, ok := newPast(p, nil).locate(row); ok {
		return p.Root.Steps[at].ID
	}
	return ""
}

// past is what a run did, by the steps of its own list.
type past struct {
	program *dsl.Program
	rows    []deviceops.RunStep  // by index
	own     []*deviceops.RunStep // the row of each step of the list; nil: it never began
	open    int                  // the first step of the list that did not succeed and was not skipped
	undone  int                  // the first one of those before that was taken back when the run ended; open: none was
}

func newPast(p *dsl.Program, rows []deviceops.RunStep) *past {
	h := &past{program: p, rows: rows, own: make([]*deviceops.RunStep, len(p.Root.Steps))}
	for i, row := range rows {
		if step, at, ok := h.locate(row); ok && step == p.Root.Steps[at] {
			h.own[at] = &rows[i]
		}
	}
	for h.open < len(h.own) && done(h.own[h.open]) {
		h.open++
	}
	h.undone = h.open
	forward := h.lastForward()
	for _, row := range rows {
		if _, at, ok := h.locate(row); ok && at < h.undone && isUndo(p, row) && row.Index > forward {
			h.undone = at
		}
	}
	return h
}

func done(row *deviceops.RunStep) bool {
	return row != nil && (row.Status == deviceops.RunSucceeded || row.Status == deviceops.RunSkipped)
}

// locate finds the step of a row, and the index of the step of the list that it
// is or is in. What belongs to the workflow's own catch and finally is in none.
func (h *past) locate(row deviceops.RunStep) (step *dsl.Step, at int, ok bool) {
	step, ok = h.program.Step(row.StepID())
	if !ok {
		return nil, 0, false
	}
	rest, ok := strings.CutPrefix(step.Path, h.program.Root.Path+"[")
	if !ok {
		return nil, 0, false
	}
	number, _, _ := strings.Cut(rest, "]")
	at, err := strconv.Atoi(number)
	return step, at, err == nil && at < len(h.own)
}

// isUndo reports whether a row is of a step that takes another one back.
func isUndo(p *dsl.Program, row deviceops.RunStep) bool {
	step, ok := p.Step(row.StepID())
	return ok && strings.Contains(step.Path, ".undo[")
}

// lastForward gives the index of the last row before the run, having failed,
// began to take its steps back. Until then a step that was taken back was so by a
// try in the list, which is part of what its step of the list did.
func (h *past) lastForward() int {
	if h.open < len(h.own) && h.own[h.open] != nil {
		return h.own[h.open].Index
	}
	last := -1
	for _, row := range h.rows {
		if _, at, ok := h.locate(row); ok && at < h.open && !isUndo(h.program, row) {
			last = max(last, row.Index)
		}
	}
	return last
}

// firstDue gives the step to begin at where none was asked for.
func (h *past) firstDue() (at int, because string) {
	switch {
	case h.undone < h.open:
		return h.undone, "it was taken back when the run ended"
	case h.own[h.open] == nil:
		return h.open, "it had not begun"
	case h.own[h.open].Status == deviceops.RunFailed:
		return h.open, "it failed"
	default:
		return h.open, "it was not finished"
	}
}

// asked finds the step to begin at. EINVALID when it cannot be that.
func (h *past) asked(from string) (int, error) {
	steps := h.program.Root.Steps
	at := slices.IndexFunc(steps, func(s *dsl.Step) bool { return s.ID == from })
	switch {
	case at < 0:
		return 0, h.notInList(from)
	case at > h.open:
		return 0, deviceops.Errorf(deviceops.EINVALID, "the run cannot begin at %s: %s before it did not succeed, so there is nothing to copy; begin at %s or before",
			from, steps[h.open].ID, steps[h.open].ID)
	case at > h.undone:
		return 0, deviceops.Errorf(deviceops.EINVALID, "the run cannot begin at %s: %s before it was taken back when the run ended; begin at %s or before",
			from, steps[h.undone].ID, steps[h.undone].ID)
	}
	return at, nil
}

func (h *past) notInList(from string) error {
	if _, at, ok := h.locate(deviceops.RunStep{Step: from}); ok {
		id := h.program.Root.Steps[at].ID
		return deviceops.Errorf(deviceops.EINVALID, "the run cannot begin at %s, which is inside the step %s; begin at %s", from, id, id)
	}
	var ids []string
	for _, s := range h.program.Root.Steps {
		ids = append(ids, s.ID)
	}
	return deviceops.Errorf(deviceops.EINVALID, "there is no step %s to begin at; the steps of the run are %s", from, strings.Join(ids, ", "))
}

// copyable reports why what was done before a step cannot be copied. EINVALID.
func (h *past) copyable(at int) error {
	for _, row := range h.rows {
		step, in, ok := h.locate(row)
		if !ok || in >= at || row.Status != deviceops.RunSucceeded {
			continue
		}
		id := h.program.Root.Steps[in].ID
		switch {
		case row.Verb == "set" && h.own[in].Vars == nil:
			return deviceops.Errorf(deviceops.EINVALID, "the variables that %s set were not recorded by the version that executed the run; begin at %s or before", id, id)
		case step.Undo != nil && inLoop(step) && h.standing(row):
			return deviceops.Errorf(deviceops.EINVALID, "%s has an undo and ran in a loop, of which it cannot be told later what to take back; begin at %s or before", step.ID, id)
		}
	}
	return nil
}

// inLoop reports whether a step runs once for each item or round of something.
func inLoop(s *dsl.Step) bool {
	return strings.Contains(s.Path, ".foreach[") || strings.Contains(s.Path, ".while[")
}

// standing reports whether what a row did was not taken back later.
func (h *past) standing(row deviceops.RunStep) bool {
	step, _ := h.program.Step(row.StepID())
	return !slices.ContainsFunc(h.rows, func(later deviceops.RunStep) bool {
		undo, ok := h.program.Step(later.StepID())
		return ok && later.Index > row.Index && strings.HasPrefix(undo.Path, step.Undo.Path+"[")
	})
}

// before gives the rows of the steps before one, for another run.
func (h *past) before(at int) (copied []deviceops.RunStep) {
	for _, row := range h.rows {
		if _, in, ok := h.locate(row); ok && in < at {
			row.Index, row.Copied = len(copied), true
			copied = append(copied, row)
		}
	}
	return copied
}

// recall takes over what the run's first steps did in the run that it goes on
// with.
func (x *execution) recall(ctx workflow.Context) error {
	at := slices.IndexFunc(x.program.Root.Steps, func(s *dsl.Step) bool { return s.ID == x.run.RerunOf.Step })
	if at < 0 {
		return deviceops.Errorf(deviceops.EINVALID, "%s@%d has no step %s to begin at", x.run.Workflow, x.run.Version, x.run.RerunOf.Step)
	}
	var recalled activities.RecallOutput
	if err := local(ctx, activities.NameRecallSteps, activities.RecallInput{Run: x.run.ID}, &recalled); err != nil {
		return err
	}
	x.at.top().Next, x.state.Next = at, len(recalled.Steps)
	x.remind(newPast(x.program, recalled.Steps))
	return nil
}

// remind makes the state what it was after the steps of the past.
func (x *execution) remind(h *past) {
	var completed []deviceops.RunStep
	for _, row := range h.rows {
		step, in, ok := h.locate(row)
		if !ok {
			continue
		}
		if row.Step == row.StepID() { // what runs for an item is seen by it alone
			x.recollect(step, row)
		}
		if row.Status == deviceops.RunSucceeded && step.Undo != nil && h.standing(row) {
			completed = append(completed, row)
		}
		if step == h.program.Root.Steps[in] {
			x.state.Vars = overlay(x.state.Vars, row.Vars)
		}
	}
	slices.SortStableFunc(completed, func(a, b deviceops.RunStep) int {
		return cmp.Or(a.FinishedAt.Compare(b.FinishedAt), cmp.Compare(a.Index, b.Index))
	})
	for _, row := range completed {
		step, _, _ := h.locate(row)
		x.complete(step)
	}
}

// recollect makes the result of a row visible to expressions.
func (x *execution) recollect(step *dsl.Step, row deviceops.RunStep) {
	switch row.Status {
	case deviceops.RunSucceeded:
		x.remember(step, dsl.StepResult{Status: dsl.StatusSucceeded, Output: dsl.Canonical(row.Output), Attempts: row.Attempts})
	case deviceops.RunFailed:
		x.remember(step, dsl.StepResult{Status: dsl.StatusFailed, Error: canonical(row.Error), Attempts: row.Attempts})
	case deviceops.RunSkipped:
		delete(x.at.Results, step.ID)
	}
}

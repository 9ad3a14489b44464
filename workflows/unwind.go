package workflows

import (
	"go.temporal.io/sdk/workflow"

	"github.com/deviceops/deviceops"
	"github.com/deviceops/deviceops/dsl"
)

// maxUndo is how many completed steps with an undo a branch remembers.
const maxUndo = 1000

// errCanceled is what the steps of a run that was called off end with.
func errCanceled() *dsl.Failure {
	return &dsl.Failure{Code: deviceops.ECANCELED, Message: "the run was canceled"}
}

// leave leaves the present block of the top frame: its last step is done, one
// failed, a return ends the run, or the branch is canceled.
func (x *execution) leave(ctx workflow.Context, e exit) {
	f := x.at.top()
	switch {
	case f.Rounds > 0 && e == exit{}:
		x.iterate(ctx, f)
		return
	case f.Phase == inUndo: // what became of it is on its rows
	case f.Phase != inFinally, e.Error != nil && !f.Exit.bad():
		f.Exit = e
	}
	x.nextPhase(ctx, f)
}

// nextPhase makes the frame do what follows: undo what was completed in it, its
// catch, its finally, and then whatever is around it.
func (x *execution) nextPhase(ctx workflow.Context, f *frame) {
	catch, finally, scope := x.handlers(f)
	switch {
	case scope && (f.Phase == inBody || f.Phase == inUndo) && f.Exit.bad() && x.undo(f):
	case catch != nil && f.Phase != inCatch && f.Phase != inFinally && f.Exit.Error != nil && x.inTime(ctx, f):
		failure := f.Exit.Error
		f.enter(inCatch, catch.Path)
		f.Error, f.Exit = failure, exit{}
	case finally != nil && f.Phase != inFinally:
		f.enter(inFinally, finally.Path)
	default:
		x.pop(ctx)
	}
}

// enter makes another block the present one of the frame. Cleaning up has its
// own time.
func (f *frame) enter(p phase, block string) {
	f.Phase, f.Block, f.Next, f.Error, f.Undoing = p, block, 0, nil, nil
}

// handlers gives what the frame does with a failure. Scope says that what was
// completed in it is undone then.
func (x *execution) handlers(f *frame) (catch, finally *dsl.Block, scope bool) {
	if f.Owner == nil {
		if x.parent == nil {
			return x.program.Catch, x.program.Finally, true
		}
		return nil, nil, x.at.Scope
	}
	step, _ := x.program.Step(f.Owner.Step)
	if op, ok := step.Op.(*dsl.Try); ok {
		return op.Catch, op.Finally, true
	}
	return nil, nil, false
}

// inTime reports whether a failure in f may go to a catch. The timeout of a try
// covers its catch.
func (x *execution) inTime(ctx workflow.Context, f *frame) bool {
	return f.Deadline.IsZero() || workflow.Now(ctx).Before(f.Deadline)
}

// undo begins to take back the step that was completed last in the frame. It
// reports whether there was one.
func (x *execution) undo(f *frame) bool {
	last := len(x.at.Undo) - 1
	if last < f.Base {
		return false
	}
	u := x.at.Undo[last]
	x.at.Undo = x.at.Undo[:last]
	step, _ := x.program.Step(u.Step)
	f.enter(inUndo, step.Undo.Path)
	f.Undoing, f.Error = &u, f.Exit.Error
	if f.Error == nil {
		f.Error = errCanceled()
	}
	return true
}

// complete notes that a step is done, or may be, and can be taken back.
func (x *execution) complete(step *dsl.Step) {
	if step.Undo == nil {
		return
	}
	u := undoable{Step: step.ID, At: x.state.Completed, Locals: x.locals()}
	if r, ok := x.at.Results[step.ID]; ok {
		u.Results = map[string]dsl.StepResult{step.ID: r}
	}
	x.state.Completed++
	x.at.Undo = append(x.at.Undo, u)
}

// unsure reports whether a step that failed may have had its effect all the
// same: its command was sent and never answered, or the device began with it.
func (c *call) unsure(failure *dsl.Failure) bool {
	if c.Delivery == nil {
		return failure.Code == deviceops.ETIMEOUT && c.Tries > c.Before
	}
	status, _ := failure.Data["status"].(string)
	switch deviceops.CommandStatus(status) {
	case deviceops.CommandFailed, deviceops.CommandExpired, deviceops.CommandCanceled, "":
		return c.Delivery.Tries > 0
	}
	return false
}

// pop leaves the top frame for good.
func (x *execution) pop(ctx workflow.Context) {
	f := x.at.pop()
	switch {
	case f.Owner == nil:
		x.at.push(f) // expressions of the outputs are evaluated in it
		x.at.Exit = &f.Exit
	case f.Exit.Return != nil:
		x.state.closeRow(f.Owner.Row, deviceops.RunSucceeded, workflow.Now(ctx), nil, nil)
		x.leave(ctx, f.Exit)
	case f.Exit.Canceled:
		x.state.closeRow(f.Owner.Row, deviceops.RunCanceled, workflow.Now(ctx), nil, errCanceled())
		x.leave(ctx, f.Exit)
	default:
		x.at.Settling = &settlement{Call: *f.Owner, Error: f.Exit.Error}
	}
}

// abandon ends what the branch is doing because it was canceled.
func (x *execution) abandon(ctx workflow.Context) {
	switch at := x.at; {
	case at.Settling != nil:
		s := at.Settling
		at.Settling = nil
		step, _ := x.program.Step(s.Call.Step)
		if s.Error == nil {
			x.succeed(ctx, step, *s)
			return
		}
		s.Call.abandon(ctx)
		x.interrupt(ctx, step, s.Call)
	case at.Parked != nil:
		x.resume(ctx) // which notices by itself
	default:
		x.leave(ctx, exit{Canceled: true})
	}
}

// interrupt ends a step that was canceled. A command of it may have been carried
// out.
func (x *execution) interrupt(ctx workflow.Context, step *dsl.Step, c call) {
	cause := errCanceled()
	x.state.closeRow(c.Row, deviceops.RunCanceled, workflow.Now(ctx), nil, cause)
	if c.Delivery != nil && c.Delivery.Tries > 0 {
		x.complete(step)
	}
	x.leave(ctx, exit{Canceled: true})
}

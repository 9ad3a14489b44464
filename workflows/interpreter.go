package workflows

import (
	"time"

	"go.temporal.io/sdk/workflow"

	"github.com/deviceops/deviceops"
	"github.com/deviceops/deviceops/activities"
	"github.com/deviceops/deviceops/dsl"
)

// execution executes the program of one run.
type execution struct {
	run     deviceops.Run // the header: no steps
	depth   int           // how many runs started one another down to this
	program *dsl.Program
	desk    *desk
	state   state
	facts   map[string]any // of the run's device; nil: to be read again before the next expression
}

// execute goes on with the program until the run has ended.
func (x *execution) execute(ctx workflow.Context) {
	for x.state.End == nil {
		if ctx.Err() != nil {
			x.cancel(ctx)
			return
		}
		switch block, ok := x.program.Block(x.state.top().Block); {
		case !ok:
			x.end(ending{Status: deviceops.RunFailed, Error: &dsl.Failure{Code: deviceops.EINTERNAL, Message: "the program has no block " + x.state.top().Block}})
		case x.state.Settling != nil:
			x.settle(ctx)
		case x.state.top().Next < len(block.Steps):
			x.begin(ctx, block.Steps[x.state.top().Next])
		default:
			x.leave(ctx)
		}
	}
}

func (x *execution) end(e ending) { x.state.End = &e }

// cancel ends the run because somebody called it off.
func (x *execution) cancel(ctx workflow.Context) {
	cause := &dsl.Failure{Code: deviceops.ECANCELED, Message: "the run was canceled"}
	x.state.cancelOpen(workflow.Now(ctx), cause)
	x.end(ending{Status: deviceops.RunCanceled, Error: cause})
}

// begin begins the next step of the top frame, unless its condition says no.
func (x *execution) begin(ctx workflow.Context, step *dsl.Step) {
	now, top := workflow.Now(ctx), x.state.top()
	c := call{Step: step.ID, Round: x.state.Rounds[step.ID], Deadline: top.Deadline}
	if err := x.refresh(ctx); err != nil {
		x.stumble(ctx, step, c, err)
		return
	}
	env := x.env(ctx)
	wanted, err := step.If.Bool(env)
	if err != nil {
		x.stumble(ctx, step, c, err)
		return
	}
	if !wanted {
		x.state.closeRow(x.state.openRow(step, now), deviceops.RunSkipped, now, nil, nil)
		delete(x.state.Results, step.ID)
		top.Next++
		return
	}
	timeout, err := step.Timeout.Duration(env)
	if err != nil {
		x.stumble(ctx, step, c, err)
		return
	}
	if timeout > 0 {
		c.Deadline = earliest(c.Deadline, now.Add(timeout))
	}
	c.Row = x.state.openRow(step, now)
	x.state.Rounds[step.ID]++
	x.try(ctx, step, c)
}

// stumble fails a step that could not even begin.
func (x *execution) stumble(ctx workflow.Context, step *dsl.Step, c call, err error) {
	c.Row = x.state.openRow(step, workflow.Now(ctx))
	x.state.Settling = &settlement{Call: c, Error: failureOf(err)}
}

// try makes one try of a step.
func (x *execution) try(ctx workflow.Context, step *dsl.Step, c call) {
	c.Tries++
	x.state.Rows[c.Row].Attempts = c.Tries
	x.state.touch(c.Row)
	v, ok := verbs[step.Verb]
	if !ok {
		x.take(ctx, faulty(deviceops.Errorf(deviceops.EINVALID, "this engine has no verb %q", step.Verb)), c)
		return
	}
	x.take(ctx, v.try(x, ctx, step, &c), c)
}

// take turns an outcome into what happens next.
func (x *execution) take(ctx workflow.Context, o outcome, c call) {
	switch {
	case ctx.Err() != nil:
		return // the loop ends the run
	case o.end != nil:
		x.finish(ctx, *o.end)
	case o.enter != nil:
		x.state.Frames = append(x.state.Frames, frame{Block: o.enter.Path, Deadline: c.Deadline, Owner: &c})
	default:
		x.state.Settling = &settlement{Call: c, Output: o.output, Error: o.failure}
	}
}

// finish ends the run successfully from within: the steps around the return
// have succeeded.
func (x *execution) finish(ctx workflow.Context, e ending) {
	now := workflow.Now(ctx)
	for i := range x.state.Rows {
		if !x.state.Rows[i].Status.Ended() {
			x.state.closeRow(i, deviceops.RunSucceeded, now, nil, nil)
		}
	}
	x.end(e)
}

// leave ends the top frame, whose steps are done: its owner has succeeded, or
// the run has.
func (x *execution) leave(ctx workflow.Context) {
	owner := x.state.top().Owner
	if owner != nil {
		x.state.pop()
		x.state.Settling = &settlement{Call: *owner}
		return
	}
	err := x.refresh(ctx)
	var outputs map[string]any
	if err == nil {
		outputs, err = x.program.EvalOutputs(x.env(ctx))
	}
	if err != nil {
		x.end(ending{Status: deviceops.RunFailed, Error: failureOf(err)})
		return
	}
	x.end(ending{Status: deviceops.RunSucceeded, Outputs: outputs})
}

// settle decides what the end of a try means: the step is done, is tried again,
// or has failed, and with it the block around it.
func (x *execution) settle(ctx workflow.Context) {
	s := *x.state.Settling
	step, _ := x.program.Step(s.Call.Step)
	if s.Error != nil && x.again(ctx, step, &s) {
		x.state.Settling = nil
		x.try(ctx, step, s.Call)
		return
	}
	if ctx.Err() != nil {
		s.Call.abandon(ctx)
		return
	}
	if giveUp := verbs[step.Verb].giveUp; s.Error != nil && giveUp != nil {
		o := giveUp(x, ctx, step, &s.Call, s.Error)
		s.Output, s.Error = o.output, o.failure
	}
	x.state.Settling = nil
	if s.Error == nil {
		x.succeed(ctx, step, s)
		return
	}
	x.fail(ctx, step, s)
}

func (x *execution) succeed(ctx workflow.Context, step *dsl.Step, s settlement) {
	x.state.closeRow(s.Call.Row, deviceops.RunSucceeded, workflow.Now(ctx), s.Output, nil)
	x.remember(step, dsl.StepResult{Status: dsl.StatusSucceeded, Output: s.Output, Attempts: s.Call.Tries})
	x.state.top().Next++
}

// fail records the failure of a step and unwinds to the next catch block, the
// owner of the block, or the end of the run.
func (x *execution) fail(ctx workflow.Context, step *dsl.Step, s settlement) {
	failure := *s.Error
	if failure.Step == "" {
		failure.Step = step.ID
	}
	x.state.closeRow(s.Call.Row, deviceops.RunFailed, workflow.Now(ctx), nil, &failure)
	x.remember(step, dsl.StepResult{Status: dsl.StatusFailed, Error: &failure, Attempts: s.Call.Tries})
	f := x.state.pop()
	switch {
	case f.Owner == nil:
		x.state.Frames = append(x.state.Frames, f)
		x.end(ending{Status: deviceops.RunFailed, Error: &failure})
	case x.catches(ctx, f):
		x.state.Frames = append(x.state.Frames, frame{
			Block: x.catchBlock(f).Path, Deadline: f.Deadline, Owner: f.Owner, Error: &failure, Catching: true,
		})
	default:
		x.state.Settling = &settlement{Call: *f.Owner, Error: &failure}
	}
}

// catches reports whether a failure in f goes to a catch block. One whose time
// is over does not: the timeout of a try covers its catch.
func (x *execution) catches(ctx workflow.Context, f frame) bool {
	if f.Catching || x.catchBlock(f) == nil {
		return false
	}
	return f.Deadline.IsZero() || workflow.Now(ctx).Before(f.Deadline)
}

func (x *execution) catchBlock(f frame) *dsl.Block {
	step, ok := x.program.Step(f.Owner.Step)
	if !ok {
		return nil
	}
	if op, ok := step.Op.(*dsl.Try); ok {
		return op.Catch
	}
	return nil
}

// remember makes the result of a step visible to expressions.
func (x *execution) remember(step *dsl.Step, r dsl.StepResult) {
	if step.Named {
		x.state.Results[step.ID] = r
	}
}

// env gives what expressions see now.
func (x *execution) env(ctx workflow.Context) dsl.Env {
	return dsl.Env{
		Inputs: x.state.Inputs, Steps: x.state.Results, Vars: x.state.Vars, Error: x.state.caught(), Device: x.facts,
		Run: dsl.RunInfo{
			ID: x.run.ID, Workflow: x.run.Workflow, Version: x.run.Version, StartedBy: x.run.StartedBy, Now: workflow.Now(ctx),
		},
	}
}

// refresh reads the facts of the run's device if expressions need them and time
// may have changed them.
func (x *execution) refresh(ctx workflow.Context) error {
	if !x.program.Uses.Device || x.facts != nil {
		return nil
	}
	if x.run.Device == "" {
		x.facts = map[string]any{}
		return nil
	}
	var d deviceops.Device
	in := activities.FactsInput{Account: x.run.Account, Device: x.run.Device}
	if err := local(ctx, activities.NameDeviceFacts, in, &d); err != nil {
		return activities.DomainError(err)
	}
	x.facts = deviceFacts(&d)
	return nil
}

// deviceFacts gives a device as expressions see it. The maps that it walks end
// up in a map again, so their order is of no consequence.
//
//workflowcheck:ignore
func deviceFacts(d *deviceops.Device) map[string]any { return dsl.DeviceFacts(d) }

// device gives the device of a step: its own, else that of the run.
func (x *execution) device(ctx workflow.Context, step *dsl.Step) (string, error) {
	if step.Device == nil {
		return x.run.Device, nil
	}
	return step.Device.Text(x.env(ctx))
}

// left gives the time that remains until a deadline, at most limit; both may be
// zero for none. Over says that no time is left.
func left(ctx workflow.Context, deadline time.Time, limit time.Duration) (timeout time.Duration, over bool) {
	if deadline.IsZero() {
		return limit, false
	}
	remaining := deadline.Sub(workflow.Now(ctx))
	if limit <= 0 || remaining < limit {
		limit = remaining
	}
	return limit, remaining <= 0
}

// failureOf makes a failure of an error of the domain or of Temporal.
func failureOf(err error) *dsl.Failure { return canonical(activities.Cause(err)) }

// canonical gives a failure whose data expressions can read.
func canonical(f *dsl.Failure) *dsl.Failure {
	if f == nil || f.Data == nil {
		return f
	}
	own := *f
	own.Data, _ = dsl.Canonical(f.Data).(map[string]any)
	return &own
}

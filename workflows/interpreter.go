package workflows

import (
	"time"

	"go.temporal.io/sdk/workflow"

	"github.com/deviceops/deviceops"
	"github.com/deviceops/deviceops/activities"
	"github.com/deviceops/deviceops/dsl"
)

// process is what the branches of a run share.
type process struct {
	run     deviceops.Run // the header: no steps
	depth   int           // how many runs started one another down to this
	source  string        // the definition
	program *dsl.Program
	desk    *desk
	state   state
	relay   relay
	expects []string // for what of AttributeWaitingFor the branches wait now
	quick   int      // quick actions that were performed in this execution
	saving  bool     // somebody is giving a change of the hold to the store
}

// execution executes one branch of a run.
type execution struct {
	*process
	at     *branch
	parent *execution     // of the branch that this one was forked from; nil: the run itself
	facts  map[string]any // of the run's device; nil: to be read again before the next expression
}

// execute goes on with the program until the branch has ended, or has to stop
// so that the run can go on in a new execution.
func (x *execution) execute(ctx workflow.Context) {
	shield, lower := workflow.NewDisconnectedContext(ctx)
	defer lower()
	for x.at.Exit == nil {
		at := ctx
		if x.at.shielded() {
			at = shield
		}
		if at.Err() == nil && x.stops(at) {
			return
		}
		if at.Err() == nil && x.fresh() && x.held() {
			_, _ = x.hold(at)
			continue // the branch may have been called off, or has to stop
		}
		x.step(at)
	}
}

// step does what is next.
func (x *execution) step(ctx workflow.Context) {
	top := x.at.top()
	block, known := x.program.Block(top.Block)
	switch {
	case top.Fork != nil:
		x.join(ctx)
	case !known:
		x.leave(ctx, exit{Error: &dsl.Failure{Code: deviceops.EINTERNAL, Message: "the program has no block " + top.Block}})
	case ctx.Err() != nil:
		x.abandon(ctx)
	case x.at.Parked != nil:
		x.resume(ctx)
	case x.at.Settling != nil:
		x.settle(ctx)
	case top.Next < len(block.Steps):
		x.begin(ctx, block.Steps[top.Next])
	default:
		x.leave(ctx, exit{})
	}
}

// resume goes on with a try that an earlier execution of the run began.
func (x *execution) resume(ctx workflow.Context) {
	c := *x.at.Parked
	x.at.Parked = nil
	step, _ := x.program.Step(c.Step)
	x.take(ctx, step, verbs[step.Verb].try(x, ctx, step, &c), c)
}

// begin begins the next step of the top frame, unless its condition says no.
func (x *execution) begin(ctx workflow.Context, step *dsl.Step) {
	if x.relay.begun++; x.relay.begun%breath == 0 {
		x.breathe(ctx)
	}
	now, top := workflow.Now(ctx), x.at.top()
	c := call{Step: step.ID, Round: x.at.Rounds[step.ID], Deadline: top.Deadline}
	if err := x.refresh(ctx); err != nil {
		x.stumble(ctx, step, c, err)
		return
	}
	if x.held() { // since the facts were asked for
		return
	}
	env := x.env(ctx)
	wanted, err := step.If.Bool(env)
	if err != nil {
		x.stumble(ctx, step, c, err)
		return
	}
	if !wanted {
		x.skip(ctx, step)
		return
	}
	timeout, err := step.Timeout.Duration(env)
	if err == nil && step.Undo != nil && len(x.at.Undo) >= maxUndo {
		err = deviceops.Errorf(deviceops.EEXHAUSTED, "a run can take back at most %d steps", maxUndo)
	}
	if err != nil {
		x.stumble(ctx, step, c, err)
		return
	}
	if timeout > 0 {
		c.Deadline = earliest(c.Deadline, now.Add(timeout))
	}
	c.Row = x.state.openRow(step, x.at.Label, now)
	x.at.Rounds[step.ID]++
	x.try(ctx, step, c)
}

func (x *execution) skip(ctx workflow.Context, step *dsl.Step) {
	now := workflow.Now(ctx)
	x.state.closeRow(x.state.openRow(step, x.at.Label, now), deviceops.RunSkipped, now, nil, nil)
	delete(x.at.Results, step.ID)
	x.advance(nil)
}

// advance makes the step after the present one the next.
func (x *execution) advance(output any) {
	x.at.top().Next++
	if len(x.at.Frames) == 1 {
		x.at.Output = datum{output}
	}
}

// stumble fails a step that could not even begin.
func (x *execution) stumble(ctx workflow.Context, step *dsl.Step, c call, err error) {
	c.Row = x.state.openRow(step, x.at.Label, workflow.Now(ctx))
	x.at.Settling = &settlement{Call: c, Error: failureOf(err)}
}

// try makes one try of a step.
func (x *execution) try(ctx workflow.Context, step *dsl.Step, c call) {
	c.Tries++
	x.state.row(c.Row).Attempts = c.Tries
	x.state.touch(c.Row)
	v, ok := verbs[step.Verb]
	if !ok {
		x.take(ctx, step, faulty(deviceops.Errorf(deviceops.EINVALID, "this engine has no verb %q", step.Verb)), c)
		return
	}
	x.take(ctx, step, v.try(x, ctx, step, &c), c)
}

// take turns an outcome into what happens next.
func (x *execution) take(ctx workflow.Context, step *dsl.Step, o outcome, c call) {
	switch {
	case o.parked:
		x.at.Parked = &c
	case ctx.Err() != nil && (o.failure != nil || o.enter != nil):
		x.interrupt(ctx, step, c)
	case o.end != nil:
		x.state.closeRow(c.Row, deviceops.RunSucceeded, workflow.Now(ctx), nil, nil)
		x.leave(ctx, exit{Return: o.end})
	case o.enter != nil:
		f := *o.enter
		f.Deadline, f.Owner, f.Base = c.Deadline, &c, len(x.at.Undo)
		x.at.push(f)
	default:
		x.at.Settling = &settlement{Call: c, Output: datum{o.output}, Error: o.failure}
	}
}

// settle decides what the end of a try means: the step is done, is tried again,
// or has failed, and with it the block around it.
func (x *execution) settle(ctx workflow.Context) {
	s := *x.at.Settling
	step, _ := x.program.Step(s.Call.Step)
	switch x.again(ctx, step, &s) {
	case parked:
		x.at.Settling = &s
		return
	case yes:
		x.at.Settling = nil
		x.try(ctx, step, s.Call)
		return
	}
	if ctx.Err() != nil {
		return // abandon comes next
	}
	if giveUp := verbs[step.Verb].giveUp; s.Error != nil && giveUp != nil {
		o := giveUp(x, ctx, step, &s.Call, s.Error)
		s.Output, s.Error = datum{o.output}, o.failure
	}
	x.at.Settling = nil
	if s.Error == nil {
		x.succeed(ctx, step, s)
		return
	}
	x.fail(ctx, step, s)
}

func (x *execution) succeed(ctx workflow.Context, step *dsl.Step, s settlement) {
	if x.parent == nil && len(x.at.Frames) == 1 {
		x.state.row(s.Call.Row).Vars = x.state.takeAssigned()
	}
	x.state.closeRow(s.Call.Row, deviceops.RunSucceeded, workflow.Now(ctx), s.Output.value, nil)
	x.remember(step, dsl.StepResult{Status: dsl.StatusSucceeded, Output: s.Output.value, Attempts: s.Call.Tries})
	x.complete(step)
	x.advance(s.Output.value)
}

// fail records the failure of a step and leaves the block around it.
func (x *execution) fail(ctx workflow.Context, step *dsl.Step, s settlement) {
	failure := *s.Error
	if failure.Step == "" {
		failure.Step = step.ID
	}
	x.state.closeRow(s.Call.Row, deviceops.RunFailed, workflow.Now(ctx), nil, &failure)
	x.remember(step, dsl.StepResult{Status: dsl.StatusFailed, Error: &failure, Attempts: s.Call.Tries})
	if s.Call.unsure(&failure) {
		x.complete(step)
	}
	x.leave(ctx, exit{Error: &failure})
}

// remember makes the result of a step visible to expressions.
func (x *execution) remember(step *dsl.Step, r dsl.StepResult) {
	if step.Named {
		x.at.Results[step.ID] = r
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

package workflows

import (
	"cmp"
	"time"

	"go.temporal.io/sdk/temporal"
	"go.temporal.io/sdk/workflow"

	"github.com/deviceops/deviceops"
	"github.com/deviceops/deviceops/activities"
	"github.com/deviceops/deviceops/dsl"
)

var _ = addVerb("action", verb{try: tryAction, giveUp: giveUpCommand})

const (
	// actionTimeout is how long an action may take where its step does not say.
	actionTimeout = 2 * time.Minute
	// actionSilence is how long an action may give no sign of life: longer than
	// others, since one that is performed twice is seen outside.
	actionSilence = 5 * HeartbeatEvery
)

// tryAction performs an action of the engine. An action that reaches the device
// itself goes on as a command; the step's output is that of the action.
func tryAction(x *execution, ctx workflow.Context, step *dsl.Step, c *call) outcome {
	in, err := x.actionInput(ctx, step)
	if err != nil {
		return faulty(err)
	}
	in.Round = c.Round
	if c.Action != nil {
		return x.goOn(ctx, step, c, in.Device, *c.Action)
	}
	limit, err := step.AttemptTimeout.Duration(x.env(ctx))
	if err != nil {
		return faulty(err)
	}
	timeout, over := left(ctx, c.Deadline, limit)
	if over {
		return failed(outOfTime(step))
	}
	x.state.row(c.Row).Input = map[string]any{"action": in.Action, "device": in.Device, "with": in.Args}
	performed, landed := x.perform(ctx, timeout, limit, in)
	if activities.Waits(in.Action) && x.arrives(ctx, performed) {
		landed(false)
		return outcome{parked: true}
	}
	var out activities.ActionOutput
	err = performed.Get(ctx, &out)
	landed(err == nil)
	x.facts = nil
	switch {
	case err != nil && activities.Waits(in.Action) && timeIsUp(err):
		return failed(outOfTime(step))
	case err != nil:
		return faulty(err)
	}
	return x.goOn(ctx, step, c, in.Device, out)
}

// timeIsUp reports whether an action that waits would go on to, had it the time.
func timeIsUp(err error) bool {
	code := activities.Cause(err).Code
	return code == deviceops.ETIMEOUT || code == deviceops.EUNAVAILABLE
}

// quickOnes is how many actions a run performs before one that is quick is
// performed as others are: so that rows of the timeline are saved, and the run
// hears what people tell it, before much would have to be repeated.
const quickOnes = 16

// perform executes an action, and with it saves rows of the timeline; landed has
// to be told whether that was done. A quick action is executed in the workflow
// task that is open and saves nothing: in a moment the run waits, or ends.
func (x *execution) perform(ctx workflow.Context, timeout, limit time.Duration, in activities.ActionInput) (_ workflow.Future, landed func(bool)) {
	if x.state.Engine >= 3 && activities.Quick(in.Action) {
		if x.quick++; x.quick%quickOnes != 0 {
			return perform(ctx, timeout, limit, in, true), func(bool) {}
		}
	}
	in.Run, landed = x.ride(ctx)
	return perform(ctx, timeout, limit, in, false), landed
}

// perform executes an action. limit bounds one try of it with all that Temporal
// repeats; without one, a try whose surroundings are out of reach (the store, the
// provider of secrets, the broker) waits for them as long as the step may take. An
// action that waits for something else does so for ever where nothing bounds it.
func perform(ctx workflow.Context, timeout, limit time.Duration, in activities.ActionInput, quick bool) workflow.Future {
	if timeout == 0 && !activities.Waits(in.Action) {
		timeout = storePatience
	}
	once := timeout
	if limit == 0 || timeout == 0 {
		once = min(cmp.Or(timeout, actionTimeout), actionTimeout)
	}
	if quick {
		ctx = workflow.WithLocalActivityOptions(ctx, workflow.LocalActivityOptions{
			StartToCloseTimeout: once, ScheduleToCloseTimeout: timeout, RetryPolicy: untilItIsBack(),
		})
		return workflow.ExecuteLocalActivity(ctx, activities.NameAction, in)
	}
	ctx = workflow.WithActivityOptions(ctx, workflow.ActivityOptions{
		StartToCloseTimeout:    once,
		ScheduleToCloseTimeout: timeout,
		HeartbeatTimeout:       actionSilence,
		RetryPolicy:            &temporal.RetryPolicy{InitialInterval: 500 * time.Millisecond, BackoffCoefficient: 1.5, MaximumInterval: 15 * time.Second},
	})
	return workflow.ExecuteActivity(ctx, activities.NameAction, in)
}

func (x *execution) actionInput(ctx workflow.Context, step *dsl.Step) (activities.ActionInput, error) {
	op := step.Op.(*dsl.Action)
	args, err := op.Args.Map(x.env(ctx))
	if err != nil {
		return activities.ActionInput{}, err
	}
	device, err := x.device(ctx, step)
	return activities.ActionInput{
		Action: op.Name, Account: x.run.Account, Device: device, Args: args,
		RunID: x.run.ID, Step: step.ID, Branch: x.at.Key, By: "run:" + x.run.ID,
	}, err
}

// goOn carries out what the action left to be done.
func (x *execution) goOn(ctx workflow.Context, step *dsl.Step, c *call, device string, out activities.ActionOutput) outcome {
	output := out.Output
	if out.Device != nil {
		output = deviceFacts(out.Device)
	}
	if out.Command == nil {
		return gave(output)
	}
	o := x.deliver(ctx, step, c, device, *out.Command)
	switch {
	case o.parked:
		c.Action = &out
		return o
	case o.failure == nil:
		o = gave(output)
	}
	c.Action = nil
	return o
}

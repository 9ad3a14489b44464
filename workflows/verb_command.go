package workflows

import (
	"time"

	"go.temporal.io/sdk/workflow"

	"github.com/deviceops/deviceops"
	"github.com/deviceops/deviceops/activities"
	"github.com/deviceops/deviceops/dsl"
)

var _ = addVerb("command", verb{try: tryCommand, giveUp: giveUpCommand})

// tryCommand sends a command to the step's device and waits for its result.
func tryCommand(x *execution, ctx workflow.Context, step *dsl.Step, c *call) outcome {
	op := step.Op.(*dsl.Command)
	args, err := op.Args.Map(x.env(ctx))
	if err != nil {
		return faulty(err)
	}
	device, err := x.device(ctx, step)
	if err != nil {
		return faulty(err)
	}
	return x.deliver(ctx, step, c, device, activities.FollowUp{Name: op.Name, Args: args})
}

// deliver makes one try of a command.
func (x *execution) deliver(ctx workflow.Context, step *dsl.Step, c *call, device string, command activities.FollowUp) outcome {
	if err := x.expect(ctx, step, c, device, command.Name); err != nil {
		return faulty(err)
	}
	limit, err := step.AttemptTimeout.Duration(x.env(ctx))
	if err != nil {
		return faulty(err)
	}
	if limit == 0 {
		limit = c.Delivery.Each
	}
	if c.Delivery.Until.IsZero() {
		timeout, over := left(ctx, c.Delivery.Expires, limit)
		if over {
			return failed(outOfTime(step))
		}
		c.Delivery.begin(workflow.Now(ctx).Add(timeout))
	}
	x.state.row(c.Row).Input = map[string]any{"device": device, "command": command.Name, "with": command.Args, "id": c.Delivery.ID}
	x.state.waiting(c.Row, "device "+device+" to carry out "+command.Name)
	x.facts = nil
	run, landed := x.ride(ctx)
	future := c.Delivery.send(ctx, activities.CommandInput{
		Account: x.run.Account, Device: device, Name: command.Name, Args: command.Args,
		By: "run:" + x.run.ID, Reason: x.run.Reason, Run: run, OnlineOnly: step.FailOffline,
	})
	if x.arrives(ctx, future) {
		landed(false)
		return outcome{parked: true}
	}
	output, cause := c.Delivery.result(ctx, future)
	landed(c.Delivery.Ended)
	x.state.waiting(c.Row, "")
	if ctx.Err() != nil {
		c.Delivery.withdraw(ctx, "the run was canceled")
	}
	if cause != nil {
		return failed(canonical(cause))
	}
	return gave(output)
}

// expect makes the step's delivery at its first try. Where nothing says how long
// the device may take, its profile does.
func (x *execution) expect(ctx workflow.Context, step *dsl.Step, c *call, device, command string) error {
	if c.Delivery != nil {
		return nil
	}
	deadline := c.Deadline
	var each time.Duration
	if step.Timeout == nil {
		in := activities.CommandTimeoutInput{Account: x.run.Account, Device: device, Name: command}
		if err := local(ctx, activities.NameCommandTimeout, in, &each); err != nil {
			return err
		}
		deadline = earliest(deadline, workflow.Now(ctx).Add(allTries(step, each)))
	}
	c.Delivery = &delivery{ID: effectID(x.run.ID, x.place(step), c.Round), Expires: deadline, Each: each}
	return nil
}

// allTries gives each try of a step its time, and the pauses between them
// theirs, for a step that sets no timeout for the whole.
func allTries(step *dsl.Step, one time.Duration) time.Duration {
	total := one
	if step.Retry == nil {
		return total
	}
	for n := 1; n <= step.Retry.Times; n++ {
		total += one + step.Retry.Delay(n)
	}
	return total
}

// abandon calls off what a canceled step left open between two tries.
func (c *call) abandon(ctx workflow.Context) {
	if c.Delivery != nil && c.Delivery.Silent {
		c.Delivery.withdraw(ctx, "the run was canceled")
	}
}

// giveUpCommand ends a command that was never answered. An answer that came at
// the last moment is the step's.
func giveUpCommand(x *execution, ctx workflow.Context, _ *dsl.Step, c *call, failure *dsl.Failure) outcome {
	if c.Delivery == nil || !c.Delivery.Silent || c.Delivery.Tries == 0 {
		return failed(failure)
	}
	output, cause := c.Delivery.close(ctx, deviceops.CommandExpired, "the device did not answer in time; whether it did it is unknown")
	if cause != nil {
		return failed(canonical(cause))
	}
	return gave(output)
}

package workflows

import (
	"time"

	"go.temporal.io/sdk/temporal"
	"go.temporal.io/sdk/workflow"

	"github.com/deviceops/deviceops"
	"github.com/deviceops/deviceops/activities"
	"github.com/deviceops/deviceops/dsl"
)

var _ = addVerb("wait", verb{try: tryWait})

// tryWait pauses the run. A pause that would end after the deadline of what is
// around it fails there.
func tryWait(x *execution, ctx workflow.Context, step *dsl.Step, c *call) outcome {
	op := step.Op.(*dsl.Wait)
	if op.Event != "" {
		over := x.expecting(ctx, waitingForEvent)
		o := x.waitForEvent(ctx, step, c)
		if !o.parked {
			over()
		}
		return o
	}
	if c.Until.IsZero() {
		until, err := x.waitEnd(ctx, op)
		if err != nil {
			return faulty(err)
		}
		c.Until = until
		x.state.waiting(c.Row, until.UTC().Format(time.RFC3339))
		x.facts = nil
		if err := x.flush(ctx); err != nil {
			return faulty(err)
		}
	}
	stopped, err := x.pause(ctx, earliest(c.Until, c.Deadline))
	switch {
	case err != nil:
		return faulty(err)
	case stopped:
		return outcome{parked: true}
	}
	x.state.waiting(c.Row, "")
	if !c.Deadline.IsZero() && !workflow.Now(ctx).Before(c.Deadline) {
		return failed(outOfTime(step))
	}
	return gave(nil)
}

// waitEnd gives the time until which a wait lasts.
func (x *execution) waitEnd(ctx workflow.Context, op *dsl.Wait) (time.Time, error) {
	if op.Until == nil {
		pause, err := op.For.Duration(x.env(ctx))
		return workflow.Now(ctx).Add(pause), err
	}
	text, err := op.Until.Text(x.env(ctx))
	if err != nil {
		return time.Time{}, err
	}
	until, err := time.Parse(time.RFC3339, text)
	if err != nil {
		return time.Time{}, deviceops.Errorf(deviceops.EINVALID, "%q is not a time such as 2026-05-01T12:00:00Z", text)
	}
	return until, nil
}

// waitForEvent waits for an event of the step's device that came in after the
// step began. The store is asked again and again by an activity that holds no
// worker slot in between; which of the events it is the one is decided here.
func (x *execution) waitForEvent(ctx workflow.Context, step *dsl.Step, c *call) outcome {
	op := step.Op.(*dsl.Wait)
	device, err := x.device(ctx, step)
	if err == nil && c.Since.IsZero() {
		err = x.beginWatch(ctx, op, c)
	}
	if err != nil {
		return faulty(err)
	}
	for {
		in := activities.WatchInput{
			Account: x.run.Account, Device: device, Type: op.Event, Since: c.Since, After: c.Cursor.After, Seen: c.Cursor.Seen,
		}
		found, o := x.watch(ctx, step, c, in)
		if o != nil {
			return *o
		}
		c.Cursor = &cursor{After: found.After, Seen: found.Seen}
		x.facts = nil
		event, err := x.firstMatch(ctx, op, found.Events)
		switch {
		case err != nil:
			return faulty(err)
		case event != nil:
			x.state.waiting(c.Row, "")
			return gave(event)
		}
	}
}

// beginWatch notes since when events count and how long they are waited for.
func (x *execution) beginWatch(ctx workflow.Context, op *dsl.Wait, c *call) error {
	timeout, err := op.Timeout.Duration(x.env(ctx))
	if err != nil {
		return err
	}
	c.Since, c.Cursor = workflow.Now(ctx), &cursor{}
	if timeout > 0 {
		c.Deadline = earliest(c.Deadline, c.Since.Add(timeout))
	}
	x.state.waiting(c.Row, "an event "+op.Event)
	return x.flush(ctx)
}

// watch waits for events that were not looked at before. An outcome says that
// there are none: the time is over, or the branch has to stop.
func (x *execution) watch(ctx workflow.Context, step *dsl.Step, c *call, in activities.WatchInput) (activities.WatchOutput, *outcome) {
	var found activities.WatchOutput
	timeout, over := left(ctx, c.Deadline, 0)
	if over {
		o := failed(outOfTime(step))
		return found, &o
	}
	future := workflow.ExecuteActivity(workflow.WithActivityOptions(ctx, workflow.ActivityOptions{
		StartToCloseTimeout:    storeTimeout,
		ScheduleToCloseTimeout: timeout,
		RetryPolicy:            &temporal.RetryPolicy{InitialInterval: time.Second, BackoffCoefficient: 1.5, MaximumInterval: 10 * time.Second},
	}), activities.NameWatchEvents, in)
	if x.arrives(ctx, future) {
		return found, &outcome{parked: true}
	}
	err := future.Get(ctx, &found)
	if err == nil {
		return found, nil
	}
	o := faulty(err)
	if o.failure.Code == deviceops.ETIMEOUT {
		o = failed(outOfTime(step))
	}
	return found, &o
}

// firstMatch gives the first event that where is true for; nil: none.
func (x *execution) firstMatch(ctx workflow.Context, op *dsl.Wait, events []deviceops.Event) (any, error) {
	env := x.env(ctx)
	for _, e := range events {
		event := dsl.Canonical(map[string]any{
			"id": e.ID, "type": e.Type, "device": e.Device, "severity": e.Severity, "at": e.At.UTC().Format(time.RFC3339Nano), "data": orEmpty(e.Data),
		})
		env.Locals = with(env.Locals, "event", event)
		matches, err := op.Where.Bool(env)
		if err != nil || matches {
			return event, err
		}
	}
	return nil, nil
}

func orEmpty(m map[string]any) map[string]any {
	if m == nil {
		return map[string]any{}
	}
	return m
}

// outOfTime is the failure of a step whose time, or that of what is around it,
// has run out. Trying again does not help.
func outOfTime(step *dsl.Step) *dsl.Failure {
	return &dsl.Failure{Code: deviceops.ETIMEOUT, Message: "the time for step " + step.ID + " ran out"}
}

package workflows

import (
	"errors"
	"strconv"
	"time"

	"go.temporal.io/sdk/temporal"
	"go.temporal.io/sdk/workflow"

	"github.com/deviceops/deviceops"
	"github.com/deviceops/deviceops/activities"
)

// delivery is one command on its way over all its attempts. It is data, so that
// a run can carry it.
type delivery struct {
	ID      string        `json:"id"`
	Attempt int           `json:"attempt"` // rises only after the device reported a failure
	Tries   int           `json:"tries"`   // activities so far
	Silent  bool          `json:"silent"`  // the last one ended without an answer: the effect is unknown
	Final   bool          `json:"final"`   // no further attempt may follow: the device refused, or it was called off
	Ended   bool          `json:"ended"`   // the command's row has ended
	Expires time.Time     `json:"expires"` // the device must not begin after this
	Each    time.Duration `json:"each"`    // one try, where the step does not say; 0: until Expires
	Until   time.Time     `json:"until"`   // end of the try that is going on; zero: none is
}

// deliver makes one try and waits for its end.
func (d *delivery) deliver(ctx workflow.Context, in activities.CommandInput, timeout time.Duration) (map[string]any, *deviceops.RunError) {
	d.begin(workflow.Now(ctx).Add(timeout))
	return d.result(ctx, d.send(ctx, in))
}

// begin begins a try that may last until a time: a new attempt if the device
// reported the last one as failed, else the same one again.
func (d *delivery) begin(until time.Time) {
	if !d.Silent {
		d.Attempt++
	}
	d.Tries++
	d.Until = until
}

// send sends the try that is going on, which is harmless if that was done before.
func (d *delivery) send(ctx workflow.Context, in activities.CommandInput) workflow.Future {
	in.ID, in.Attempt, in.ExpiresAt = d.ID, d.Attempt, d.Expires
	timeout := max(d.Until.Sub(workflow.Now(ctx)), time.Millisecond)
	ctx = workflow.WithActivityOptions(ctx, leased(d.ID+"#"+strconv.Itoa(d.Tries), timeout))
	return workflow.ExecuteActivity(ctx, activities.NameExecuteCommand, in)
}

// result waits for the end of a try. Its error is what the device said, ETIMEOUT
// when it said nothing, or ECANCELED when the workflow was canceled.
func (d *delivery) result(ctx workflow.Context, future workflow.Future) (map[string]any, *deviceops.RunError) {
	var out activities.CommandOutput
	err := future.Get(ctx, &out)
	d.Until = time.Time{}
	d.judge(err)
	return out.Output, activities.Cause(err)
}

// judge notes what the end of a try says about the command's row.
func (d *delivery) judge(err error) {
	var application *temporal.ApplicationError
	switch {
	case err == nil:
		d.Silent, d.Ended = false, true
	case errors.As(err, &application):
		cause := activities.Cause(err)
		status, _ := cause.Data["status"].(string)
		d.Silent = status == "" && cause.Retryable // the store was out of reach all the time
		d.Ended = !d.Silent
		d.Final = d.Ended && status != string(deviceops.CommandFailed) && status != activities.StatusOffline
	default:
		d.Silent, d.Ended = true, false
	}
}

// close ends a command that nobody waits for any longer. An answer that came at
// the last moment is its result.
func (d *delivery) close(ctx workflow.Context, status deviceops.CommandStatus, reason string) (map[string]any, *deviceops.RunError) {
	var out activities.CommandOutput
	err := local(ctx, activities.NameCloseCommand, activities.CloseInput{ID: d.ID, Status: status, Reason: reason}, &out)
	d.Ended, d.Final = true, true
	return out.Output, activities.Cause(err)
}

// withdraw calls a command off because its workflow was canceled.
func (d *delivery) withdraw(ctx workflow.Context, reason string) {
	ctx, cancel := workflow.NewDisconnectedContext(ctx)
	defer cancel()
	d.close(ctx, deviceops.CommandCanceled, reason)
}

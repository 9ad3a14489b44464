package workflows

import (
	"time"

	"go.temporal.io/sdk/workflow"
)

// relay hands a run over to a new execution before its history grows too long.
// Each branch stops at its next boundary: between two steps, or while it waits
// for a time, a person or a device.
type relay struct {
	every    int         // steps after which to go on in a new execution; 0: when Temporal suggests it
	begun    int         // steps begun in this execution
	children int         // runs that were started and are waited for, which no new execution could take over
	stopping bool        // branches are to stop
	canceled func() bool // the run was called off: it ends in this execution
}

// carried is what a run hands over to its next execution.
type carried struct {
	State  state  `json:"state"`
	Source string `json:"source"` // the definition, which stays pinned
	Desk   *desk  `json:"desk"`
}

// stops reports whether the branch has to stop here so that the run can go on in
// a new execution.
func (x *execution) stops(ctx workflow.Context) bool {
	r := &x.relay
	if r.canceled() {
		r.stopping = false
		return false
	}
	if !r.stopping && r.children == 0 {
		r.stopping = r.every > 0 && r.begun >= r.every || workflow.GetInfo(ctx).GetContinueAsNewSuggested()
	}
	return r.stopping
}

// breath is how many steps a run begins before it gives others the word: a loop
// that only counts must not keep its worker from answering Temporal.
const breath = 200

// breathe saves the run, which ends the stretch of work that Temporal waits for.
// Histories of runs that began before there was this pause go without.
func (x *execution) breathe(ctx workflow.Context) {
	if workflow.GetVersion(ctx, "breathe", workflow.DefaultVersion, 1) == workflow.DefaultVersion {
		return
	}
	if err := x.flush(ctx); err != nil {
		workflow.GetLogger(ctx).Warn("the timeline of a run could not be saved yet", "err", err)
	}
}

// pause waits until a time. Stopped says that the branch has to stop before.
func (x *execution) pause(ctx workflow.Context, until time.Time) (stopped bool, err error) {
	remaining := until.Sub(workflow.Now(ctx))
	if remaining <= 0 {
		return false, ctx.Err()
	}
	return workflow.AwaitWithTimeout(ctx, remaining, func() bool { return x.relay.stopping })
}

// arrives waits for a future. Stopped says that the branch has to stop before.
func (x *execution) arrives(ctx workflow.Context, future workflow.Future) (stopped bool) {
	err := workflow.Await(ctx, func() bool { return future.IsReady() || x.relay.stopping })
	return err == nil && !future.IsReady()
}

// handOver saves what there is to save and gives the error that makes Temporal
// go on with the run in a new execution; nil when the run was called off
// meanwhile, of which a new execution would know nothing.
func (x *execution) handOver(ctx workflow.Context) error {
	patient, done := workflow.NewDisconnectedContext(ctx)
	defer done()
	err := x.flush(patient)
	if err == nil {
		err = settle(ctx)
	}
	if err != nil || x.relay.canceled() {
		return err
	}
	x.state.dropEnded()
	return workflow.NewContinueAsNewError(ctx, workflow.GetInfo(ctx).WorkflowType.Name, RunInput{
		Run: x.run, Depth: x.depth, Every: x.relay.every,
		Carried: &carried{State: x.state, Source: x.source, Desk: x.desk.carry()},
	})
}

// takeOver goes on where the execution before stopped.
func (x *execution) takeOver(known *programs, c *carried) error {
	x.state, x.source = c.State, c.Source
	x.at = &x.state.Root
	x.desk.restore(c.Desk)
	program, err := known.get(x.run.Hash, c.Source)
	x.program = program
	return err
}

// verdict says whether a step is tried again.
type verdict int

const (
	no     verdict = iota
	yes            // now
	parked         // in a new execution of the run
)

package workflows

import (
	"errors"
	"slices"

	"go.temporal.io/sdk/workflow"

	"github.com/deviceops/deviceops"
	"github.com/deviceops/deviceops/activities"
)

// hold is whether a run is paused. It is data, so that it survives that the run
// goes on in a new execution, with the requests that were carried out.
//
// A paused run begins no step in any branch, no further try of a step and no
// further round of a loop. What is under way goes on to its end, and clocks go
// on: a wait, an approval and a timeout end when they would have. A run that is
// called off cleans up whether it is paused or not.
type hold struct {
	Paused *deviceops.RunPause `json:"paused,omitempty"`
	Took   []string            `json:"took,omitempty"` // ids of the last requests, the newest last
}

// keptControls is how many requests to pause or resume a run remembers, to tell
// one that is repeated from a new one.
const keptControls = 20

// answerControls begins to answer the updates pause and resume.
func (x *execution) answerControls(ctx workflow.Context) error {
	return errors.Join(
		workflow.SetUpdateHandlerWithOptions(ctx, UpdatePause, x.doPause, workflow.UpdateHandlerOptions{
			Validator:   func(c deviceops.RunControl) error { return x.check(c, deviceops.Run.CheckPause) },
			Description: "Begin no new steps",
		}),
		workflow.SetUpdateHandlerWithOptions(ctx, UpdateResume, x.doResume, workflow.UpdateHandlerOptions{
			Validator:   func(c deviceops.RunControl) error { return x.check(c, deviceops.Run.CheckResume) },
			Description: "Begin steps again",
		}),
	)
}

// check refuses a request before it leaves a trace in the history, with what may
// says of the run. One that was carried out before passes.
func (x *execution) check(c deviceops.RunControl, may func(deviceops.Run) error) error {
	if x.took(c) {
		return nil
	}
	return activities.Failure(may(x.snapshot(nil)))
}

func (x *execution) took(c deviceops.RunControl) bool {
	return slices.Contains(x.state.Hold.Took, c.ID)
}

// doPause carries out a request that check let pass, in the same breath. It
// returns when the store has it, so that whoever asked sees it everywhere.
func (x *execution) doPause(ctx workflow.Context, c deviceops.RunControl) error {
	pause := &deviceops.RunPause{Since: workflow.Now(ctx), By: c.By, Reason: c.Reason}
	err := x.change(ctx, activities.ChangePaused, c, pause)
	if err == nil && x.state.End != nil { // in this very breath
		err = activities.Failure(x.snapshot(nil).CheckPause())
	}
	return err
}

// doResume is doPause for the contrary.
func (x *execution) doResume(ctx workflow.Context, c deviceops.RunControl) error {
	return x.change(ctx, activities.ChangeResumed, c, nil)
}

// change sets the hold and saves it. One change at a time is saved, in the order
// in which they came.
func (x *execution) change(ctx workflow.Context, kind string, c deviceops.RunControl, pause *deviceops.RunPause) error {
	repeated := x.took(c)
	if !repeated {
		h := &x.state.Hold
		h.Paused, h.Took = pause, append(h.Took, c.ID)
		h.Took = h.Took[max(0, len(h.Took)-keptControls):]
	}
	in := activities.PauseInput{
		Run:  deviceops.Run{ID: x.run.ID, Account: x.run.Account, Status: x.state.status(), Paused: pause},
		Kind: kind, By: c.By, Reason: c.Reason, At: workflow.Now(ctx),
	}
	ctx, done := workflow.NewDisconnectedContext(ctx)
	defer done()
	if err := workflow.Await(ctx, func() bool { return !x.saving }); err != nil || repeated {
		return err
	}
	x.saving = true
	defer func() { x.saving = false }()
	return local(ctx, activities.NameSavePause, in, nil)
}

// held reports whether nothing new may begin. Nothing holds a run that was
// called off: it cleans up.
func (x *execution) held() bool { return x.state.Hold.Paused != nil && !x.relay.canceled() }

// fresh reports whether the branch is to begin something next: a step, or
// another round of a loop.
func (x *execution) fresh() bool {
	top := x.at.top()
	if top.Fork != nil || x.at.Parked != nil || x.at.Settling != nil {
		return false
	}
	block, known := x.program.Block(top.Block)
	return known && (top.Next < len(block.Steps) || top.Rounds > 0)
}

// hold waits while the run is paused. Stopped says that the branch has to stop
// before, since the run goes on in a new execution.
func (x *execution) hold(ctx workflow.Context) (stopped bool, err error) {
	if !x.held() {
		return false, nil
	}
	x.facts = nil // they will have changed
	err = workflow.Await(ctx, func() bool { return !x.held() || x.relay.stopping })
	return err == nil && x.held(), err
}

package workflows

import (
	"errors"
	"time"

	"go.temporal.io/sdk/workflow"

	"github.com/deviceops/deviceops"
	"github.com/deviceops/deviceops/activities"
)

// rolloutEngine is the version of the workflow Rollout. It rises when the same
// answers would give another history.
const rolloutEngine = 1

// RolloutResult says how a rollout ended.
type RolloutResult struct {
	Status deviceops.RolloutStatus `json:"status"`
	Reason string                  `json:"reason,omitempty"`
	Counts deviceops.Counts        `json:"counts"` // of all rings
}

// roller takes rollouts through their rings; all of a worker share their compiled
// manifests.
type roller struct {
	manifests *compilations[deviceops.RolloutSpec]
	key       deviceops.SigningKey // tells controls and decisions of people from forged ones
}

// Rollout decides for a rollout: it plans it, asks people, opens its rings one
// after the other and judges them by their gates. What devices do is not its
// business: activities move their rows in sets, and it reads the counts. What to
// do next is deviceops.NextStep; here it is only carried out.
//
// A rollout that has ended is taken up again for devices that come late.
func (r *roller) Rollout(ctx workflow.Context, in RolloutInput) (RolloutResult, error) {
	p := &rollout{in: in, root: ctx, turn: workflow.NewMutex(ctx)}
	if err := p.setup(ctx, r.key); err != nil {
		return RolloutResult{}, err
	}
	// A rollout that is called off has things to do, too.
	patient, done := workflow.NewDisconnectedContext(ctx)
	defer done()
	if err := p.begin(patient, r.manifests); err != nil {
		return RolloutResult{}, err
	}
	if err := p.run(patient); err != nil {
		return RolloutResult{}, err
	}
	return p.result(), ctx.Err()
}

// rollout is the state of one execution.
type rollout struct {
	in    RolloutInput
	state rolloutState
	spec  *deviceops.RolloutSpec
	desk  *desk

	root workflow.Context // that of Temporal, which ends when the rollout is called off
	turn workflow.Mutex   // held by whoever changes the state of the rollout: one step or control at a time

	stirred   bool // something happened: look again
	looks     int  // in this execution
	lookedAt  time.Time
	next      deviceops.RolloutStep // as decided last
	questions []*openQuestion
	pump      *pump
	planning  bool // devices that joined or left are being looked for
}

// rolloutState is what a rollout knows beside its manifest: everything is data,
// so that it can be carried over to a new execution.
type rolloutState struct {
	Engine  int                     `json:"engine"`
	Rollout deviceops.Rollout       `json:"rollout"` // with its manifest
	Memory  deviceops.RolloutMemory `json:"memory"`
	Planned time.Time               `json:"planned"` // when its targets were read last

	Deferred int                     `json:"deferred,omitempty"` // as CountOutput tells it
	Rollback deviceops.RolloutStatus `json:"rollback,omitempty"`
	Cursor   activities.ReviewCursor `json:"cursor,omitzero"`
	Errors   []deviceops.ErrorCount  `json:"errors,omitempty"`

	Deferrals activities.DeferralsDecision `json:"deferrals,omitempty"` // to be carried out by the next count
	DecidedAt time.Time                    `json:"decided_at,omitzero"` // when Deferrals was
	Revert    bool                         `json:"revert,omitempty"`    // its rollback has yet to be made

	Asked    []timesAsked   `json:"asked,omitempty"`
	Controls []takenControl `json:"controls,omitempty"`
	Desk     *desk          `json:"desk,omitempty"` // only on its way to a new execution
}

// setup begins to answer queries, updates and signals.
func (p *rollout) setup(ctx workflow.Context, key deviceops.SigningKey) error {
	p.state = rolloutState{Engine: rolloutEngine}
	if p.in.Carried != nil {
		p.state = *p.in.Carried
	}
	p.desk = &desk{key: key, stops: p.stops}
	if p.state.Desk != nil {
		p.desk.restore(p.state.Desk)
		p.state.Desk = nil
	}
	err := errors.Join(
		workflow.SetQueryHandler(ctx, QueryRollout, func() (RolloutProgress, error) { return p.progress(), nil }),
		p.takeControls(ctx, key),
		p.desk.open(ctx),
	)
	p.listen(ctx)
	return err
}

// listen notes that ingest has news, however often it says so, and that the
// rollout is called off.
func (p *rollout) listen(ctx workflow.Context) {
	patient, _ := workflow.NewDisconnectedContext(ctx)
	workflow.Go(patient, func(ctx workflow.Context) {
		nudges := workflow.GetSignalChannel(ctx, SignalNudge)
		for nudges.Receive(ctx, nil) {
			p.stirred = true
		}
	})
	workflow.Go(patient, func(ctx workflow.Context) {
		p.root.Done().Receive(ctx, nil)
		p.stirred = true
	})
}

// begin pins the rollout and plans it, unless an execution before has.
func (p *rollout) begin(ctx workflow.Context, known *compilations[deviceops.RolloutSpec]) error {
	if p.in.Carried == nil {
		if err := p.recall(ctx); err != nil {
			return err
		}
	}
	r := &p.state.Rollout
	spec, err := known.get(r.Hash, r.Source)
	if err != nil {
		reason := "its manifest cannot be carried out: " + deviceops.ErrorMessage(err)
		p.spec = &deviceops.RolloutSpec{Name: r.Name}
		return p.finish(ctx, deviceops.RolloutFailed, reason)
	}
	p.spec = spec.Of(r)
	if r.Status != deviceops.RolloutPlanning {
		return nil
	}
	return p.plan(ctx)
}

// run goes on until nothing is left to be done, or in a new execution.
func (p *rollout) run(ctx workflow.Context) error {
	for {
		stirred := p.stirred
		p.stirred = false
		if p.stops() {
			return p.handOver(ctx)
		}
		err := p.look(ctx, stirred)
		var step deviceops.RolloutStep
		if err == nil {
			step, err = p.step(ctx)
		}
		if err == nil {
			err = p.revert(ctx)
		}
		if err != nil {
			return err
		}
		if step.Do == deviceops.DoEnd || p.root.Err() != nil {
			return p.close(ctx)
		}
		p.servePump(ctx)
		p.replan(ctx)
		if err := p.rest(ctx, step); err != nil {
			return err
		}
	}
}

// rest waits until something happens or it is time to look again. After a step
// that changed something there is none.
func (p *rollout) rest(ctx workflow.Context, step deviceops.RolloutStep) error {
	stirs := func() bool { return p.stirred || p.stops() }
	switch step.Do {
	case deviceops.DoAsk, deviceops.DoWait, deviceops.DoKeep, deviceops.DoSoak, deviceops.DoDrain:
	default:
		return nil
	}
	if step.Until.IsZero() {
		return workflow.Await(ctx, stirs)
	}
	_, err := workflow.AwaitWithTimeout(ctx, max(step.Until.Sub(workflow.Now(ctx)), 0), stirs)
	return err
}

// close ends the execution: nobody is waited for any more.
func (p *rollout) close(ctx workflow.Context) error {
	p.withdraw(func(*openQuestion) bool { return true })
	p.stopPump(ctx)
	if err := workflow.Await(ctx, func() bool { return len(p.questions) == 0 }); err != nil {
		return err
	}
	if original := p.state.Rollout.RollbackOf; original != "" {
		// It looks by itself if this does not reach it.
		_ = workflow.SignalExternalWorkflow(ctx, deviceops.RolloutWorkflowID(original), "", SignalNudge, nil).Get(ctx, nil)
	}
	return settle(ctx)
}

func (p *rollout) result() RolloutResult {
	r := &p.state.Rollout
	return RolloutResult{Status: r.Status, Reason: r.StatusReason, Counts: r.Total()}
}

// progress answers the query.
func (p *rollout) progress() RolloutProgress {
	r := p.state.Rollout
	r.Source = ""
	return RolloutProgress{Rollout: r, Next: p.next, LookedAt: p.lookedAt}
}

package workflows

import (
	"time"

	"go.temporal.io/sdk/temporal"
	"go.temporal.io/sdk/workflow"

	"github.com/deviceops/deviceops"
	"github.com/deviceops/deviceops/activities"
)

const (
	// pumpShift is how long one pump activity works at most.
	pumpShift = 24 * time.Hour

	// pumpPause lies between a pump that has ended and the next one.
	pumpPause = time.Second

	// replanEvery is how often devices that joined or left are looked for.
	replanEvery = time.Minute
)

// pump is a pump activity that is at work.
type pump struct {
	cancel workflow.CancelFunc
	ended  bool
}

// servePump has a pump at work while there is something to pump. It ends by
// itself when nothing is open, or the rollout does not run.
func (p *rollout) servePump(ctx workflow.Context) {
	if p.pump == nil && p.pumps() {
		p.startPump(ctx)
	}
}

// pumps reports whether devices may be sent the change.
func (p *rollout) pumps() bool {
	r := &p.state.Rollout
	if r.Status != deviceops.RolloutRunning && r.Status != deviceops.RolloutSucceeded {
		return false
	}
	for i := range r.Rings {
		if !r.Rings[i].OpenedAt.IsZero() && r.Rings[i].Counts.Open() > 0 {
			return true
		}
	}
	return false
}

func (p *rollout) startPump(ctx workflow.Context) {
	ctx, cancel := workflow.WithCancel(ctx)
	at := &pump{cancel: cancel}
	p.pump = at
	ctx = workflow.WithActivityOptions(ctx, workflow.ActivityOptions{
		StartToCloseTimeout: pumpShift,
		HeartbeatTimeout:    silence,
		WaitForCancellation: true, // so that there is one at a time
		// A pump works for so long that it may lose many workers: none of them
		// makes the pause after the next one longer.
		RetryPolicy: &temporal.RetryPolicy{InitialInterval: 200 * time.Millisecond, BackoffCoefficient: 2, MaximumInterval: time.Second},
	})
	shift := workflow.ExecuteActivity(ctx, activities.NamePumpRollout, activities.PumpInput{Rollout: p.in.Rollout})
	workflow.Go(ctx, func(ctx workflow.Context) {
		patient, done := workflow.NewDisconnectedContext(ctx)
		defer done()
		if err := shift.Get(patient, nil); err != nil && ctx.Err() == nil {
			workflow.GetLogger(ctx).Warn("the pump of a rollout failed", "rollout", p.in.Rollout, "err", err)
		}
		at.ended = true
		p.pump = nil
		if p.pumps() && ctx.Err() == nil { // a ring was opened just then, or devices came
			_ = workflow.Sleep(ctx, pumpPause)
			p.stirred = true
		}
	})
}

// stopPump waits until nothing is pumped any more.
func (p *rollout) stopPump(ctx workflow.Context) {
	at := p.pump
	if at == nil {
		return
	}
	at.cancel()
	_ = workflow.Await(ctx, func() bool { return at.ended })
}

// replan looks, from time to time, for devices that joined the targets and for
// those that left them before their turn.
func (p *rollout) replan(ctx workflow.Context) {
	r := &p.state.Rollout
	due := !workflow.Now(ctx).Before(p.state.Planned.Add(replanEvery))
	if p.planning || !due || r.Status != deviceops.RolloutRunning || r.RollbackOf != "" {
		return
	}
	p.planning = true
	workflow.Go(ctx, func(ctx workflow.Context) {
		began := workflow.Now(ctx)
		var out activities.PlanRolloutOutput
		err := bulk(ctx, activities.NamePlanRollout, activities.PlanRolloutInput{Rollout: p.in.Rollout, Again: true}, &out)
		if err != nil {
			workflow.GetLogger(ctx).Warn("the targets of a rollout could not be read again", "rollout", p.in.Rollout, "err", err)
		}
		// What takes long is done more seldom.
		p.state.Planned = workflow.Now(ctx).Add(10 * workflow.Now(ctx).Sub(began))
		p.planning = false
		p.stirred = p.stirred || out.Changed
	})
}

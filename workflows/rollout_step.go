package workflows

import (
	"time"

	"go.temporal.io/sdk/temporal"
	"go.temporal.io/sdk/workflow"

	"github.com/deviceops/deviceops"
	"github.com/deviceops/deviceops/activities"
)

const (
	// bulkPatience is how long an activity may take that goes through all devices
	// of a rollout.
	bulkPatience = 6 * time.Hour

	// smallRing is the size up to which the health of all devices of a ring is
	// judged at every look while it soaks. Larger ones are gone through by and by,
	// and as a whole when it counts.
	smallRing = 2000
)

// bulk executes an activity that goes through all devices of a rollout.
func bulk(ctx workflow.Context, name string, in, out any) error {
	ctx = workflow.WithActivityOptions(ctx, workflow.ActivityOptions{
		StartToCloseTimeout: bulkPatience,
		HeartbeatTimeout:    silence,
		RetryPolicy:         &temporal.RetryPolicy{InitialInterval: time.Second, BackoffCoefficient: 2, MaximumInterval: 30 * time.Second},
	})
	return workflow.ExecuteActivity(ctx, name, in).Get(ctx, out)
}

// view gives what the next step is decided on.
func (p *rollout) view(ctx workflow.Context) deviceops.RolloutView {
	return deviceops.RolloutView{
		Spec: p.spec, Rollout: p.state.Rollout, Memory: p.state.Memory, Now: workflow.Now(ctx),
		Deferred: p.state.Deferred, Rollback: p.state.Rollback, Superseded: p.superseded(ctx),
	}
}

// superseded reports whether the rollout ends since nobody is left. Older executions
// ask a person.
func (p *rollout) superseded(ctx workflow.Context) bool {
	return p.state.Rollout.Superseded() && workflow.GetVersion(ctx, "superseded", workflow.DefaultVersion, 1) != workflow.DefaultVersion
}

// plan assigns devices to rings. A rollout that can't be planned has ended.
func (p *rollout) plan(ctx workflow.Context) error {
	var out activities.PlanRolloutOutput
	err := bulk(ctx, activities.NamePlanRollout, activities.PlanRolloutInput{Rollout: p.in.Rollout}, &out)
	switch {
	case err != nil:
		return p.finish(ctx, deviceops.RolloutFailed, "it cannot be planned: "+activities.Cause(err).Message)
	case out.Refused != "":
		return p.finish(ctx, deviceops.RolloutCanceled, out.Refused)
	}
	p.state.Planned, p.state.Rollout.Notes = workflow.Now(ctx), out.Notes
	p.takeCounts(out.Counts)
	return nil
}

// look reads how the devices fare, and has those seen to that are overdue; not
// twice at one moment, unless something has happened in it.
func (p *rollout) look(ctx workflow.Context, stirred bool) error {
	if p.state.Rollout.StartedAt.IsZero() || !stirred && workflow.Now(ctx).Equal(p.lookedAt) {
		return nil
	}
	p.looks++
	for {
		thorough := p.thorough(ctx)
		again, err := p.count(ctx, thorough)
		if err != nil {
			return err
		}
		if !again && (thorough || !p.thorough(ctx)) {
			p.lookedAt = workflow.Now(ctx)
			return nil
		}
	}
}

// count makes one call and reports whether another is needed.
func (p *rollout) count(ctx workflow.Context, thorough bool) (again bool, err error) {
	epoch := p.state.Rollout.Epoch
	in := activities.CountInput{
		Rollout: p.in.Rollout, Thorough: thorough, Cursor: p.state.Cursor, Deferrals: p.state.Deferrals, DecidedAt: p.state.DecidedAt,
	}
	var out activities.CountOutput
	if thorough {
		err = bulk(ctx, activities.NameCountRollout, in, &out)
	} else {
		err = local(ctx, activities.NameCountRollout, in, &out)
	}
	switch {
	case err != nil:
		return false, err
	case p.state.Rollout.Epoch != epoch: // a control came between: the counts may be of before
		return true, nil
	case out.Epoch > epoch: // somebody changed it without this workflow
		return true, p.reread(ctx, out.Epoch)
	}
	p.takeCounts(out.Counts)
	p.state.Deferred, p.state.Cursor = out.Deferred, out.Cursor
	if out.Rollback != "" {
		p.state.Rollback = out.Rollback
	}
	if in.DecidedAt.Equal(p.state.DecidedAt) {
		p.state.Deferrals, p.state.DecidedAt = "", time.Time{}
	}
	if thorough {
		p.state.Errors = out.Errors
	}
	return out.More, nil
}

// thorough reports whether the ring that is open is at a point where the health
// of all its devices matters, and what went wrong.
func (p *rollout) thorough(ctx workflow.Context) bool {
	r := &p.state.Rollout
	i := r.Present()
	if r.Status != deviceops.RolloutRunning || i < 0 {
		return false
	}
	ring := r.Rings[i]
	if ring.OpenedAt.IsZero() || ring.Counts.Open() > 0 || p.spec.Health == nil && ring.Counts.Unsuccessful() == 0 {
		return false
	}
	soaked := ring.SoakAt.IsZero() || !workflow.Now(ctx).Before(ring.SoakAt.Add(p.spec.Rings[i].Soak))
	return soaked || ring.Counts.Targeted <= smallRing
}

func (p *rollout) takeCounts(counts []deviceops.Counts) {
	for i, c := range counts {
		if i < len(p.state.Rollout.Rings) {
			p.state.Rollout.Rings[i].Counts = c
		}
	}
}

// step decides what is next and carries it out, while no control does.
func (p *rollout) step(ctx workflow.Context) (deviceops.RolloutStep, error) {
	if err := p.turn.Lock(ctx); err != nil {
		return deviceops.RolloutStep{}, err
	}
	defer p.turn.Unlock()
	v := p.view(ctx)
	step := deviceops.NextStep(v)
	if p.root.Err() != nil && !v.Rollout.Status.Ended() {
		step = deviceops.RolloutStep{Do: deviceops.DoFinish, Ring: -1, Status: deviceops.RolloutCanceled, Reason: "its workflow was called off"}
	}
	if err := p.take(ctx, v, step); err != nil {
		return step, err
	}
	p.next = step
	if step.Do == deviceops.DoAsk {
		p.ask(ctx, *step.Question)
	}
	p.withdraw(func(q *openQuestion) bool { return p.moot(q, step) })
	return step, nil
}

// take stores what a step makes of the rollout before it counts as taken. What
// the store does not agree to is read again.
func (p *rollout) take(ctx workflow.Context, v deviceops.RolloutView, step deviceops.RolloutStep) error {
	before := v.Rollout
	v.Take(step)
	if !before.SameState(&v.Rollout) {
		err := p.save(ctx, v.Rollout, p.evidence(&before, step))
		if cause := activities.Cause(err); cause != nil && cause.Code == deviceops.ECONFLICT {
			p.stirred = true
			_, err = p.pin(ctx)
			return err
		}
		if err != nil {
			return err
		}
	}
	p.state.Rollout, p.state.Memory = v.Rollout, v.Memory
	if step.Do == deviceops.DoFail && v.Rollout.Status == deviceops.RolloutReverting {
		p.state.Revert = true
	}
	return nil
}

func (p *rollout) save(ctx workflow.Context, r deviceops.Rollout, evidence map[string]any) error {
	r.Source = ""
	return local(ctx, activities.NameSaveRollout, activities.SaveRolloutInput{Rollout: r, Evidence: evidence}, nil)
}

// finish ends a rollout that could not even begin.
func (p *rollout) finish(ctx workflow.Context, status deviceops.RolloutStatus, reason string) error {
	v := p.view(ctx)
	return p.take(ctx, v, deviceops.RolloutStep{Do: deviceops.DoFinish, Ring: -1, Status: status, Reason: reason})
}

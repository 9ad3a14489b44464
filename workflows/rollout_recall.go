package workflows

import (
	"go.temporal.io/sdk/workflow"

	"github.com/deviceops/deviceops"
	"github.com/deviceops/deviceops/activities"
)

// pin puts the rollout as it stands, with its manifest, into the history. One that
// is to be taken back is, also if others than this execution said so: a rollback that
// was made is not made again.
func (p *rollout) pin(ctx workflow.Context) (activities.PinRolloutOutput, error) {
	var pinned activities.PinRolloutOutput
	err := local(ctx, activities.NamePinRollout, activities.PinRolloutInput{Rollout: p.in.Rollout}, &pinned)
	if err == nil {
		p.state.Rollout = pinned.Rollout
		p.state.Revert = pinned.Rollout.Status == deviceops.RolloutReverting
	}
	return pinned, err
}

// recall takes a rollout up of which this execution knows nothing: it is new, or it
// had ended, or Temporal lost the execution before. What people were asked and have
// answered is in their approvals; who has yet to answer is waited for as if nothing
// had happened.
func (p *rollout) recall(ctx workflow.Context) error {
	pinned, err := p.pin(ctx)
	if err != nil {
		return err
	}
	known := pinned.Rollout.Recall(pinned.Asked)
	p.state.Memory = known.Memory
	for _, a := range pinned.Asked {
		if n := known.Times[a.Step]; n > 0 && p.times(a.Step) == 0 {
			p.state.Asked = append(p.state.Asked, timesAsked{Question: a.Step, Times: n})
		}
	}
	for _, a := range known.Open {
		p.desk.Cases = append(p.desk.Cases, &inquiry{Approval: a})
		p.await(ctx, deviceops.ParseRolloutQuestion(a.Step), a)
	}
	if known.Deferrals != "" {
		p.decideDeferrals(known.Deferrals, known.DeferralsAt)
	}
	return nil
}

// reread takes over what others than this workflow made of the rollout, unless it has
// learned of that in the meantime.
func (p *rollout) reread(ctx workflow.Context, epoch int64) error {
	if err := p.turn.Lock(ctx); err != nil {
		return err
	}
	defer p.turn.Unlock()
	if p.state.Rollout.Epoch >= epoch {
		return nil
	}
	_, err := p.pin(ctx)
	return err
}

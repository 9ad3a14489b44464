package workflows

import (
	"go.temporal.io/sdk/workflow"

	"github.com/deviceops/deviceops"
	"github.com/deviceops/deviceops/activities"
)

// rolloutControlsKept is how many controls a rollout remembers, to tell one that is
// repeated in a later execution what it did.
const rolloutControlsKept = 50

// takenControl is a control that was carried out.
type takenControl struct {
	ID     string                      `json:"id"` // RolloutControl.ID
	Result deviceops.RolloutControlled `json:"result"`
}

// takeControls begins to answer controls.
func (p *rollout) takeControls(ctx workflow.Context, key deviceops.SigningKey) error {
	return workflow.SetUpdateHandlerWithOptions(ctx, UpdateControl, p.control, workflow.UpdateHandlerOptions{
		Validator: func(_ workflow.Context, c deviceops.RolloutControl) error {
			err := key.CheckControl(c)
			if err == nil {
				err = p.admits(c)
			}
			return activities.Failure(err)
		},
		Description: "Pause, resume, cancel, skip, retry, set or roll back",
	})
}

// admits judges a control by what is known now.
func (p *rollout) admits(c deviceops.RolloutControl) error {
	if _, taken := p.taken(c); taken {
		return nil
	}
	if p.spec == nil {
		return deviceops.Errorf(deviceops.EUNAVAILABLE, "the rollout is being read; try again")
	}
	return p.state.Rollout.CheckControl(c)
}

// taken gives what a control did that was carried out before.
func (p *rollout) taken(c deviceops.RolloutControl) (deviceops.RolloutControlled, bool) {
	id := c.ID()
	for _, t := range p.state.Controls {
		if t.ID == id {
			return t.Result, true
		}
	}
	return deviceops.RolloutControlled{}, false
}

// control carries out what the validator let pass, after the step or control
// that is under way: by then it may not apply any more.
func (p *rollout) control(ctx workflow.Context, c deviceops.RolloutControl) (deviceops.RolloutControlled, error) {
	ctx, done := workflow.NewDisconnectedContext(ctx)
	defer done()
	if err := p.turn.Lock(ctx); err != nil {
		return deviceops.RolloutControlled{}, err
	}
	defer p.turn.Unlock()
	if result, taken := p.taken(c); taken {
		return result, nil
	}
	if err := p.admits(c); err != nil {
		return deviceops.RolloutControlled{}, activities.Failure(err)
	}
	var out activities.ControlOutput
	err := local(ctx, activities.NameControlRollout, activities.ControlInput{Control: c, Epoch: p.state.Rollout.Epoch}, &out)
	if err != nil {
		return deviceops.RolloutControlled{}, activities.RunFailure(activities.Cause(err))
	}
	p.steer(c, &out)
	return out.Controlled, nil
}

// steer takes over what a control did.
func (p *rollout) steer(c deviceops.RolloutControl, out *activities.ControlOutput) {
	steered := out.Rollout
	steered.Source = p.state.Rollout.Source
	v := deviceops.RolloutView{Rollout: p.state.Rollout, Memory: p.state.Memory}
	v.Steer(c, steered)
	p.state.Rollout, p.state.Memory = v.Rollout, v.Memory
	if c.Action == deviceops.RolloutRollback {
		p.state.Revert = true
		out.Controlled.Rollback = steered.RollbackID()
	}
	p.state.Controls = append(p.state.Controls, takenControl{ID: c.ID(), Result: out.Controlled})
	if n := len(p.state.Controls) - rolloutControlsKept; n > 0 {
		p.state.Controls = p.state.Controls[n:]
	}
	p.stirred = true
}

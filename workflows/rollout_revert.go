package workflows

import (
	"slices"

	"go.temporal.io/api/enums/v1"
	"go.temporal.io/sdk/temporal"
	"go.temporal.io/sdk/workflow"

	"github.com/deviceops/deviceops"
	"github.com/deviceops/deviceops/activities"
)

// RevertScope is what is to be taken back of a rollout.
type RevertScope struct {
	Rings  []int  `json:"rings"`
	By     string `json:"by"`
	Reason string `json:"reason"`
}

// resumeRevert has a rollout taken back whose workflow begins when that was decided
// already: it had ended, or the execution before was lost. A rollback that was made
// is not made again, and goes on with its own rings.
func (p *rollout) resumeRevert() {
	r := &p.state.Rollout
	if r.Status != deviceops.RolloutReverting {
		return
	}
	p.state.Revert = p.in.Revert
	if p.state.Revert != nil {
		return
	}
	rings := r.TakenBack(false)
	if i := slices.IndexFunc(r.Rings, func(ring deviceops.Ring) bool { return ring.Status == deviceops.RingFailed }); i >= 0 {
		rings = r.RollbackScope(i, p.spec.OnFail == deviceops.FailRollbackAll)
	}
	p.state.Revert = &RevertScope{Rings: rings, By: r.StatusBy, Reason: r.StatusReason}
}

// revert makes the rollout that takes this one back, and starts its workflow.
func (p *rollout) revert(ctx workflow.Context) error {
	scope := p.state.Revert
	if scope == nil {
		return nil
	}
	var out activities.RollbackOutput
	in := activities.RollbackInput{Rollout: p.in.Rollout, Rings: scope.Rings, By: scope.By, Reason: scope.Reason}
	if err := bulk(ctx, activities.NameCreateRollback, in, &out); err != nil {
		p.state.Revert = nil
		return p.finish(ctx, deviceops.RolloutFailed, "it cannot be taken back: "+activities.Cause(err).Message)
	}
	p.state.Revert, p.state.Rollout.Rollback, p.stirred = nil, out.Rollback, true
	if out.Rollback == "" { // there is nothing to take back
		p.state.Rollback = deviceops.RolloutSucceeded
		return nil
	}
	return p.startRollback(ctx, out.Rollback)
}

// startRollback starts the workflow of the rollback, which goes on by itself.
func (p *rollout) startRollback(ctx workflow.Context, id string) error {
	ctx = workflow.WithChildOptions(ctx, workflow.ChildWorkflowOptions{
		WorkflowID:            deviceops.RolloutWorkflowID(id),
		ParentClosePolicy:     enums.PARENT_CLOSE_POLICY_ABANDON,
		WorkflowIDReusePolicy: enums.WORKFLOW_ID_REUSE_POLICY_REJECT_DUPLICATE,
	})
	err := workflow.ExecuteChildWorkflow(ctx, TypeRollout, RolloutInput{Rollout: id}).GetChildWorkflowExecution().Get(ctx, nil)
	if temporal.IsWorkflowExecutionAlreadyStartedError(err) {
		return nil
	}
	return err
}

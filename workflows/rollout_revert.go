package workflows

import (
	"go.temporal.io/api/enums/v1"
	"go.temporal.io/sdk/temporal"
	"go.temporal.io/sdk/workflow"

	"github.com/deviceops/deviceops"
	"github.com/deviceops/deviceops/activities"
)

// revert makes the rollout that takes this one back, and starts its workflow. A
// rollback that was made before goes on with its own rings.
func (p *rollout) revert(ctx workflow.Context) error {
	if !p.state.Revert {
		return nil
	}
	r := &p.state.Rollout
	var out activities.RollbackOutput
	in := activities.RollbackInput{Rollout: r.ID, Rings: r.TakeBack, By: r.StatusBy, Reason: r.StatusReason}
	if err := bulk(ctx, activities.NameCreateRollback, in, &out); err != nil {
		p.state.Revert = false
		return p.finish(ctx, deviceops.RolloutFailed, "it cannot be taken back: "+activities.Cause(err).Message)
	}
	p.state.Revert, p.state.Rollout.Rollback, p.stirred = false, out.Rollback, true
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

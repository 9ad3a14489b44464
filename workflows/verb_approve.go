package workflows

import (
	"fmt"
	"strings"
	"time"

	"go.temporal.io/sdk/workflow"

	"github.com/deviceops/deviceops"
	"github.com/deviceops/deviceops/dsl"
)

var _ = addVerb("approve", verb{try: tryApprove})

// tryApprove waits for a person. Approved, the output is {decision, by, at,
// comment}; every other end is a failure approval.rejected, approval.expired or
// approval.canceled.
func tryApprove(x *execution, ctx workflow.Context, step *dsl.Step, c *call) outcome {
	a, err := x.question(ctx, step, c)
	if err != nil {
		return faulty(err)
	}
	x.state.waiting(c.Row, "a decision by "+strings.Join(a.By, ", "))
	run, landed := x.ride()
	a, err = x.desk.ask(ctx, a, run)
	landed(err == nil)
	x.facts = nil
	if err != nil {
		return faulty(err)
	}
	x.state.waiting(c.Row, "")
	if a.Status != deviceops.ApprovalApproved {
		return failed(notApproved(a))
	}
	return gave(map[string]any{
		"decision": string(a.Status), "by": a.DecidedBy, "at": a.DecidedAt.UTC().Format(time.RFC3339), "comment": optional(a.Comment),
	})
}

// question makes the approval: what is asked, of whom, on what evidence.
func (x *execution) question(ctx workflow.Context, step *dsl.Step, c *call) (deviceops.Approval, error) {
	op, env := step.Op.(*dsl.Approve), x.env(ctx)
	title, err := op.Title.Text(env)
	if err != nil {
		return deviceops.Approval{}, err
	}
	show, err := op.Show.Eval(env)
	if err != nil {
		return deviceops.Approval{}, err
	}
	device, err := x.device(ctx, step)
	a := deviceops.Approval{
		ID: approvalID(x.run.ID, step, c), Account: x.run.Account, Workflow: workflow.GetInfo(ctx).WorkflowExecution.ID,
		Step: step.ID, Device: device, Question: title, Show: show, By: op.By, ExpiresAt: c.Deadline,
	}
	if op.Expires > 0 {
		a.ExpiresAt = earliest(a.ExpiresAt, workflow.Now(ctx).Add(op.Expires))
	}
	return a, err
}

// approvalID names an approval by run and step, and the ones after the first by
// their number too.
func approvalID(run string, step *dsl.Step, c *call) string {
	id := run + "/" + step.ID
	if n := c.Round + c.Tries; n > 1 {
		id = fmt.Sprintf("%s/%d", id, n)
	}
	return id
}

func notApproved(a deviceops.Approval) *dsl.Failure {
	f := &dsl.Failure{
		Code: "approval." + string(a.Status), Message: "nobody decided in time",
		Data: map[string]any{"approval": a.ID, "by": a.DecidedBy, "comment": a.Comment},
	}
	switch a.Status {
	case deviceops.ApprovalRejected:
		f.Message = a.DecidedBy + " rejected it" + because(a.Comment)
	case deviceops.ApprovalCanceled:
		f.Message = "the question was withdrawn"
	}
	return f
}

// optional gives nil for an empty text.
func optional(text string) any {
	if text == "" {
		return nil
	}
	return text
}

package workflows

import (
	"fmt"
	"slices"
	"strings"
	"time"

	"go.temporal.io/sdk/workflow"

	"github.com/deviceops/deviceops"
	"github.com/deviceops/deviceops/dsl"
)

var _ = addVerb("approve", verb{try: tryApprove})

// tryApprove waits for people. Approved, the output is {decision, by, at,
// comment, votes, broken_glass} and, with a form, form; every other end is a
// failure approval.rejected, approval.expired or approval.canceled.
func tryApprove(x *execution, ctx workflow.Context, step *dsl.Step, c *call) outcome {
	a, err := x.question(ctx, step, c)
	if err != nil {
		return faulty(err)
	}
	x.state.waiting(c.Row, waitsFor(a))
	run, landed := x.ride(ctx)
	over := x.expecting(ctx, waitingForPerson)
	a, err = x.desk.ask(ctx, a, step.Op.(*dsl.Approve).Form, run)
	landed(err == nil)
	x.facts = nil
	if err == nil && a.Status == deviceops.ApprovalOpen {
		return outcome{parked: true}
	}
	over()
	if err != nil {
		return faulty(err)
	}
	x.state.waiting(c.Row, "")
	if a.Status != deviceops.ApprovalApproved {
		return failed(notApproved(a))
	}
	return gave(approved(a))
}

func waitsFor(a deviceops.Approval) string {
	if a.Needed() > 1 {
		return fmt.Sprintf("%d decisions by %s", a.Needed(), strings.Join(a.By, ", "))
	}
	return "a decision by " + strings.Join(a.By, ", ")
}

// approved gives the output of the step.
func approved(a deviceops.Approval) map[string]any {
	votes, broken := []any{}, false
	for _, v := range a.Votes {
		votes = append(votes, map[string]any{"by": v.By, "at": rfc3339(v.At), "comment": optional(v.Comment)})
		broken = broken || v.BreakGlass
	}
	out := map[string]any{
		"decision": string(a.Status), "by": a.DecidedBy, "at": rfc3339(a.DecidedAt), "comment": optional(a.Comment),
		"votes": votes, "broken_glass": broken,
	}
	if a.Form != nil {
		out["form"] = a.Form
	}
	return out
}

func rfc3339(t time.Time) string { return t.UTC().Format(time.RFC3339) }

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
		ID: approvalID(x.run.ID, x.at.Key, step, c), Account: x.run.Account, Workflow: workflow.GetInfo(ctx).WorkflowExecution.ID,
		Step: step.ID, Device: device, Question: title, Show: show, ShowHash: deviceops.EvidenceHash(show),
		CommentRequired: op.Comment, FormSchema: op.Form.Schema(), Notify: op.Notify, ExpiresAt: c.Deadline,
	}
	x.whom(&a, op, workflow.Now(ctx))
	return a, err
}

// whom says who has to decide, and until when.
func (x *execution) whom(a *deviceops.Approval, op *dsl.Approve, now time.Time) {
	a.By = slices.Clone(op.By)
	if op.Quorum > 1 {
		a.Quorum = op.Quorum
	}
	if op.FourEyes {
		a.Barred = append([]string{x.run.StartedBy}, x.desk.Behind...)
	}
	for _, e := range op.Escalate {
		a.Escalations = append(a.Escalations, deviceops.Escalation{At: now.Add(e.After), By: e.By, Notify: e.Notify})
	}
	if op.Expires > 0 {
		a.ExpiresAt = earliest(a.ExpiresAt, now.Add(op.Expires))
	}
}

// approvalID names an approval by run, step and branch, and the ones after the
// first by their number too.
func approvalID(run, branch string, step *dsl.Step, c *call) string {
	id := run + "/" + step.ID
	if branch != "" {
		id += "/" + branch
	}
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
	switch {
	case a.Status == deviceops.ApprovalRejected:
		f.Message = a.DecidedBy + " rejected it" + because(a.Comment)
	case a.Status == deviceops.ApprovalCanceled:
		f.Message = "the question was withdrawn"
	case len(a.Votes) > 0:
		f.Message = fmt.Sprintf("only %d of %d approved in time", len(a.Votes), a.Needed())
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

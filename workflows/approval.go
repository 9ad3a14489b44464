package workflows

import (
	"errors"
	"time"

	"go.temporal.io/sdk/workflow"

	"github.com/deviceops/deviceops"
	"github.com/deviceops/deviceops/activities"
)

// desk is where a workflow waits for people. It answers the update decide.
type desk struct {
	cases []*inquiry // in the order of asking
}

// inquiry is one approval that was asked for.
type inquiry struct {
	approval deviceops.Approval
	saved    bool // its end is in the store
}

// newDesk makes the desk of a workflow and begins to answer updates.
func newDesk(ctx workflow.Context) (*desk, error) {
	d := &desk{}
	return d, workflow.SetUpdateHandlerWithOptions(ctx, UpdateDecide, d.decide, workflow.UpdateHandlerOptions{
		Validator:   func(decision deviceops.Decision) error { return activities.Failure(d.check(decision)) },
		Description: "Decide an open approval",
	})
}

// check refuses decisions before they leave a trace in the history. ENOTFOUND,
// ECONFLICT when it is decided, EFORBIDDEN when somebody else has to decide.
func (d *desk) check(decision deviceops.Decision) error {
	q := d.find(decision.Approval)
	switch {
	case q == nil:
		return deviceops.Errorf(deviceops.ENOTFOUND, "nothing here waits for the approval %s", decision.Approval)
	case q.approval.Status != deviceops.ApprovalOpen:
		return deviceops.Errorf(deviceops.ECONFLICT, "%s %s already%s", decision.Approval, describeEnd(q.approval.Status), byWhom(q.approval))
	case !deviceops.AccountWithin(q.approval.Account, decision.By.Account):
		return deviceops.Errorf(deviceops.EFORBIDDEN, "%s may not act in account %s", decision.By.Name, q.approval.Account)
	case !decision.By.MayDecide(q.approval.By):
		return deviceops.Errorf(deviceops.EFORBIDDEN, "%s may not decide this; it asks %v", decision.By.Name, q.approval.By)
	default:
		return nil
	}
}

func describeEnd(s deviceops.ApprovalStatus) string {
	if s == deviceops.ApprovalCanceled {
		return "was withdrawn"
	}
	return "is " + string(s)
}

func byWhom(a deviceops.Approval) string {
	if a.DecidedBy == "" {
		return ""
	}
	return ", by " + a.DecidedBy + " at " + a.DecidedAt.UTC().Format(time.RFC3339)
}

func (d *desk) find(id string) *inquiry {
	for _, q := range d.cases {
		if q.approval.ID == id {
			return q
		}
	}
	return nil
}

// decide takes a decision that check let pass. It returns when the decision is
// stored, so that whoever decided sees it everywhere.
func (d *desk) decide(ctx workflow.Context, decision deviceops.Decision) (deviceops.Approval, error) {
	q := d.find(decision.Approval)
	q.approval.Status = deviceops.ApprovalRejected
	if decision.Approve {
		q.approval.Status = deviceops.ApprovalApproved
	}
	q.approval.DecidedBy, q.approval.Comment, q.approval.Form = decision.By.Name, decision.Comment, decision.Form
	q.approval.DecidedAt = workflow.Now(ctx)
	err := q.save(ctx, decision.By.Name)
	return q.approval, err
}

// save writes the end of an approval, also when the workflow is canceled.
func (q *inquiry) save(ctx workflow.Context, by string) error {
	ctx, cancel := workflow.NewDisconnectedContext(ctx)
	defer cancel()
	err := local(ctx, activities.NameSaveApproval, activities.ApprovalInput{Approval: q.approval, By: by}, nil)
	q.saved = true
	return err
}

// ask opens an approval and waits until it ends; rows ride with its opening. The
// approval comes back approved, rejected, expired or, when the workflow was
// canceled, canceled.
func (d *desk) ask(ctx workflow.Context, a deviceops.Approval, rows *deviceops.Run) (deviceops.Approval, error) {
	a.Status, a.OpenedAt = deviceops.ApprovalOpen, workflow.Now(ctx)
	q := &inquiry{approval: a}
	d.cases = append(d.cases, q)
	err := local(ctx, activities.NameSaveApproval, activities.ApprovalInput{Approval: a, Run: rows}, nil)
	if err == nil {
		err = q.wait(ctx)
	}
	if q.approval.Status == deviceops.ApprovalOpen {
		q.approval.Status = endOf(ctx, err)
		q.approval.DecidedAt = workflow.Now(ctx)
		return q.approval, errors.Join(q.save(ctx, ""), notCanceled(ctx, err))
	}
	settled, cancel := workflow.NewDisconnectedContext(ctx)
	defer cancel()
	return q.approval, workflow.Await(settled, func() bool { return q.saved })
}

// wait returns when the approval is decided, has expired or the workflow is
// canceled.
func (q *inquiry) wait(ctx workflow.Context) error {
	decided := func() bool { return q.approval.Status != deviceops.ApprovalOpen }
	if q.approval.ExpiresAt.IsZero() {
		return workflow.Await(ctx, decided)
	}
	_, err := workflow.AwaitWithTimeout(ctx, q.approval.ExpiresAt.Sub(workflow.Now(ctx)), decided)
	return err
}

func endOf(ctx workflow.Context, err error) deviceops.ApprovalStatus {
	if ctx.Err() != nil || err != nil {
		return deviceops.ApprovalCanceled
	}
	return deviceops.ApprovalExpired
}

// notCanceled drops an error that only says that the workflow was canceled: the
// status of the approval tells that.
func notCanceled(ctx workflow.Context, err error) error {
	if ctx.Err() != nil {
		return nil
	}
	return err
}

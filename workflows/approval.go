package workflows

import (
	"errors"
	"slices"
	"time"

	"go.temporal.io/sdk/workflow"

	"github.com/deviceops/deviceops"
	"github.com/deviceops/deviceops/activities"
	"github.com/deviceops/deviceops/dsl"
)

// desk is where a workflow waits for people. It answers the updates decide and
// delegate. It is data, so that a workflow that continues as a new one keeps
// what it has asked, with the ids of the decisions that it took.
type desk struct {
	Cases  []*inquiry `json:"cases,omitempty"`  // in the order of asking
	Behind []string   `json:"behind,omitempty"` // who is behind the workflow besides its starter, for four eyes

	key   deviceops.SigningKey
	stops func() bool // the workflow has to go on in a new execution; nil: it never has to
}

// keptCases is how many ended approvals a workflow remembers over its
// executions, to tell who is late with a decision that it was taken.
const keptCases = 100

// carry gives the desk for the next execution: the open cases, and the last of
// those that have ended, without what was shown.
func (d *desk) carry() *desk {
	next := &desk{Behind: d.Behind}
	ended := 0
	for _, q := range slices.Backward(d.Cases) {
		if !q.pending() {
			if ended++; ended > keptCases {
				continue
			}
			q.Approval.Show = nil
		}
		next.Cases = append(next.Cases, q)
	}
	slices.Reverse(next.Cases)
	return next
}

// restore takes over what carry gave.
func (d *desk) restore(from *desk) { d.Cases, d.Behind = from.Cases, from.Behind }

// stopping reports whether nobody can be waited for in this execution any more.
func (d *desk) stopping() bool { return d.stops != nil && d.stops() }

// inquiry is one approval that was asked for.
type inquiry struct {
	Approval deviceops.Approval          `json:"approval"`
	Form     dsl.Form                    `json:"form,omitempty"`
	Unsaved  []activities.ApprovalChange `json:"unsaved,omitempty"` // what the store does not have yet

	saving bool // somebody is giving it to the store
}

// open begins to answer updates.
func (d *desk) open(ctx workflow.Context) error {
	return errors.Join(
		workflow.SetUpdateHandlerWithOptions(ctx, UpdateDecide, d.decide, workflow.UpdateHandlerOptions{
			Validator: func(ctx workflow.Context, decision deviceops.Decision) error {
				return activities.Failure(d.check(decision, workflow.Now(ctx)))
			},
			Description: "Decide an open approval",
		}),
		workflow.SetUpdateHandlerWithOptions(ctx, UpdateDelegate, d.delegate, workflow.UpdateHandlerOptions{
			Validator: func(ctx workflow.Context, delegation deviceops.Delegation) error {
				return activities.Failure(d.checkDelegation(delegation, workflow.Now(ctx)))
			},
			Description: "Hand an open approval on",
		}),
	)
}

// check refuses decisions before they leave a trace in the history. ENOTFOUND,
// and the codes of Approval.Check and SigningKey.CheckDecision.
func (d *desk) check(decision deviceops.Decision, now time.Time) error {
	q, err := d.find(decision.Approval)
	if err == nil {
		err = d.key.CheckDecision(decision)
	}
	if err == nil {
		err = q.Approval.Check(decision, now)
	}
	if err == nil {
		_, err = q.fill(decision)
	}
	return err
}

func (d *desk) checkDelegation(delegation deviceops.Delegation, now time.Time) error {
	q, err := d.find(delegation.Approval)
	if err == nil {
		err = d.key.CheckDelegation(delegation)
	}
	if err == nil {
		err = q.Approval.CheckDelegation(delegation, now)
	}
	return err
}

func (d *desk) find(id string) (*inquiry, error) {
	for _, q := range d.Cases {
		if q.Approval.ID == id {
			return q, nil
		}
	}
	return nil, deviceops.Errorf(deviceops.ENOTFOUND, "nothing here waits for the approval %s", id)
}

// decide takes a decision that check let pass, in the same breath, so that
// nothing can have changed in between. It returns when the decision is stored,
// so that whoever decided sees it everywhere.
func (d *desk) decide(ctx workflow.Context, decision deviceops.Decision) (deviceops.Approval, error) {
	q, err := d.find(decision.Approval)
	if err != nil {
		return deviceops.Approval{}, activities.Failure(err)
	}
	if !q.Approval.Took(decision) {
		form, err := q.fill(decision)
		if err != nil {
			return deviceops.Approval{}, activities.Failure(err)
		}
		q.Approval.Take(decision, form, workflow.Now(ctx))
		q.note(activities.ApprovalChange{
			Kind: q.changeBy(decision), By: decision.By.Name, At: workflow.Now(ctx), Reason: decision.Comment,
		})
	}
	err = q.save(ctx)
	return q.Approval, err
}

// changeBy names what a decision that was just taken did.
func (q *inquiry) changeBy(d deviceops.Decision) string {
	switch {
	case d.BreakGlass:
		return activities.ChangeBrokenGlass
	case q.pending():
		return activities.ChangeVoted
	default:
		return string(q.Approval.Status)
	}
}

// delegate carries out a delegation that checkDelegation let pass.
func (d *desk) delegate(ctx workflow.Context, delegation deviceops.Delegation) (deviceops.Approval, error) {
	q, err := d.find(delegation.Approval)
	if err != nil {
		return deviceops.Approval{}, activities.Failure(err)
	}
	if !q.Approval.Handed(delegation) {
		q.Approval.Hand(delegation, workflow.Now(ctx))
		q.note(activities.ApprovalChange{
			Kind: activities.ChangeDelegated, By: delegation.By.Name, At: workflow.Now(ctx), Reason: delegation.Reason, To: delegation.To,
		})
	}
	err = q.save(ctx)
	return q.Approval, err
}

// ask opens an approval and waits until it ends; rows ride with its opening. The
// approval comes back approved, rejected, expired or, when the workflow was
// canceled, canceled. An approval that is open already is waited for as it is.
// It comes back open when the workflow has to go on in a new execution, which
// asks again.
func (d *desk) ask(ctx workflow.Context, a deviceops.Approval, form dsl.Form, rows *deviceops.Run) (deviceops.Approval, error) {
	q, err := d.find(a.ID)
	if err != nil {
		a.Status, a.OpenedAt = deviceops.ApprovalOpen, workflow.Now(ctx)
		q = &inquiry{Approval: a, Form: form}
		d.Cases = append(d.Cases, q)
		q.note(activities.ApprovalChange{Kind: activities.ChangeOpened, At: a.OpenedAt, Notify: a.Notify})
		err = q.give(ctx, rows)
	}
	if err == nil {
		err = q.wait(ctx, d.stopping)
	}
	if err == nil && q.pending() && d.stopping() && !q.expired(workflow.Now(ctx)) {
		return q.Approval, nil
	}
	if q.pending() {
		q.Approval.Status, q.Approval.DecidedAt = endOf(ctx, err), workflow.Now(ctx)
		q.note(activities.ApprovalChange{Kind: string(q.Approval.Status), At: q.Approval.DecidedAt})
		err = notCanceled(ctx, err)
	}
	return q.Approval, errors.Join(q.save(ctx), err)
}

// wait returns when the approval is decided, has expired, or the workflow is
// canceled or stops. Time widens it on its way and never decides it.
func (q *inquiry) wait(ctx workflow.Context, stops func() bool) error {
	over := func() bool { return !q.pending() || stops() }
	for !over() {
		next := q.Approval.NextChange()
		if next.IsZero() {
			return workflow.Await(ctx, over)
		}
		if _, err := workflow.AwaitWithTimeout(ctx, next.Sub(workflow.Now(ctx)), over); err != nil {
			return err
		}
		if over() || q.expired(workflow.Now(ctx)) {
			return nil
		}
		if err := q.escalate(ctx); err != nil {
			return err
		}
	}
	return nil
}

func (q *inquiry) pending() bool { return q.Approval.Status == deviceops.ApprovalOpen }

func (q *inquiry) expired(now time.Time) bool {
	return !q.Approval.ExpiresAt.IsZero() && !now.Before(q.Approval.ExpiresAt)
}

// escalate asks more people, if it is time to.
func (q *inquiry) escalate(ctx workflow.Context) error {
	now := workflow.Now(ctx)
	for _, e := range q.Approval.Escalate(now) {
		q.note(activities.ApprovalChange{Kind: activities.ChangeEscalated, At: now, To: e.By, Notify: e.Notify})
	}
	return q.give(ctx, nil)
}

func (q *inquiry) note(c activities.ApprovalChange) { q.Unsaved = append(q.Unsaved, c) }

// save is give for what has happened, which is stored also when the workflow is
// canceled.
func (q *inquiry) save(ctx workflow.Context) error {
	ctx, cancel := workflow.NewDisconnectedContext(ctx)
	defer cancel()
	return q.give(ctx, nil)
}

// give gives the store all changes that it does not have yet. One caller at a
// time does; the others wait, and find their changes stored or go on with them.
func (q *inquiry) give(ctx workflow.Context, rows *deviceops.Run) error {
	err := workflow.Await(ctx, func() bool { return !q.saving })
	if err != nil || len(q.Unsaved) == 0 {
		return err
	}
	changes := q.Unsaved
	q.Unsaved, q.saving = nil, true
	q.Approval.Revision++
	err = local(ctx, activities.NameSaveApproval, activities.ApprovalInput{Approval: q.Approval, Run: rows, Changes: changes}, nil)
	q.saving = false
	if err != nil {
		q.Unsaved = append(changes, q.Unsaved...)
	}
	return err
}

// fill gives the form as it is kept once the decision is taken. The first who
// approves fills it in; the others approve the same. EINVALID names the field.
func (q *inquiry) fill(d deviceops.Decision) (map[string]any, error) {
	kept := q.Approval.Form
	if !d.Approve || q.Approval.Took(d) || len(q.Form) == 0 && len(d.Form) == 0 {
		return kept, nil
	}
	given := d.Form
	for _, field := range q.Form {
		if v, ok := kept[field.Name]; ok && given[field.Name] == nil {
			given = with(given, field.Name, v)
		}
	}
	filled, err := q.Form.Fill(given)
	if err != nil || d.BreakGlass || q.Approval.Approvals() == 0 {
		return filled, err
	}
	for _, field := range q.Form {
		if was, is := kept[field.Name], filled[field.Name]; dsl.Format(was) != dsl.Format(is) {
			return nil, deviceops.Errorf(deviceops.EINVALID, "the form field %q: %s has approved %s, and this is %s; approve the same or reject",
				field.Name, q.Approval.Votes[0].By, dsl.Format(was), dsl.Format(is))
		}
	}
	return filled, nil
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

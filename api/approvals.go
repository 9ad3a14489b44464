package api

import (
	"context"
	"net/http"

	"github.com/deviceops/deviceops"
	"github.com/deviceops/deviceops/workflows"
)

type approvalService struct{ *core }

func (s *server) approvalRoutes(a approvalService) {
	handle(s, route{
		id: "list-approvals", method: http.MethodGet, path: "/v1/approvals", role: deviceops.RoleViewer,
		summary: "List approvals, newest first",
	}, a.list)
	handle(s, route{
		id: "get-approval", method: http.MethodGet, path: "/v1/approvals/{id}", role: deviceops.RoleViewer,
		summary: "Show an approval", about: "The id holds a slash: write it as %2F in the path.",
	}, a.get)
	handle(s, route{
		id: "decide-approval", method: http.MethodPost, path: "/v1/approvals/{id}/decide", role: deviceops.RoleViewer,
		summary: "Approve or reject", about: "Allowed to those whom the approval asks. Repeating a decision is harmless.",
	}, a.decide)
	handle(s, route{
		id: "delegate-approval", method: http.MethodPost, path: "/v1/approvals/{id}/delegate", role: deviceops.RoleViewer,
		summary: "Hand an open approval on", about: "Allowed to those who may decide it. Whoever is named is asked besides those who are.",
	}, a.delegate)
	handle(s, route{
		id: "break-glass", method: http.MethodPost, path: "/v1/approvals/{id}/break-glass", role: deviceops.RoleBreakGlass,
		summary: "Approve in an emergency",
		about:   "Whoever is asked, and however many have to approve. It takes a reason, is audited, opens a ticket and raises a critical event.",
	}, a.breakGlass)
}

type approvalFilter struct {
	Account string `query:"account" doc:"This account and all below it"`
	Status  string `query:"status" enum:"open,approved,rejected,expired,canceled"`
	Device  string `query:"device"`
	Limit   int    `query:"limit" minimum:"1" maximum:"1000" default:"100"`
}

func (a approvalService) list(ctx context.Context, p deviceops.Principal, in *approvalFilter) (page[deviceops.Approval], error) {
	account, err := scope(p, in.Account)
	if err != nil {
		return page[deviceops.Approval]{}, err
	}
	rows, err := a.Store.ListApprovals(ctx, account, deviceops.ApprovalStatus(in.Status), in.Device, in.Limit)
	return page[deviceops.Approval]{Items: orEmpty(rows)}, err
}

// ApprovalPath is the part of an input that names an approval.
type ApprovalPath struct {
	ID string `path:"id" maxLength:"1024"`
}

func (a approvalService) get(ctx context.Context, p deviceops.Principal, in *ApprovalPath) (deviceops.Approval, error) {
	approval, err := a.Store.FindApproval(ctx, in.ID)
	if err == nil {
		err = visible(p, approval.Account, "approval", in.ID)
	}
	if err != nil {
		return deviceops.Approval{}, err
	}
	s := showing{from: a.Store, account: approval.Account, left: maxShown}
	approval.Show = s.whole(ctx, approval.Show)
	return approval, nil
}

type decideInput struct {
	Reasoned
	ApprovalPath
	Body deviceops.DecideRequest
}

func (a approvalService) decide(ctx context.Context, p deviceops.Principal, in *decideInput) (deviceops.Approval, error) {
	return a.take(ctx, deviceops.Decision{
		Approval: in.ID, Approve: in.Body.Approve, By: p, Comment: in.because(in.Body.Comment), Form: in.Body.Form,
	})
}

type breakGlassInput struct {
	Reasoned
	ApprovalPath
	Body deviceops.BreakGlassRequest
}

func (a approvalService) breakGlass(ctx context.Context, p deviceops.Principal, in *breakGlassInput) (deviceops.Approval, error) {
	return a.take(ctx, deviceops.Decision{
		Approval: in.ID, Approve: true, BreakGlass: true, By: p, Comment: in.because(in.Body.Reason), Form: in.Body.Form,
	})
}

// take hands a decision to the workflow that waits, which checks it once more
// and writes it with its audit entry in one transaction.
func (a approvalService) take(ctx context.Context, d deviceops.Decision) (deviceops.Approval, error) {
	approval, err := a.get(ctx, d.By, &ApprovalPath{ID: d.Approval})
	if err != nil {
		return deviceops.Approval{}, err
	}
	if approval.Took(d) {
		return approval, nil
	}
	if err := approval.Check(d, a.Now()); err != nil {
		return deviceops.Approval{}, err
	}
	return a.update(ctx, approval, d.ID(), workflows.UpdateDecide, a.DecisionKey.SignDecision(d))
}

type delegateInput struct {
	Reasoned
	ApprovalPath
	Body deviceops.DelegateRequest
}

func (a approvalService) delegate(ctx context.Context, p deviceops.Principal, in *delegateInput) (deviceops.Approval, error) {
	d := deviceops.Delegation{Approval: in.ID, By: p, To: in.Body.To, Reason: in.because(in.Body.Reason)}
	approval, err := a.get(ctx, p, &in.ApprovalPath)
	if err != nil {
		return deviceops.Approval{}, err
	}
	if approval.Handed(d) {
		return approval, nil
	}
	if err := approval.CheckDelegation(d, a.Now()); err != nil {
		return deviceops.Approval{}, err
	}
	return a.update(ctx, approval, d.ID(), workflows.UpdateDelegate, a.DecisionKey.SignDelegation(d))
}

func (a approvalService) update(ctx context.Context, approval deviceops.Approval, id, name string, arg any) (deviceops.Approval, error) {
	var changed deviceops.Approval
	err := a.Orchestrator.Update(ctx, approval.Workflow, id, name, arg, &changed)
	if deviceops.ErrorCode(err) == deviceops.ENOTFOUND {
		return deviceops.Approval{}, a.withdraw(ctx, approval.ID)
	}
	return changed, err
}

// withdraw closes an approval that nobody waits for any more, since its workflow
// was ended from outside and could not do that itself. ECONFLICT says so to
// whoever wanted to decide.
func (a approvalService) withdraw(ctx context.Context, id string) error {
	err := a.Store.InTx(ctx, func(ctx context.Context, tx deviceops.Tx) error {
		approval, err := tx.FindApproval(ctx, id)
		if err != nil || approval.Status != deviceops.ApprovalOpen {
			return err
		}
		approval.Status, approval.DecidedAt, approval.Revision = deviceops.ApprovalCanceled, a.Now(), approval.Revision+1
		if saved, err := tx.SaveApproval(ctx, approval); err != nil || !saved {
			return err
		}
		return tx.AppendAudit(ctx, a.entry(deviceops.Engine, change{
			account: approval.Account, action: "approval.canceled", target: "approval:" + id, reason: "its workflow has ended",
		}))
	})
	if err != nil {
		return err
	}
	return deviceops.Errorf(deviceops.ECONFLICT, "nobody waits for %s any more: what asked has ended", id)
}

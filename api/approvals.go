package api

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"net/http"
	"strings"

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
	if err != nil {
		return deviceops.Approval{}, err
	}
	return approval, visible(p, approval.Account, "approval", in.ID)
}

type decideInput struct {
	Reasoned
	ApprovalPath
	Body deviceops.DecideRequest
}

func (a approvalService) decide(ctx context.Context, p deviceops.Principal, in *decideInput) (deviceops.Approval, error) {
	approval, err := a.get(ctx, p, &in.ApprovalPath)
	if err != nil {
		return deviceops.Approval{}, err
	}
	if decidedSo(approval, p, in.Body.Approve) {
		return approval, nil
	}
	if err := mayDecide(approval, p); err != nil {
		return deviceops.Approval{}, err
	}
	decision := deviceops.Decision{
		Approval: approval.ID, Approve: in.Body.Approve, By: p, Comment: in.because(in.Body.Comment), Form: in.Body.Form,
	}
	// The workflow writes the decision and its audit entry in one transaction.
	var decided deviceops.Approval
	err = a.Orchestrator.Update(ctx, approval.Workflow, decisionID(decision), workflows.UpdateDecide, decision, &decided)
	return decided, err
}

// decidedSo reports whether this principal has decided just this already.
func decidedSo(a deviceops.Approval, p deviceops.Principal, approve bool) bool {
	want := deviceops.ApprovalRejected
	if approve {
		want = deviceops.ApprovalApproved
	}
	return a.Status == want && a.DecidedBy == p.Name
}

// mayDecide is the check of every surface: the approval is open and asks p.
func mayDecide(a deviceops.Approval, p deviceops.Principal) error {
	switch {
	case !p.MayDecide(a.By):
		return deviceops.Errorf(deviceops.EFORBIDDEN, "approval %s asks %s; %s is not among them", a.ID, strings.Join(a.By, ", "), p.Name)
	case a.Status != deviceops.ApprovalOpen:
		return deviceops.Errorf(deviceops.ECONFLICT, "approval %s is %s already", a.ID, a.Status)
	default:
		return nil
	}
}

// decisionID names the decision for the workflow, so that a repeat is answered
// like the first.
func decisionID(d deviceops.Decision) string {
	verdict := "reject"
	if d.Approve {
		verdict = "approve"
	}
	sum := sha256.Sum256([]byte(d.Approval + "\x00" + d.By.Name + "\x00" + verdict))
	return hex.EncodeToString(sum[:16])
}

package api_test

import (
	"net/http"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/deviceops/deviceops"
)

const asked = "/v1/approvals/run-1%2Fok"

var decisionKey = deviceops.SigningKey("the key of the installation")

// asks stores an approval that operators of acme decide.
func (r *rig) asks(change func(*deviceops.Approval)) {
	r.Helper()
	a := deviceops.Approval{
		ID: "run-1/ok", Account: "acme", Workflow: "run-1", Step: "ok", Question: "Reboot?", By: []string{"role:operator"},
		Status: deviceops.ApprovalOpen, OpenedAt: now, Revision: 1,
	}
	if found, err := r.store.FindApproval(r.Context(), a.ID); err == nil {
		a = found
		a.Revision++
	}
	change(&a)
	saved, err := r.store.SaveApproval(r.Context(), a)
	require.NoError(r, err)
	require.True(r, saved)
}

func TestDecide(t *testing.T) {
	t.Parallel()
	r := newRig(t)
	r.asks(func(*deviceops.Approval) {})
	var list struct{ Items []deviceops.Approval }
	r.as(victor, http.MethodGet, "/v1/approvals?status=open", nil).into(&list)
	require.Len(t, list.Items, 1)

	yes := deviceops.DecideRequest{Approve: true, Comment: "go", Form: map[string]any{"mode": "hard"}}
	detail := r.as(victor, http.MethodPost, asked+"/decide", yes).refused(403, deviceops.EFORBIDDEN)
	require.Contains(t, detail, "role:operator")
	var decided deviceops.Approval
	for range 2 {
		r.as(olga, http.MethodPost, asked+"/decide", yes).into(&decided)
	}
	require.Equal(t, deviceops.ApprovalApproved, decided.Status)
	want := deviceops.Decision{
		Approval: "run-1/ok", Approve: true, Comment: "go", Form: map[string]any{"mode": "hard"},
		By: deviceops.Principal{Name: "user:olga", Account: "acme", Roles: []string{"operator"}},
	}
	require.Equal(t, []any{decisionKey.SignDecision(want), decisionKey.SignDecision(want)}, r.orchestrator.updates)
	require.Equal(t, []string{want.ID(), want.ID()}, r.orchestrator.updateID, "a repeat is the same update")

	r.asks(func(a *deviceops.Approval) { a.Take(want, want.Form, now) })
	r.as(olga, http.MethodPost, asked+"/decide", yes).into(&decided)
	require.Equal(t, "user:olga", decided.DecidedBy)
	detail = r.as(olga, http.MethodPost, asked+"/decide", deviceops.DecideRequest{Approve: false}).refused(409, deviceops.ECONFLICT)
	require.Equal(t, "run-1/ok is approved already, by user:olga at 2026-11-20T12:00:00Z", detail)
	require.Len(t, r.orchestrator.updates, 2)
}

// TestRefusedDecisions holds that people are told why, and that the workflow is
// not bothered.
func TestRefusedDecisions(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct {
		change func(*deviceops.Approval)
		code   int
		detail string
	}{
		"four eyes": {func(a *deviceops.Approval) { a.Barred = []string{"user:olga"} }, 403, "user:olga may not decide this: four eyes have to see it, and user:olga is behind the run that asks"},
		"comment":   {func(a *deviceops.Approval) { a.CommentRequired = true }, 422, "run-1/ok needs a comment: say why"},
		"expired":   {func(a *deviceops.Approval) { a.ExpiresAt = now }, 409, "run-1/ok is expired already, since 2026-11-20T12:00:00Z"},
		"twice": {func(a *deviceops.Approval) {
			a.Quorum, a.Votes = 2, []deviceops.Vote{{ID: "d", By: "user:olga", Approve: true, At: now.Add(-time.Hour)}}
		}, 409, "user:olga has approved this already, at 2026-11-20T11:00:00Z; it needs 2 different people"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			r := newRig(t)
			r.asks(c.change)
			a := r.as(olga, http.MethodPost, asked+"/decide", deviceops.DecideRequest{Approve: true})
			require.Equal(t, c.code, a.status, a.body)
			require.Contains(t, a.body, c.detail)
			require.Empty(t, r.orchestrator.updates)
		})
	}
}

func TestDelegate(t *testing.T) {
	t.Parallel()
	r := newRig(t)
	r.asks(func(*deviceops.Approval) {})
	q := deviceops.DelegateRequest{To: []string{"user:peter"}}
	r.as(victor, http.MethodPost, asked+"/delegate", q).refused(403, deviceops.EFORBIDDEN)
	r.as(olga, http.MethodPost, asked+"/delegate", deviceops.DelegateRequest{}).refused(422, deviceops.EINVALID)
	r.as(olga, http.MethodPost, asked+"/delegate", deviceops.DelegateRequest{To: []string{"peter"}}).refused(422, deviceops.EINVALID)
	var changed deviceops.Approval
	r.as(olga, http.MethodPost, asked+"/delegate", q, "X-Reason", "on leave").into(&changed)
	want := deviceops.Delegation{
		Approval: "run-1/ok", To: []string{"user:peter"}, Reason: "on leave",
		By: deviceops.Principal{Name: "user:olga", Account: "acme", Roles: []string{"operator"}},
	}
	require.Equal(t, []any{decisionKey.SignDelegation(want)}, r.orchestrator.updates)
	require.Equal(t, []string{want.ID()}, r.orchestrator.updateID)

	r.asks(func(a *deviceops.Approval) { a.Hand(want, now) })
	r.as(olga, http.MethodPost, asked+"/delegate", q, "X-Reason", "on leave").into(&changed)
	require.Equal(t, []string{"role:operator", "user:peter"}, changed.By)
	require.Len(t, r.orchestrator.updates, 1)
}

func TestBreakGlass(t *testing.T) {
	t.Parallel()
	r := newRig(t)
	r.asks(func(a *deviceops.Approval) { a.By, a.Quorum = []string{"user:peter"}, 2 })
	const bert = "bert-token"
	r.token(bert, "user:bert", "acme", deviceops.RoleBreakGlass, time.Time{})
	fire := deviceops.BreakGlassRequest{Reason: "fire"}
	detail := r.as(root, http.MethodPost, asked+"/break-glass", fire).refused(403, deviceops.EFORBIDDEN)
	require.Equal(t, "user:root has the roles [admin]; this needs break-glass", detail, "no other role includes it")
	r.as(bert, http.MethodPost, asked+"/break-glass", deviceops.BreakGlassRequest{}).refused(422, deviceops.EINVALID)
	r.as(bert, http.MethodPost, asked+"/decide", deviceops.DecideRequest{Approve: true}).refused(403, deviceops.EFORBIDDEN)
	var changed deviceops.Approval
	r.as(bert, http.MethodPost, asked+"/break-glass", fire).into(&changed)
	require.Len(t, r.orchestrator.updates, 1)
	decision := r.orchestrator.updates[0].(deviceops.Decision)
	require.True(t, decision.BreakGlass && decision.Approve)
	require.Equal(t, "fire", decision.Comment)
}

// TestApprovalsOfEndedWorkflowsAreWithdrawn covers a workflow that was ended
// from outside and could not close its approval.
func TestApprovalsOfEndedWorkflowsAreWithdrawn(t *testing.T) {
	t.Parallel()
	r := newRig(t)
	r.asks(func(*deviceops.Approval) {})
	r.orchestrator.ended = true
	detail := r.as(olga, http.MethodPost, asked+"/decide", deviceops.DecideRequest{Approve: true}).refused(409, deviceops.ECONFLICT)
	require.Equal(t, "nobody waits for run-1/ok any more: what asked has ended", detail)
	var stored deviceops.Approval
	r.as(olga, http.MethodGet, asked, nil).into(&stored)
	require.Equal(t, deviceops.ApprovalCanceled, stored.Status)
	require.Equal(t, "approval.canceled", r.audited("approval:run-1/ok").Action)
	r.as(olga, http.MethodPost, asked+"/decide", deviceops.DecideRequest{Approve: true}).refused(409, deviceops.ECONFLICT)
}

package postgres_test

import (
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/deviceops/deviceops"
)

func approval(id string) deviceops.Approval {
	return deviceops.Approval{
		ID: id, Account: "acme", Workflow: "w", Step: "decision", Device: "k1", Question: "may it?", Show: []any{int64(1), 2.0},
		ShowHash: deviceops.EvidenceHash([]any{int64(1), 2.0}),
		By:       []string{"role:operator", "user:maria"}, Status: deviceops.ApprovalOpen, OpenedAt: noon, ExpiresAt: after(time.Hour), Revision: 1,
	}
}

func TestApprovals(t *testing.T) {
	both(t, func(t *testing.T, s deviceops.Tx) {
		_, err := s.FindApproval(t.Context(), "a1")
		requireCode(t, deviceops.ENOTFOUND, err)
		save := func(a deviceops.Approval, want bool) {
			t.Helper()
			saved, err := s.SaveApproval(t.Context(), a)
			require.NoError(t, err)
			require.Equal(t, want, saved)
		}
		is := func(want deviceops.Approval) {
			t.Helper()
			found, err := s.FindApproval(t.Context(), want.ID)
			require.NoError(t, err)
			require.Equal(t, want, found)
		}
		a := approval("a1")
		a.Barred, a.Quorum, a.CommentRequired, a.Notify = []string{"user:olga"}, 2, true, "ops"
		a.FormSchema = map[string]any{"type": "object", "properties": map[string]any{"n": map[string]any{"default": int64(2)}}}
		a.Escalations = []deviceops.Escalation{{At: after(1e6), By: []string{"role:duty-manager"}, Notify: "pager"}}
		save(a, true)
		is(a)
		save(a, false)

		older := a
		a.By, a.Revision = []string{"role:admin"}, 2
		a.Escalations = []deviceops.Escalation{{At: after(1e6), By: []string{"role:duty-manager"}, Notify: "pager", Done: true}}
		a.Handovers = []deviceops.Handover{{By: "user:maria", To: []string{"role:admin"}, At: after(1e6), Reason: "on leave"}}
		save(a, true)
		is(a)
		save(older, false)
		is(a)
		a.Votes = []deviceops.Vote{{ID: "d1", By: "user:maria", Approve: true, At: after(1e6), Comment: "go", BreakGlass: true}}
		a.Status, a.DecidedAt, a.DecidedBy, a.Revision = deviceops.ApprovalApproved, after(1e6), "user:maria", 3
		a.Comment, a.Form = "go", map[string]any{"mode": "hard", "n": int64(2)}
		save(a, true)
		is(a)
		again := a
		again.Status, again.Revision = deviceops.ApprovalRejected, 4
		save(again, false)
		is(a)

		b, c := approval("b"), approval("c")
		b.OpenedAt, b.Account, b.Device, b.By = after(time.Minute), "acme/emea", "k2", []string{}
		c.OpenedAt, c.Account = after(2*time.Minute), "beta"
		save(b, true)
		save(c, true)
		for _, f := range []struct {
			account string
			status  deviceops.ApprovalStatus
			device  string
			limit   int
			want    []string
		}{
			{"", "", "", 0, []string{"c", "b", "a1"}},
			{"acme", "", "", 0, []string{"b", "a1"}},
			{"", deviceops.ApprovalOpen, "", 0, []string{"c", "b"}},
			{"", "", "k1", 0, []string{"c", "a1"}},
			{"", "", "", 1, []string{"c"}},
			{"beta", deviceops.ApprovalApproved, "", 0, []string{}},
		} {
			found, err := s.ListApprovals(t.Context(), f.account, f.status, f.device, f.limit)
			require.NoError(t, err)
			ids := []string{}
			for _, a := range found {
				ids = append(ids, a.ID)
			}
			require.Equal(t, f.want, ids, "%+v", f)
		}
	})
}

func TestApprovalsOfAWorkflow(t *testing.T) {
	both(t, func(t *testing.T, s deviceops.Tx) {
		for i, id := range []string{"second", "first", "other"} {
			a := approval(id)
			a.Workflow, a.OpenedAt = "w", after(-time.Duration(i)*time.Minute)
			if id == "other" {
				a.Workflow = "w2"
			}
			_, err := s.SaveApproval(t.Context(), a)
			require.NoError(t, err)
		}
		found, err := s.WorkflowApprovals(t.Context(), "w")
		require.NoError(t, err)
		require.Len(t, found, 2)
		require.Equal(t, []string{"first", "second"}, []string{found[0].ID, found[1].ID})
	})
}

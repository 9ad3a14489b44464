package cli_test

import (
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/deviceops/deviceops"
	"github.com/deviceops/deviceops/cli"
)

// asks stores an approval of the step ok of a run.
func (m *terminal) asks(run string, change func(*deviceops.Approval)) {
	m.Helper()
	a := deviceops.Approval{
		ID: run + "/ok", Account: deviceops.RootAccount, Workflow: run, Step: "ok", Question: "Reboot?", By: []string{"role:operator"},
		Status: deviceops.ApprovalOpen, OpenedAt: time.Now(), Revision: 1,
	}
	change(&a)
	saved, err := m.store.SaveApproval(m.Context(), a)
	require.NoError(m, err)
	require.True(m, saved)
}

func TestApprovals(t *testing.T) {
	t.Parallel()
	m := newTerminal(t)
	m.asks("run-1", func(*deviceops.Approval) {})
	m.asks("run-2", func(*deviceops.Approval) {})
	require.Regexp(t, `run-1/ok +open +0/1`, m.run("approvals", "list").done())
	require.Equal(t, "run-1/ok is approved\n", m.run("approvals", "approve", "run-1/ok", "--comment", "go").done())
	require.Equal(t, "run-2/ok is rejected\n", m.run("approvals", "reject", "run-2/ok", "--reason", "no").done())
	require.Contains(t, m.run("approvals", "approve", "run-2/ok").failed(cli.ExitFailed), "rejected already")
	require.Regexp(t, `comment +no`, m.run("approvals", "show", "run-2/ok").done())
	require.NotContains(t, m.run("approvals", "list").done(), "run-1/ok")
	require.Contains(t, m.run("approvals", "list", "--status", "all").done(), "run-1/ok")
}

// TestApprovalTellsWhatADeciderNeeds shows evidence, form, votes and who is
// asked when.
func TestApprovalTellsWhatADeciderNeeds(t *testing.T) {
	t.Parallel()
	m := newTerminal(t)
	show := map[string]any{"battery": int64(12)}
	m.asks("run-1", func(a *deviceops.Approval) {
		a.Show, a.ShowHash, a.Quorum, a.CommentRequired, a.Barred = show, deviceops.EvidenceHash(show), 2, true, []string{"user:anna"}
		a.ExpiresAt = time.Now().Add(2*time.Hour + time.Minute)
		a.FormSchema = map[string]any{
			"type": "object", "required": []any{"wait"},
			"properties": map[string]any{
				"mode": map[string]any{"enum": []any{"soft", "hard"}, "default": "soft", "description": "how to"},
				"wait": map[string]any{"type": "integer", "minimum": 1, "maximum": 5},
				"note": map[string]any{"type": "string"},
			},
		}
		a.Escalations = []deviceops.Escalation{{At: time.Now().Add(31 * time.Minute), By: []string{"role:duty-manager"}, Notify: "pager"}}
	})
	out := m.run("approvals", "delegate", "run-1/ok", "--to", "user:peter", "--to", "role:night", "--reason", "on leave").done()
	require.Equal(t, "run-1/ok asks role:operator, user:peter, role:night\n", out)
	out = m.run("approvals", "approve", "run-1/ok", "-f", "wait=3", "--comment", "fine").done()
	require.Equal(t, "run-1/ok has 1 of 2 approvals; it waits for role:operator, user:peter, role:night\n", out)

	out = m.run("approvals", "show", "run-1/ok").done()
	for _, line := range []string{
		`asks +role:operator, user:peter, role:night`, `barred +user:anna`, `approvals +1 of 2`, `expires +in 2h`,
		`evidence +{"battery":12}`, `sha256 +` + deviceops.EvidenceHash(show), `comment +required`, `form +{"wait":"3"}`,
		`mode +one of soft, hard +default soft +how to`, `note +string +optional`, `wait +integer 1..5 +required`,
		`user:maria +approved +now +fine`,
		`now +user:peter role:night +handed on by user:maria +on leave`, `in 30m +role:duty-manager +to come +pager`,
	} {
		require.Regexp(t, line, out)
	}
	require.Contains(t, m.run("approvals", "approve", "run-1/ok", "--comment", "again").failed(cli.ExitFailed), "different people")
	require.Contains(t, m.run("approvals", "approve", "run-1/ok", "-f", "wait").failed(cli.ExitUsage), "write key=value")
	m.run("approvals", "delegate", "run-1/ok").failed(cli.ExitUsage)
}

func TestBreakGlass(t *testing.T) {
	t.Parallel()
	m := newTerminal(t)
	m.asks("run-1", func(a *deviceops.Approval) { a.By, a.Quorum = []string{"user:peter"}, 2 })
	require.Contains(t, m.run("approvals", "break-glass", "run-1/ok", "--reason", "fire").failed(cli.ExitFailed), "this needs break-glass")
	require.NoError(t, m.store.SaveToken(t.Context(), deviceops.Token{
		Hash: deviceops.HashToken("keys"), CreatedAt: time.Now(),
		Principal: deviceops.Principal{Name: "user:bert", Account: deviceops.RootAccount, Roles: []string{deviceops.RoleBreakGlass}},
	}))
	m.env["DEVICEOPS_TOKEN"] = "keys"
	require.Contains(t, m.run("approvals", "break-glass", "run-1/ok").failed(cli.ExitFailed), "needs a reason")
	require.Equal(t, "run-1/ok is approved\n", m.run("approvals", "break-glass", "run-1/ok", "--reason", "fire").done())
	require.Regexp(t, `user:bert +broke the glass +now +fire`, m.run("approvals", "show", "run-1/ok").done())
}

package activities_test

import (
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/deviceops/deviceops"
	"github.com/deviceops/deviceops/activities"
)

// question is an approval of run r1 as it is opened.
func question() deviceops.Approval {
	show := map[string]any{"battery": int64(12)}
	return deviceops.Approval{
		ID: "r1/decision", Account: "acme", Workflow: "r1", Step: "decision", Device: "k1", Question: "Reboot?", By: []string{"role:operator"},
		Show: show, ShowHash: deviceops.EvidenceHash(show), Status: deviceops.ApprovalOpen, OpenedAt: noon, Revision: 1,
	}
}

func (w *world) save(t *testing.T, a deviceops.Approval, changes ...activities.ApprovalChange) {
	t.Helper()
	_, err := do[any](w, activities.NameSaveApproval, activities.ApprovalInput{Approval: a, Changes: changes})
	require.NoError(t, err)
}

func (w *world) audited(t *testing.T, target string) []deviceops.AuditEntry {
	t.Helper()
	entries, err := w.store.ListAudit(t.Context(), deviceops.AuditFilter{Target: target})
	require.NoError(t, err)
	return entries
}

func TestDecisionsAreAuditedOnce(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	a := question()
	opened := activities.ApprovalChange{Kind: activities.ChangeOpened, At: noon, Notify: "ops"}
	w.save(t, a, opened)
	require.Empty(t, w.audited(t, "approval:r1/decision"), "nobody decided anything")
	a.Take(deviceops.Decision{Approval: a.ID, Approve: true, By: deviceops.Principal{Name: "user:maria"}}, map[string]any{"mode": "hard"}, noon)
	a.Revision = 2
	approved := activities.ApprovalChange{Kind: activities.ChangeApproved, By: "user:maria", At: noon, Reason: "go"}
	w.save(t, a, approved)
	w.save(t, a, approved)        // repeated
	w.save(t, question(), opened) // came late

	stored, err := w.store.FindApproval(t.Context(), a.ID)
	require.NoError(t, err)
	require.Equal(t, deviceops.ApprovalApproved, stored.Status)
	entries := w.audited(t, "approval:r1/decision")
	require.Len(t, entries, 1)
	require.Equal(t, "approval.approved", entries[0].Action)
	require.Equal(t, "user:maria", entries[0].Actor)
	require.Equal(t, "go", entries[0].Reason)
	require.Equal(t, map[string]any{
		"question": "Reboot?", "device": "k1", "asked": []any{"role:operator"}, "approvals": int64(1), "needed": int64(1),
		"show_sha256": a.ShowHash, "form": map[string]any{"mode": "hard"},
	}, entries[0].Evidence)
}

func TestPeopleAreTold(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	require.NoError(t, w.store.MaintainEvents(t.Context(), noon, 24*time.Hour))
	a := question()
	a.ExpiresAt = noon.Add(time.Hour)
	w.save(t, a, activities.ApprovalChange{Kind: activities.ChangeOpened, At: noon, Notify: "ops"})
	a.Revision, a.By = 2, []string{"role:operator", "role:night"}
	w.save(t, a,
		activities.ApprovalChange{Kind: activities.ChangeEscalated, At: noon, To: []string{"role:night"}, Notify: "pager"},
		activities.ApprovalChange{Kind: activities.ChangeDelegated, By: "user:maria", At: noon, To: []string{"user:eve"}, Reason: "leave"})
	a.Revision, a.Status = 3, deviceops.ApprovalApproved
	w.save(t, a, activities.ApprovalChange{Kind: activities.ChangeBrokenGlass, By: "user:bert", At: noon, Reason: "fire"})

	events, err := w.store.ListEvents(t.Context(), deviceops.EventFilter{Type: "approval."})
	require.NoError(t, err)
	require.Len(t, events, 4)
	require.Equal(t, []string{"critical", "info", "warning", "info"}, []string{events[0].Severity, events[1].Severity, events[2].Severity, events[3].Severity})
	require.Equal(t, map[string]any{
		"approval": "r1/decision", "question": "Reboot?", "asked": []any{"role:operator"}, "step": "decision", "workflow": "r1",
		"device": "k1", "notify": "ops", "expires_at": "2026-06-01T13:00:00Z",
	}, events[3].Data)
	require.Equal(t, "pager", events[2].Data["notify"])
	require.Equal(t, deviceops.EventBreakGlass, events[0].Type)
	require.Equal(t, "fire", events[0].Data["reason"])
	notices, err := w.store.ListNotices(t.Context(), deviceops.NoticeFilter{Account: "acme"})
	require.NoError(t, err)
	require.Len(t, notices, 2, "a channel that is missing keeps nobody from being asked")
	require.Equal(t, "pager", notices[0].Channel)
	require.Equal(t, "warning", notices[0].Severity)
	require.Contains(t, notices[0].Text, "Asked now: role:night")
	require.Equal(t, "ops", notices[1].Channel)
	require.Contains(t, notices[1].Text, "deviceops approvals show r1/decision")
	tickets, err := w.store.ListTickets(t.Context(), deviceops.TicketFilter{Account: "acme"})
	require.NoError(t, err)
	require.Len(t, tickets, 1)
	require.Equal(t, "user:bert broke the glass: Reboot?", tickets[0].Title)
	require.Equal(t, "fire", tickets[0].Body)
	require.Equal(t, "critical", tickets[0].Severity)
	require.Equal(t, "user:bert", tickets[0].OpenedBy)
	entries := w.audited(t, "approval:r1/decision")
	require.Len(t, entries, 3)
	require.Equal(t, "approval.broken_glass", entries[0].Action)
	require.Equal(t, "engine", entries[2].Actor, "time escalates")
	require.Equal(t, "user:eve", entries[1].Evidence["to"])
}

// TestPinNamesThePeopleBehindARun is what four eyes need.
func TestPinNamesThePeopleBehindARun(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	w.publish(t, "h1")
	_, _, err := w.store.PublishDocument(t.Context(), deviceops.Document{
		Account: "acme", Kind: deviceops.KindAutomation, Name: "night", Version: 2, Hash: "h", Source: "automation: night", PublishedAt: noon, PublishedBy: "user:anna",
	})
	require.NoError(t, err)
	behind := func(id, startedBy string) []string {
		t.Helper()
		r := run
		r.ID, r.StartedBy = id, startedBy
		out, err := do[activities.PinOutput](w, activities.NamePinDefinition, activities.PinInput{Run: r})
		require.NoError(t, err)
		return out.Behind
	}
	require.Empty(t, behind("r1", "user:maria"))
	require.Equal(t, []string{"user:maria"}, behind("r2", "run:r1"))
	require.Equal(t, []string{"run:r1", "user:maria"}, behind("r3", "run:r2"))
	require.Equal(t, []string{"user:anna"}, behind("r4", "automation:night@2"))
	require.Equal(t, []string{"user:anna"}, behind("r5", "automation:night"))
	require.Equal(t, []string{"automation:night@2", "user:anna"}, behind("r6", "run:r4"))
	require.Empty(t, behind("r7", "run:none"))
	require.Empty(t, behind("r8", "automation:none"))
}

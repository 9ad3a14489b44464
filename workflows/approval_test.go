package workflows_test

import (
	"context"
	"testing"
	"time"

	"github.com/stretchr/testify/mock"
	"github.com/stretchr/testify/require"
	"go.temporal.io/sdk/testsuite"

	"github.com/deviceops/deviceops"
	"github.com/deviceops/deviceops/activities"
	"github.com/deviceops/deviceops/workflows"
)

// hard asks for all that an approval can ask for.
const hard = `
workflow: w
device: k1
steps:
  - try:
      - id: decision
        approve: Reboot?
        show: { battery: 12 }
        by: [role:operator]
        quorum: 2
        four_eyes: true
        comment: required
        notify: ops
        form:
          mode: { enum: [soft, hard], default: soft }
          wait: { type: integer, optional: true }
        escalate:
          - { after: 30m, by: [role:duty-manager], notify: pager }
        expires: 2h
      - return: { output: "${{ steps.decision.output }}" }
    catch:
      - return: { output: "${{ error.code }}: ${{ error.message }}" }
`

var (
	carl  = deviceops.Principal{Name: "user:carl", Account: "acme", Roles: []string{deviceops.RoleOperator}}
	olga  = deviceops.Principal{Name: "user:olga", Account: "acme", Roles: []string{deviceops.RoleOperator}}
	duty  = deviceops.Principal{Name: "user:dora", Account: "acme", Roles: []string{"duty-manager"}}
	anna  = deviceops.Principal{Name: "user:anna", Account: "acme", Roles: []string{deviceops.RoleAdmin}}
	bert  = deviceops.Principal{Name: "user:bert", Account: "acme", Roles: []string{deviceops.RoleBreakGlass}}
	peter = deviceops.Principal{Name: "user:peter", Account: "acme", Roles: []string{deviceops.RoleViewer}}
)

// watch records what goes to the inbox; behind are the people behind the run.
func watch(w *world, behind ...string) *[]activities.ApprovalInput {
	var saves []activities.ApprovalInput
	w.OnActivity(activities.NameSaveApproval, mock.Anything, mock.Anything).Return(
		func(_ context.Context, in activities.ApprovalInput) error {
			w.mu.Lock()
			defer w.mu.Unlock()
			saves = append(saves, in)
			return nil
		})
	w.OnActivity(activities.NamePinDefinition, mock.Anything, mock.Anything).Return(
		func(ctx context.Context, in activities.PinInput) (activities.PinOutput, error) {
			out, err := w.pin(ctx, in)
			out.Behind = behind
			return out, err
		})
	return &saves
}

// changes gives the kinds of all changes, in order.
func changes(saves []activities.ApprovalInput) (kinds []string) {
	for _, in := range saves {
		for _, c := range in.Changes {
			kinds = append(kinds, c.Kind)
		}
	}
	return kinds
}

func yes(by deviceops.Principal, comment string) deviceops.Decision {
	return deviceops.Decision{Approval: "r1/decision", Approve: true, By: by, Comment: comment}
}

// refuse sends a decision that has to be refused.
func (w *world) refuse(t *testing.T, d deviceops.Decision, code, message string) {
	t.Helper()
	w.decide(d, func(_ deviceops.Approval, err error) {
		require.Equal(t, code, deviceops.ErrorCode(err), "%v", err)
		require.Equal(t, message, deviceops.ErrorMessage(err))
	})
}

func TestApprovalNeedsAQuorumOfDifferentPeople(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	saves := watch(w)
	first := yes(carl, "battery is fine")
	first.Form = map[string]any{"mode": "hard", "wait": "3"}
	w.at(time.Minute, func() {
		w.decide(first, func(a deviceops.Approval, err error) {
			require.NoError(t, err)
			require.Equal(t, deviceops.ApprovalOpen, a.Status)
			require.Equal(t, 1, a.Approvals())
			require.Len(t, *saves, 2, "a vote is stored before it is confirmed")
		})
	})
	w.at(2*time.Minute, func() {
		w.decide(first, func(a deviceops.Approval, err error) { // repeated, under another id of an update
			require.NoError(t, err)
			require.Equal(t, 1, a.Approvals())
		})
		w.refuse(t, yes(carl, "again"), deviceops.ECONFLICT, "user:carl has approved this already, at 2026-05-01T12:01:00Z; it needs 2 different people")
		soft := yes(olga, "fine")
		soft.Form = map[string]any{"mode": "soft"}
		w.refuse(t, soft, deviceops.EINVALID, `the form field "mode": user:carl has approved hard, and this is soft; approve the same or reject`)
	})
	w.at(3*time.Minute, func() { w.mustDecide(t, yes(olga, "fine")) })
	run := execute(t, w, hard, nil)
	require.Equal(t, map[string]any{
		"decision": "approved", "by": "user:olga", "at": "2026-05-01T12:03:00Z", "comment": "fine", "broken_glass": false,
		"form": map[string]any{"mode": "hard", "wait": int64(3)},
		"votes": []any{
			map[string]any{"by": "user:carl", "at": "2026-05-01T12:01:00Z", "comment": "battery is fine"},
			map[string]any{"by": "user:olga", "at": "2026-05-01T12:03:00Z", "comment": "fine"},
		},
	}, run.Outputs["output"], "%+v", run)
	require.Equal(t, []string{activities.ChangeOpened, activities.ChangeVoted, activities.ChangeApproved}, changes(*saves))
	opened := (*saves)[0].Approval
	require.Equal(t, deviceops.EvidenceHash(map[string]any{"battery": int64(12)}), opened.ShowHash)
	require.Equal(t, "ops", (*saves)[0].Changes[0].Notify)
	require.Equal(t, noon.Add(30*time.Minute), opened.Escalations[0].At.UTC(), "times are absolute")
	require.Equal(t, []int{1, 2, 3}, []int{opened.Revision, (*saves)[1].Approval.Revision, (*saves)[2].Approval.Revision})
}

func TestOnePersonRejectsForAll(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	watch(w)
	w.at(time.Minute, func() { w.mustDecide(t, yes(carl, "go")) })
	w.at(2*time.Minute, func() {
		w.mustDecide(t, deviceops.Decision{Approval: "r1/decision", By: olga, Comment: "the shop is open"})
	})
	run := execute(t, w, hard, nil)
	require.Equal(t, "approval.rejected: user:olga rejected it: the shop is open", run.Outputs["output"])
}

func TestDecisionsThatDoNotCount(t *testing.T) {
	t.Parallel()
	form := func(d deviceops.Decision, values map[string]any) deviceops.Decision {
		d.Form = values
		return d
	}
	for name, c := range map[string]struct {
		decision      deviceops.Decision
		code, message string
	}{
		"wrong role":     {yes(peter, "go"), deviceops.EFORBIDDEN, "user:peter may not decide this; it asks [role:operator]"},
		"the starter":    {yes(deviceops.Principal{Name: "user:anna", Account: "acme", Roles: []string{"operator"}}, "go"), deviceops.EFORBIDDEN, "user:anna may not decide this: four eyes have to see it, and user:anna is behind the run that asks"},
		"no comment":     {yes(carl, " "), deviceops.EINVALID, "r1/decision needs a comment: say why"},
		"wrong value":    {form(yes(carl, "go"), map[string]any{"mode": "medium"}), deviceops.EINVALID, `the form field "mode": the text "medium" is given where one of soft, hard is needed`},
		"no such field":  {form(yes(carl, "go"), map[string]any{"speed": 1}), deviceops.EINVALID, `the form has no field "speed"`},
		"admin, no keys": {deviceops.Decision{Approval: "r1/decision", Approve: true, BreakGlass: true, By: anna, Comment: "fire"}, deviceops.EFORBIDDEN, "user:anna may not break the glass: that takes the role break-glass, which no other role includes"},
		"no reason":      {deviceops.Decision{Approval: "r1/decision", Approve: true, BreakGlass: true, By: bert}, deviceops.EINVALID, "breaking the glass needs a reason"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			w := newWorld(t)
			saves := watch(w, "user:anna")
			w.at(time.Minute, func() { w.refuse(t, c.decision, c.code, c.message) })
			run := execute(t, w, hard, nil)
			require.Equal(t, "approval.expired: nobody decided in time", run.Outputs["output"])
			require.Equal(t, []string{activities.ChangeOpened, activities.ChangeEscalated, activities.ChangeExpired}, changes(*saves))
		})
	}
}

func TestEscalationWidensTheSameApproval(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	saves := watch(w)
	w.at(29*time.Minute, func() {
		w.refuse(t, yes(duty, "go"), deviceops.EFORBIDDEN, "user:dora may not decide this; it asks [role:operator]")
	})
	w.at(31*time.Minute, func() { w.mustDecide(t, yes(duty, "go")) })
	w.at(32*time.Minute, func() { w.mustDecide(t, yes(carl, "back again")) })
	run := execute(t, w, hard, nil)
	require.Equal(t, deviceops.RunSucceeded, run.Status)
	require.Equal(t, []string{activities.ChangeOpened, activities.ChangeEscalated, activities.ChangeVoted, activities.ChangeApproved}, changes(*saves))
	escalated := (*saves)[1]
	require.Equal(t, []string{"role:operator", "role:duty-manager"}, escalated.Approval.By)
	require.True(t, escalated.Approval.Escalations[0].Done)
	require.Equal(t, "pager", escalated.Changes[0].Notify)
	require.Equal(t, noon.Add(30*time.Minute), escalated.Changes[0].At.UTC())
}

func TestTimeNeverApproves(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	saves := watch(w)
	w.at(time.Minute, func() { w.mustDecide(t, yes(carl, "go")) })
	run := execute(t, w, hard, nil)
	require.Equal(t, "approval.expired: only 1 of 2 approved in time", run.Outputs["output"])
	require.Equal(t, noon.Add(2*time.Hour), run.FinishedAt.UTC())
	require.Equal(t, deviceops.ApprovalExpired, (*saves)[len(*saves)-1].Approval.Status)
}

func TestDelegation(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	saves := watch(w, "user:anna")
	hand := func(by deviceops.Principal, code string, to ...string) {
		w.delegate(deviceops.Delegation{Approval: "r1/decision", By: by, To: to, Reason: "on leave"}, func(a deviceops.Approval, err error) {
			require.Equal(t, code, deviceops.ErrorCode(err), "%v", err)
		})
	}
	w.at(time.Minute, func() {
		hand(peter, deviceops.EFORBIDDEN, "user:peter")
		hand(carl, deviceops.EINVALID, "peter")
		hand(carl, deviceops.EINVALID)
		hand(carl, deviceops.EFORBIDDEN, "user:anna")
		hand(carl, deviceops.ECONFLICT, "role:operator")
		hand(carl, "", "user:peter")
		hand(carl, "", "user:peter") // repeated
	})
	w.at(2*time.Minute, func() { w.mustDecide(t, yes(peter, "go")) })
	w.at(3*time.Minute, func() { w.mustDecide(t, yes(carl, "I can, after all")) })
	run := execute(t, w, hard, nil)
	require.Equal(t, deviceops.RunSucceeded, run.Status)
	require.Equal(t, []string{activities.ChangeOpened, activities.ChangeDelegated, activities.ChangeVoted, activities.ChangeApproved}, changes(*saves))
	delegated := (*saves)[1]
	require.Equal(t, []string{"role:operator", "user:peter"}, delegated.Approval.By)
	require.Equal(t, activities.ApprovalChange{
		Kind: activities.ChangeDelegated, By: "user:carl", At: delegated.Changes[0].At, Reason: "on leave", To: []string{"user:peter"},
	}, delegated.Changes[0])
}

func TestBreakingTheGlassOverridesAll(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	saves := watch(w, "user:bert")
	w.at(time.Minute, func() {
		w.mustDecide(t, deviceops.Decision{Approval: "r1/decision", Approve: true, BreakGlass: true, By: bert, Comment: "fire", Form: map[string]any{"mode": "hard"}})
	})
	run := execute(t, w, hard, nil)
	out := run.Outputs["output"].(map[string]any)
	require.Equal(t, true, out["broken_glass"])
	require.Equal(t, map[string]any{"mode": "hard", "wait": nil}, out["form"])
	require.Equal(t, []string{activities.ChangeOpened, activities.ChangeBrokenGlass}, changes(*saves))
	require.Equal(t, "fire", (*saves)[1].Changes[0].Reason)
}

// TestDecidersAtTheSameMoment has three people decide at once where two are
// needed.
func TestDecidersAtTheSameMoment(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	saves := watch(w)
	var refused int
	w.at(31*time.Minute, func() {
		for _, by := range []deviceops.Principal{carl, olga, duty} {
			w.decide(yes(by, "go"), func(_ deviceops.Approval, err error) {
				if deviceops.ErrorCode(err) == deviceops.ECONFLICT {
					refused++
				}
			})
		}
	})
	run := execute(t, w, hard, nil)
	require.Equal(t, deviceops.RunSucceeded, run.Status)
	require.Equal(t, 1, refused, "the third is told that it is approved already")
	last := (*saves)[len(*saves)-1].Approval
	require.Equal(t, 2, last.Approvals())
	require.ElementsMatch(t, []string{activities.ChangeOpened, activities.ChangeEscalated, activities.ChangeVoted, activities.ChangeApproved}, changes(*saves))
}

// delegate hands an approval on and gives what became of it to then.
func (w *world) delegate(d deviceops.Delegation, then func(deviceops.Approval, error)) {
	w.UpdateWorkflow(workflows.UpdateDelegate, "", &testsuite.TestUpdateCallback{
		OnAccept: func() {},
		OnReject: func(err error) { then(deviceops.Approval{}, activities.DomainError(err)) },
		OnComplete: func(result any, err error) {
			a, _ := result.(deviceops.Approval)
			then(a, activities.DomainError(err))
		},
	}, d)
}

// TestDecisionsHaveToBeSigned holds that reaching Temporal is not enough to
// decide.
func TestDecisionsHaveToBeSigned(t *testing.T) {
	t.Parallel()
	key := deviceops.SigningKey("the key of the installation")
	w := newWorld(t, workflows.Trust(key))
	const unsigned = "this was not signed by a server of the installation: decide by the API, the command line or the console"
	w.at(time.Minute, func() {
		w.refuse(t, yes(carl, "go"), deviceops.EFORBIDDEN, unsigned)
		forged := key.SignDecision(yes(carl, "go"))
		forged.By = olga
		w.refuse(t, forged, deviceops.EFORBIDDEN, unsigned)
		w.delegate(deviceops.Delegation{Approval: "r1/decision", By: carl, To: []string{"user:eve"}}, func(_ deviceops.Approval, err error) {
			require.Equal(t, deviceops.EFORBIDDEN, deviceops.ErrorCode(err))
		})
		w.mustDecide(t, key.SignDecision(yes(carl, "go")))
		w.mustDecide(t, key.SignDecision(yes(olga, "go")))
	})
	require.Equal(t, deviceops.RunSucceeded, execute(t, w, hard, nil).Status)
}

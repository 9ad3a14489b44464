package workflows

import (
	"context"
	"encoding/json"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"go.temporal.io/sdk/activity"
	"go.temporal.io/sdk/testsuite"
	"go.temporal.io/sdk/workflow"

	"github.com/deviceops/deviceops"
	"github.com/deviceops/deviceops/activities"
	"github.com/deviceops/deviceops/dsl"
)

// carriedDesk gives the desk of a workflow that asked an hour ago and took one
// of two decisions, as it comes out of what a workflow carries over.
func carriedDesk(t *testing.T, asked time.Time, first deviceops.Decision) *desk {
	t.Helper()
	a := deviceops.Approval{
		ID: "r1/decision", Account: "acme", Workflow: "r1", Step: "decision", Question: "Reboot?", By: []string{"role:operator"},
		Quorum: 2, Status: deviceops.ApprovalOpen, OpenedAt: asked, ExpiresAt: asked.Add(3 * time.Hour), Revision: 1,
		Escalations: []deviceops.Escalation{{At: asked.Add(2 * time.Hour), By: []string{"role:duty-manager"}}},
	}
	a.Take(first, map[string]any{"mode": "hard"}, asked.Add(time.Minute))
	before := &desk{Behind: []string{"user:anna"}, Cases: []*inquiry{{
		Approval: a, Form: dsl.Form{{Name: "mode", Type: dsl.Type{Kind: dsl.TypeEnum, Enum: []any{"soft", "hard"}}, Default: "soft"}},
	}}}
	data, err := json.Marshal(before)
	require.NoError(t, err)
	after := &desk{}
	require.NoError(t, json.Unmarshal(data, after))
	require.Equal(t, before, after)
	return after
}

// TestAnApprovalIsWaitedForAsItIs holds that a workflow that continues as a new
// one opens nothing twice, keeps absolute times and knows what it has taken.
func TestAnApprovalIsWaitedForAsItIs(t *testing.T) {
	t.Parallel()
	noon := time.Date(2026, 5, 1, 12, 0, 0, 0, time.UTC)
	operator := func(name string) deviceops.Principal {
		return deviceops.Principal{Name: name, Account: "acme", Roles: []string{deviceops.RoleOperator}}
	}
	first := deviceops.Decision{Approval: "r1/decision", Approve: true, By: operator("user:maria")}
	desk := carriedDesk(t, noon.Add(-time.Hour), first)

	var suite testsuite.WorkflowTestSuite
	env := suite.NewTestWorkflowEnvironment()
	env.SetStartTime(noon)
	var saved []activities.ApprovalInput
	env.RegisterActivityWithOptions(func(_ context.Context, in activities.ApprovalInput) error {
		saved = append(saved, in)
		return nil
	}, activity.RegisterOptions{Name: activities.NameSaveApproval})
	decide := func(d deviceops.Decision, want int) {
		env.UpdateWorkflow(UpdateDecide, d.By.Name, &testsuite.TestUpdateCallback{
			OnAccept: func() {}, OnReject: func(err error) { require.NoError(t, err) },
			OnComplete: func(result any, err error) {
				require.NoError(t, err)
				a := result.(deviceops.Approval)
				require.Equal(t, want, a.Approvals())
			},
		}, d)
	}
	env.RegisterDelayedCallback(func() { decide(first, 1) }, time.Minute)
	env.RegisterDelayedCallback(func() {
		decide(deviceops.Decision{Approval: "r1/decision", Approve: true, By: operator("user:olga")}, 2)
	}, 90*time.Minute)
	env.ExecuteWorkflow(func(ctx workflow.Context) (deviceops.Approval, error) {
		if err := desk.open(ctx); err != nil {
			return deviceops.Approval{}, err
		}
		a, err := desk.ask(ctx, deviceops.Approval{ID: "r1/decision", ExpiresAt: workflow.Now(ctx).Add(time.Minute)}, nil, nil)
		return a, err
	})
	require.NoError(t, env.GetWorkflowError())
	var a deviceops.Approval
	require.NoError(t, env.GetWorkflowResult(&a))
	require.Equal(t, deviceops.ApprovalApproved, a.Status)
	require.Equal(t, map[string]any{"mode": "hard"}, a.Form)
	require.Len(t, saved, 2)
	require.Equal(t, activities.ChangeEscalated, saved[0].Changes[0].Kind)
	require.Equal(t, noon.Add(time.Hour), saved[0].Changes[0].At.UTC())
	require.Equal(t, activities.ChangeApproved, saved[1].Changes[0].Kind)
}

// TestWhatTheStoreDidNotTakeGoesNext holds that a change is not lost with the
// call that was to store it.
func TestWhatTheStoreDidNotTakeGoesNext(t *testing.T) {
	t.Parallel()
	var suite testsuite.WorkflowTestSuite
	env := suite.NewTestWorkflowEnvironment()
	var kinds []string
	env.RegisterActivityWithOptions(func(_ context.Context, in activities.ApprovalInput) error {
		if in.Approval.Revision == 1 {
			return activities.Failure(deviceops.Errorf(deviceops.ECONFLICT, "not now"))
		}
		for _, c := range in.Changes {
			kinds = append(kinds, c.Kind)
		}
		return nil
	}, activity.RegisterOptions{Name: activities.NameSaveApproval})
	env.ExecuteWorkflow(func(ctx workflow.Context) error {
		q := &inquiry{}
		q.note(activities.ApprovalChange{Kind: activities.ChangeVoted})
		if err := q.save(ctx); err == nil {
			return deviceops.Errorf(deviceops.EINTERNAL, "it was to fail")
		}
		q.note(activities.ApprovalChange{Kind: activities.ChangeApproved})
		return q.save(ctx)
	})
	require.NoError(t, env.GetWorkflowError())
	require.Equal(t, []string{activities.ChangeVoted, activities.ChangeApproved}, kinds)
}

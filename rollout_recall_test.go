package deviceops_test

import (
	"fmt"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/deviceops/deviceops"
)

// questioned is how a question ended that was asked for the nth time.
func questioned(key string, n int, status deviceops.ApprovalStatus, decided time.Time) deviceops.Approval {
	return deviceops.Approval{
		ID: fmt.Sprintf("rollout/ro-1/%s/%d", key, n), Workflow: "rollout/ro-1", Step: key, Status: status, DecidedBy: "user:maria", Comment: "so", DecidedAt: decided,
	}
}

func TestWhatPeopleSaidIsRecalled(t *testing.T) {
	t.Parallel()
	since := planNoon
	before, later := since.Add(-time.Minute), since.Add(time.Minute)
	yes := func(key string) deviceops.RolloutAnswer {
		return deviceops.RolloutAnswer{Question: key, Status: deviceops.ApprovalApproved, By: "user:maria", Comment: "so", Hash: "h1"}
	}
	no := yes("ring-1")
	no.Status = deviceops.ApprovalRejected
	for name, c := range map[string]struct {
		asked   []deviceops.Approval
		answers []deviceops.RolloutAnswer
		times   map[string]int
	}{
		"nothing was asked": {nil, nil, map[string]int{}},
		"a yes holds": {
			[]deviceops.Approval{questioned("plan", 1, deviceops.ApprovalApproved, before), questioned("ring-1", 1, deviceops.ApprovalApproved, later)},
			[]deviceops.RolloutAnswer{yes("plan"), yes("ring-1")}, map[string]int{"plan": 1, "ring-1": 1}},
		"a no that nothing followed from yet": {
			[]deviceops.Approval{questioned("ring-1", 1, deviceops.ApprovalRejected, later)}, []deviceops.RolloutAnswer{no}, map[string]int{"ring-1": 1}},
		"a no that was carried out is asked again": {
			[]deviceops.Approval{questioned("ring-1", 1, deviceops.ApprovalRejected, since)}, nil, map[string]int{"ring-1": 1}},
		"and may be answered otherwise then": {
			[]deviceops.Approval{
				questioned("ring-1", 10, deviceops.ApprovalApproved, later), questioned("ring-1", 9, deviceops.ApprovalRejected, before), questioned("ring-1", 2, deviceops.ApprovalExpired, before),
			},
			[]deviceops.RolloutAnswer{yes("ring-1")}, map[string]int{"ring-1": 3}},
		"what was withdrawn says nothing": {
			[]deviceops.Approval{questioned("gate-0", 1, deviceops.ApprovalCanceled, later)}, nil, map[string]int{"gate-0": 1}},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			r := deviceops.Rollout{ID: "ro-1", Hash: "h1", StatusSince: since}
			got := r.Recall(c.asked)
			require.Equal(t, c.answers, got.Memory.Answers)
			require.Equal(t, c.times, got.Times)
			require.Empty(t, got.Open)
			require.Empty(t, got.Deferrals)
		})
	}
}

func TestOpenQuestionsAndDeferralsAreRecalled(t *testing.T) {
	t.Parallel()
	r := deviceops.Rollout{ID: "ro-1", StatusSince: planNoon}
	open := questioned("ring-1", 2, deviceops.ApprovalOpen, time.Time{})
	got := r.Recall([]deviceops.Approval{
		questioned("deferrals-0", 1, deviceops.ApprovalApproved, planNoon), open, questioned("deferrals-0", 2, deviceops.ApprovalRejected, planNoon.Add(time.Hour)),
		questioned("ring-1", 1, deviceops.ApprovalRejected, planNoon),
	})
	require.Equal(t, []deviceops.Approval{open}, got.Open)
	require.Equal(t, map[string]int{"deferrals-0": 2, "ring-1": 1}, got.Times)
	require.Equal(t, deviceops.ApprovalRejected, got.Deferrals)
	require.Equal(t, planNoon.Add(time.Hour), got.DeferralsAt)
	require.Empty(t, got.Memory.Answers)
}

func TestQuestionsAreKnownByTheirKeys(t *testing.T) {
	t.Parallel()
	for _, q := range []deviceops.RolloutQuestion{{Kind: deviceops.AskPlan, Ring: -1}, {Kind: deviceops.AskRing, Ring: 12}, {Kind: deviceops.AskDeferrals, Ring: 0}} {
		require.Equal(t, q, deviceops.ParseRolloutQuestion(q.Key()))
	}
	require.Equal(t, "rollout/ro-1/ring-1/3", deviceops.RolloutApprovalID("ro-1", deviceops.RolloutQuestion{Kind: deviceops.AskRing, Ring: 1}, 3))
}

package workflows_test

import (
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/deviceops/deviceops"
	"github.com/deviceops/deviceops/activities"
	"github.com/deviceops/deviceops/workflows"
)

// midway makes a rollout of which Temporal lost the workflow after its canary passed.
func midway(t *testing.T, source string) *roundabout {
	t.Helper()
	w := newRoundabout(t, source, 10, 90)
	r := w.rollouts[rolloutID]
	r.Status, r.StartedAt, r.StatusSince, r.Notes = deviceops.RolloutRunning, noon.Add(-time.Hour), noon.Add(-time.Hour), []string{"a note"}
	r.Rings[0].Status, r.Rings[0].OpenedAt, r.Rings[0].ClosedAt = deviceops.RingPassed, noon.Add(-time.Hour), noon.Add(-time.Minute)
	r.Rings[1].Status = deviceops.RingAsking
	return w
}

// wasAsked is an approval of a lost execution.
func wasAsked(key string, status deviceops.ApprovalStatus) deviceops.Approval {
	return deviceops.Approval{
		ID: "rollout/" + rolloutID + "/" + key, Account: "acme", Workflow: "rollout/" + rolloutID, Step: key[:len(key)-2], Question: "Go?",
		By: []string{"role:operator"}, Status: status, OpenedAt: noon.Add(-time.Minute), DecidedBy: "user:tom", Revision: 3,
	}
}

func TestAnApprovalThatWasGivenIsNotAskedForAgain(t *testing.T) {
	t.Parallel()
	w := midway(t, asksForRest)
	w.asked = []deviceops.Approval{wasAsked("ring-1/1", deviceops.ApprovalApproved)}
	w.at(time.Second, func() { require.Equal(t, []string{"a note"}, w.progress(t).Rollout.Notes) })
	require.Equal(t, deviceops.RolloutSucceeded, w.roll(t).Status)
	require.Empty(t, w.approvals, "nobody was asked")
	require.Equal(t, "user:tom let it begin", w.reasons["rest running"])
	require.Equal(t, []string{"rest running", "rest passed", "succeeded"}, w.events)
}

// A question that is open stays the same one, with the votes that it has.
func TestAQuestionOfALostExecutionIsWaitedFor(t *testing.T) {
	t.Parallel()
	w := midway(t, asksForRest)
	open := wasAsked("ring-1/2", deviceops.ApprovalOpen)
	open.Quorum, open.Votes = 2, []deviceops.Vote{{ID: "v1", By: "user:tom", Approve: true, At: noon}}
	moot := wasAsked("gate-0/1", deviceops.ApprovalOpen)
	w.asked = []deviceops.Approval{wasAsked("ring-1/1", deviceops.ApprovalRejected), open, moot}
	w.at(time.Minute, func() {
		require.Equal(t, deviceops.DoAsk, w.progress(t).Next.Do)
		w.mustDecide(t, deviceops.Decision{Approval: open.ID, Approve: true, By: maria})
	})
	require.Equal(t, deviceops.RolloutSucceeded, w.roll(t).Status)
	ended := map[string]deviceops.Approval{}
	for _, a := range w.approvals {
		ended[a.ID] = a
	}
	require.Len(t, ended, 2)
	require.Equal(t, deviceops.ApprovalApproved, ended[open.ID].Status)
	require.Len(t, ended[open.ID].Votes, 2, "the first vote counts")
	require.Equal(t, 4, ended[open.ID].Revision, "the store takes what is newer")
	require.Equal(t, deviceops.ApprovalCanceled, ended[moot.ID].Status, "nobody has to answer what has no bearing any more")
}

func TestADecisionAboutDeferralsIsCarriedOutByAFreshExecution(t *testing.T) {
	t.Parallel()
	w := midway(t, twoRings)
	decided := wasAsked("deferrals-0/1", deviceops.ApprovalApproved)
	decided.DecidedAt = noon.Add(-time.Second)
	w.asked = []deviceops.Approval{decided}
	require.Equal(t, deviceops.RolloutSucceeded, w.roll(t).Status)
	require.Equal(t, activities.DeferralsAskAgain, w.counted[0].Deferrals)
	require.Equal(t, decided.DecidedAt, w.counted[0].DecidedAt)
	require.Empty(t, w.counted[1].Deferrals, "once")
}

// What became of a rollout without its workflow, such as a rollback of one that had
// ended, is noticed.
func TestRolloutNoticesWhatOthersMadeOfIt(t *testing.T) {
	t.Parallel()
	w := newRoundabout(t, ofConfig, 10, 90)
	r := w.rollouts[rolloutID]
	r.Status, r.StartedAt = deviceops.RolloutSucceeded, noon
	for i := range r.Rings {
		r.Rings[i].Status, r.Rings[i].OpenedAt = deviceops.RingPassed, noon
	}
	w.rollsBack(10, 0)
	w.fare = func(ring, devices int, _ time.Duration) deviceops.Counts {
		if w.rollouts[rolloutID].Status == deviceops.RolloutSucceeded {
			return deviceops.Counts{Targeted: devices, Succeeded: devices - 1, Pending: 1} // a late device
		}
		return deviceops.Counts{Targeted: devices, Reverted: devices}
	}
	w.at(time.Minute, func() {
		w.lock.Lock()
		defer w.lock.Unlock()
		taken := w.rollouts[rolloutID].Steer(deviceops.RolloutControl{Action: deviceops.RolloutRollback, By: maria, Reason: "it smells", All: true}, w.Now())
		w.rollouts[rolloutID] = &taken
	})
	w.ExecuteWorkflow(workflows.TypeRollout, workflows.RolloutInput{Rollout: rolloutID, Late: true})
	require.Equal(t, deviceops.RolloutReverted, w.ended(t).Status)
	require.Equal(t, []activities.RollbackInput{{Rollout: rolloutID, Rings: []int{0, 1}, By: "user:maria", Reason: "it smells"}}, w.undone)
}

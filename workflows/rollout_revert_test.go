package workflows_test

import (
	"errors"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"go.temporal.io/sdk/workflow"

	"github.com/deviceops/deviceops"
	"github.com/deviceops/deviceops/activities"
	"github.com/deviceops/deviceops/starter"
	"github.com/deviceops/deviceops/workflows"
)

const ofConfig = `rollout: r
change: { config: { brightness: 50 } }
targets: device.profile == "kiosk"
rings:
  - { name: canary, take: 10, soak: 30m }
  - name: rest
gate: { fail: ring.failed >= 2 }
`

// rollsBack has the rollback of a rollout made, whose devices are back in no time.
func (w *roundabout) rollsBack(reverted, failed int) {
	original := w.rollouts[rolloutID]
	w.rollback = func(in activities.RollbackInput) (activities.RollbackOutput, error) {
		spec := &deviceops.RolloutSpec{Rollback: deviceops.RollbackSpec{IgnoreWindow: true}}
		back := w.rollouts[rolloutID].NewRollback(spec, in.Rings, in.By, in.Reason, w.Now())
		back.Source, back.Hash = original.Source, original.Hash
		w.rollouts[back.ID] = &back
		return activities.RollbackOutput{Rollback: back.ID, Devices: reverted}, nil
	}
	fare := w.fare
	w.fare = func(ring, devices int, open time.Duration) deviceops.Counts {
		if r := w.rollouts[rolloutID]; r.Status == deviceops.RolloutReverting || r.Status.Ended() {
			return deviceops.Counts{Targeted: devices, Reverted: reverted, RevertFailed: failed}
		}
		return fare(ring, devices, open)
	}
}

func TestRolloutIsTakenBackWhenItFails(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct {
		action string
		failed int
		rings  []int
		status deviceops.RolloutStatus
		says   string
	}{
		"its ring":                 {"rollback", 0, []int{1}, deviceops.RolloutReverted, "were taken back"},
		"all of it":                {"rollback-all", 0, []int{0, 1}, deviceops.RolloutReverted, "were taken back"},
		"but for some that cannot": {"rollback-all", 3, []int{0, 1}, deviceops.RolloutFailed, "could not be"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			w := newRoundabout(t, ofConfig+"on_fail: "+c.action+"\n", 10, 90)
			w.fare = failsIn(1, 2)
			w.rollsBack(10, c.failed)
			result := w.roll(t)
			require.Equal(t, c.status, result.Status)
			require.Contains(t, result.Reason, c.says)
			require.Len(t, w.undone, 1)
			require.Equal(t, c.rings, w.undone[0].Rings)
			require.Equal(t, "engine", w.undone[0].By)
			require.Contains(t, w.undone[0].Reason, "ring rest failed: the gate failed")
			back := w.rollouts[w.rollouts[rolloutID].Rollback]
			require.Equal(t, "r-rollback", back.Name)
			require.Equal(t, deviceops.RolloutSucceeded, back.Status)
			require.Len(t, back.Rings, len(c.rings))
			require.Equal(t, "rest", back.Rings[0].Name, "the last ring is the first to go back")
		})
	}
}

// A workflow that begins when it was decided that the rollout is taken back sees to
// that, and plans nothing.
func TestRolloutIsTakenBackByAFreshWorkflow(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct {
		rings []int
		by    string
	}{
		"one of its rings": {[]int{0}, "user:maria"},
		"all of them":      {[]int{0, 1}, "engine"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			w := newRoundabout(t, ofConfig+"on_fail: rollback\n", 10, 90)
			r := w.rollouts[rolloutID]
			r.Status, r.StartedAt, r.StatusBy, r.StatusReason, r.TakeBack = deviceops.RolloutReverting, noon, c.by, "it smells", c.rings
			for i := range r.Rings {
				r.Rings[i].Status, r.Rings[i].OpenedAt = deviceops.RingPassed, noon
			}
			w.rollsBack(10, 0)
			w.ExecuteWorkflow(workflows.TypeRollout, workflows.RolloutInput{Rollout: rolloutID})
			require.NoError(t, w.GetWorkflowError())
			require.Equal(t, []activities.RollbackInput{{Rollout: rolloutID, Rings: c.rings, By: c.by, Reason: "it smells"}}, w.undone)
			require.Equal(t, deviceops.RolloutReverted, w.rollouts[rolloutID].Status)
		})
	}
}

func TestRolloutThatCannotBeTakenBack(t *testing.T) {
	t.Parallel()
	w := newRoundabout(t, ofConfig+"on_fail: rollback\n", 10, 90)
	w.fare = failsIn(0, 2)
	w.rollback = func(activities.RollbackInput) (activities.RollbackOutput, error) {
		w.fare = func(_, devices int, _ time.Duration) deviceops.Counts {
			return deviceops.Counts{Targeted: devices, RevertFailed: devices}
		}
		return activities.RollbackOutput{Irreversible: 10}, nil
	}
	result := w.roll(t)
	require.Equal(t, deviceops.RolloutFailed, result.Status)
	require.Equal(t, "0 devices were taken back, 10 could not be", result.Reason)

	w = newRoundabout(t, ofConfig+"on_fail: rollback\n", 10, 90)
	w.fare = failsIn(0, 2)
	w.rollback = func(activities.RollbackInput) (activities.RollbackOutput, error) {
		return activities.RollbackOutput{}, deviceops.Errorf(deviceops.ECONFLICT, "there is a rollout r-rollback already")
	}
	result = w.roll(t)
	require.Equal(t, deviceops.RolloutFailed, result.Status)
	require.Equal(t, "it cannot be taken back: there is a rollout r-rollback already", result.Reason)
}

func TestAPersonTakesARolloutBack(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct {
		all   bool
		rings []int
	}{"the ring before the one that is asked for": {false, []int{0}}, "all of it": {true, []int{0}}} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			w := newRoundabout(t, asksForRest, 10, 90)
			w.rollsBack(10, 0)
			w.at(20*time.Minute, func() {
				w.do(deviceops.RolloutControl{Action: deviceops.RolloutRollback, All: c.all, Reason: "it smells"}, func(said deviceops.RolloutControlled, err error) {
					require.NoError(t, err)
					require.Equal(t, deviceops.RolloutReverting, said.Status)
					require.Equal(t, deviceops.RolloutID("acme", "r-rollback"), said.Rollback)
				})
			})
			require.Equal(t, deviceops.RolloutReverted, w.roll(t).Status)
			require.Equal(t, []activities.RollbackInput{{Rollout: rolloutID, Rings: c.rings, By: "user:maria", Reason: "it smells"}}, w.undone)
			require.Equal(t, deviceops.ApprovalCanceled, w.approvals[len(w.approvals)-1].Status, "nobody has to answer any more")
		})
	}
}

// However often a rollout goes on in a new execution, it does the same.
func TestRolloutRelay(t *testing.T) {
	t.Parallel()
	whole, _ := relayedRollout(t, 0)
	pieces, executions := relayedRollout(t, 7)
	require.Greater(t, executions, 5)
	require.Equal(t, whole.events, pieces.events)
	for _, w := range []*roundabout{whole, pieces} {
		require.Equal(t, deviceops.RolloutSucceeded, w.rollouts[rolloutID].Status)
		require.Len(t, w.controls, 2, "a control that is repeated in a later execution is not carried out again")
	}
	require.Equal(t, whole.rollouts[rolloutID].FinishedAt.Sub(noon).Round(time.Minute), pieces.rollouts[rolloutID].FinishedAt.Sub(noon).Round(time.Minute))
}

// relayedRollout executes a rollout that goes on in a new execution after every
// few looks.
func relayedRollout(t *testing.T, every int) (last *roundabout, executions int) {
	t.Helper()
	in := workflows.RolloutInput{Rollout: rolloutID, Every: every}
	w := newRoundabout(t, asksForRest, 10, 90)
	for {
		from := w.Now().Sub(noon)
		script := map[time.Duration]func(){
			time.Minute:      func() { w.do(pauseOnce, func(_ deviceops.RolloutControlled, err error) { require.NoError(t, err) }) },
			90 * time.Second: func() { w.do(resumeOnce, func(_ deviceops.RolloutControlled, err error) { require.NoError(t, err) }) },
			2 * time.Minute:  func() { w.do(pauseOnce, func(_ deviceops.RolloutControlled, err error) { require.NoError(t, err) }) },
			20 * time.Minute: func() {
				w.mustDecide(t, deviceops.Decision{Approval: "rollout/ro-1/ring-1/1", Approve: true, By: maria})
			},
		}
		for at, do := range script {
			if at > from {
				w.at(at-from, do)
			}
		}
		w.ExecuteWorkflow(workflows.TypeRollout, in)
		require.True(t, w.IsWorkflowCompleted())
		executions++
		require.Less(t, executions, 200)
		var next *workflow.ContinueAsNewError
		if !errors.As(w.GetWorkflowError(), &next) {
			w.ended(t)
			return w, executions
		}
		in = workflows.RolloutInput{}
		require.NoError(t, starter.DataConverter().FromPayloads(next.Input, &in))
		w = w.next(t)
	}
}

var (
	pauseOnce  = deviceops.RolloutControl{Action: deviceops.RolloutPause, Request: "1"}
	resumeOnce = deviceops.RolloutControl{Action: deviceops.RolloutResume, Request: "2"}
)

// next gives a world for the next execution, which goes on with what this one
// knows.
func (w *roundabout) next(t *testing.T) *roundabout {
	t.Helper()
	n := &roundabout{
		world: newWorld(t), shifts: map[string][]byte{}, rollouts: w.rollouts, sizes: w.sizes, fare: w.fare, deferred: w.deferred, planned: w.planned, rollback: w.rollback,
		events: w.events, reasons: w.reasons, counted: w.counted, pumped: w.pumped, plans: w.plans, controls: w.controls, undone: w.undone,
	}
	n.approvals = w.approvals
	n.SetStartTime(w.Now())
	n.registerRollouts()
	return n
}

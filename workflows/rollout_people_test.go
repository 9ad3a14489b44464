package workflows_test

import (
	"slices"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/deviceops/deviceops"
	"github.com/deviceops/deviceops/activities"
)

const asksForPlan = twoRings + "approve: { by: [role:operator], four_eyes: true, expires: 2h, notify: ops }\n"

func TestRolloutAsksForItsPlan(t *testing.T) {
	t.Parallel()
	w := newRoundabout(t, asksForPlan, 10, 90)
	w.planned = func() (activities.PlanRolloutOutput, error) {
		return activities.PlanRolloutOutput{Notes: []string{"ring canary takes 7, not 10"}}, nil
	}
	w.at(time.Minute, func() {
		a := w.open("plan")
		require.NotNil(t, a)
		require.Equal(t, "rollout/ro-1/plan/1", a.ID)
		require.Equal(t, []string{"role:operator"}, a.By)
		require.Equal(t, []string{"user:carl"}, a.Barred, "who created it is not one of the four eyes")
		require.Equal(t, "ops", a.Notify)
		require.Equal(t, 2*time.Hour, a.ExpiresAt.Sub(noon))
		require.NotEmpty(t, a.ShowHash)
		show := a.Show.(map[string]any)
		require.Equal(t, w.rollouts[rolloutID].Hash, show["manifest_sha256"], "it is bound to the manifest")
		require.Equal(t, "command ping", show["change"])
		require.Equal(t, []any{"ring canary takes 7, not 10"}, show["notes"])
		require.Equal(t, []any{
			map[string]any{"name": "canary", "devices": float64(10), "excused": float64(0), "soak": "30m0s"},
			map[string]any{"name": "rest", "devices": float64(90), "excused": float64(0)},
		}, show["rings"])
		carl := maria
		carl.Name = "user:carl"
		w.decide(deviceops.Decision{Approval: a.ID, Approve: true, By: carl}, func(_ deviceops.Approval, err error) {
			require.Equal(t, deviceops.EFORBIDDEN, deviceops.ErrorCode(err))
		})
	})
	w.answer(t, time.Hour, true, "plan")
	require.Equal(t, deviceops.RolloutSucceeded, w.roll(t).Status)
	require.Equal(t, time.Hour, w.rollouts[rolloutID].StartedAt.Sub(noon))
	require.Equal(t, "waiting", w.events[0])
}

func TestRolloutWhosePlanIsNotApproved(t *testing.T) {
	t.Parallel()
	for name, reject := range map[string]bool{
		"user:maria said no when asked whether it may begin: since I say so": true,
		"nobody decided in time whether it may begin":                        false,
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			w := newRoundabout(t, asksForPlan, 10, 90)
			if reject {
				w.answer(t, time.Hour, false, "plan")
			}
			result := w.roll(t)
			require.Equal(t, deviceops.RolloutCanceled, result.Status)
			require.Equal(t, name, result.Reason)
			require.Zero(t, w.pumped)
		})
	}
}

func TestAnUrgentRolloutIsAskedForAndDoesNotSoak(t *testing.T) {
	t.Parallel()
	w := newRoundabout(t, twoRings+"urgent: true\nreason: it burns\n", 10, 90)
	w.at(time.Minute, func() {
		require.Equal(t, "it burns", w.open("plan").Show.(map[string]any)["urgent"])
	})
	w.answer(t, time.Minute, true, "plan")
	require.Equal(t, deviceops.RolloutSucceeded, w.roll(t).Status)
	require.Equal(t, 11*time.Minute, w.rollouts[rolloutID].FinishedAt.Sub(noon).Round(time.Minute))
}

const asksForRest = `rollout: r
change: { command: { name: ping } }
targets: device.profile == "kiosk"
rings:
  - { name: canary, take: 10 }
  - { name: rest, approve: { by: [role:operator], quorum: 1, escalate: [ { after: 10m, by: [role:admin] } ] } }
`

func TestRolloutAsksBeforeARing(t *testing.T) {
	t.Parallel()
	w := newRoundabout(t, asksForRest, 10, 90)
	w.at(20*time.Minute, func() {
		a := w.open("ring-1")
		require.Equal(t, []string{"role:operator", "role:admin"}, a.By, "more are asked by now")
		before := a.Show.(map[string]any)["before"].(map[string]any)
		require.Equal(t, "canary", before["name"])
		require.EqualValues(t, 10, before["counts"].(map[string]any)["succeeded"])
		require.Equal(t, "pass", before["gate"].(map[string]any)["outcome"])
		require.Equal(t, deviceops.RingAsking, w.progress(t).Rollout.Rings[1].Status)
	})
	w.answer(t, 20*time.Minute, false, "ring-1")
	w.at(21*time.Minute, func() {
		r := w.progress(t).Rollout
		require.Equal(t, deviceops.RolloutPaused, r.Status)
		require.Equal(t, "user:maria said no when asked whether ring rest may begin: since I say so", r.StatusReason)
	})
	w.mustDo(t, time.Hour, deviceops.RolloutControl{Action: deviceops.RolloutResume})
	w.at(2*time.Hour, func() { require.Equal(t, "rollout/ro-1/ring-1/2", w.open("ring-1").ID, "it is another question") })
	w.answer(t, 2*time.Hour, true, "ring-1")
	require.Equal(t, deviceops.RolloutSucceeded, w.roll(t).Status)
	require.Equal(t, "user:maria let it begin", w.reasons["rest running"])
}

func TestRolloutAsksWhetherARingIsGoodEnough(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct {
		yes    bool
		status deviceops.RolloutStatus
		ring   deviceops.RingStatus
	}{
		"it is":     {true, deviceops.RolloutSucceeded, deviceops.RingPassed},
		"it is not": {false, deviceops.RolloutFailed, deviceops.RingFailed},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			w := newRoundabout(t, twoRings+"on_fail: stop\n", 10, 90)
			w.fare = failsIn(0, 1)
			w.at(time.Hour, func() {
				show := w.open("gate-0").Show.(map[string]any)["ring"].(map[string]any)
				require.EqualValues(t, 1, show["counts"].(map[string]any)["failed"])
				require.Equal(t, "ask", show["gate"].(map[string]any)["outcome"])
			})
			w.answer(t, time.Hour, c.yes, "gate-0")
			require.Equal(t, c.status, w.roll(t).Status)
			require.Equal(t, c.ring, w.rollouts[rolloutID].Rings[0].Status)
			require.True(t, slices.ContainsFunc(w.counted, func(in activities.CountInput) bool { return in.Thorough }), "it asked what went wrong")
		})
	}
}

func TestRolloutThatFailsPausesAndGoesOn(t *testing.T) {
	t.Parallel()
	w := newRoundabout(t, twoRings, 10, 90)
	w.fare = failsIn(0, 2)
	w.at(10*time.Minute, func() { require.Equal(t, deviceops.RolloutPaused, w.progress(t).Rollout.Status) })
	w.mustDo(t, time.Hour, deviceops.RolloutControl{Action: deviceops.RolloutResume, Reason: "two of ten are old"})
	w.answer(t, 2*time.Hour, true, "gate-0")
	require.Equal(t, deviceops.RolloutSucceeded, w.roll(t).Status)
	require.Equal(t, []string{
		"canary running", "running", "canary failed", "paused", "maria: ring_running", "maria: running", "canary soaking", "canary passed",
		"rest running", "rest passed", "succeeded",
	}, w.events)
}

func TestRolloutAsksAboutDevicesThatPutItOff(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct {
		yes  bool
		want activities.DeferralsDecision
	}{"they are asked again": {true, activities.DeferralsAskAgain}, "they fail": {false, activities.DeferralsFail}} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			w := newRoundabout(t, twoRings, 10, 90)
			decided := func() bool {
				for _, in := range w.counted {
					if in.Deferrals != "" {
						return true
					}
				}
				return false
			}
			w.deferred = func(open time.Duration) int {
				if open > time.Minute && !decided() {
					return 3
				}
				return 0
			}
			w.at(2*time.Minute, func() {
				require.Contains(t, w.open("deferrals-0").Question, "3 devices of ring canary put the change off")
				require.Equal(t, deviceops.RolloutRunning, w.progress(t).Rollout.Status, "the others go on")
			})
			w.answer(t, 2*time.Minute, c.yes, "deferrals-0")
			require.Equal(t, deviceops.RolloutSucceeded, w.roll(t).Status)
			var told []activities.DeferralsDecision
			for _, in := range w.counted {
				if in.Deferrals != "" {
					told = append(told, in.Deferrals)
				}
			}
			require.Equal(t, []activities.DeferralsDecision{c.want}, told, "it is carried out once")
		})
	}
}

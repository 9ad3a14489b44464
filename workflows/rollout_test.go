package workflows_test

import (
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/deviceops/deviceops"
	"github.com/deviceops/deviceops/activities"
	"github.com/deviceops/deviceops/workflows"
)

// twoRings is a manifest with a canary and the rest; more is added to it.
const twoRings = `rollout: r
change: { command: { name: ping } }
targets: device.profile == "kiosk"
rings:
  - { name: canary, take: 10, soak: 30m }
  - name: rest
gate: { fail: ring.failed >= 2 }
`

// failsIn has so many devices of a ring fail.
func failsIn(in, failed int) func(ring, devices int, open time.Duration) deviceops.Counts {
	return func(ring, devices int, open time.Duration) deviceops.Counts {
		c := doneAfter(devices, 5*time.Minute, open)
		if ring == in && c.Succeeded > 0 {
			c.Succeeded, c.Healthy, c.Failed = devices-failed, devices-failed, failed
		}
		return c
	}
}

func TestRolloutGoesThroughItsRings(t *testing.T) {
	t.Parallel()
	w := newRoundabout(t, twoRings, 10, 90)
	w.at(6*time.Minute, func() {
		p := w.progress(t)
		require.Equal(t, deviceops.DoSoak, p.Next.Do)
		require.Equal(t, deviceops.RingSoaking, p.Rollout.Rings[0].Status)
		require.Empty(t, p.Rollout.Source)
	})
	result := w.roll(t)
	require.Equal(t, deviceops.RolloutSucceeded, result.Status)
	require.Equal(t, 100, result.Counts.Succeeded)
	require.Equal(t, []string{
		"canary running", "running", "canary soaking", "canary passed", "rest running", "rest passed", "succeeded",
	}, w.events)
	r := w.rollouts[rolloutID]
	require.Equal(t, 30*time.Minute, r.Rings[0].ClosedAt.Sub(r.Rings[0].SoakAt))
	require.Equal(t, 40*time.Minute, r.FinishedAt.Sub(noon).Round(time.Minute), "it did not lose time on its way")
	require.Positive(t, w.pumped)
	require.Greater(t, w.plans, 10, "it looks who joined")
}

// Histories grow with time and rings, not with devices.
func TestRolloutOfManyDevicesIsAsCheap(t *testing.T) {
	t.Parallel()
	small, large := newRoundabout(t, twoRings, 10, 10), newRoundabout(t, twoRings, 10, 10000)
	small.roll(t)
	large.roll(t)
	require.Equal(t, 10010, large.rollouts[rolloutID].Total().Succeeded)
	require.Equal(t, small.events, large.events)
	// What runs beside the clock of the test comes a look sooner or later.
	require.InDelta(t, len(small.counted), len(large.counted), 3)
	require.InDelta(t, small.pumped, large.pumped, 3)
	require.InDelta(t, small.plans, large.plans, 3)
}

func TestRolloutFollowsNudges(t *testing.T) {
	t.Parallel()
	w := newRoundabout(t, twoRings, 10, 90)
	w.fare = func(_, devices int, open time.Duration) deviceops.Counts {
		return doneAfter(devices, 5*time.Minute+2*time.Second, open)
	}
	for range 5 {
		w.at(5*time.Minute+3*time.Second, func() { w.SignalWorkflow(workflows.SignalNudge, nil) })
	}
	w.roll(t)
	require.Equal(t, 5*time.Minute+3*time.Second, w.rollouts[rolloutID].Rings[0].SoakAt.Sub(noon), "it looked at once")
}

func TestRolloutPauses(t *testing.T) {
	t.Parallel()
	w := newRoundabout(t, twoRings, 10, 90)
	w.mustDo(t, time.Minute, deviceops.RolloutControl{Action: deviceops.RolloutPause, Reason: "it smells"})
	w.at(2*time.Minute, func() {
		before := w.pumped
		w.at(time.Hour, func() { require.Equal(t, before, w.pumped, "nothing is pumped meanwhile") })
	})
	w.at(3*time.Minute, func() {
		w.do(deviceops.RolloutControl{Action: deviceops.RolloutPause}, func(_ deviceops.RolloutControlled, err error) {
			require.Equal(t, deviceops.ECONFLICT, deviceops.ErrorCode(err))
		})
	})
	w.mustDo(t, 2*time.Hour, deviceops.RolloutControl{Action: deviceops.RolloutResume})
	require.Equal(t, deviceops.RolloutSucceeded, w.roll(t).Status)
	require.Equal(t, []string{
		"canary running", "running", "maria: paused", "maria: running", "canary soaking", "canary passed", "rest running", "rest passed", "succeeded",
	}, w.events)
	require.Equal(t, []int64{0, 1}, []int64{w.controls[0].Epoch, w.controls[1].Epoch})
}

func TestRolloutTakesAControlOnce(t *testing.T) {
	t.Parallel()
	w := newRoundabout(t, twoRings, 10, 90)
	for range 3 {
		w.mustDo(t, time.Minute, deviceops.RolloutControl{Action: deviceops.RolloutPause, Request: "1"})
	}
	w.mustDo(t, 2*time.Minute, deviceops.RolloutControl{Action: deviceops.RolloutResume})
	w.mustDo(t, 3*time.Minute, deviceops.RolloutControl{Action: deviceops.RolloutPause, Request: "1"})
	w.at(4*time.Minute, func() { require.Equal(t, deviceops.RolloutRunning, w.progress(t).Rollout.Status) })
	w.roll(t)
	require.Len(t, w.controls, 2)
}

func TestRolloutTakesSignedControlsOnly(t *testing.T) {
	t.Parallel()
	w := newRoundabout(t, twoRings, 10, 90)
	w.world = newWorld(t, workflows.Trust(deviceops.SigningKey("0123456789abcdef0123456789abcdef")))
	w.registerRollouts()
	refused := 0
	w.at(time.Minute, func() {
		w.do(deviceops.RolloutControl{Action: deviceops.RolloutPause}, func(_ deviceops.RolloutControlled, err error) {
			require.Equal(t, deviceops.EFORBIDDEN, deviceops.ErrorCode(err))
			refused++
		})
	})
	require.Equal(t, deviceops.RolloutSucceeded, w.roll(t).Status)
	require.Equal(t, 1, refused)
}

func TestRolloutSkipsRetriesAndSets(t *testing.T) {
	t.Parallel()
	w := newRoundabout(t, twoRings, 10, 90)
	retried := false
	w.fare = func(ring, devices int, open time.Duration) deviceops.Counts {
		c := failsIn(1, 1)(ring, devices, open)
		if retried {
			return doneAfter(devices, 0, open)
		}
		return c
	}
	w.mustDo(t, time.Minute, deviceops.RolloutControl{Action: deviceops.RolloutSkip})
	w.mustDo(t, 2*time.Minute, deviceops.RolloutControl{Action: deviceops.RolloutSet, Limits: &deviceops.Limits{InFlight: 7}})
	w.at(20*time.Minute, func() {
		require.NotNil(t, w.open("gate-1"), "one failed, so its gate does not pass")
		retried = true
	})
	w.mustDo(t, 20*time.Minute, deviceops.RolloutControl{Action: deviceops.RolloutRetry})
	require.Equal(t, deviceops.RolloutSucceeded, w.roll(t).Status)
	require.Equal(t, deviceops.RingSkipped, w.rollouts[rolloutID].Rings[0].Status)
	require.Equal(t, 7, w.rollouts[rolloutID].Limits.InFlight)
	require.Equal(t, deviceops.ApprovalCanceled, w.approvals[len(w.approvals)-1].Status, "nobody has to answer any more")
}

func TestRolloutIsCanceled(t *testing.T) {
	t.Parallel()
	w := newRoundabout(t, twoRings, 10, 90)
	w.mustDo(t, time.Minute, deviceops.RolloutControl{Action: deviceops.RolloutCancel, Reason: "wrong one"})
	result := w.roll(t)
	require.Equal(t, deviceops.RolloutCanceled, result.Status)
	require.Equal(t, "wrong one", result.Reason)
	require.Zero(t, result.Counts.InFlight(), "it waited for the devices that were at it")
}

func TestRolloutWhoseWorkflowIsCalledOff(t *testing.T) {
	t.Parallel()
	w := newRoundabout(t, twoRings, 10, 90)
	w.at(time.Minute, w.CancelWorkflow)
	w.ExecuteWorkflow(workflows.TypeRollout, workflows.RolloutInput{Rollout: rolloutID})
	require.Equal(t, deviceops.ECANCELED, activities.Cause(w.GetWorkflowError()).Code)
	require.Equal(t, deviceops.RolloutCanceled, w.rollouts[rolloutID].Status)
}

// Nobody is asked about a rollout whose devices others have taken over.
func TestRolloutThatIsSuperseded(t *testing.T) {
	t.Parallel()
	w := newRoundabout(t, "rollout: r\nchange: { release: kiosk-os@2.4.0 }\ntargets: 'true'\n", 10)
	w.fare = func(_, devices int, open time.Duration) deviceops.Counts {
		if open < time.Minute {
			return deviceops.Counts{Targeted: devices, Pending: devices}
		}
		return deviceops.Counts{Targeted: devices, Canceled: devices}
	}
	result := w.roll(t)
	require.Equal(t, deviceops.RolloutCanceled, result.Status)
	require.Equal(t, "no device is left: other rollouts have taken them over", result.Reason)
}

func TestRolloutDeadline(t *testing.T) {
	t.Parallel()
	w := newRoundabout(t, twoRings+"deadline: 2026-05-01T12:20:00Z\n", 10, 90)
	result := w.roll(t)
	require.Equal(t, deviceops.RolloutFailed, result.Status)
	require.Contains(t, result.Reason, "deadline")
	require.Equal(t, 20*time.Minute, w.rollouts[rolloutID].FinishedAt.Sub(noon))
}

func TestRolloutBeginsAtItsStart(t *testing.T) {
	t.Parallel()
	w := newRoundabout(t, twoRings+"start: 2026-05-01T20:00:00Z\n", 10, 90)
	w.at(time.Hour, func() {
		require.Equal(t, deviceops.RolloutWaiting, w.progress(t).Rollout.Status)
		require.Empty(t, w.counted, "there is nothing to count")
	})
	require.Equal(t, deviceops.RolloutSucceeded, w.roll(t).Status)
	require.Equal(t, 8*time.Hour, w.rollouts[rolloutID].StartedAt.Sub(noon))
}

func TestRolloutThatCannotBePlanned(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct {
		out  activities.PlanRolloutOutput
		err  error
		want deviceops.RolloutStatus
		says string
	}{
		"since the manifest is wrong":   {err: deviceops.Errorf(deviceops.EINVALID, "no such field"), want: deviceops.RolloutFailed, says: "it cannot be planned: no such field"},
		"since another one has devices": {out: activities.PlanRolloutOutput{Refused: "rollout x holds k1"}, want: deviceops.RolloutCanceled, says: "rollout x holds k1"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			w := newRoundabout(t, twoRings, 10, 90)
			w.planned = func() (activities.PlanRolloutOutput, error) { return c.out, c.err }
			result := w.roll(t)
			require.Equal(t, c.want, result.Status)
			require.Equal(t, c.says, result.Reason)
			require.Zero(t, w.pumped)
		})
	}
}

func TestRolloutThatEndedSeesToDevicesThatComeLate(t *testing.T) {
	t.Parallel()
	w := newRoundabout(t, twoRings, 10, 90)
	r := w.rollouts[rolloutID]
	r.Status, r.StartedAt, r.FinishedAt = deviceops.RolloutSucceeded, noon.Add(-48*time.Hour), noon.Add(-24*time.Hour)
	for i := range r.Rings {
		r.Rings[i].Status, r.Rings[i].OpenedAt = deviceops.RingPassed, noon.Add(-5*time.Minute)
		r.Rings[i].Counts = deviceops.Counts{Targeted: 1, Pending: 1}
	}
	w.fare = func(_, devices int, open time.Duration) deviceops.Counts {
		return doneAfter(devices, 10*time.Minute, open)
	}
	w.ExecuteWorkflow(workflows.TypeRollout, workflows.RolloutInput{Rollout: rolloutID, Late: true})
	require.Equal(t, deviceops.RolloutSucceeded, w.ended(t).Status)
	require.Positive(t, w.pumped)
	require.Empty(t, w.events, "its status stays")
	require.Equal(t, 5*time.Minute, w.Now().Sub(noon))
}

package deviceops_test

import (
	"testing"
	"time"

	"github.com/deviceops/deviceops"
	"github.com/stretchr/testify/require"
)

// play has a rollout go on until it waits, and gives what it did.
func play(v *deviceops.RolloutView) (did []deviceops.RolloutDo) {
	for range 20 {
		step := deviceops.NextStep(*v)
		did = append(did, step.Do)
		switch step.Do {
		case deviceops.DoWait, deviceops.DoKeep, deviceops.DoSoak, deviceops.DoAsk, deviceops.DoDrain, deviceops.DoEnd:
			v.Take(step)
			return did
		}
		v.Take(step)
	}
	return did
}

// steer carries out a control that has to apply.
func steer(t *testing.T, v *deviceops.RolloutView, c deviceops.RolloutControl) {
	t.Helper()
	c.By, c.Reason = deviceops.Principal{Name: "user:maria"}, "why not"
	require.NoError(t, v.Rollout.CheckControl(c))
	v.Steer(c, v.Rollout.Steer(c, v.Now))
}

func TestARolloutGoesThroughItsRings(t *testing.T) {
	t.Parallel()
	v := planView(fresh, soaks)
	require.Equal(t, []deviceops.RolloutDo{deviceops.DoOpen, deviceops.DoKeep}, play(&v))
	require.Equal(t, deviceops.RolloutRunning, v.Rollout.Status)
	require.Equal(t, planNoon, v.Rollout.StartedAt)
	require.Equal(t, planNoon, v.Rollout.Rings[0].OpenedAt)

	done(0, 0)(&v)
	require.Equal(t, []deviceops.RolloutDo{deviceops.DoSoak}, play(&v))
	require.Equal(t, deviceops.RingSoaking, v.Rollout.Rings[0].Status)
	v.Now = planNoon.Add(10 * time.Minute)
	require.Equal(t, []deviceops.RolloutDo{deviceops.DoSoak}, play(&v))
	require.Equal(t, planNoon, v.Rollout.Rings[0].SoakAt, "looking at it does not make it longer")

	v.Now = planNoon.Add(time.Hour)
	require.Equal(t, []deviceops.RolloutDo{deviceops.DoPass, deviceops.DoOpen, deviceops.DoKeep}, play(&v))
	require.Equal(t, v.Now, v.Rollout.Rings[0].ClosedAt)
	require.Equal(t, deviceops.RingRunning, v.Rollout.Rings[1].Status)
	require.Equal(t, planNoon, v.Rollout.StartedAt)

	done(1, 0)(&v)
	require.Equal(t, []deviceops.RolloutDo{deviceops.DoPass, deviceops.DoFinish, deviceops.DoEnd}, play(&v))
	require.Equal(t, deviceops.RolloutSucceeded, v.Rollout.Status)
	require.Equal(t, v.Now, v.Rollout.FinishedAt)
	require.Equal(t, "engine", v.Rollout.StatusBy)
}

func TestARolloutWaitsBeforeItBegins(t *testing.T) {
	t.Parallel()
	v := planView(fresh, askPlan)
	require.Equal(t, []deviceops.RolloutDo{deviceops.DoAsk}, play(&v))
	require.Equal(t, deviceops.RolloutWaiting, v.Rollout.Status)
	since := v.Rollout.StatusSince
	v.Now = v.Now.Add(time.Hour)
	play(&v)
	require.Equal(t, since, v.Rollout.StatusSince, "it has waited since then")

	steer(t, &v, deviceops.RolloutControl{Action: deviceops.RolloutPause})
	require.Equal(t, []deviceops.RolloutDo{deviceops.DoWait}, play(&v))
	steer(t, &v, deviceops.RolloutControl{Action: deviceops.RolloutResume})
	require.Equal(t, deviceops.RolloutWaiting, v.Rollout.Status, "a pause is no approval")
	require.Equal(t, []deviceops.RolloutDo{deviceops.DoAsk}, play(&v))
}

func TestAFailedRingPausesAndWhoeverResumesLetsItPass(t *testing.T) {
	t.Parallel()
	v := planView(done(0, 2), strict)
	require.Equal(t, []deviceops.RolloutDo{deviceops.DoFail, deviceops.DoWait}, play(&v))
	require.Equal(t, deviceops.RolloutPaused, v.Rollout.Status)
	require.Equal(t, deviceops.RingFailed, v.Rollout.Rings[0].Status)
	require.Contains(t, v.Rollout.StatusReason, "ring canary failed")

	steer(t, &v, deviceops.RolloutControl{Action: deviceops.RolloutResume})
	require.Equal(t, new(2), v.Rollout.Rings[0].Pardoned)
	require.Nil(t, v.Rollout.Rings[1].Pardoned)
	require.Equal(t, int64(1), v.Rollout.Epoch)
	require.Equal(t, "user:maria", v.Rollout.StatusBy)
	require.Equal(t, []deviceops.RolloutDo{deviceops.DoAsk}, play(&v), "its gate does not pass by that")
	answered("gate-0", deviceops.ApprovalRejected)(&v)
	require.Equal(t, []deviceops.RolloutDo{deviceops.DoFail, deviceops.DoWait}, play(&v))
	steer(t, &v, deviceops.RolloutControl{Action: deviceops.RolloutResume})
	require.Equal(t, []deviceops.RolloutDo{deviceops.DoAsk}, play(&v), "whoever resumes is asked again")
	answered("gate-0", deviceops.ApprovalApproved)(&v)
	require.Equal(t, []deviceops.RolloutDo{deviceops.DoPass, deviceops.DoOpen, deviceops.DoKeep}, play(&v))
}

func TestARingThatWasRejectedIsAskedForAgain(t *testing.T) {
	t.Parallel()
	v := planView(done(0, 0), ringIs(0, deviceops.RingPassed), askRest)
	require.Equal(t, []deviceops.RolloutDo{deviceops.DoAsk}, play(&v))
	require.Equal(t, deviceops.RingAsking, v.Rollout.Rings[1].Status)
	require.Equal(t, deviceops.RolloutRunning, v.Rollout.Status)
	answered("ring-1", deviceops.ApprovalRejected)(&v)
	require.Equal(t, []deviceops.RolloutDo{deviceops.DoPause, deviceops.DoWait}, play(&v))
	steer(t, &v, deviceops.RolloutControl{Action: deviceops.RolloutResume})
	require.Equal(t, []deviceops.RolloutDo{deviceops.DoAsk}, play(&v))
}

func TestOnFail(t *testing.T) {
	t.Parallel()
	for action, want := range map[deviceops.FailAction]deviceops.RolloutStatus{
		deviceops.FailPause: deviceops.RolloutPaused, deviceops.FailStop: deviceops.RolloutFailed,
		deviceops.FailRollback: deviceops.RolloutReverting, deviceops.FailRollbackAll: deviceops.RolloutReverting,
	} {
		v := planView(done(0, 2), strict, onFail(action))
		step := deviceops.NextStep(v)
		v.Take(step)
		require.Equal(t, want, v.Rollout.Status, action)
		require.Equal(t, want.Ended(), !v.Rollout.FinishedAt.IsZero())
		require.Equal(t, want == deviceops.RolloutReverting, v.Rollout.TakeBack != nil, "it is known what goes back")
	}
}

func TestControlsOfARollout(t *testing.T) {
	t.Parallel()
	v := planView(done(0, 1))
	steer(t, &v, deviceops.RolloutControl{Action: deviceops.RolloutSkip})
	require.Equal(t, deviceops.RingSkipped, v.Rollout.Rings[0].Status)
	require.Equal(t, []deviceops.RolloutDo{deviceops.DoOpen, deviceops.DoKeep}, play(&v))

	v.Rollout.Rings[0].SoakAt = planNoon
	steer(t, &v, deviceops.RolloutControl{Action: deviceops.RolloutRetry})
	require.Equal(t, deviceops.RingRunning, v.Rollout.Rings[0].Status)
	require.Zero(t, v.Rollout.Rings[0].SoakAt)
	require.Equal(t, deviceops.RingRunning, v.Rollout.Rings[1].Status, "the other ring stays as it was")

	v.Rollout.Limits = deviceops.Limits{InFlight: 500, Rate: deviceops.RateSpec{Start: 60}}
	steer(t, &v, deviceops.RolloutControl{Action: deviceops.RolloutSet, Limits: &deviceops.Limits{InFlight: 5}})
	require.Equal(t, deviceops.Limits{InFlight: 5, Rate: deviceops.RateSpec{Start: 60}}, v.Rollout.Limits)
	steer(t, &v, deviceops.RolloutControl{Action: deviceops.RolloutSet, Limits: &deviceops.Limits{Rate: deviceops.RateSpec{Start: 5, Max: 10}}})
	require.Equal(t, deviceops.Limits{InFlight: 5, Rate: deviceops.RateSpec{Start: 5, Max: 10}}, v.Rollout.Limits)

	steer(t, &v, deviceops.RolloutControl{Action: deviceops.RolloutRollback})
	require.Equal(t, deviceops.RolloutReverting, v.Rollout.Status)
	require.Equal(t, int64(5), v.Rollout.Epoch)

	v = planView()
	steer(t, &v, deviceops.RolloutControl{Action: deviceops.RolloutCancel})
	require.Equal(t, deviceops.RolloutCanceled, v.Rollout.Status)
	require.Equal(t, planNoon, v.Rollout.FinishedAt)
	require.Equal(t, "why not", v.Rollout.StatusReason)
}

func TestARolloutThatHasEndedIsTakenBack(t *testing.T) {
	t.Parallel()
	v := planView(statusIs(deviceops.RolloutSucceeded), ringIs(0, deviceops.RingPassed), ringIs(1, deviceops.RingPassed))
	v.Rollout.Rings[0].OpenedAt, v.Rollout.Rings[1].OpenedAt, v.Rollout.FinishedAt = planNoon, planNoon, planNoon
	require.Equal(t, []int{0, 1}, v.Rollout.TakenBack(false), "no ring is present: all are meant")
	steer(t, &v, deviceops.RolloutControl{Action: deviceops.RolloutRollback})
	require.Equal(t, deviceops.RolloutReverting, v.Rollout.Status)
	require.Equal(t, []int{0, 1}, v.Rollout.TakeBack)
	require.Zero(t, v.Rollout.FinishedAt)
	require.Equal(t, deviceops.DoWait, deviceops.NextStep(v).Do)
	v.Rollback = deviceops.RolloutSucceeded
	require.Equal(t, deviceops.RolloutReverted, deviceops.NextStep(v).Status)

	failed := planView(statusIs(deviceops.RolloutFailed), ringIs(0, deviceops.RingPassed), ringIs(1, deviceops.RingFailed))
	failed.Rollout.Rings[0].OpenedAt, failed.Rollout.Rings[1].OpenedAt = planNoon, planNoon
	require.Equal(t, []int{1}, failed.Rollout.TakenBack(false))
	require.Equal(t, []int{0, 1}, failed.Rollout.TakenBack(true))
	require.NoError(t, failed.Rollout.CheckControl(deviceops.RolloutControl{Rollout: failed.Rollout.ID, Action: deviceops.RolloutRollback}))
}

func TestControlsThatDoNotApply(t *testing.T) {
	t.Parallel()
	set := func(l *deviceops.Limits) deviceops.RolloutControl {
		return deviceops.RolloutControl{Action: deviceops.RolloutSet, Limits: l}
	}
	do := func(a deviceops.RolloutAction) deviceops.RolloutControl { return deviceops.RolloutControl{Action: a} }
	allPassed := func(v *deviceops.RolloutView) {
		ringIs(0, deviceops.RingPassed)(v)
		ringIs(1, deviceops.RingSkipped)(v)
	}
	for name, c := range map[string]struct {
		given   func(*deviceops.RolloutView)
		control deviceops.RolloutControl
		code    string
		says    string
	}{
		"another rollout":              {func(*deviceops.RolloutView) {}, deviceops.RolloutControl{Rollout: "ro-2", Action: deviceops.RolloutPause}, deviceops.EINVALID, "is about rollout ro-2"},
		"no action":                    {func(*deviceops.RolloutView) {}, do("explode"), deviceops.EINVALID, `"explode" is nothing that can be done`},
		"to pause what is paused":      {statusIs(deviceops.RolloutPaused), do(deviceops.RolloutPause), deviceops.ECONFLICT, "rollout r is paused: pause does not apply"},
		"to resume what runs":          {func(*deviceops.RolloutView) {}, do(deviceops.RolloutResume), deviceops.ECONFLICT, "resume does not apply"},
		"to cancel what ended":         {statusIs(deviceops.RolloutSucceeded), do(deviceops.RolloutCancel), deviceops.ECONFLICT, "rollout r is succeeded"},
		"to cancel what is reverted":   {statusIs(deviceops.RolloutReverting), do(deviceops.RolloutCancel), deviceops.ECONFLICT, "reverting"},
		"to skip where all passed":     {allPassed, do(deviceops.RolloutSkip), deviceops.ECONFLICT, "there is none to skip"},
		"to skip what ended":           {statusIs(deviceops.RolloutFailed), do(deviceops.RolloutSkip), deviceops.ECONFLICT, "rollout r is failed"},
		"to retry where nothing did":   {func(*deviceops.RolloutView) {}, do(deviceops.RolloutRetry), deviceops.ECONFLICT, "no device of rollout r failed"},
		"to retry what ended":          {statusIs(deviceops.RolloutFailed), do(deviceops.RolloutRetry), deviceops.ECONFLICT, "rollout r is failed"},
		"to set nothing":               {func(*deviceops.RolloutView) {}, set(nil), deviceops.EINVALID, "say what is to be set"},
		"to set nothing at all":        {func(*deviceops.RolloutView) {}, set(&deviceops.Limits{}), deviceops.EINVALID, "say what is to be set"},
		"to set what is negative":      {func(*deviceops.RolloutView) {}, set(&deviceops.Limits{InFlight: -1}), deviceops.EINVALID, "not negative"},
		"to set a factor that shrinks": {func(*deviceops.RolloutView) {}, set(&deviceops.Limits{Rate: deviceops.RateSpec{Start: 1, Factor: 0.5}}), deviceops.EINVALID, "at least 1"},
		"to set what ended":            {statusIs(deviceops.RolloutFailed), set(&deviceops.Limits{InFlight: 1}), deviceops.ECONFLICT, "rollout r is failed"},
		"to take back a rollback":      {func(v *deviceops.RolloutView) { v.Rollout.RollbackOf = "ro-0" }, do(deviceops.RolloutRollback), deviceops.ECONFLICT, "is a rollback itself"},
		"to take back nothing":         {fresh, do(deviceops.RolloutRollback), deviceops.ECONFLICT, "has not begun"},
		"to take back what is":         {statusIs(deviceops.RolloutReverted), do(deviceops.RolloutRollback), deviceops.ECONFLICT, "rollout r is reverted"},
		"to take back twice":           {func(v *deviceops.RolloutView) { statusIs(deviceops.RolloutFailed)(v); v.Rollout.Rollback = "ro-2" }, do(deviceops.RolloutRollback), deviceops.ECONFLICT, "was taken back already, by r-rollback"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			v := planView(c.given)
			err := v.Rollout.CheckControl(c.control)
			require.Equal(t, c.code, deviceops.ErrorCode(err))
			require.Contains(t, deviceops.ErrorMessage(err), c.says)
		})
	}
}

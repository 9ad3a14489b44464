package activities_test

import (
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/deviceops/deviceops"
	"github.com/deviceops/deviceops/activities"
)

// control has maria do something to the rollout.
func (f *fleet) control(t *testing.T, c deviceops.RolloutControl) activities.ControlOutput {
	t.Helper()
	out, err := f.tryControl(c, f.stored(t).Epoch)
	require.NoError(t, err)
	return out
}

func (f *fleet) tryControl(c deviceops.RolloutControl, epoch int64) (activities.ControlOutput, error) {
	c.Rollout, c.By, c.Reason = f.r.ID, deviceops.Principal{Name: "user:maria"}, "it smells"
	return do[activities.ControlOutput](f.world, activities.NameControlRollout, activities.ControlInput{Control: c, Epoch: epoch})
}

func TestControlRolloutPauses(t *testing.T) {
	t.Parallel()
	f := begun(t, 10, 2, manifest)
	sent := f.send(t, 1, 5)
	f.move(t, deviceops.DeviceAccepted, sent[:2]...)
	f.move(t, deviceops.DeviceDeferred, sent[2])

	out := f.control(t, deviceops.RolloutControl{Action: deviceops.RolloutPause})
	require.Equal(t, deviceops.RolloutPaused, out.Rollout.Status)
	require.Equal(t, "user:maria", out.Rollout.StatusBy)
	require.Empty(t, out.Rollout.Source)
	require.Equal(t, &deviceops.Withdrawal{Withdrawn: 1, Running: 2, Unknown: 2}, out.Controlled.Withdrawal)
	require.Equal(t, "rollout bright is paused; withdrawn 1, running 2, unknown 2 (asked, and silent since)", out.Controlled.Text)
	require.Equal(t, 3, out.Rollout.Rings[0].Counts.Pending)

	again, err := f.tryControl(deviceops.RolloutControl{Action: deviceops.RolloutPause}, 0)
	require.NoError(t, err, "a worker that died has it repeated")
	require.Equal(t, int64(1), again.Controlled.Epoch)
	_, err = f.tryControl(deviceops.RolloutControl{Action: deviceops.RolloutResume}, 7)
	requireCode(t, deviceops.ECONFLICT, err)

	claimed, err := f.store.ClaimRollout(t.Context(), deviceops.RolloutClaim{Rollout: f.r.ID, Ring: 1, Epoch: 0, Now: f.now.Add(time.Hour), Limit: 10})
	require.NoError(t, err)
	require.Empty(t, claimed, "nothing leaves")

	f.control(t, deviceops.RolloutControl{Action: deviceops.RolloutResume})
	require.Equal(t, []string{"rollout.paused", "rollout.running"}, f.told(t))
	entries := f.audited(t)
	require.Equal(t, []string{"rollout.control.pause", "rollout.paused", "rollout.control.resume", "rollout.running"},
		[]string{entries[0].Action, entries[1].Action, entries[2].Action, entries[3].Action})
	require.Equal(t, "user:maria", entries[0].Actor)
	require.Equal(t, "it smells", entries[0].Reason)
	require.Equal(t, "user:maria", entries[1].Actor)
}

func TestControlRolloutCancelsAndSkips(t *testing.T) {
	t.Parallel()
	f := begun(t, 10, 1, manifest)
	f.send(t, 0, 1)
	out := f.control(t, deviceops.RolloutControl{Action: deviceops.RolloutSkip})
	require.Equal(t, 2, out.Controlled.Devices)
	require.Equal(t, deviceops.RingSkipped, out.Rollout.Rings[0].Status)
	require.Equal(t, 2, out.Rollout.Rings[0].Counts.Canceled)
	require.Equal(t, 7, out.Rollout.Rings[1].Counts.Pending)

	out = f.control(t, deviceops.RolloutControl{Action: deviceops.RolloutCancel})
	require.Equal(t, deviceops.RolloutCanceled, out.Rollout.Status)
	require.Equal(t, 7, out.Rollout.Rings[1].Counts.Canceled)
	require.Equal(t, &deviceops.Withdrawal{Withdrawn: 7, Unknown: 1}, out.Controlled.Withdrawal)
	_, err := f.tryControl(deviceops.RolloutControl{Action: deviceops.RolloutPause}, 2)
	requireCode(t, deviceops.ECONFLICT, err)
}

func TestControlRolloutRetriesAndSets(t *testing.T) {
	t.Parallel()
	f := begun(t, 10, 2, manifest)
	sent := f.send(t, 1, 4)
	f.move(t, deviceops.DeviceFailed, sent[0])
	f.move(t, deviceops.DeviceTimedOut, sent[1])
	f.move(t, deviceops.DeviceRejected, sent[2])
	out := f.control(t, deviceops.RolloutControl{Action: deviceops.RolloutRetry})
	require.Equal(t, 2, out.Controlled.Devices)
	require.Equal(t, 1, out.Rollout.Rings[1].Counts.Rejected, "what was rejected is not asked again")
	require.Equal(t, 5, out.Rollout.Rings[1].Counts.Pending)

	out = f.control(t, deviceops.RolloutControl{Action: deviceops.RolloutSet, Limits: &deviceops.Limits{InFlight: 7, Rate: deviceops.RateSpec{Start: 30}}})
	require.Equal(t, "rollout bright is running; up to 7 devices are at it at once, 30 a minute at first", out.Controlled.Text)
	require.Equal(t, 7, f.stored(t).Limits.InFlight)
}

func TestCreateRollback(t *testing.T) {
	t.Parallel()
	f := begun(t, 10, 2, manifest)
	f.move(t, deviceops.DeviceSucceeded, f.send(t, 0, 2)...)
	second := f.send(t, 1, 4)
	f.move(t, deviceops.DeviceSucceeded, second[0])
	f.move(t, deviceops.DeviceFailed, second[1])
	f.move(t, deviceops.DeviceRejected, second[2])
	had := f.rows(t, f.r.ID, deviceops.DevicePending)[0].Device
	f.move(t, deviceops.DeviceSucceeded, had) // it had it already: nothing was sent
	in := activities.RollbackInput{Rollout: f.r.ID, Rings: []int{0, 1}, By: "user:maria", Reason: "it is too dark"}
	var out activities.RollbackOutput
	for range 2 { // repeated it changes nothing
		var err error
		out, err = do[activities.RollbackOutput](f.world, activities.NameCreateRollback, in)
		require.NoError(t, err)
		require.Equal(t, activities.RollbackOutput{Rollback: f.r.RollbackID(), Devices: 5}, out)
	}
	require.Equal(t, out.Rollback, f.stored(t).Rollback)
	back, err := f.store.FindRollout(t.Context(), out.Rollback)
	require.NoError(t, err)
	require.Equal(t, "bright-rollback", back.Name)
	require.Equal(t, f.r.ID, back.RollbackOf)
	require.Equal(t, []string{"rest", "canary"}, []string{back.Rings[0].Name, back.Rings[1].Name})
	require.Equal(t, []int{3, 2}, []int{back.Rings[0].Counts.Pending, back.Rings[1].Counts.Pending})

	planned, err := do[activities.PlanRolloutOutput](f.world, activities.NamePlanRollout, activities.PlanRolloutInput{Rollout: back.ID})
	require.NoError(t, err)
	require.Equal(t, 3, planned.Counts[0].Pending, "its rows were made with it")
	counted, err := do[activities.CountOutput](f.world, activities.NameCountRollout, activities.CountInput{Rollout: f.r.ID})
	require.NoError(t, err)
	require.Equal(t, deviceops.RolloutPlanning, counted.Rollback)
}

func TestCreateRollbackOfWhatCannotBeTakenBack(t *testing.T) {
	t.Parallel()
	f := begun(t, 3, 1, "rollout: ping\nchange: { command: { name: ping } }\ntargets: device.profile == \"kiosk\"\n")
	f.move(t, deviceops.DeviceSucceeded, f.send(t, 0, 2)...)
	out, err := do[activities.RollbackOutput](f.world, activities.NameCreateRollback, activities.RollbackInput{Rollout: f.r.ID, Rings: []int{0}, By: "engine"})
	require.NoError(t, err)
	require.Equal(t, activities.RollbackOutput{Irreversible: 2}, out)
	rows := f.rows(t, f.r.ID, deviceops.DeviceRevertFailed)
	require.Len(t, rows, 2)
	require.Equal(t, deviceops.CodeIrreversible, rows[0].Error.Code)
	require.Equal(t, "what a command did cannot be taken back by itself", rows[0].Error.Message)
}

// A release of a configuration alone goes back without a release that devices ran.
func TestCreateRollbackOfAReleaseOfConfiguration(t *testing.T) {
	t.Parallel()
	f := begun(t, 2, 1, "rollout: dark\nchange: { release: kiosk-os@2.0.0 }\ntargets: device.profile == \"kiosk\"\n")
	release := deviceops.Release{
		Account: "acme", Project: "kiosk-os", Version: "2.0.0", Components: []deviceops.Component{}, Configuration: map[string]any{"theme": "dark"}, Reversible: true, CreatedAt: f.now,
	}
	release.Hash = release.ContentHash()
	_, err := f.store.CreateRelease(t.Context(), release)
	require.NoError(t, err)
	f.move(t, deviceops.DeviceSucceeded, f.send(t, 0, 2)...)
	out, err := do[activities.RollbackOutput](f.world, activities.NameCreateRollback, activities.RollbackInput{Rollout: f.r.ID, Rings: []int{0}, By: "engine"})
	require.NoError(t, err)
	require.Equal(t, activities.RollbackOutput{Rollback: f.r.RollbackID(), Devices: 2}, out)
}

func TestCountRolloutEndsWhatWasLeftOver(t *testing.T) {
	t.Parallel()
	f := begun(t, 3, 1, manifest)
	next := f.stored(t)
	next.Status = deviceops.RolloutCanceled
	require.NoError(t, f.store.SaveRollout(t.Context(), next))
	out := f.count(t, activities.CountInput{})
	require.Equal(t, 3, out.Counts[0].Canceled)
}

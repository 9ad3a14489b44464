package deviceops_test

import (
	"testing"
	"time"

	"github.com/deviceops/deviceops"
	"github.com/stretchr/testify/require"
)

func TestNewRollback(t *testing.T) {
	t.Parallel()
	r := deviceops.Rollout{
		ID: "ro-1", Account: "acme", Name: "kiosk", Kind: deviceops.ChangeRelease, Source: "rollout: kiosk", Hash: "h",
		Limits: deviceops.Limits{InFlight: 50, Rate: deviceops.RateSpec{Start: 10}},
		Rings:  []deviceops.Ring{{Index: 0, Name: "a", OpenedAt: planNoon}, {Index: 1, Name: "b", OpenedAt: planNoon}, {Index: 2, Name: "c"}},
	}
	require.Equal(t, []int{0, 1}, r.RollbackScope(1, true), "what was not opened needs no rollback")
	require.Equal(t, []int{1}, r.RollbackScope(1, false))
	require.Empty(t, r.RollbackScope(2, false))
	require.Equal(t, 1, r.LastOpened())
	require.Equal(t, -1, (&deviceops.Rollout{}).LastOpened())

	spec := &deviceops.RolloutSpec{Rollback: deviceops.RollbackSpec{MaxRate: true}}
	back := r.NewRollback(spec, []int{0, 1}, "user:maria", "it smells", planNoon)
	require.Equal(t, deviceops.Rollout{
		ID: r.RollbackID(), Account: "acme", Name: "kiosk-rollback", Kind: deviceops.ChangeRelease, Source: "rollout: kiosk", Hash: "h",
		Status: deviceops.RolloutPlanning, StatusBy: "user:maria", StatusSince: planNoon, Limits: deviceops.Limits{InFlight: 50},
		RollbackOf: "ro-1", HealthBySuccess: true, CreatedBy: "user:maria", Reason: "it smells", CreatedAt: planNoon,
		Rings: []deviceops.Ring{{Index: 0, Name: "b", Status: deviceops.RingPending}, {Index: 1, Name: "a", Status: deviceops.RingPending}},
	}, back)
	spec.Rollback = deviceops.RollbackSpec{InFlight: 5}
	require.Equal(t, deviceops.Limits{InFlight: 5, Rate: deviceops.RateSpec{Start: 10}}, r.NewRollback(spec, nil, "", "", planNoon).Limits)
}

func TestTheManifestOfARollback(t *testing.T) {
	t.Parallel()
	own := &deviceops.Gate{Fail: failsAt(1)}
	spec := &deviceops.RolloutSpec{
		Name: "kiosk", Change: deviceops.Change{Kind: deviceops.ChangeRelease, Release: "os@2"},
		Targets: deviceops.Condition{Source: "true", Judge: func(*deviceops.Device) (deviceops.Verdict, error) { return deviceops.No, nil }},
		Rings:   []deviceops.RingSpec{{Name: "a", Take: 10, Soak: time.Hour, Approve: &deviceops.ApproveSpec{}}, {Name: "b"}},
		Ready:   &deviceops.Condition{}, Window: &deviceops.MaintenanceWindow{}, Health: &deviceops.Condition{}, Approve: &deviceops.ApproveSpec{},
		Start: planNoon, Deadline: planNoon, Urgent: "it burns", KeepOpen: time.Hour, OnFail: deviceops.FailRollback,
		Deferrals: deviceops.DeferralSpec{Max: 5}, Stragglers: deviceops.StragglerSpec{After: time.Hour, Then: deviceops.StragglerExcuse},
		Rollback: deviceops.RollbackSpec{IgnoreWindow: true},
	}
	require.Same(t, spec, spec.Of(&deviceops.Rollout{}), "what is no rollback has the manifest as it is")
	r := &deviceops.Rollout{Name: "kiosk-rollback", RollbackOf: "ro-1", Rings: []deviceops.Ring{{Name: "b"}, {Name: "a"}}}
	back := spec.Of(r)
	require.True(t, back.Change.Revert)
	require.False(t, spec.Change.Revert, "the manifest itself stays as it is")
	require.Equal(t, []deviceops.RingSpec{{Name: "b"}, {Name: "a"}}, back.Rings)
	require.Nil(t, back.Targets.Judge, "what it did may have taken devices out of the targets")
	require.Nil(t, back.Ready)
	require.Nil(t, back.Window)
	require.Nil(t, back.Approve)
	require.Zero(t, back.Start)
	require.Zero(t, back.Deadline)
	require.Equal(t, deviceops.FailPause, back.OnFail)
	require.Equal(t, deviceops.StragglerFail, back.Stragglers.Then, "who never came back was not taken back")
	verdict := back.GateOf(0).Judge(deviceops.GateFacts{Ring: deviceops.Counts{Targeted: 2, Failed: 2}}, true)
	require.Equal(t, deviceops.GatePass, verdict.Outcome, "it passes when all are done")

	spec.Rollback = deviceops.RollbackSpec{Gate: own}
	spec.Stragglers.Then = deviceops.StragglerWait
	back = spec.Of(r)
	require.NotNil(t, back.Window)
	require.Same(t, own.Fail, back.Gate.Fail)
	require.Equal(t, deviceops.StragglerWait, back.Stragglers.Then)
}

func TestWhichDevicesARolloutChanged(t *testing.T) {
	t.Parallel()
	for status, changed := range map[deviceops.RolloutDeviceStatus]bool{
		deviceops.DevicePending: false, deviceops.DeviceSent: true, deviceops.DeviceAccepted: true, deviceops.DeviceDeferred: false,
		deviceops.DeviceSucceeded: true, deviceops.DeviceFailed: true, deviceops.DeviceRejected: false, deviceops.DeviceTimedOut: true,
		deviceops.DeviceExcused: false, deviceops.DeviceCanceled: false, deviceops.DeviceReverted: false,
	} {
		require.Equal(t, changed, (&deviceops.RolloutDevice{Status: status, Attempt: 1}).Changed(), status)
		require.False(t, (&deviceops.RolloutDevice{Status: status}).Changed(), "nothing was sent")
	}
}

func TestRolloutChanges(t *testing.T) {
	t.Parallel()
	before := planView().Rollout
	after := planView(ringIs(0, deviceops.RingFailed), statusIs(deviceops.RolloutReverting)).Rollout
	after.Rings[0].Reason, after.StatusReason = "too many", "ring canary failed"
	require.Equal(t, []deviceops.RolloutChange{
		{Event: "rollout.ring_failed", Severity: "error", Ring: 0, Status: "failed", Reason: "too many", By: "engine"},
		{Event: "rollout.reverting", Severity: "error", Ring: -1, Status: "reverting", Reason: "ring canary failed", By: "engine"},
	}, deviceops.RolloutChanges(&before, &after, "engine"))
	require.Empty(t, deviceops.RolloutChanges(&after, &after, "engine"))
	require.False(t, before.SameState(&after))
	counted := planView(done(0, 0)).Rollout
	require.True(t, before.SameState(&counted), "counts are no state")
	for status, severity := range map[deviceops.RolloutStatus]string{
		deviceops.RolloutFailed: "error", deviceops.RolloutPaused: "warning", deviceops.RolloutCanceled: "warning", deviceops.RolloutSucceeded: "info",
	} {
		changed := planView(statusIs(status)).Rollout
		require.Equal(t, severity, deviceops.RolloutChanges(&before, &changed, "engine")[0].Severity)
	}
}

package deviceops_test

import (
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/deviceops/deviceops"
)

func TestRolloutOutcome(t *testing.T) {
	at := time.Date(2026, 6, 1, 12, 0, 0, 0, time.UTC)
	later := at.Add(10 * time.Minute)
	spec := func(then deviceops.DeferralAction) *deviceops.RolloutSpec {
		return &deviceops.RolloutSpec{
			Retry:     deviceops.RetrySpec{Times: 1, Min: time.Minute, Max: time.Minute},
			Deferrals: deviceops.DeferralSpec{Max: 2, Then: then},
		}
	}
	ask := spec(deviceops.DeferralAsk)
	command := func(s deviceops.CommandStatus, change func(*deviceops.Command)) *deviceops.Command {
		c := &deviceops.Command{Rollout: "ro-1", Device: "k1", Attempt: 1, Status: s, Phase: "installing", Percent: 40, DueAt: later}
		if change != nil {
			change(c)
		}
		return c
	}
	retryable := func(c *deviceops.Command) { c.Error = &deviceops.CommandError{Code: "disk", Retryable: true} }
	deferred := func(n int) func(*deviceops.Command) {
		return func(c *deviceops.Command) { c.Deferrals, c.Phase = n, "in use" }
	}
	for name, c := range map[string]struct {
		spec    *deviceops.RolloutSpec
		command *deviceops.Command
		over    bool
		to      deviceops.RolloutDeviceStatus
		due     time.Time
		wait    deviceops.WaitKind
		urgent  bool
	}{
		"accepted":                    {ask, command(deviceops.CommandAccepted, nil), false, deviceops.DeviceAccepted, time.Time{}, "", false},
		"succeeded":                   {ask, command(deviceops.CommandSucceeded, nil), false, deviceops.DeviceSucceeded, time.Time{}, "", false},
		"rejected":                    {ask, command(deviceops.CommandRejected, retryable), false, deviceops.DeviceRejected, time.Time{}, "", true},
		"canceled":                    {ask, command(deviceops.CommandCanceled, nil), false, deviceops.DeviceCanceled, time.Time{}, "", false},
		"expired":                     {ask, command(deviceops.CommandExpired, nil), false, deviceops.DeviceTimedOut, time.Time{}, "", true},
		"failed for good":             {ask, command(deviceops.CommandFailed, func(c *deviceops.Command) { c.Error = &deviceops.CommandError{Code: "x"} }), false, deviceops.DeviceFailed, time.Time{}, "", true},
		"failed, again":               {ask, command(deviceops.CommandFailed, retryable), false, deviceops.DevicePending, at.Add(time.Minute), deviceops.WaitRetry, false},
		"failed too often":            {ask, command(deviceops.CommandFailed, func(c *deviceops.Command) { retryable(c); c.Attempt = 2 }), false, deviceops.DeviceFailed, time.Time{}, "", true},
		"failed when all is over":     {ask, command(deviceops.CommandFailed, retryable), true, deviceops.DeviceFailed, time.Time{}, "", true},
		"failed without a manifest":   {nil, command(deviceops.CommandFailed, retryable), false, deviceops.DeviceFailed, time.Time{}, "", true},
		"deferred":                    {ask, command(deviceops.CommandDeferred, deferred(2)), false, deviceops.DeviceDeferred, later, deviceops.WaitDeferred, false},
		"deferred, ask":               {ask, command(deviceops.CommandDeferred, deferred(3)), false, deviceops.DeviceDeferred, time.Time{}, deviceops.WaitDeferred, true},
		"deferred after a yes":        {ask, command(deviceops.CommandDeferred, deferred(4)), false, deviceops.DeviceDeferred, later, deviceops.WaitDeferred, false},
		"deferred, ask again":         {ask, command(deviceops.CommandDeferred, deferred(5)), false, deviceops.DeviceDeferred, time.Time{}, deviceops.WaitDeferred, true},
		"deferred, fail":              {spec(deviceops.DeferralFail), command(deviceops.CommandDeferred, deferred(4)), false, deviceops.DeviceFailed, time.Time{}, "", true},
		"deferred, excuse":            {spec(deviceops.DeferralExcuse), command(deviceops.CommandDeferred, deferred(3)), false, deviceops.DeviceExcused, time.Time{}, "", false},
		"deferred, wait":              {spec(deviceops.DeferralWait), command(deviceops.CommandDeferred, deferred(9)), false, deviceops.DeviceDeferred, later, deviceops.WaitDeferred, false},
		"deferred when all is over":   {ask, command(deviceops.CommandDeferred, deferred(1)), true, deviceops.DeviceCanceled, time.Time{}, "", false},
		"deferred without a manifest": {nil, command(deviceops.CommandDeferred, deferred(9)), false, deviceops.DeviceDeferred, later, deviceops.WaitDeferred, false},
	} {
		t.Run(name, func(t *testing.T) {
			m := deviceops.RolloutOutcome(c.spec, c.command, c.over, at)
			require.Equal(t, c.to, m.To)
			require.Equal(t, c.due, m.DueAt)
			require.Equal(t, c.urgent, m.Urgent())
			if c.wait == "" {
				require.Nil(t, m.Wait)
				return
			}
			require.Equal(t, c.wait, m.Wait.Kind)
			require.Equal(t, c.due, m.Wait.Until)
			require.NotEmpty(t, m.Wait.Text)
		})
	}
}

func TestRolloutOutcomeTellsWhatStarts(t *testing.T) {
	m := deviceops.RolloutOutcome(nil, &deviceops.Command{Status: deviceops.CommandAccepted, Phase: "installing", Percent: 40}, false, time.Time{})
	require.Equal(t, "installing", m.Phase)
	require.Equal(t, 40, m.Percent)
	require.NotContains(t, m.From, deviceops.DeviceTimedOut)
	m = deviceops.RolloutOutcome(nil, &deviceops.Command{Status: deviceops.CommandSucceeded}, false, time.Time{})
	require.Contains(t, m.From, deviceops.DeviceTimedOut, "a late success is one")
	m.Drained = true
	require.True(t, m.Urgent(), "the ring has nothing open")
}

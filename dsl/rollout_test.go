package dsl

import (
	"os"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/deviceops/deviceops"
)

// manifestOf compiles a manifest that has to be right.
func manifestOf(t *testing.T, source string) *deviceops.RolloutSpec {
	t.Helper()
	spec, found := CompileRollout("rollout.yaml", source, Options{})
	require.NoError(t, found.Err())
	require.Empty(t, found)
	return spec
}

func TestRolloutOfTheDesign(t *testing.T) {
	t.Parallel()
	source, err := os.ReadFile("../examples/rollout.yaml")
	require.NoError(t, err)
	spec := manifestOf(t, string(source))

	require.Equal(t, "kiosk-2.4.0", spec.Name)
	require.Equal(t, deviceops.Change{Kind: deviceops.ChangeRelease, Release: "kiosk-os@2.4.0"}, spec.Change)
	require.Equal(t, `device.profile == "kiosk" && device.state == "active"`, spec.Targets.Source)
	require.Equal(t, deviceops.Limits{InFlight: 500, Rate: deviceops.RateSpec{Start: 60, Factor: 2, Every: 5 * time.Minute, Max: 6000}}, spec.Limits)
	require.Equal(t, &deviceops.BudgetSpec{Per: "labels.site", MaxUnavailable: 1}, spec.Budget)
	require.Equal(t, &deviceops.MaintenanceWindow{
		Days: []time.Weekday{time.Monday, time.Tuesday, time.Wednesday, time.Thursday, time.Friday},
		From: time.Hour, To: 5 * time.Hour, Zone: deviceops.ZoneDevice,
	}, spec.Window)
	require.Equal(t, deviceops.PhaseSpec{
		Download: deviceops.PhaseLimit{Timeout: 12 * time.Hour, AnyWindow: true}, Install: deviceops.PhaseLimit{Timeout: 20 * time.Minute},
	}, spec.Phases)
	require.Equal(t, 10*time.Minute, spec.AnswerWithin)
	require.Equal(t, deviceops.DeferralSpec{Max: 5, Then: deviceops.DeferralAsk}, spec.Deferrals)
	require.Equal(t, deviceops.StragglerSpec{After: 7 * 24 * time.Hour, Then: deviceops.StragglerExcuse}, spec.Stragglers)
	require.Equal(t, deviceops.FailRollback, spec.OnFail)
	require.Equal(t, deviceops.RollbackSpec{IgnoreWindow: true, MaxRate: true}, spec.Rollback)
	require.Equal(t, deviceops.ConflictWait, spec.Conflict)
	require.Equal(t, 3, spec.Retry.Times)
	require.Equal(t, time.Minute, spec.Retry.Min)
	require.Equal(t, time.Hour, spec.Retry.Max)
}

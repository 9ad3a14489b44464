package bench

import (
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/deviceops/deviceops"
	"github.com/deviceops/deviceops/dsl"
)

func TestTheManifestOfTheBenchIsTheChangeThatItClaims(t *testing.T) {
	spec, diagnostics := dsl.CompileRollout("bench.yaml", manifest("bench"), dsl.Options{})
	require.NoError(t, diagnostics.Err())
	require.Equal(t, deviceops.Change{Kind: deviceops.ChangeCommand, Command: "diagnostics"}, spec.Change)
	require.Equal(t, deviceops.Limits{InFlight: inFlight}, spec.Limits, "no rate")
	require.Len(t, spec.Rings, 1)
	require.Zero(t, spec.Rings[0].Soak)
	require.Nil(t, spec.Window)
}

func TestTheRolloutThatIsTakenBackFailsWithItsLastDevice(t *testing.T) {
	spec, diagnostics := dsl.CompileRollout("bench.yaml", doomed("bench-doomed", 2000), dsl.Options{})
	require.NoError(t, diagnostics.Err())
	require.Equal(t, deviceops.FailRollback, spec.OnFail)
	for succeeded, want := range map[int]bool{1999: false, 2000: true} {
		ring := deviceops.Counts{Targeted: 2000, Succeeded: succeeded, Sent: 2000 - succeeded}
		verdict := spec.Gate.Judge(deviceops.GateFacts{Ring: ring, Rollout: ring}, false)
		require.Equal(t, want, verdict.Outcome == deviceops.GateFail, succeeded)
	}
}

func TestTheRolloutsRatios(t *testing.T) {
	b := rolling{options: RolloutOptions{Devices: 1000}, raw: Figure{Value: 8000}, child: Figure{Value: 50}}
	b.rolled = rolled{rate: Figure{Value: 4000}, events: 30, before: 40e6, after: 41e6, cpu: partTimes{"engine": 3 * time.Second}.since(partTimes{"engine": 1500 * time.Millisecond}, 10_000)}
	b.rawCPU = map[string]Figure{"broker": {40, "µs"}}
	r := b.result()
	require.Equal(t, map[string]float64{"devices_to_raw_round_trips": 0.5, "to_child_workflow": 80}, r.Ratios)
	require.Equal(t, 0.03, r.Figures["history_events_per_device"].Value)
	require.Equal(t, 1e6, r.Figures["live_heap_grown"].Value)
	require.Equal(t, Figure{150, "µs"}, r.Figures["cpu_per_device_engine"])
	require.Equal(t, Figure{40, "µs"}, r.Yardsticks["cpu_per_round_trip_broker"])
}

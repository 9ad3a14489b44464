package deviceops_test

import (
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/deviceops/deviceops"
)

// threeRings is the rollout of the manifest in DESIGN, without its window.
func threeRings() *deviceops.RolloutSpec {
	spec := installs(12*time.Hour, 20*time.Minute)
	spec.Name = "kiosk-2.4.0"
	spec.Rings = []deviceops.RingSpec{
		{Name: "canary", Take: 10, Where: tagged("canary"), Soak: 30 * time.Minute},
		{Name: "early", Percent: 10, Soak: 2 * time.Hour, Approve: &deviceops.ApproveSpec{By: []string{"role:operator"}}},
		{Name: "everyone"},
	}
	spec.Limits = deviceops.Limits{InFlight: 500, Rate: deviceops.RateSpec{Start: 60, Factor: 2, Every: 5 * time.Minute, Max: 6000}}
	spec.Budget = &deviceops.BudgetSpec{Per: "labels.site", MaxUnavailable: 1}
	spec.AnswerWithin = 10 * time.Minute
	spec.Retry = deviceops.RetrySpec{Times: 3, Min: time.Minute, Max: time.Hour}
	spec.Stragglers = deviceops.StragglerSpec{After: 7 * 24 * time.Hour, Then: deviceops.StragglerExcuse}
	spec.Gate = deviceops.Gate{Pass: atLeastHealthy(98), Fail: badOf(10, 2)}
	spec.OnFail = deviceops.FailRollbackAll
	spec.Rollback = deviceops.RollbackSpec{IgnoreWindow: true, MaxRate: true}
	return &spec
}

// simulated runs a rollout over 10,000 kiosks at 1,000 sites.
func simulated(t testing.TB, spec *deviceops.RolloutSpec, o deviceops.SimOptions) deviceops.SimReport {
	t.Helper()
	o.Start = midday
	fleet := deviceops.SimFleet{Devices: 10_000, Sites: 1000, Canaries: 40, Zones: []string{berlin, newYork}}
	report, err := deviceops.SimulateRollout(spec, fleet.Build(), o)
	require.NoError(t, err)
	return report
}

// TestSimulations holds whole reports.
func TestSimulations(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct {
		change  func(*deviceops.RolloutSpec)
		options deviceops.SimOptions
		want    string
	}{
		"all goes well": {nil, deviceops.SimOptions{FailureRate: 0.01, RetryableRate: 1}, `
10000 devices, succeeded after 3h21m17s: 10000 of 10000 devices succeeded

ring         status    devices  reached  succeeded   failed   unwell  excused     begins      takes
canary       passed         10       10         10        0        0        0         0s      36m2s
early        passed       1000     1000       1000        0        0        0      36m2s    2h9m35s
everyone     passed       8990     8990       8990        0        0        0   2h45m37s     35m40s

50 % of the devices have it after 2h56m17s, 90 % after 3h6m37s, 99 % after 3h11m17s
asked: May ring early of rollout kiosk-2.4.0 begin with 1000 devices? Ring canary passed: 10 of 10 devices succeeded
`},
		"at night, for each device in its zone": {func(s *deviceops.RolloutSpec) {
			night := maintenance(t, "01:00", "05:00", deviceops.ZoneDevice)
			s.Window, s.Phases.Download.AnyWindow = &night, true
		}, deviceops.SimOptions{}, `
10000 devices, succeeded after 2d12h22m0s: 10000 of 10000 devices succeeded

ring         status    devices  reached  succeeded   failed   unwell  excused     begins      takes
canary       passed         10       10         10        0        0        0         0s  18h30m16s
early        passed       1000     1000       1000        0        0        0  18h30m16s  19h36m51s
everyone     passed       8990     8990       8990        0        0        0  1d14h7m0s   22h15m1s

50 % of the devices have it after 1d18h6m0s, 90 % after 2d12h5m0s, 99 % after 2d12h10m0s
asked: May ring early of rollout kiosk-2.4.0 begin with 1000 devices? Ring canary passed: 10 of 10 devices succeeded
`},
		"some are offline, and hold their rings up": {nil, deviceops.SimOptions{OfflineRate: 0.1, NeverRate: 0.1, ApproveAfter: time.Hour}, `
10000 devices, succeeded after 14d9h29m0s: 9903 of 9903 devices succeeded, 97 are excused

ring         status    devices  reached  succeeded   failed   unwell  excused     begins      takes
canary       passed         10       10         10        0        0        0         0s   6h28m52s
early        passed        988      988        988        0        0       12   7h28m52s   7d2h0m0s
everyone     passed       8905     8905       8905        0        0       85  7d9h29m0s       7d0s

50 % of the devices have it after 7d9h39m0s, 90 % after 7d9h50m0s, 99 % after 7d10h2m0s
asked: May ring early of rollout kiosk-2.4.0 begin with 1000 devices? Ring canary passed: 10 of 10 devices succeeded
`},
		"a bad release stops at the canary": {nil, deviceops.SimOptions{UnhealthyRate: 0.3}, `
10000 devices, reverting after 1m1s: ring canary failed: the gate failed: pct(ring.failed + ring.unhealthy, ring.reached) > 2 (pct(ring.failed + ring.unhealthy, ring.reached) is 10, > 2)

ring         status    devices  reached  succeeded   failed   unwell  excused     begins      takes
canary       failed         10       10          7        0        1        0         0s       1m1s
early        pending      1000        0          0        0        0        0          -          -
everyone     pending      8990        0          0        0        0        0          -          -

50 % of the devices have it never, 90 % never, 99 % never

ring canary stopped it after 1m1s: the gate failed: pct(ring.failed + ring.unhealthy, ring.reached) > 2 (pct(ring.failed + ring.unhealthy, ring.reached) is 10, > 2)
touched by then: 10 of 10000 devices (0.1 %), 1 of them harmed
taken back: 10 devices in 1m14s; 0 could not be
`},
		"one that is a little bad gets further": {func(s *deviceops.RolloutSpec) { s.Rings[0].Gate = &deviceops.Gate{Pass: atLeastHealthy(80)} }, deviceops.SimOptions{UnhealthyRate: 0.03}, `
10000 devices, reverting after 43m59s: ring early failed: the gate failed: pct(ring.failed + ring.unhealthy, ring.reached) > 2 (pct(ring.failed + ring.unhealthy, ring.reached) is 2.1, > 2)

ring         status    devices  reached  succeeded   failed   unwell  excused     begins      takes
canary       passed         10       10         10        0        2        0         0s     31m23s
early        failed       1000     1000       1000        0       21        0     31m23s     12m36s
everyone     pending      8990        0          0        0        0        0          -          -

50 % of the devices have it never, 90 % never, 99 % never

ring early stopped it after 43m59s: the gate failed: pct(ring.failed + ring.unhealthy, ring.reached) > 2 (pct(ring.failed + ring.unhealthy, ring.reached) is 2.1, > 2)
touched by then: 1010 of 10000 devices (10.1 %), 23 of them harmed
taken back: 1010 devices in 9m35s; 0 could not be
asked: May ring early of rollout kiosk-2.4.0 begin with 1000 devices? Ring canary passed: 10 of 10 devices succeeded, 2 are unhealthy
`},
		"without health and soak it reaches all": {func(s *deviceops.RolloutSpec) {
			s.Rings, s.Gate = []deviceops.RingSpec{{Name: "all"}}, deviceops.Gate{Fail: badOf(5000, 25)}
			s.Limits, s.Budget, s.OnFail = deviceops.Limits{InFlight: 500}, nil, deviceops.FailPause
		}, deviceops.SimOptions{UnhealthyRate: 0.3, UnhealthyMean: time.Hour}, `
10000 devices, running after 32m42s: it waits for a person: Is ring all of rollout kiosk-2.4.0 good enough? 10000 of 10000 devices succeeded, 853 are unhealthy: the ring is through and its gate does not pass: no device failed or is unhealthy

ring         status    devices  reached  succeeded   failed   unwell  excused     begins      takes
all          running     10000    10000      10000        0      853        0         0s     32m42s

50 % of the devices have it after 13m12s, 90 % after 23m28s, 99 % after 26m18s
`},
		"the gate asks": {func(s *deviceops.RolloutSpec) { s.Gate.Fail = nil; s.Rings[0].Where = nil }, deviceops.SimOptions{RejectRate: 0.3}, `
10000 devices, running after 34m1s: it waits for a person: Is ring canary of rollout kiosk-2.4.0 good enough? 6 of 10 devices succeeded, 4 rejected it: the ring is through and its gate does not pass: pct(ring.healthy, ring.reached) >= 98 (pct(ring.healthy, ring.reached) is 60, not >= 98)

ring         status    devices  reached  succeeded   failed   unwell  excused     begins      takes
canary       soaking        10       10          6        4        0        0         0s      34m1s
early        pending      1000        0          0        0        0        0          -          -
everyone     pending      8990        0          0        0        0        0          -          -

50 % of the devices have it never, 90 % never, 99 % never
`},
		"the deadline passes": {func(s *deviceops.RolloutSpec) { s.Deadline = midday.Add(3 * time.Hour) }, deviceops.SimOptions{SilentRate: 0.001}, `
10000 devices, failed after 3h0m0s: its deadline passed: 2026-01-14T15:00:00Z

ring         status    devices  reached  succeeded   failed   unwell  excused     begins      takes
canary       passed         10       10         10        0        0        0         0s     31m23s
early        passed       1000     1000        999        1        0        0     31m23s    2h15m7s
everyone     running      8990     5576       5080        3        0        0   2h46m30s     13m30s

50 % of the devices have it after 2h57m6s, 90 % never, 99 % never
asked: May ring early of rollout kiosk-2.4.0 begin with 1000 devices? Ring canary passed: 10 of 10 devices succeeded
`},
		"some never come back, and nobody excuses them": {func(s *deviceops.RolloutSpec) { s.Stragglers.Then = deviceops.StragglerWait }, deviceops.SimOptions{OfflineRate: 0.01, NeverRate: 1}, `
10000 devices, running after 40m58s: ring early stays open: 9 devices are not heard of, and nobody excuses them

ring         status    devices  reached  succeeded   failed   unwell  excused     begins      takes
canary       passed         10       10         10        0        0        0         0s     31m23s
early        running      1000      991        991        0        0        0     31m23s      9m35s
everyone     pending      8990        0          0        0        0        0          -          -

50 % of the devices have it never, 90 % never, 99 % never
asked: May ring early of rollout kiosk-2.4.0 begin with 1000 devices? Ring canary passed: 10 of 10 devices succeeded
`},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			spec := threeRings()
			if c.change != nil {
				c.change(spec)
			}
			c.options.Seed = 1
			require.Equal(t, strings.TrimLeft(c.want, "\n"), simulated(t, spec, c.options).String())
		})
	}
}

func TestSimulationsRepeat(t *testing.T) {
	t.Parallel()
	o := deviceops.SimOptions{Seed: 7, FailureRate: 0.1, RetryableRate: 0.9, RejectRate: 0.001, SilentRate: 0.001, OfflineRate: 0.05, UnhealthyRate: 0.005}
	first := simulated(t, threeRings(), o)
	require.Equal(t, first, simulated(t, threeRings(), o))
	o.Seed++
	require.NotEqual(t, first, simulated(t, threeRings(), o))
}

func TestSimulationsOfNobody(t *testing.T) {
	t.Parallel()
	report, err := deviceops.SimulateRollout(threeRings(), nil, deviceops.SimOptions{Start: midday})
	require.NoError(t, err)
	require.Equal(t, deviceops.RolloutSucceeded, report.Status)
	require.Equal(t, []string{"ring canary is empty", "ring early is empty", "ring everyone is empty"}, report.Notes)
}

func TestSimulationsTellWhatTheyLeaveOut(t *testing.T) {
	t.Parallel()
	spec := threeRings()
	spec.Ready = batteryAbove30()
	require.Equal(t, []string{"whether devices are ready is not simulated: device.metrics.battery_pct > 30"}, simulated(t, spec, deviceops.SimOptions{}).Notes)

	spec.Ready = nil
	spec.Targets = *tagged("canary")
	fleet := deviceops.SimFleet{Devices: 100, Canaries: 30}.Build()
	fleet[99].Tags = nil
	report, err := deviceops.SimulateRollout(spec, fleet, deviceops.SimOptions{Start: midday})
	require.NoError(t, err)
	require.Equal(t, 31, report.Devices)
	require.Equal(t, []string{
		`69 devices do not meet the targets: "canary" in device.tags`,
		`of 1 device it cannot be told whether they meet the targets, since a value is missing; they are taken in: "canary" in device.tags`,
	}, report.Notes)

	spec.Rings[0].Where = &deviceops.Condition{Source: "device.x", Judge: func(*deviceops.Device) (deviceops.Verdict, error) {
		return deviceops.Unknown, deviceops.Errorf(deviceops.EINVALID, "no x")
	}}
	spec.Targets = deviceops.Condition{}
	_, err = deviceops.SimulateRollout(spec, deviceops.SimFleet{Devices: 1}.Build(), deviceops.SimOptions{})
	require.Equal(t, deviceops.EINVALID, deviceops.ErrorCode(err))
}

// BenchmarkSimulate10k is the time of a rollout over 10,000 devices.
func BenchmarkSimulate10k(b *testing.B) {
	for b.Loop() {
		simulated(b, threeRings(), deviceops.SimOptions{Seed: 1, FailureRate: 0.01, RetryableRate: 1, OfflineRate: 0.1})
	}
}

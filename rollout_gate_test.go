package deviceops_test

import (
	"errors"
	"fmt"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/deviceops/deviceops"
)

// gateCondition makes a condition out of one comparison of a value, which is nil
// when it is not known, with a threshold.
func gateCondition(text string, value func(deviceops.GateFacts) *float64, op string, threshold float64) *deviceops.GateCondition {
	judge := func(f deviceops.GateFacts) deviceops.Verdict {
		v := value(f)
		switch {
		case v == nil:
			return deviceops.Unknown
		case op == ">=" && *v >= threshold, op == ">" && *v > threshold:
			return deviceops.Yes
		default:
			return deviceops.No
		}
	}
	return &deviceops.GateCondition{
		Source: fmt.Sprintf("%s %s %g", text, op, threshold),
		Judge:  func(f deviceops.GateFacts) (deviceops.Verdict, error) { return judge(f), nil },
		Terms: func(f deviceops.GateFacts) []deviceops.GateTerm {
			return []deviceops.GateTerm{{Text: text, Value: value(f), Op: op, Threshold: &threshold, Verdict: judge(f)}}
		},
	}
}

// pct is what the manifest's pct gives: nil, unknown, of nothing.
func pct(a, b int) *float64 {
	if b == 0 {
		return nil
	}
	p := 100 * float64(a) / float64(b)
	return &p
}

// atLeastHealthy passes from a share of healthy devices of those reached on.
func atLeastHealthy(percent float64) *deviceops.GateCondition {
	return gateCondition("pct(ring.healthy, ring.reached)", func(f deviceops.GateFacts) *float64 {
		return pct(f.Ring.Healthy, f.Ring.Reached())
	}, ">=", percent)
}

// badOf fails above a share of bad devices, once a sample of so many was
// reached; below that it does not know.
func badOf(sample int, percent float64) *deviceops.GateCondition {
	return gateCondition("pct(ring.failed + ring.unhealthy, ring.reached)", func(f deviceops.GateFacts) *float64 {
		if f.Ring.Reached() < sample {
			return nil
		}
		return pct(f.Ring.Unsuccessful()+f.Ring.Unhealthy, f.Ring.Reached())
	}, ">", percent)
}

func TestGates(t *testing.T) {
	t.Parallel()
	broken := &deviceops.GateCondition{Source: "ring.healthy / 0", Judge: func(deviceops.GateFacts) (deviceops.Verdict, error) {
		return deviceops.Unknown, deviceops.Errorf(deviceops.EINVALID, "division by zero")
	}}
	panicky := &deviceops.GateCondition{Source: "x", Judge: func(deviceops.GateFacts) (deviceops.Verdict, error) {
		return deviceops.Yes, errors.New("dial tcp 10.0.0.1: secret")
	}}
	full := deviceops.Gate{Pass: atLeastHealthy(98), Fail: badOf(10, 2)}
	waits := deviceops.Gate{Pass: atLeastHealthy(98), Otherwise: deviceops.OtherwiseWait}
	good := deviceops.Counts{Targeted: 100, Succeeded: 100, Healthy: 100}
	for name, c := range map[string]struct {
		gate   deviceops.Gate
		ring   deviceops.Counts
		soaked bool
		want   deviceops.GateOutcome
		reason string
	}{
		"open: it passes already, and has not soaked": {full, good, false, deviceops.GateOpen, "the ring is not through yet"},
		"pass: it has soaked": {full, good, true, deviceops.GatePass,
			"the gate passed: pct(ring.healthy, ring.reached) >= 98 (pct(ring.healthy, ring.reached) is 100, >= 98)"},
		"pass: just enough": {full, deviceops.Counts{Targeted: 100, Succeeded: 99, Failed: 1, Healthy: 98, Unhealthy: 1}, true, deviceops.GatePass,
			"the gate passed: pct(ring.healthy, ring.reached) >= 98 (pct(ring.healthy, ring.reached) is 98, >= 98)"},
		"fail: on any count, long before the soak": {full, deviceops.Counts{Targeted: 100, Pending: 90, Succeeded: 9, Failed: 1}, false, deviceops.GateFail,
			"the gate failed: pct(ring.failed + ring.unhealthy, ring.reached) > 2 (pct(ring.failed + ring.unhealthy, ring.reached) is 10, > 2)"},
		"fail: rejected and timed out devices failed too": {full, deviceops.Counts{Targeted: 100, Succeeded: 97, Healthy: 97, Rejected: 2, TimedOut: 1}, true, deviceops.GateFail,
			"the gate failed: pct(ring.failed + ring.unhealthy, ring.reached) > 2 (pct(ring.failed + ring.unhealthy, ring.reached) is 3, > 2)"},
		"fail: those in flight are among the reached": {full, deviceops.Counts{Targeted: 100, Sent: 95, Failed: 5}, false, deviceops.GateFail,
			"the gate failed: pct(ring.failed + ring.unhealthy, ring.reached) > 2 (pct(ring.failed + ring.unhealthy, ring.reached) is 5, > 2)"},
		"fail wins over pass": {deviceops.Gate{Pass: atLeastHealthy(50), Fail: badOf(10, 2)}, deviceops.Counts{Targeted: 100, Succeeded: 90, Healthy: 90, Failed: 10}, true, deviceops.GateFail,
			"the gate failed: pct(ring.failed + ring.unhealthy, ring.reached) > 2 (pct(ring.failed + ring.unhealthy, ring.reached) is 10, > 2)"},

		"ask: all are finished, and below the pass gate": {deviceops.Gate{Pass: atLeastHealthy(98)}, deviceops.Counts{Targeted: 10, Succeeded: 10, Healthy: 9, Unhealthy: 1}, true, deviceops.GateAsk,
			"the ring is through and its gate does not pass: pct(ring.healthy, ring.reached) >= 98 (pct(ring.healthy, ring.reached) is 90, not >= 98)"},
		"wait: the same, where time may help": {waits, deviceops.Counts{Targeted: 10, Succeeded: 10, Healthy: 9}, true, deviceops.GateWait,
			"the ring is through and its gate does not pass: pct(ring.healthy, ring.reached) >= 98 (pct(ring.healthy, ring.reached) is 90, not >= 98)"},
		"ask: a canary below the sample knows nothing, however good": {full, deviceops.Counts{Targeted: 7, Succeeded: 7, Healthy: 7}, true, deviceops.GateAsk,
			"whether the gate fails is not known: pct(ring.failed + ring.unhealthy, ring.reached) > 2 (pct(ring.failed + ring.unhealthy, ring.reached) is unknown, which cannot be compared: > 2)"},
		"open: nor, however bad, before it is through": {full, deviceops.Counts{Targeted: 7, Failed: 7}, false, deviceops.GateOpen, "the ring is not through yet"},
		"ask: nobody was reached, so the denominator is empty": {deviceops.Gate{Pass: atLeastHealthy(98)}, deviceops.Counts{Targeted: 3, Canceled: 3}, true, deviceops.GateAsk,
			"no device of the ring was reached, so nothing is known"},
		"ask: a condition that cannot be evaluated": {deviceops.Gate{Pass: broken}, good, true, deviceops.GateAsk,
			"whether the gate passes is not known: ring.healthy / 0 (division by zero)"},
		"ask: neither can fail's, and then it does not pass": {deviceops.Gate{Fail: broken}, good, true, deviceops.GateAsk,
			"whether the gate fails is not known: ring.healthy / 0 (division by zero)"},
		"open: an error never fails a ring, and keeps its secrets": {deviceops.Gate{Fail: panicky}, good, false, deviceops.GateOpen, "the ring is not through yet"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			v := c.gate.Judge(deviceops.GateFacts{Ring: c.ring, Rollout: c.ring.Add(deviceops.Counts{Targeted: 50, Pending: 50})}, c.soaked)
			require.Equal(t, c.want, v.Outcome)
			require.Equal(t, c.reason, v.Reason)
			require.NotContains(t, fmt.Sprint(v), "secret")
		})
	}
}

// TestGatesByDefault holds what a gate without conditions asks for.
func TestGatesByDefault(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct {
		ring   deviceops.Counts
		behind int // devices that wait for a later ring
		want   deviceops.GateOutcome
	}{
		"flawless":                        {deviceops.Counts{Targeted: 5, Succeeded: 5, Healthy: 5}, 9, deviceops.GatePass},
		"one failed":                      {deviceops.Counts{Targeted: 5, Succeeded: 4, Healthy: 4, Failed: 1}, 9, deviceops.GateAsk},
		"one was rejected":                {deviceops.Counts{Targeted: 5, Succeeded: 4, Healthy: 4, Rejected: 1}, 9, deviceops.GateAsk},
		"one timed out":                   {deviceops.Counts{Targeted: 5, Succeeded: 4, Healthy: 4, TimedOut: 1}, 9, deviceops.GateAsk},
		"one is unhealthy":                {deviceops.Counts{Targeted: 5, Succeeded: 5, Healthy: 4, Unhealthy: 1}, 9, deviceops.GateAsk},
		"of one the health is not known":  {deviceops.Counts{Targeted: 5, Succeeded: 5, Healthy: 4}, 9, deviceops.GateAsk},
		"excused ones do not count":       {deviceops.Counts{Targeted: 5, Succeeded: 5, Healthy: 5, Excused: 3}, 9, deviceops.GatePass},
		"all were excused":                {deviceops.Counts{Excused: 3}, 9, deviceops.GateAsk},
		"an empty ring before others":     {deviceops.Counts{}, 1, deviceops.GateAsk},
		"an empty ring before none":       {deviceops.Counts{}, 0, deviceops.GatePass},
		"the last ring was excused whole": {deviceops.Counts{Excused: 3}, 0, deviceops.GatePass},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			all := c.ring.Add(deviceops.Counts{Targeted: c.behind, Pending: c.behind})
			v := deviceops.Gate{}.Judge(deviceops.GateFacts{Ring: c.ring, Rollout: all}, true)
			require.Equal(t, c.want, v.Outcome, v.Reason)
			require.Equal(t, deviceops.No, v.Fail.Verdict, "a gate that has no fail condition never fails")
		})
	}
}

// TestGatesShowTheirValues holds what people who watch are shown.
func TestGatesShowTheirValues(t *testing.T) {
	t.Parallel()
	ring := deviceops.Counts{Targeted: 30, Succeeded: 29, Healthy: 29, Failed: 1}
	v := deviceops.Gate{Pass: atLeastHealthy(98), Fail: badOf(10, 5)}.Judge(deviceops.GateFacts{Ring: ring, Rollout: ring}, false)
	require.Equal(t, deviceops.No, v.Pass.Verdict)
	require.Equal(t, deviceops.No, v.Fail.Verdict)
	require.InDelta(t, 96.667, *v.Pass.Terms[0].Value, 0.001)
	require.Equal(t, "pct(ring.healthy, ring.reached) is 96.67, not >= 98", v.Pass.Terms[0].String())
	require.Equal(t, "pct(ring.failed + ring.unhealthy, ring.reached) is 3.33, not > 5", v.Fail.Terms[0].String())
}

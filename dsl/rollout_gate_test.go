package dsl

import (
	"fmt"
	"math/rand/v2"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/deviceops/deviceops"
)

// gateManifest is a manifest of one ring with a gate.
func gateManifest(take int, fail string) string {
	return sprintf("rollout: r\nchange: { release: kiosk-os@2.4.0 }\ntargets: device.profile == \"kiosk\"\nrings:\n"+
		"  - { name: canary, take: %d, gate: { fail: '%s' } }\n  - { name: rest }\n", take, fail)
}

func TestGatesSeeCounts(t *testing.T) {
	t.Parallel()
	spec := manifestOf(t, gateManifest(100, "ring.reached >= 10 && pct(ring.failed + ring.unhealthy, ring.reached) > 2 || rollout.failed > 50"))
	gate := spec.Rings[0].Gate
	require.Nil(t, gate.Pass)
	require.Equal(t, deviceops.OtherwiseAsk, gate.Otherwise)
	for name, c := range map[string]struct {
		ring, rollout deviceops.Counts
		want          deviceops.Verdict
	}{
		"nothing was reached":             {want: deviceops.No},
		"too few were reached":            {ring: deviceops.Counts{Succeeded: 1, Failed: 8}, want: deviceops.No},
		"2 % failed":                      {ring: deviceops.Counts{Succeeded: 98, Failed: 2}, want: deviceops.No},
		"3 % failed, in different ways":   {ring: deviceops.Counts{Succeeded: 97, Failed: 1, Rejected: 1, TimedOut: 1}, want: deviceops.Yes},
		"some failed and some are unwell": {ring: deviceops.Counts{Succeeded: 99, Unhealthy: 2, Failed: 1}, want: deviceops.Yes},
		"other rings failed":              {ring: deviceops.Counts{Succeeded: 100}, rollout: deviceops.Counts{TimedOut: 51}, want: deviceops.Yes},
	} {
		v, err := gate.Fail.Judge(deviceops.GateFacts{Ring: c.ring, Rollout: c.rollout})
		require.NoError(t, err, name)
		require.Equal(t, c.want, v, name)
	}
}

// A share of nothing is not known: it neither passes nor fails.
func TestShareOfNothing(t *testing.T) {
	t.Parallel()
	spec := manifestOf(t, gateManifest(100, "pct(ring.failed, ring.reached) > 2 || ring.failed > 5"))
	v, err := spec.Rings[0].Gate.Fail.Judge(deviceops.GateFacts{})
	require.NoError(t, err)
	require.Equal(t, deviceops.Unknown, v)

	_, err = evaluate(t, "pct(1, 0)")
	require.Equal(t, deviceops.EINVALID, deviceops.ErrorCode(err))
	require.ErrorContains(t, err, "pct of nothing, since its second number is 0")
	_, err = evaluate(t, "pct(inputs.list, 2)")
	require.ErrorContains(t, err, "pct needs two numbers and got a list and the number 2")
	half, err := evaluate(t, "pct(inputs.n, 14)")
	require.NoError(t, err)
	require.Equal(t, int64(50), half)
}

func TestGateTerms(t *testing.T) {
	t.Parallel()
	spec := manifestOf(t, gateManifest(100, "!(98 <= pct(ring.healthy, ring.reached)) && (ring.failed>ring.unhealthy or ring.pending == 0)"))
	number := func(v float64) *float64 { return &v }
	terms := spec.Rings[0].Gate.Fail.Terms(deviceops.GateFacts{Ring: deviceops.Counts{Succeeded: 10, Healthy: 9, Unhealthy: 1}})
	require.Equal(t, []deviceops.GateTerm{
		{Text: "pct(ring.healthy, ring.reached)", Value: number(90), Op: ">=", Threshold: number(98), Verdict: deviceops.No},
		{Text: "ring.failed", Value: number(0), Op: ">", Threshold: number(1), Verdict: deviceops.No},
		{Text: "ring.pending", Value: number(0), Op: "==", Threshold: number(0), Verdict: deviceops.Yes},
	}, terms)
	terms = spec.Rings[0].Gate.Fail.Terms(deviceops.GateFacts{})
	require.Nil(t, terms[0].Value)
	require.Equal(t, deviceops.Unknown, terms[0].Verdict)
}

// With the devices that there really are a gate may be worth nothing that looked
// fine on paper.
func TestCheckGates(t *testing.T) {
	t.Parallel()
	source := gateManifest(10, "ring.failed >= 8")
	require.Empty(t, CheckGates("r.yaml", source, []int{10, 90}))
	require.Empty(t, CheckGates("r.yaml", source, []int{0, 0}), "a ring without devices fails nobody")
	found := CheckGates("r.yaml", source, []int{7, 0})
	require.Len(t, found, 1)
	require.Equal(t, `r.yaml:5:46: error: this never holds in ring canary, which has 7 devices at most, so the gate can never fail [gate-never]
  5 |   - { name: canary, take: 10, gate: { fail: 'ring.failed >= 8' } }
    |                                              ^^^^^^^^^^^^^^^^
fix: ring.failed is from 0 to 7 there
`, found[0].String())

	shared := "rollout: r\nchange: { release: kiosk-os@2.4.0 }\ntargets: 'true'\ngate: { fail: ring.reached >= 50 && ring.failed > 1 }\nrings: [ { name: some, take: 10% }, { name: rest } ]\n"
	require.Empty(t, CheckGates("r.yaml", shared, nil))
	require.Empty(t, CheckGates("r.yaml", shared, []int{50, 450}))
	require.Equal(t, []string{"gate-never"}, codes(CheckGates("r.yaml", shared, []int{49, 450})))

	few := CheckGates("r.yaml", shared, []int{60, 1})
	require.Equal(t, []string{"gate-never"}, codes(few))
	require.False(t, few.HasErrors(), "more may join the last ring")
	require.Contains(t, few[0].String(), "this never holds in ring rest, which has 1 device at most")
}

// randomGate writes a condition over counts.
type randomGate struct{ *rand.Rand }

func (r randomGate) condition(depth int) string {
	if depth > 0 {
		switch r.IntN(5) {
		case 0, 1:
			return "(" + r.condition(depth-1) + " && " + r.condition(depth-1) + ")"
		case 2:
			return "(" + r.condition(depth-1) + " || " + r.condition(depth-1) + ")"
		case 3:
			return "!(" + r.condition(depth-1) + ")"
		}
	}
	ops := []string{"<", "<=", ">", ">=", "==", "!="}
	return r.number() + " " + ops[r.IntN(len(ops))] + " " + []string{r.number(), fmt.Sprint(r.IntN(9) - 1), fmt.Sprint(r.IntN(130))}[r.IntN(3)]
}

func (r randomGate) number() string {
	switch r.IntN(6) {
	case 0:
		return "pct(" + r.sum() + ", " + r.sum() + ")"
	case 1:
		return "(" + r.sum() + ") * 2"
	case 2:
		return "(" + r.sum() + ") / 4"
	}
	return r.sum()
}

func (r randomGate) sum() string {
	count := func() string {
		return []string{"ring.", "ring.", "rollout."}[r.IntN(3)] + gateCounts[r.IntN(len(gateCounts))].name
	}
	switch r.IntN(4) {
	case 0:
		return count() + " + " + count()
	case 1:
		return count() + " - " + count()
	case 2:
		return count() + " - 1"
	}
	return count()
}

// counted makes counts of n devices, most of them with one fate.
func counted(r *rand.Rand, n int) (c deviceops.Counts) {
	usual := fate(r.IntN(int(fates)))
	for range n {
		f := usual
		if r.IntN(3) == 0 {
			f = fate(r.IntN(int(fates)))
		}
		if f != fateExcused {
			c.Targeted++
		}
		switch f {
		case fatePending:
			c.Pending++
		case fateInFlight:
			*[]*int{&c.Sent, &c.Accepted}[r.IntN(2)]++
		case fateDeferred:
			c.Deferred++
		case fateUnjudged:
			c.Succeeded++
		case fateHealthy:
			c.Succeeded, c.Healthy = c.Succeeded+1, c.Healthy+1
		case fateUnhealthy:
			c.Succeeded, c.Unhealthy = c.Succeeded+1, c.Unhealthy+1
		case fateFailed:
			c.Failed++
		case fateRejected:
			c.Rejected++
		case fateTimedOut:
			c.TimedOut++
		case fateReverted:
			*[]*int{&c.Reverting, &c.Reverted, &c.RevertFailed}[r.IntN(3)]++
		case fateCanceled:
			c.Canceled++
		case fateExcused:
			c.Excused++
		}
	}
	return c
}

// TestRefusedGatesAreWorthNothing: of a condition that is refused since it never
// holds, or always does, no counts say otherwise; and most random conditions are
// not refused.
func TestRefusedGatesAreWorthNothing(t *testing.T) {
	t.Parallel()
	seed := uint64(time.Now().UnixNano())
	t.Logf("seed %d", seed)
	r := rand.New(rand.NewPCG(seed, 0))
	outcomes := map[string]int{}
	for range 3000 {
		take := 1 + r.IntN(6)
		source := randomGate{r}.condition(r.IntN(3))
		e, problems := compileExpression(source, gateScope(), wantPredicate)
		require.Empty(t, problems, source)
		_, found := CompileRollout("r.yaml", gateManifest(take, source), Options{})
		refused := strings.Join(codes(found), " ")
		outcomes[refused]++
		never := deviceops.Yes
		switch refused {
		case "":
			continue
		case "gate-always":
			never = deviceops.No
		}
		for range 60 {
			ring := counted(r, r.IntN(take+1))
			v, err := e.verdict(gateVariables(deviceops.GateFacts{Ring: ring, Rollout: ring.Add(counted(r, r.IntN(20)))}))
			require.NoError(t, err)
			require.NotEqual(t, never, v, "%s %s of %d: %+v", refused, source, take, ring)
		}
	}
	t.Logf("%v", outcomes)
	require.Greater(t, outcomes["gate-never"], 100)
	require.Greater(t, outcomes["gate-always"], 50)
	require.Greater(t, outcomes[""], 1500)
	require.Len(t, outcomes, 3)
}

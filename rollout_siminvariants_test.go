package deviceops

import (
	"math/rand/v2"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

// TestSimulationsKeepTheLimits looks at rollouts of all sorts at every turn: no
// more devices are in flight than may be, no group exceeds its budget, no gateway
// is in flight with a device behind it, no minute exceeds the rate, and the
// counts are those of the rows.
func TestSimulationsKeepTheLimits(t *testing.T) {
	t.Parallel()
	for seed := range uint64(5) {
		r := rand.New(rand.NewPCG(seed, 1))
		spec := &RolloutSpec{
			Name: "r", Change: Change{Kind: ChangeCommand},
			Rings:        []RingSpec{{Name: "canary", Take: 20}, {Name: "early", Percent: 20, Soak: time.Hour}, {Name: "everyone"}},
			Limits:       Limits{InFlight: 5 + r.IntN(200)},
			Budget:       &BudgetSpec{Per: "labels.site", MaxUnavailable: 1 + r.IntN(2)},
			AnswerWithin: 10 * time.Minute,
			Retry:        RetrySpec{Times: 2, Min: time.Minute, Max: 10 * time.Minute},
			Stragglers:   StragglerSpec{After: 24 * time.Hour, Then: StragglerExcuse},
			Gate:         Gate{Pass: &GateCondition{Source: "true", Judge: func(GateFacts) (Verdict, error) { return Yes, nil }}},
		}
		if r.IntN(2) == 0 {
			spec.Limits.Rate = RateSpec{Start: float64(30 + r.IntN(300))}
		}
		fleet := SimFleet{Devices: 500, Sites: 70, Gateways: 30}.Build()
		s, err := newSimulation(spec, fleet, SimOptions{
			Seed: seed, Start: time.Date(2026, 1, 14, 12, 0, 0, 0, time.UTC), FailureRate: 0.1, RetryableRate: 0.9, RejectRate: 0.01, SilentRate: 0.01, OfflineRate: 0.1, NeverRate: 0.2,
		}.withDefaults())
		require.NoError(t, err)
		for s.turn() {
			requireLimits(t, s)
		}
		requireLimits(t, s)
		require.True(t, s.view.Rollout.Status.Ended() || s.wedged != "", "seed %d", seed)
	}
}

func requireLimits(t *testing.T, s *simulation) {
	t.Helper()
	counts := make([]Counts, len(s.view.Rollout.Rings))
	busy := map[string]int{}
	lastMinute := 0
	for i := range s.devices {
		x := &s.devices[i]
		counts[x.row.Ring].count(x.row.Status, x.row.Health, 1)
		if x.row.SentAt.After(s.view.Now.Add(-time.Minute)) {
			lastMinute++
		}
		if !x.row.Status.InFlight() {
			continue
		}
		busy[x.name]++
		if p, ok := s.index[x.Parent]; ok {
			require.False(t, s.devices[p].row.Status.InFlight(), "%s is in flight with its gateway", x.ID)
		}
	}
	for i, ring := range s.view.Rollout.Rings {
		require.Equal(t, counts[i], ring.Counts)
	}
	require.LessOrEqual(t, s.view.Rollout.Total().InFlight(), s.spec.Limits.InFlight)
	for site, n := range busy {
		require.LessOrEqual(t, n, s.spec.Budget.MaxUnavailable, "%s: %d in flight", site, n)
	}
	if rate := s.spec.Limits.Rate.Start; rate > 0 {
		require.LessOrEqual(t, lastMinute, int(rate))
	}
}

package ingest

import (
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/deviceops/deviceops"
)

// takenUp gives how often the audit log tells that a rollout was taken up.
func (b *testBundle) takenUp(r deviceops.Rollout) (n int) {
	b.t.Helper()
	audit, err := b.store.ListAudit(b.t.Context(), deviceops.AuditFilter{Target: "rollout:" + r.ID})
	require.NoError(b.t, err)
	for _, e := range audit {
		if e.Action == "rollout.take_up" {
			n++
		}
	}
	return n
}

func TestRolloutsThatTemporalLostAreTakenUp(t *testing.T) {
	t.Parallel()
	b, r := rolled(t)
	b.engine.lost = true
	b.clock.advance(time.Second)
	ended := b.become(b.rollout("kiosk-1"), deviceops.RolloutFailed)
	late := b.rollout("kiosk-0")
	b.rows(late, deviceops.RolloutDevice{Device: "k2"})
	late = b.become(late, deviceops.RolloutSucceeded)
	fresh := b.rollout("kiosk-3")
	require.NoError(t, b.store.RequestStarts(t.Context(), []deviceops.Start{deviceops.RolloutStart(fresh.ID)}, b.clock.Now()))
	sweeper := b.sweeper()

	b.engine.setDown(true)
	require.ErrorContains(t, sweeper.Sweep(t.Context()), "lost: down")
	require.Zero(t, b.takenUp(r), "nothing is known while Temporal is away")
	b.engine.setDown(false)
	b.clock.advance(time.Second)
	require.NoError(t, sweeper.Sweep(t.Context()))
	require.Equal(t, 1, b.takenUp(r))
	require.Equal(t, 1, b.takenUp(late), "a device of it is open")
	require.Zero(t, b.takenUp(ended))
	require.Zero(t, b.takenUp(fresh), "it had no workflow that could be lost: it is about to be started")
	require.Equal(t, map[string]int{"rollout/" + r.ID: 1, "rollout/" + late.ID: 1}, b.engine.started())

	b.clock.advance(rolloutCheckEvery)
	require.NoError(t, sweeper.Sweep(t.Context()))
	require.Equal(t, 1, b.takenUp(r), "one runs")
}

// Whoever begins to sweep looks for all workflows at once: Temporal may have been
// set up anew while nothing ran.
func TestWorkflowsOfRolloutsAreLookedForWhenTheSweeperBegins(t *testing.T) {
	t.Parallel()
	b, r := rolled(t)
	first := b.sweeper()
	require.NoError(t, first.Sweep(t.Context()))
	b.engine.lost = true
	b.clock.advance(time.Second)
	require.NoError(t, first.Sweep(t.Context()))
	require.Zero(t, b.takenUp(r), "it was looked for a moment ago")
	require.NoError(t, b.sweeper().Sweep(t.Context()))
	require.Equal(t, 1, b.takenUp(r))
}

func TestARolloutThatNobodyPumpsAndThatIsLostIsTakenUp(t *testing.T) {
	t.Parallel()
	b, r := rolled(t)
	sweeper := b.sweeper()
	require.NoError(t, sweeper.Sweep(t.Context()))
	b.engine.lost = true
	b.clock.advance(pumpPatience)
	require.NoError(t, sweeper.Sweep(t.Context()))
	require.Equal(t, 1, b.takenUp(r))
}

func TestAPauseIsHeldWhileItsWorkflowIsLost(t *testing.T) {
	t.Parallel()
	b, r := rolled(t)
	sweeper := b.sweeper()
	require.NoError(t, sweeper.Sweep(t.Context()))
	b.engine.lost = true
	held := func() int {
		t.Helper()
		pauses, err := b.store.HeldRollouts(t.Context(), 0)
		require.NoError(t, err)
		return len(pauses)
	}
	require.NoError(t, b.store.HoldRolloutClaims(t.Context(), deviceops.RolloutControl{Rollout: r.ID, Action: deviceops.RolloutPause, Request: "1"}))
	require.ErrorContains(t, sweeper.Sweep(t.Context()), "held: no workflow")
	require.Equal(t, 1, held(), "it would go on behind the back of whoever paused it")
	b.clock.advance(rolloutCheckEvery)
	require.NoError(t, sweeper.Sweep(t.Context()))
	require.Contains(t, b.engine.signals(), "control rollout/"+r.ID)
	require.Zero(t, held())

	b.engine.running = nil
	require.NoError(t, b.store.HoldRolloutClaims(t.Context(), deviceops.RolloutControl{Rollout: r.ID, Action: deviceops.RolloutPause, Request: "2"}))
	r.Status = deviceops.RolloutFailed
	b.become(r, deviceops.RolloutFailed)
	require.NoError(t, sweeper.Sweep(t.Context()))
	require.Zero(t, held(), "nothing is left to be held")
}

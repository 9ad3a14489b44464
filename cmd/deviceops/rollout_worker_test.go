//go:build !lean

package main

import (
	"slices"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/deviceops/deviceops"
	"github.com/deviceops/deviceops/simulator"
)

// pause gives the longest time between two moments in which no device began anything.
func (f *fleet) pause(rollout string, from, to time.Time) (longest time.Duration) {
	effects := f.effects(rollout)
	slices.SortFunc(effects, func(a, b simulator.Effect) int { return a.At.Compare(b.At) })
	for _, e := range effects {
		if e.At.After(from) && e.At.Before(to) {
			longest, from = max(longest, e.At.Sub(from)), e.At
		}
	}
	return longest
}

// A rollout whose worker stops goes on as soon as there is another one, and one whose
// worker is killed within seconds.
func TestARolloutGoesOnWithoutItsWorker(t *testing.T) {
	t.Parallel()
	h := newHome(t)
	h.startStack("--parts", "temporal,postgres,broker,api,gateway")
	work := func() *process { return h.startStack("--parts", "worker") }
	worker := work()
	h.must("apply", "-f", "../../examples/kiosk.yaml", "--reason", "test")
	shop := h.squad("kiosk", 60)
	h.awaitOnline(60)
	h.rollOut("rollout: checks\nchange: { command: { name: diagnostics } }\ntargets: device.profile == \"kiosk\"\nrate: 120/m\n")
	reached := func(n int) string {
		return h.awaitRollout("checks", func(r deviceops.RolloutReport) bool { return r.Rollout.Total().Succeeded >= n }).Rollout.ID
	}
	id := reached(5)

	stopped := time.Now()
	require.Zero(t, worker.interrupt(20*time.Second))
	ended := time.Now()
	worker = work()
	reached(25)
	killed := time.Now()
	worker.kill()
	work()
	reached(60)
	stop, kill := shop.pause(id, stopped, killed), shop.pause(id, killed, time.Now())
	t.Logf("a worker stopped within %v; the rollout paused for %v then, and for %v after a kill", ended.Sub(stopped), stop, kill)
	require.Less(t, ended.Sub(stopped), 6*time.Second, "it does not wait for its pump")
	require.Less(t, stop, 5*time.Second)
	require.Less(t, kill, 10*time.Second)
}

//go:build !lean

package main

import (
	"encoding/json"
	"fmt"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/deviceops/deviceops"
	"github.com/deviceops/deviceops/simulator"
)

// squad is some more devices, with a ledger and a behavior of their own.
func (h home) squad(name string, devices int) *fleet {
	rows, count := filepath.Join(h.dir, name+".ndjson"), strconv.Itoa(devices)
	f := &fleet{home: h, devices: devices, ledger: filepath.Join(h.dir, name+".ledger")}
	h.must("simulate", "--prefix", name, "--devices", count, "--registrations", rows)
	h.must("devices", "import", rows, "--reason", "test")
	f.args = []string{"simulate", "--prefix", name, "--devices", count, "--broker", h.broker(), "--connections", "2", "--ledger", f.ledger,
		"--state", filepath.Join(h.dir, "devices")}
	f.process = h.start(f.args...)
	for n := range devices {
		h.awaitState(fmt.Sprintf("%s-%05d", name, n+1), deviceops.Active, 2*time.Minute)
	}
	return f
}

// effects gives what a fleet did by a rollout. Nothing of it happened twice.
func (f *fleet) effects(rollout string) (did []simulator.Effect) {
	ledger, err := simulator.ReadLedger(f.ledger)
	require.NoError(f.t, err)
	require.Empty(f.t, ledger.Repeats())
	for _, e := range ledger.Effects() {
		if strings.HasPrefix(e.Command, rollout+".") {
			did = append(did, e)
		}
	}
	return did
}

// last gives when the last of them began.
func (f *fleet) last(rollout string) (at time.Time) {
	for _, e := range f.effects(rollout) {
		if e.At.After(at) {
			at = e.At
		}
	}
	return at
}

// awaitOnline waits until n kiosks are connected.
func (h home) awaitOnline(n int) {
	c := h.client()
	require.Eventually(h.t, func() bool {
		stats, err := c.FleetStats(h.t.Context(), deviceops.DeviceFilter{Profile: "kiosk"})
		return err == nil && stats.ByConnectivity["online"] == n
	}, 2*time.Minute, 200*time.Millisecond, "%d kiosks were to be online", n)
}

func (h home) rollout(name string) deviceops.RolloutReport {
	report, err := h.client().Rollout(h.t.Context(), name)
	require.NoError(h.t, err)
	return report
}

// awaitRollout waits until a rollout is as it is to be.
func (h home) awaitRollout(name string, is func(deviceops.RolloutReport) bool) (report deviceops.RolloutReport) {
	require.Eventually(h.t, func() bool {
		report = h.rollout(name)
		return is(report)
	}, 3*time.Minute, 50*time.Millisecond, "rollout %s was to get there", name)
	return report
}

func ended(r deviceops.RolloutReport) bool { return r.Rollout.Status.Ended() }

// A pause in the middle of a ring holds from its answer on, and its three numbers
// are those of the devices. Devices come in the order of their names.
func TestPauseInTheMiddleOfARing(t *testing.T) {
	t.Parallel()
	h := newHome(t)
	h.startStack()
	h.must("apply", "-f", "../../examples/kiosk.yaml", "--reason", "test")
	busy, later, mute, quick := h.squad("busy", 4), h.squad("later", 2), h.squad("mute", 3), h.squad("quick", 40)
	busy.again("--latency", "60s", "--latency-p99", "61s")
	later.again("--defer", "1", "--defer-for", "1h")
	mute.again("--silent", "1")
	quick.again("--latency", "100ms")
	h.awaitOnline(49)
	h.rollOut(`rollout: paused
change: { command: { name: diagnostics } }
targets: device.profile == "kiosk"
rate: 120/m
`)
	h.awaitRollout("paused", func(r deviceops.RolloutReport) bool {
		n := r.Rollout.Total()
		return n.Accepted == 4 && n.Deferred == 2 && n.Succeeded >= 5
	})

	var done deviceops.RolloutControlled
	require.NoError(t, json.Unmarshal([]byte(h.must("rollout", "pause", "paused", "--reason", "printers fail", "-o", "json")), &done))
	answered := time.Now()
	id := h.rollout("paused").Rollout.ID
	begun := func() int {
		return len(busy.effects(id)) + len(later.effects(id)) + len(mute.effects(id)) + len(quick.effects(id))
	}
	time.Sleep(2 * time.Second) // what a pause is allowed to take
	before := begun()
	require.Never(t, func() bool { return begun() > before }, 4*time.Second, 500*time.Millisecond)
	require.Less(t, len(quick.effects(id)), 35, "the pause came too late to show anything")
	t.Logf("the last effect began %v after the answer to the pause", quick.last(id).Sub(answered))
	require.Less(t, quick.last(id).Sub(answered), 2*time.Second)

	require.Equal(t, deviceops.RolloutPaused, done.Status)
	require.Equal(t, 2, done.Withdrawal.Withdrawn, "two had put it off")
	require.Equal(t, 4, done.Withdrawal.Running)
	require.GreaterOrEqual(t, done.Withdrawal.Unknown, 3)
	require.LessOrEqual(t, done.Withdrawal.Unknown, 5, "three are mute, and one or two of the others may have been asked this moment")
	report := h.rollout("paused")
	n := report.Rollout.Total()
	require.Equal(t, [3]int{4, len(quick.effects(id)), 49 - 7 - len(quick.effects(id))}, [3]int{n.Accepted, n.Succeeded, n.Pending})

	h.must("rollout", "resume", "paused", "--reason", "it was the paper")
	require.Eventually(t, func() bool { return len(quick.effects(id)) == 40 }, 2*time.Minute, 200*time.Millisecond, "the others were to follow")
	h.must("rollout", "cancel", "paused", "--reason", "test")
}

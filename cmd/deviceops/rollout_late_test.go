//go:build !lean

package main

import (
	"fmt"
	"path/filepath"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/deviceops/deviceops"
)

// toRelease is the manifest of a rollout of a version of kiosk-os.
func toRelease(name, version, more string) string {
	return fmt.Sprintf("rollout: %s\nchange: { release: kiosk-os@%s }\ntargets: device.profile == \"kiosk\"\n%s", name, version, more)
}

// openShop starts a stack with three versions of kiosk-os; devices run the first.
func openShop(t *testing.T) home {
	h := newHome(t)
	h.startStack()
	h.must("apply", "-f", "../../examples/kiosk.yaml", "--reason", "test")
	for _, version := range []string{"2.3.0", "2.4.0", "2.5.0"} {
		h.release(version)
	}
	return h
}

// awaitRow waits until a device has a status in a rollout.
func (h home) awaitRow(rollout, device string, status deviceops.RolloutDeviceStatus) (row deviceops.RolloutDevice) {
	require.Eventually(h.t, func() bool {
		row = h.rows(rollout)[device]
		return row.Status == status
	}, 3*time.Minute, 200*time.Millisecond, "%s was to be %s in %s", device, status, rollout)
	return row
}

// A device that is away through two rollouts gets the current release alone when
// it comes back.
func TestADeviceThatComesBackGetsTheCurrentRelease(t *testing.T) {
	t.Parallel()
	h := openShop(t)
	h.squad("here", 3)
	away := h.squad("away", 1)
	require.Zero(t, away.process.interrupt(20*time.Second))
	const rings = "rings: [ { name: first, take: 1 }, { name: rest } ]\nanswer_within: 5s\nstragglers: { after: 5s, then: excuse }\n"
	for _, version := range []string{"2.4.0", "2.5.0"} {
		name := "os-" + version
		h.rollOut(toRelease(name, version, rings+"keep_open: 1h\n"))
		row := h.awaitRow(name, "away-00001", deviceops.DeviceExcused)
		require.Equal(t, deviceops.CodeStraggler, row.Error.Code)
		require.NotEmpty(t, row.Error.Message)
		for n := range 3 {
			h.awaitRow(name, fmt.Sprintf("here-%05d", n+1), deviceops.DeviceSucceeded)
		}
	}

	away.process = away.start(away.args...)
	h.awaitRow("os-2.5.0", "away-00001", deviceops.DeviceSucceeded)
	h.awaitDevice("away-00001", time.Minute, func(d deviceops.Device) bool { return d.Twin.Reported.Software["os"] == "2.5.0" })
	first, second := h.rollout("os-2.4.0"), h.rollout("os-2.5.0")
	require.Empty(t, away.effects(first.Rollout.ID), "nobody wants the older one any more")
	require.Len(t, away.effects(second.Rollout.ID), 1)
}

// A frozen account sends nothing until it is thawed; what was rejected is never
// asked again; and everything that was reached goes back.
func TestFreezeRejectAndRollBackAll(t *testing.T) {
	t.Parallel()
	h := openShop(t)
	willing, stubborn := h.squad("willing", 6), h.squad("stubborn", 2)
	stubborn.again("--reject", "1")
	h.awaitOnline(8)
	h.must("freeze", "--reason", "Black Friday")
	h.rollOut(toRelease("os", "2.4.0", `rings: [ { name: first, take: 4 }, { name: rest } ]
retry: { times: 3, delay: 1s }
gate: { pass: "pct(ring.succeeded, ring.reached) > 1", otherwise: wait }
`))
	id := h.awaitRollout("os", func(r deviceops.RolloutReport) bool { return r.Rollout.Status == deviceops.RolloutRunning }).Rollout.ID
	require.Never(t, func() bool { return len(willing.effects(id)) > 0 }, 4*time.Second, 200*time.Millisecond)
	require.Contains(t, h.must("explain", "rollout", "os", "willing-00001"), "Black Friday")
	h.must("thaw", "--reason", "it is over")

	h.awaitRollout("os", ended)
	for n := range 2 {
		device := fmt.Sprintf("stubborn-%05d", n+1)
		row := h.awaitRow("os", device, deviceops.DeviceRejected)
		require.Equal(t, 1, row.Attempt, "never means never")
		require.NotNil(t, row.Error)
	}
	require.Empty(t, stubborn.effects(id))
	require.Len(t, willing.effects(id), 6)

	h.rollOut(toRelease("os-next", "2.5.0", `rings: [ { name: first, take: 4 }, { name: rest, approve: { by: [role:operator] } } ]
gate: { pass: "pct(ring.succeeded, ring.reached) > 1", otherwise: wait }
`))
	h.awaitRollout("os-next", func(r deviceops.RolloutReport) bool { return r.Rollout.Rings[1].Status == deviceops.RingAsking })
	reached := len(willing.effects(h.rollout("os-next").Rollout.ID))
	require.NotZero(t, reached)
	h.must("rollout", "rollback", "os-next", "--all", "--reason", "crash loops")
	report := h.awaitRollout("os-next", ended)
	require.Equal(t, deviceops.RolloutReverted, report.Rollout.Status, report.Rollout.StatusReason)
	total := report.Rollout.Total()
	require.Equal(t, reached, total.Reverted)
	for n := range 6 {
		require.Equal(t, "2.4.0", h.reported(fmt.Sprintf("willing-%05d", n+1)), "back on what it came from")
	}
	require.Len(t, willing.effects(report.Rollout.Rollback), reached)
}

// While a rollout is open, a device that is registered gets the change, and so does one
// that was in maintenance when it began and is back in service.
func TestWhoJoinsARolloutLate(t *testing.T) {
	t.Parallel()
	h := openShop(t)
	h.squad("here", 2)
	repaired := h.squad("repaired", 1)
	h.must("devices", "transition", "repaired-00001", "maintenance", "--reason", "its screen is broken")
	h.rollOut(toRelease("os", "2.4.0", "rings: [ { name: first, take: 1 }, { name: rest } ]\nkeep_open: 1h\n"))
	id := h.awaitRollout("os", func(r deviceops.RolloutReport) bool {
		return r.Rollout.Rings[1].Status == deviceops.RingPassed && r.Rollout.Total().Succeeded == 2
	}).Rollout.ID
	require.Equal(t, deviceops.ExcuseState, h.awaitRow("os", "repaired-00001", deviceops.DeviceExcused).Error.Code)

	h.must("devices", "transition", "repaired-00001", "active", "--reason", "it has another screen")
	late := h.squad("late", 1)
	for device, squad := range map[string]*fleet{"late-00001": late, "repaired-00001": repaired} {
		row := h.awaitRow("os", device, deviceops.DeviceSucceeded)
		require.Equal(t, 1, row.Ring, "who joins is in the last ring")
		require.Len(t, squad.effects(id), 1)
		h.awaitDevice(device, time.Minute, func(d deviceops.Device) bool { return d.Twin.Reported.Software["os"] == "2.4.0" })
	}
}

// A device that an older rollout will come to waits for that, and for no longer than
// until somebody calls it off. Both are told before anything begins, and while it waits.
func TestARolloutWaitsForAnotherUntilThatIsCanceled(t *testing.T) {
	t.Parallel()
	h := openShop(t)
	shop := h.squad("kiosk", 3)
	h.awaitOnline(3)
	h.rollOut(toRelease("older", "2.4.0", "rings: [ { name: first, take: 1 }, { name: rest, approve: { by: [role:operator] } } ]\n"))
	h.awaitRollout("older", func(r deviceops.RolloutReport) bool { return len(r.Approvals) == 1 })
	h.rollOut(toRelease("newer", "2.5.0", "rings: [ { name: all } ]\n"))
	id := h.awaitRollout("newer", func(r deviceops.RolloutReport) bool {
		return r.Waits[deviceops.WaitConflict] == 2 && r.Rollout.Total().Succeeded == 1
	}).Rollout.ID
	var held string
	for device, row := range h.rows("newer") {
		if row.Status == deviceops.DevicePending {
			held = device
		}
	}
	explained := h.must("explain", "device", held)
	require.Contains(t, explained, "rollout older: ")
	require.Contains(t, explained, "rollout newer: rollout older holds it")
	require.Contains(t, h.must("rollout", "preview", filepath.Join(h.dir, "rollout.yaml")), "2 devices are held by other rollouts")

	h.must("rollout", "cancel", "older", "--reason", "there is a newer one")
	canceled := time.Now()
	report := h.awaitRollout("newer", ended)
	require.Equal(t, deviceops.RolloutSucceeded, report.Rollout.Status, report.Rollout.StatusReason)
	require.Less(t, time.Since(canceled), 2*time.Minute, "nobody waits for the next look")
	require.Len(t, shop.effects(id), 3)
}

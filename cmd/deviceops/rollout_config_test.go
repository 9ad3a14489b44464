//go:build !lean

package main

import (
	"fmt"
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/deviceops/deviceops"
)

// A release with a configuration brings it to the device together with the software,
// and its rollback takes both back.
func TestAReleaseBringsItsConfiguration(t *testing.T) {
	t.Parallel()
	h := newHome(t)
	h.startStack()
	h.must("apply", "-f", "../../examples/kiosk.yaml", "--reason", "test")
	h.release("2.3.0")
	config := filepath.Join(h.dir, "config.yaml")
	require.NoError(t, os.WriteFile(config, []byte("brightness: 33\n"), 0o600))
	h.release("2.4.0", "--config", config)
	shop := h.squad("kiosk", 3)
	h.awaitOnline(3)
	brightness := func(d deviceops.Device) any { return d.Twin.Desired.Configuration["brightness"] }
	const first = "kiosk-00001"
	before := h.awaitDevice(first, time.Minute, inForce)

	h.rollOut(toRelease("os", "2.4.0", "rings: [ { name: first, take: 1 }, { name: rest, approve: { by: [role:operator] } } ]\n"))
	h.awaitRollout("os", func(r deviceops.RolloutReport) bool { return len(r.Approvals) == 1 })
	h.approve("os")
	report := h.awaitRollout("os", ended)
	require.Equal(t, deviceops.RolloutSucceeded, report.Rollout.Status, report.Rollout.StatusReason)
	for n := range 3 {
		d := h.awaitDevice(fmt.Sprintf("kiosk-%05d", n+1), time.Second, inForce)
		require.EqualValues(t, 33, brightness(d))
		require.Equal(t, "2.4.0", d.Twin.Reported.Software["os"])
		require.Greater(t, d.Twin.Reported.ConfigVersion, before.Twin.Reported.ConfigVersion)
	}
	require.Len(t, shop.effects(report.Rollout.ID), 3, "it came by one command each")

	h.must("rollout", "rollback", "os", "--all", "--reason", "too dark")
	report = h.awaitRollout("os", func(r deviceops.RolloutReport) bool { return r.Rollout.Status == deviceops.RolloutReverted })
	for n := range 3 {
		d := h.awaitDevice(fmt.Sprintf("kiosk-%05d", n+1), time.Second, inForce)
		require.Equal(t, brightness(before), brightness(d))
		require.Equal(t, "2.3.0", d.Twin.Reported.Software["os"])
	}
	require.Len(t, shop.effects(report.Rollout.Rollback), 3)
}

// inForce reports whether the desired configuration of a device is in force.
func inForce(d deviceops.Device) bool {
	return d.Twin.Desired.Version > 0 && d.Twin.Reported.ConfigVersion == d.Twin.Desired.Version
}

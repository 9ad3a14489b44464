//go:build !lean

package main

import (
	"context"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/deviceops/deviceops"
	"github.com/deviceops/deviceops/client"
	"github.com/deviceops/deviceops/dev"
	"github.com/deviceops/deviceops/simulator"
)

const machines = `profile: machine
metrics: { disk_free_pct: number 0..100 }
heartbeat: { every: 10s, offline_after: 6 }
wellness:
  degraded: { disk: device.metrics.disk_free_pct < 10 }
  for: 1s
  flap: { changes: 5, within: 2m, quiet: 10s }
---
automation: connectivity
trigger: { event: device.connectivity_changed }
concurrency: parallel
run: tell@latest
with: { device: "${{ event.device }}", what: "${{ event.data.to }}" }
---
automation: flapping
trigger: { event: device.flapping }
run: tell@latest
with: { device: "${{ event.device }}", what: it flaps }
---
automation: degraded
trigger: { event: device.degraded }
run: tell@latest
with: { device: "${{ event.device }}", what: "${{ join(event.data.because, ', ') }}" }
---
workflow: tell
inputs: { device: device machine, what: string }
device: ${{ inputs.device }}
steps:
  - action: notify
    with: { text: "${{ inputs.what }}" }
`

// ward is a stack and what is asked of it.
type ward struct {
	t *testing.T
	c *client.Client
}

// fleet switches on a fleet and gives what switches it off.
func (w ward) fleet(broker, prefix string, b simulator.Behavior) (off func()) {
	w.t.Helper()
	b.Telemetry = 500 * time.Millisecond
	b.Reconnect, b.Boot = 200*time.Millisecond, 200*time.Millisecond
	f, err := dev.NewFleet(w.t.Context(), w.c, simulator.Config{
		Broker: broker, Devices: 1, Prefix: prefix, Profile: "machine", Behavior: b,
	})
	require.NoError(w.t, err)
	ctx, cancel := context.WithCancel(w.t.Context())
	ended := make(chan error, 1)
	go func() { ended <- f.Simulator.Run(ctx) }()
	return func() {
		cancel()
		require.NoError(w.t, <-ended)
	}
}

func (w ward) events(device, kind string) []deviceops.Event {
	w.t.Helper()
	page, err := w.c.ListEvents(w.t.Context(), deviceops.EventFilter{Device: device, Type: kind, Limit: 1000}, "")
	require.NoError(w.t, err)
	return page.Items
}

func (w ward) eventually(what string, is func() bool) {
	w.t.Helper()
	require.Eventually(w.t, is, 3*time.Minute, 200*time.Millisecond, what)
}

func (w ward) wellness(device string) deviceops.WellnessStatus {
	w.t.Helper()
	d, err := w.c.Device(w.t.Context(), device)
	require.NoError(w.t, err)
	return d.Wellness.Status
}

// TestWellness has a device flap and another's disk fill up: people are told a few
// times, however often it happens, and both are well again.
func TestWellness(t *testing.T) {
	t.Parallel()
	h := newHome(t)
	stack, err := dev.Start(t.Context(), dev.Options{Data: h.data})
	require.NoError(t, err)
	t.Cleanup(func() { _ = stack.Close(context.WithoutCancel(t.Context())) })
	w := ward{t: t, c: stack.Client()}
	report, err := w.c.Apply(t.Context(), machines, client.ApplyOptions{})
	require.NoError(t, err)
	require.False(t, report.Refused, "%+v", report)
	const flappy, full = "flappy-00001", "full-00001"

	off := w.fleet(stack.BrokerURL(), "flappy", simulator.Behavior{Churn: simulator.Cycle{Share: 1, Every: time.Second, For: 500 * time.Millisecond}})
	clean := w.fleet(stack.BrokerURL(), "full", simulator.Behavior{Ail: simulator.Cycle{Share: 1, Every: 8 * time.Second, For: 8 * time.Second}})
	w.eventually("it flaps on and on", func() bool { return len(w.events(flappy, deviceops.EventConnectivityDamped)) >= 30 })
	w.eventually("a disk is full", func() bool { return w.wellness(full) == deviceops.Degraded })
	require.Equal(t, deviceops.Flapping, w.wellness(flappy))
	health, err := w.c.FleetHealth(t.Context(), client.FleetQuery{By: "profile"})
	require.NoError(t, err)
	require.Equal(t, 2, health.All.Devices)
	require.Equal(t, 1, health.Groups[0].ByWellness[deviceops.Flapping])
	require.Contains(t, health.Troubles, deviceops.FleetTrouble{Kind: "degraded", Detail: "disk", Devices: 1})

	w.eventually("it is cleaned", func() bool { return len(w.events(full, deviceops.EventRecovered)) > 0 })
	clean()
	off()
	off = w.fleet(stack.BrokerURL(), "flappy", simulator.Behavior{})
	defer off()
	w.eventually("it is stable", func() bool { return len(w.events(flappy, deviceops.EventStable)) == 1 })
	require.Equal(t, deviceops.Well, w.wellness(flappy))
	require.Len(t, w.events(flappy, deviceops.EventFlapping), 1)
	told := len(w.events(flappy, deviceops.EventDeviceConnectivity))
	require.LessOrEqual(t, told, 7, "the first hello, two losses, and what it was in the end")
	w.eventually("people were told", func() bool { return len(w.events(flappy, "notification")) >= told+1 })
	require.Len(t, w.events(flappy, "notification"), told+1, "and of the flapping, once")

	token, err := os.ReadFile(filepath.Join(h.data, "admin-token"))
	require.NoError(t, err)
	h.must("login", "--server", stack.APIURL(), "--token", strings.TrimSpace(string(token)))
	require.Contains(t, h.must("devices", "health", "--by", "profile"), "machine")
	t.Log("\n" + h.must("devices", "health", "--by", "profile") + h.must("devices", "show", flappy) + h.must("devices", "timeline", flappy, "--limit", "8"))
}

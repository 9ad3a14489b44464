//go:build !lean

package main

import (
	"context"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/deviceops/deviceops"
	"github.com/deviceops/deviceops/dev"
	"github.com/deviceops/deviceops/simulator"
)

// TestApprovedReboots runs the reboot that people have approved where the kiosk
// does not do as it should.
func TestApprovedReboots(t *testing.T) {
	t.Parallel()
	o := openOffice(t, 1)
	short := strings.NewReplacer("10s..2m", "200ms..1s", "every: 15s", "every: 1s", "timeout: 5m", "timeout: 4s")
	o.publish("approval.yaml", func(text string) string { // the same, where time is short
		return strings.Replace(short.Replace(text), "workflow: reboot-after-decision", "workflow: brisk-reboot", 1)
	})
	o.publish("approval.yaml", func(text string) string {
		text = strings.Replace(short.Replace(text), "workflow: reboot-after-decision", "workflow: demanding-reboot", 1)
		return strings.Replace(text, "output.uptime_s < 600", "output.uptime_s < 0", 1)
	})
	for name, outcome := range map[string]func(o *office){
		"fails to the last retry": failingReboot, "is never healthy": unhealthyReboot, "is asleep": rebootOfASleeper,
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			outcome(&office{T: t, stack: o.stack, store: o.store})
		})
	}
}

// kiosk switches one kiosk on, which remembers in a folder, and waits until it
// is there. It is off after off.
func (o *office) kiosk(prefix, memory string, b simulator.Behavior) (id string, off func()) {
	b.Boot = 500 * time.Millisecond
	fleet, err := dev.NewFleet(o.Context(), o.stack.Client(), simulator.Config{
		Broker: o.stack.BrokerURL(), Devices: 1, Prefix: prefix, StateDir: memory, Behavior: b,
	})
	require.NoError(o, err)
	ctx, cancel := context.WithCancel(context.WithoutCancel(o.Context()))
	ended := make(chan struct{})
	go func() {
		defer close(ended)
		_ = fleet.Simulator.Run(ctx)
	}()
	off = func() { cancel(); <-ended }
	o.Cleanup(off)
	id = fleet.Devices[0].ID
	o.await(id, "the kiosk was to become active", func(d deviceops.Device) bool {
		return d.State == deviceops.Active && d.Session.Connectivity == deviceops.Online
	})
	return id, off
}

func (o *office) await(device, what string, is func(deviceops.Device) bool) {
	o.Helper()
	require.Eventually(o, func() bool {
		d, err := o.store.FindDevice(o.Context(), device)
		return err == nil && is(d)
	}, 2*time.Minute, 20*time.Millisecond, what)
}

func (o *office) approve(approval string) {
	_, err := o.as("maria", "operator").Decide(o.Context(), approval, deviceops.DecideRequest{Approve: true})
	require.NoError(o, err)
}

// step gives the row of a step.
func (o *office) step(run deviceops.Run, id string) deviceops.RunStep {
	for _, s := range run.Steps {
		if s.Step == id {
			return s
		}
	}
	require.FailNow(o, "the run has no step "+id)
	return deviceops.RunStep{}
}

// requireGivenUp looks at what a reboot that failed leaves behind.
func (o *office) requireGivenUp(run deviceops.Run, kiosk string) {
	o.Helper()
	require.Equal(o, deviceops.RunFailed, run.Status)
	d, err := o.store.FindDevice(o.Context(), kiosk)
	require.NoError(o, err)
	require.Equal(o, deviceops.Maintenance, d.State)
	require.Equal(o, "reboot failed", d.StateReason)
	tickets, err := o.stack.Client().ListTickets(o.Context(), deviceops.TicketFilter{Device: kiosk}, "")
	require.NoError(o, err)
	require.Len(o, tickets.Items, 1)
	require.Equal(o, "Reboot of "+kiosk+" failed", tickets.Items[0].Title)
}

func failingReboot(o *office) {
	memory := o.TempDir()
	kiosk, off := o.kiosk("stubborn", memory, simulator.Behavior{})
	run, asked := o.ask(o.as("carl", "operator"), "brisk-reboot", kiosk)
	off()
	o.await(kiosk, "the kiosk was to be off", func(d deviceops.Device) bool { return d.Session.Connectivity != deviceops.Online })
	o.kiosk("stubborn", memory, simulator.Behavior{Faults: simulator.Faults{Retryable: 1}})
	o.approve(asked.ID)
	run = o.end(run.ID)
	require.Equal(o, "reboot", run.Error.Step)
	require.True(o, run.Error.Retryable)
	require.Equal(o, 4, o.step(run, "reboot").Attempts, "the first try and three more")
	require.Len(o, o.reboots(kiosk), 1, "all under one id")
	o.requireGivenUp(run, kiosk)
}

func unhealthyReboot(o *office) {
	kiosk, _ := o.kiosk("sick", "", simulator.Behavior{})
	run, asked := o.ask(o.as("carl", "operator"), "demanding-reboot", kiosk)
	o.approve(asked.ID)
	run = o.end(run.ID)
	require.Equal(o, deviceops.ETIMEOUT, run.Error.Code)
	require.Equal(o, "health", run.Error.Step)
	require.Equal(o, deviceops.RunSucceeded, o.step(run, "reboot").Status, "it was taken back although it worked")
	require.Greater(o, o.step(run, "health").Attempts, 1, "it was asked again and again")
	o.requireGivenUp(run, kiosk)
}

func rebootOfASleeper(o *office) {
	kiosk, _ := o.kiosk("sleepy", "", simulator.Behavior{Sleep: simulator.Cycle{Share: 1, Every: 8 * time.Second, For: 8 * time.Second}})
	run, asked := o.ask(o.as("carl", "operator"), "reboot-after-decision", kiosk)
	asleep := func(d deviceops.Device) bool { return d.Session.Connectivity == deviceops.Sleeping }
	awake := func(d deviceops.Device) bool { return !asleep(d) }
	o.await(kiosk, "the kiosk was to be awake", awake)
	o.await(kiosk, "the kiosk was to fall asleep", asleep) // just now
	o.approve(asked.ID)
	require.Eventually(o, func() bool { return len(o.reboots(kiosk)) == 1 }, 5*time.Second, 20*time.Millisecond)
	c, err := o.store.FindCommand(o.Context(), run.ID+".steps.2.try.0.0")
	require.NoError(o, err)
	require.Equal(o, deviceops.CommandPending, c.Status, "nothing is sent to who sleeps")
	run = o.end(run.ID)
	require.Equal(o, deviceops.RunSucceeded, run.Status, "%+v", run.Error)
	require.Len(o, o.reboots(kiosk), 1)
}

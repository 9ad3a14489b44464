package dev

import (
	"context"
	"fmt"
	"io"
	"maps"
	"net/url"
	"slices"
	"strings"
	"time"

	"github.com/deviceops/deviceops"
	"github.com/deviceops/deviceops/client"
	"github.com/deviceops/deviceops/examples"
	"github.com/deviceops/deviceops/simulator"
)

// The device that the demo registers for whoever looks on.
const (
	ownDevice = "my-kiosk"
	ownSerial = "MY-0001"
	ownClaim  = "let-me-in"
)

// liars are the lying devices of the demo's fleet.
const (
	liarsByClaim   = 3
	liarsByProfile = 2
)

// demo shows a fleet coming to life.
type demo struct {
	stack    *Stack
	client   *client.Client
	out      io.Writer
	terminal bool
	program  string
	devices  int
	patience time.Duration // how long each act may take

	engine   *engine // gateway and worker in a process of their own; nil: they are in this one
	board    board
	approval deviceops.Approval // that waits for whoever looks on
}

// run registers the fleet, switches it on and shows its states until every
// device is where it should be. The fleet goes on until ctx ends; wait tells
// when it has.
func (d *demo) run(ctx context.Context) (wait func() error, err error) {
	if err := d.publish(ctx); err != nil {
		return nil, err
	}
	fleet, err := NewFleet(ctx, d.client, d.fleetConfig())
	if err != nil {
		return nil, err
	}
	fmt.Fprintf(d.out, "  registered %d virtual kiosks; %d of them will lie about who they are\n\nPower on.\n\n",
		len(fleet.Devices), liarsByClaim+liarsByProfile)

	ended := make(chan error, 1)
	go func() { ended <- fleet.Simulator.Run(ctx) }()
	wait = func() error { return <-ended }
	if err := d.watch(ctx, fleet); err != nil {
		return wait, err
	}
	if err := d.registerOwn(ctx); err != nil {
		return wait, err
	}
	return wait, d.rollouts(ctx, fleet)
}

// publish publishes the profile of the fleet.
func (d *demo) publish(ctx context.Context) error {
	report, err := d.client.Apply(ctx, examples.Kiosk, client.ApplyOptions{Reason: "the demo"})
	if err != nil {
		return err
	}
	if report.Refused {
		return deviceops.Errorf(deviceops.EINTERNAL, "the demo's documents were refused: %+v", report.Documents)
	}
	for _, doc := range report.Documents {
		fmt.Fprintf(d.out, "  published  %s %s@%d\n", doc.Kind, doc.Name, doc.Version)
	}
	return nil
}

func (d *demo) fleetConfig() simulator.Config {
	return simulator.Config{
		Broker: d.stack.BrokerURL(), Devices: d.devices, Prefix: "kiosk", Profile: "kiosk", Seed: 1,
		Connections: min(d.devices, 100), Ramp: powerOn(d.devices),
		Behavior: simulator.Behavior{
			BadClaims: liarsByClaim, WrongProfiles: liarsByProfile, Telemetry: telemetryEvery(d.devices),
			Degrade: simulator.Degrade{Component: "os", Version: demoBad, Share: demoFault(d.devices)},
		},
	}
}

// powerOn is over how long a fleet is switched on: what more than 60 devices a
// second would do is wait for one another.
func powerOn(devices int) time.Duration {
	return max(3*time.Second, time.Duration(devices)*time.Second/60)
}

// telemetryEvery is brief enough for charts that move and, as a large fleet shares
// the machine with all that is shown, no more than 70 messages a second.
func telemetryEvery(devices int) time.Duration {
	return max(3*time.Second, time.Duration(devices)*time.Second/70)
}

func (d *demo) registerOwn(ctx context.Context) error {
	_, err := d.client.RegisterDevice(ctx, deviceops.RegisterRequest{
		ID: ownDevice, Serial: ownSerial, Profile: "kiosk", Claim: ownClaim, Reason: "the demo",
	})
	return err
}

// watch shows the states until all devices have settled. ETIMEOUT names the
// first that have not.
func (d *demo) watch(ctx context.Context, fleet *Fleet) error {
	began := time.Now()
	d.board = board{out: d.out, terminal: d.terminal}
	var before map[deviceops.State]int
	for {
		stats, err := d.client.FleetStats(ctx, deviceops.DeviceFilter{Profile: "kiosk"})
		if err != nil {
			return err
		}
		took := time.Since(began)
		d.board.show(stats.ByState, took)
		if maps.Equal(stats.ByState, before) || took > d.patience { // while it moves, nobody has to be asked one by one
			if settled, err := d.settled(ctx, fleet, took); settled || err != nil {
				return err
			}
		}
		before = stats.ByState
		select {
		case <-time.After(500 * time.Millisecond):
		case <-ctx.Done():
			return ctx.Err()
		}
	}
}

// settled reports whether every device is where it should be, and then says what
// became of the fleet. ETIMEOUT when that took too long.
func (d *demo) settled(ctx context.Context, fleet *Fleet, took time.Duration) (bool, error) {
	devices, err := allDevices(ctx, d.client, "kiosk")
	if err != nil {
		return false, err
	}
	wrong := misplaced(fleet.Devices, devices)
	switch {
	case len(wrong) == 0:
		d.conclude(fleet, devices, took)
		return true, nil
	case took > d.patience:
		return false, deviceops.Errorf(deviceops.ETIMEOUT, "%d devices are not where they should be after %s:\n  %s",
			len(wrong), d.patience, strings.Join(wrong[:min(5, len(wrong))], "\n  "))
	}
	return false, nil
}

// conclude says what became of the fleet, the liars one by one.
func (d *demo) conclude(fleet *Fleet, devices map[string]deviceops.Device, took time.Duration) {
	honest := 0
	var refused []string
	for _, identity := range fleet.Devices {
		if identity.Lie == "" {
			honest++
			continue
		}
		refused = append(refused, fmt.Sprintf("  %s  %s", identity.ID, devices[identity.ID].StateReason))
	}
	slices.Sort(refused)
	fmt.Fprintf(d.out, "\n%d devices are active after %.1f s. %d were refused:\n%s\n", honest, took.Seconds(), len(refused), strings.Join(refused, "\n"))
}

// invite prints what to try next.
func (d *demo) invite() {
	fmt.Fprintf(d.out, `
Try, in a second terminal:
  %[1]s devices list --state quarantined
  %[1]s devices timeline kiosk-00001
  %[1]s explain device %[2]s
  %[1]s rollout show kiosk-%[3]s
  %[1]s explain rollout kiosk-%[4]s %[7]s

An approval waits for you: %[5]s
  %[1]s approvals show %[6]s
  %[1]s approvals approve %[6]s --form mode=soft

Be a device yourself: %[2]s is registered and waits for its first hello.
`, d.program, ownDevice, demoBad, demoGood, d.approval.Question, d.approval.ID, d.approval.Device)
	for _, line := range ownLines(d.stack.BrokerURL()) {
		fmt.Fprintln(d.out, "  "+line)
	}
	fmt.Fprintf(d.out, "then\n  %s devices show %s\n\n", d.program, ownDevice)
}

// ownLines gives the three messages by which a person makes a device active.
func ownLines(broker string) []string {
	port := "1883"
	if u, err := url.Parse(broker); err == nil && u.Port() != "" {
		port = u.Port()
	}
	line := func(leaf, payload string) string {
		return fmt.Sprintf("mosquitto_pub -p %s -q 1 -t deviceops/v1/%s/up/%s -m '%s'", port, ownDevice, leaf, payload)
	}
	return []string{
		line("hello", fmt.Sprintf(`{"boot":"b1","connection":"c1","profile":"kiosk","serial":%q,"claim":%q,"software":{"os":"2.4.0"}}`, ownSerial, ownClaim)),
		line("reported", `{"config_version":1}`),
		line("heartbeat", `{"uptime_s":60}`),
	}
}

//go:build !lean

package main

import (
	"context"
	"fmt"
	"path/filepath"
	"slices"
	"strconv"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/deviceops/deviceops"
	"github.com/deviceops/deviceops/cluster/porttest"
	"github.com/deviceops/deviceops/gateway"
	"github.com/deviceops/deviceops/simulator"
)

// crashFleet is how many devices provision while parts are killed.
const crashFleet = 500

// fleet is a simulated fleet in a process of its own, which outlives the
// engine's.
type fleet struct {
	home
	devices int
	ledger  string
	args    []string // of its process, but for how it behaves
	process *process
}

// startFleet registers devices and switches them on.
func (h home) startFleet(broker string, devices int, flags ...string) *fleet {
	f := &fleet{home: h, devices: devices, ledger: filepath.Join(h.dir, "ledger.ndjson")}
	rows := filepath.Join(h.dir, "fleet.ndjson")
	count := []string{"--devices", strconv.Itoa(devices)}
	h.must("apply", "-f", "../../examples/kiosk.yaml", "--reason", "test")
	h.must(append([]string{"simulate", "--registrations", rows}, count...)...)
	h.must("devices", "import", rows, "--reason", "test")
	f.args = append([]string{"simulate", "--broker", broker, "--connections", "20", "--ledger", f.ledger, "--state", filepath.Join(h.dir, "devices")}, count...)
	f.process = h.start(append(slices.Clip(f.args), flags...)...)
	return f
}

// again switches the fleet off and on: the same devices, with another behavior.
func (f *fleet) again(flags ...string) {
	require.Zero(f.t, f.process.interrupt(30*time.Second))
	f.process = f.start(append(slices.Clip(f.args), flags...)...)
}

// active gives how many devices are active; a server that is down has none.
func (f *fleet) active() int {
	ctx, cancel := context.WithTimeout(context.Background(), 5*time.Second)
	defer cancel()
	stats, err := f.client().FleetStats(ctx, deviceops.DeviceFilter{Profile: "kiosk"})
	if err != nil {
		return 0
	}
	return stats.ByState[deviceops.Active]
}

// awaitActive waits until at least n devices are active.
func (f *fleet) awaitActive(n int) {
	require.Eventually(f.t, func() bool { return f.active() >= n }, 8*time.Minute, 200*time.Millisecond,
		"%d of %d devices were to become active; %s", n, f.devices, fmt.Sprint(f.process.output()))
}

// requireNoRepeats counts, from outside, what the devices executed.
func (f *fleet) requireNoRepeats() {
	ledger, err := simulator.ReadLedger(f.ledger)
	require.NoError(f.t, err)
	require.Empty(f.t, ledger.Repeats(), "no attempt of a command may be executed twice")
	require.GreaterOrEqual(f.t, len(ledger.Effects()), f.devices, "every device was configured once")
}

func TestKillTheStackWhileItProvisions(t *testing.T) {
	t.Parallel()
	h := newHome(t)
	stack := h.startStack()
	f := h.startFleet(h.broker(), crashFleet)
	for _, share := range []int{5, 3, 2} { // killed at 20 %, 33 % and 50 %
		f.awaitActive(crashFleet / share)
		stack.kill()
		stack = h.startStack()
	}
	f.awaitActive(crashFleet)
	f.requireNoRepeats()
	require.Zero(t, f.process.interrupt(20*time.Second))
	require.Zero(t, stack.interrupt(15*time.Second))
}

func TestKillMosquittoWithMessagesQueued(t *testing.T) {
	t.Parallel()
	h := newHome(t)
	port := porttest.Free(t)
	broker := fmt.Sprintf("tcp://127.0.0.1:%d", port)
	mosquitto := h.startMosquitto(port)
	h.startStack("--broker", broker, "--parts", "postgres,temporal,api,worker")
	gateway := h.startStack("--broker", broker, "--parts", "gateway")
	f := h.startFleet(broker, 200, "--latency", "2s")
	f.awaitActive(20)

	// Without a gateway, answers queue up in the broker. Then it loses them.
	gateway.kill()
	f.awaitUnheard(10)
	mosquitto.kill()
	h.startMosquitto(port)
	h.startStack("--broker", broker, "--parts", "gateway")

	f.awaitActive(200)
	f.requireNoRepeats()
}

// awaitUnheard waits until devices have executed at least n commands whose
// answers the engine has not heard.
func (f *fleet) awaitUnheard(n int) {
	require.Eventually(f.t, func() bool {
		ledger, err := simulator.ReadLedger(f.ledger)
		return err == nil && len(ledger.Effects()) >= f.active()+n
	}, time.Minute, 100*time.Millisecond, "devices were to execute commands while nobody listens")
}

// A stack that was killed listens when it is ready, and not when the leases of the
// dead have lapsed: what devices with topics of their own say meanwhile is lost,
// since they say it once.
func TestAKilledStackListensAtOnce(t *testing.T) {
	t.Parallel()
	h := newHome(t)
	lanes := func(stack *process) int {
		return server{stack, fmt.Sprintf("http://127.0.0.1:%d", h.port("api"))}.lanes()
	}
	stack := h.startStack()
	require.Equal(t, gateway.DefaultLanes, lanes(stack))
	stack.kill()
	stack = h.startStack()
	require.Equal(t, gateway.DefaultLanes, lanes(stack))
}

//go:build !lean

package main

import (
	"bytes"
	"fmt"
	"net"
	"os"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/deviceops/deviceops"
	"github.com/deviceops/deviceops/simulator"
)

// readyAfter gives how long a stack took to be ready.
func (p *process) readyAfter() time.Duration {
	m := regexp.MustCompile(`Ready after ([0-9.]+) s`).FindStringSubmatch(p.await("Ready after", time.Minute))
	require.Len(p.t, m, 2)
	took, err := time.ParseDuration(m[1] + "s")
	require.NoError(p.t, err)
	return took
}

// TestDemoExits is not parallel: it measures how long a stack takes to start.
func TestDemoExits(t *testing.T) {
	h := newHome(t)
	before := busy(t)
	demo := h.start("dev", "--demo", "--exit", "--fleet", "80")
	ready := demo.readyAfter()
	require.Less(t, undisturbed(t, ready, before, demo.cmd.Process.Pid), 10*time.Second)
	data := strings.Fields(demo.await("  data ", time.Minute))[1]
	postmaster := postmasterOf(t, data)
	require.Zero(t, demo.exit(4*time.Minute), demo.output())

	out := demo.output()
	require.Regexp(t, `(?m)^ *\d+s .*escrow \d+`, out, "the table of states")
	require.Regexp(t, `(?m)^ *\d+s  active 75  quarantined 5$`, out, "its last line")
	require.Contains(t, out, "75 devices are active after")
	require.Len(t, regexp.MustCompile(`(?m)^  kiosk-\d+  .*claim`).FindAllString(out, -1), 3, out)
	require.Len(t, regexp.MustCompile(`(?m)^  kiosk-\d+  .*kiosk-forged`).FindAllString(out, -1), 2, out)
	require.NotContains(t, out, "level=ERROR")
	require.False(t, alive(postmaster), "PostgreSQL has been left behind")
	require.Contains(t, out, "kill -9 of the engine, with ")
	require.Contains(t, out, "the engine is back after ")
	require.Regexp(t, `kiosk-2\.4\.0 succeeded after \S+: 75 devices run os 2\.4\.0\. Repeated 0, lost 0\.`, out)
	require.Regexp(t, `Its gate stopped it in ring (canary|early): .*rollout\.unhealthy is \d+, >= 2`, out)
	require.Regexp(t, `(10 of 75 devices were ever touched, 10|60 of 75 devices were ever touched, 60) are back on 2\.4\.0, 0 still run 2\.5\.0\.`, out)
	require.NoDirExists(t, data, "a demo's data is temporary")
}

// postmasterOf gives the pid of the PostgreSQL server of a data folder.
func postmasterOf(t *testing.T, data string) int {
	text, err := os.ReadFile(filepath.Join(data, "postgres", "data", "postmaster.pid"))
	require.NoError(t, err)
	first, _, _ := strings.Cut(string(text), "\n")
	pid, err := strconv.Atoi(first)
	require.NoError(t, err)
	return pid
}

// alive tells whether a process runs; a zombie does not.
func alive(pid int) bool {
	_, state := lineage(pid)
	return state != "" && state != "Z"
}

// lineage gives a process's parent and its state; none when it is gone.
func lineage(pid int) (parent int, state string) {
	stat, err := os.ReadFile(fmt.Sprintf("/proc/%d/stat", pid))
	if err != nil {
		return 0, ""
	}
	fields := strings.Fields(string(stat[bytes.LastIndexByte(stat, ')')+1:]))
	parent, _ = strconv.Atoi(fields[1])
	return parent, fields[0]
}

// descendants gives the processes that a process has started, and theirs.
func descendants(t *testing.T, root int) []int {
	entries, err := filepath.Glob("/proc/[0-9]*")
	require.NoError(t, err)
	children := map[int][]int{}
	for _, entry := range entries {
		pid, _ := strconv.Atoi(filepath.Base(entry))
		parent, _ := lineage(pid)
		children[parent] = append(children[parent], pid)
	}
	all := children[root]
	for i := 0; i < len(all); i++ {
		all = append(all, children[all[i]]...)
	}
	return all
}

func TestInterruptLeavesNothingBehind(t *testing.T) {
	t.Parallel()
	h := newHome(t)
	stack := h.startStack("--fleet", "20")
	stack.await("switched on", time.Minute)
	h.awaitStates(20, deviceops.Active)
	pids := descendants(t, stack.cmd.Process.Pid)
	require.Contains(t, pids, postmasterOf(t, h.data))
	require.Greater(t, len(pids), 3, "PostgreSQL has children of its own")

	require.Zero(t, stack.interrupt(10*time.Second), stack.output())
	for _, pid := range pids {
		require.False(t, alive(pid), "process %d has been left behind", pid)
	}
	for _, part := range []string{"api", "broker", "temporal", "postgres"} {
		_, err := net.Dial("tcp", net.JoinHostPort("127.0.0.1", strconv.Itoa(h.port(part))))
		require.ErrorIs(t, err, syscall.ECONNREFUSED, part)
	}
}

// awaitStates waits until n kiosks are in a state.
func (h home) awaitStates(n int, state deviceops.State) {
	c := h.client()
	require.Eventually(h.t, func() bool {
		stats, err := c.FleetStats(h.t.Context(), deviceops.DeviceFilter{Profile: "kiosk"})
		return err == nil && stats.ByState[state] == n
	}, 2*time.Minute, 200*time.Millisecond, "%d kiosks were to be %s", n, state)
}

// holdings is what a stack has to keep.
type holdings struct {
	devices   map[string]time.Time // since when each is active
	documents []string
	doors     int // events of the type door
	ports     map[string]int
	context   string // the command line's
}

func (h home) holdings() holdings {
	ctx, c, all := h.t.Context(), h.client(), holdings{devices: map[string]time.Time{}, ports: map[string]int{}}
	devices, err := c.ListDevices(ctx, deviceops.DeviceFilter{}, "")
	require.NoError(h.t, err)
	for _, d := range devices.Items {
		require.Equal(h.t, deviceops.Active, d.State, d.ID)
		all.devices[d.ID] = d.StateSince
	}
	documents, err := c.ListDocuments(ctx, "", deviceops.KindProfile)
	require.NoError(h.t, err)
	for _, d := range documents.Items {
		all.documents = append(all.documents, fmt.Sprintf("%s@%d %s", d.Name, d.Version, d.Hash))
	}
	doors, err := c.ListEvents(ctx, deviceops.EventFilter{Type: "door"}, "")
	require.NoError(h.t, err)
	all.doors = len(doors.Items)
	for _, part := range []string{"api", "broker", "temporal", "postgres"} {
		all.ports[part] = h.port(part)
	}
	text, err := os.ReadFile(filepath.Join(h.dir, "deviceops", "config.yaml"))
	require.NoError(h.t, err)
	all.context = string(text)
	return all
}

func TestDataCarriesOn(t *testing.T) {
	t.Parallel()
	const devices = 10
	h := newHome(t)
	stack := h.startStack()
	f := h.startFleet(h.broker(), devices)
	f.awaitActive(devices)
	throwOne(t, h.broker(), piece{"deviceops/v1/sim-00003/up/event", `{"type":"door"}`, "none"})
	require.Eventually(t, func() bool { return h.holdings().doors == 1 }, 20*time.Second, 200*time.Millisecond)
	before := h.holdings()
	require.Len(t, before.devices, devices)
	require.NotEmpty(t, before.documents)

	require.Zero(t, stack.interrupt(10*time.Second))
	stack = h.startStack()
	require.Equal(t, before, h.holdings(), "after a restart")

	stack.kill()
	stack = h.startStack()
	require.Equal(t, before, h.holdings(), "after a kill")

	// It does not only remember, it goes on. A device whose hello found a broker
	// without an engine says it again after half a minute.
	require.Contains(t, h.must("devices", "command", "sim-00007", "diagnostics", "--wait", "1m", "--reason", "test"), "succeeded")
	f.requireNoRepeats()
	require.Zero(t, stack.interrupt(10*time.Second))
}

func TestTwoStacksCannotShareAFolder(t *testing.T) {
	t.Parallel()
	h := newHome(t)
	first := h.startStack("--parts", "broker")
	out, code := h.run("dev", "--data", h.data)
	require.Equal(t, 1, code)
	require.Contains(t, out, fmt.Sprintf("the part broker in %s is run by process %d", h.data, first.cmd.Process.Pid))
	require.Contains(t, out, "choose another --data")
	require.NotContains(t, out, "Ready")
	require.False(t, first.over())

	require.Zero(t, first.interrupt(10*time.Second))
	second := h.startStack("--parts", "broker")
	require.Zero(t, second.interrupt(10*time.Second))
}

func TestEachPartInAProcessOfItsOwn(t *testing.T) {
	t.Parallel()
	const devices = 60
	h := newHome(t)
	parts := map[string]*process{}
	for _, part := range []string{"postgres", "temporal", "broker", "api", "gateway", "worker"} {
		parts[part] = h.startStack("--parts", part)
	}
	f := h.startFleet(h.broker(), devices, "--latency", "500ms", "--ramp", "10s")
	for i, killed := range [][]string{{"gateway", "worker"}, {"worker"}, {"gateway"}} {
		f.awaitEffects(devices * (i + 1) / 5)
		for _, part := range killed {
			parts[part].kill()
		}
		for _, part := range killed {
			parts[part] = h.startStack("--parts", part)
		}
	}
	f.awaitActive(devices)
	f.requireNoRepeats()
	for _, part := range []string{"worker", "gateway", "api", "broker", "temporal", "postgres"} {
		require.Zero(t, parts[part].interrupt(10*time.Second), "%s: %s", part, parts[part].output())
	}
}

// awaitEffects waits until devices have executed at least n commands.
func (f *fleet) awaitEffects(n int) {
	require.Eventually(f.t, func() bool {
		ledger, err := simulator.ReadLedger(f.ledger)
		return err == nil && len(ledger.Effects()) >= n
	}, time.Minute, 100*time.Millisecond, "devices were to execute %d commands", n)
}

func TestDevRefusesWhatMakesNoSense(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		args string
		code int
		says string
	}{
		{"--parts nonsense", 2, `there is no part "nonsense"; parts are temporal,broker,postgres,api,gateway,worker`},
		{"--parts postgres", 2, "name it with --data"},
		{"--parts broker --data DATA --demo", 2, "has the part api"},
		{"--fleet -5", 2, "a fleet of -5 devices"},
		{"--fleet many", 2, "invalid argument"},
		{"--log-level loud", 2, "loud"},
		{"extra", 2, "unknown command"},
		{"--data /proc/nowhere", 1, "make the data folder"},
		{"--broker nonsense", 1, "no usable URL"},
	} {
		t.Run(c.args, func(t *testing.T) {
			h := newHome(t)
			args := strings.ReplaceAll("dev "+c.args, "DATA", h.data)
			out, code := h.run(strings.Fields(args)...)
			require.Equal(t, c.code, code, out)
			require.Contains(t, out, c.says)
			require.NotContains(t, out, "Ready")
		})
	}
}

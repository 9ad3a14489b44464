//go:build !lean

package main

import (
	"context"
	"fmt"
	"net/url"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/deviceops/deviceops"
	"github.com/deviceops/deviceops/cluster/porttest"
)

// fenced is a fenced block of a page. Its info is what follows the fence.
type fenced struct{ info, body string }

// readBlocks gives the fenced blocks of a page in order.
func readBlocks(t *testing.T, page string) []fenced {
	text, err := os.ReadFile(page)
	require.NoError(t, err)
	var blocks []fenced
	for _, m := range regexp.MustCompile("(?ms)^```([a-z ]*)\n(.*?)^```$").FindAllStringSubmatch(string(text), -1) {
		blocks = append(blocks, fenced{m[1], m[2]})
	}
	return blocks
}

// session makes one bash session of a page: what is for the device runs in
// order and ends at the first failure, what is for the operator runs beside it.
func session(blocks []fenced) (script string, steps int) {
	script = "set -e\n"
	for _, b := range blocks {
		switch b.info {
		case "sh":
			steps++
			script += fmt.Sprintf("%s\necho finished step %d\n", b.body, steps)
		case "sh operator":
			script += "{\n" + b.body + "\n} &\n"
		}
	}
	return script, steps
}

// bash gives a session in which deviceops is the program under test, with the
// CLI context of this home, and further variables are set.
func (h home) bash(script string, variables ...string) *exec.Cmd {
	programs := filepath.Join(h.dir, "bin")
	require.NoError(h.t, os.MkdirAll(programs, 0o700))
	wrapper := fmt.Sprintf("#!/bin/sh\n%s=1 XDG_CONFIG_HOME=%s exec %s \"$@\"\n", actAsProgram, h.dir, os.Args[0])
	require.NoError(h.t, os.WriteFile(filepath.Join(programs, "deviceops"), []byte(wrapper), 0o700))
	cmd := exec.Command("bash", "-c", script)
	cmd.Env = append(os.Environ(), append(variables, "PATH="+programs+":"+os.Getenv("PATH"))...)
	// What the script leaves running, such as a subscriber, ends with the test.
	cmd.SysProcAttr, cmd.WaitDelay = &syscall.SysProcAttr{Setpgid: true}, time.Second
	h.t.Cleanup(func() {
		if cmd.Process != nil {
			_ = syscall.Kill(-cmd.Process.Pid, syscall.SIGKILL)
		}
	})
	return cmd
}

// startWithMosquitto starts a stack that uses Debian's broker.
func (h home) startWithMosquitto() (stack *process, broker string) {
	port := porttest.Free(h.t)
	h.startMosquitto(port)
	broker = fmt.Sprintf("tcp://127.0.0.1:%d", port)
	return h.startStack("--broker", broker), broker
}

// awaitDevice waits until a device is as wanted and gives it.
func (h home) awaitDevice(id string, patience time.Duration, wanted func(deviceops.Device) bool) (d deviceops.Device) {
	c := h.client()
	require.Eventually(h.t, func() bool {
		found, err := c.Device(context.Background(), id)
		if err == nil {
			d = found
		}
		return err == nil && wanted(found)
	}, patience, 100*time.Millisecond, "device %s never became what it should", id)
	return d
}

// awaitState waits until a device is in a state and gives it.
func (h home) awaitState(id string, state deviceops.State, patience time.Duration) deviceops.Device {
	return h.awaitDevice(id, patience, func(d deviceops.Device) bool { return d.State == state })
}

// happened gives the types of a device's events, oldest first, with what tells
// events of one type apart.
func (h home) happened(device string) []string {
	page, err := h.client().ListEvents(h.t.Context(), deviceops.EventFilter{Device: device, Limit: 1000}, "")
	require.NoError(h.t, err)
	var all []string
	for _, e := range slices.Backward(page.Items) {
		switch e.Type {
		case deviceops.EventDeviceState, deviceops.EventDeviceConnectivity:
			all = append(all, fmt.Sprintf("%s %v", e.Type, e.Data["to"]))
		case deviceops.EventCommand:
			all = append(all, fmt.Sprintf("%s %v %v", e.Type, e.Data["name"], e.Data["status"]))
		default:
			all = append(all, e.Type)
		}
	}
	return all
}

// requireInOrder requires that all has the wanted entries in this order, with
// others between them.
func requireInOrder(t *testing.T, all []string, wanted ...string) {
	rest := all
	for _, w := range wanted {
		at := slices.Index(rest, w)
		require.GreaterOrEqual(t, at, 0, "%q is missing, or not in its place, in:\n%s", w, strings.Join(all, "\n"))
		rest = rest[at+1:]
	}
}

// TestThePageMakesADevice follows docs/device-protocol.md to the letter, with
// nothing but its own lines of shell.
func TestThePageMakesADevice(t *testing.T) {
	t.Parallel()
	h := newHome(t)
	_, broker := h.startWithMosquitto()
	at, err := url.Parse(broker)
	require.NoError(t, err)
	h.must("apply", "-f", "../../examples/kiosk.yaml", "--reason", "test")
	h.must("devices", "register", "paper-1", "--profile", "kiosk", "--serial", "SN-paper-1", "--claim", "by the book", "--reason", "test")

	script, steps := session(readBlocks(t, "../../docs/device-protocol.md"))
	require.Greater(t, steps, 5, "the page has lost its steps")
	person := startProcess(t, h.bash(script, "HOST=127.0.0.1", "PORT="+at.Port(), "DEVICE=paper-1", "CLAIM=by the book"))
	require.Zero(t, person.exit(2*time.Minute), "the page cannot be followed:\n%s", person.output())
	require.Contains(t, person.output(), "finished step "+strconv.Itoa(steps))

	d := h.awaitDevice("paper-1", 10*time.Second, func(d deviceops.Device) bool { return d.Session.Connectivity == deviceops.Sleeping })
	require.Equal(t, deviceops.Active, d.State)
	require.EqualValues(t, d.Twin.Desired.Version, d.Twin.Reported.ConfigVersion)
	require.Equal(t, 83.5, d.Metrics["battery_pct"])
	require.Contains(t, h.must("devices", "show", "paper-1"), "active")
	require.Equal(t, []string{deviceops.EventDeviceBooted, "device.door", deviceops.EventDeviceBooted},
		h.said("paper-1", deviceops.EventDeviceBooted, "device.door"))
	requireInOrder(t, h.happened("paper-1"), // the lanes may swap what was said in one breath, such as hello and online
		"device.state_changed provisioning", "device.state_changed active", "device.command diagnostics succeeded",
		"device.connectivity_changed offline", "device.connectivity_changed online", "device.connectivity_changed sleeping")
	timeline := h.must("devices", "timeline", "paper-1")
	for _, word := range []string{"provisioning", "configure", "active", "device.door", "diagnostics", "trying the protocol", "sleeping"} {
		require.Contains(t, timeline, word)
	}
}

// ownLines gives the lines by which the demo lets a person be a device.
func ownLines(t *testing.T, demo string) []string {
	lines := regexp.MustCompile(`(?m)^ *mosquitto_pub .*$`).FindAllString(demo, -1)
	require.Len(t, lines, 3, "of:\n%s", demo)
	return lines
}

// startDemo starts a small demo and gives the lines for one's own device.
func (h home) startDemo() (demo *process, lines []string) {
	demo = h.start("dev", "--data", h.data, "--demo", "--fleet", "10")
	demo.await("Ctrl-C ends it", 4*time.Minute)
	return demo, ownLines(h.t, demo.output())
}

func (h home) requireShell(script string) {
	out, err := h.bash("set -e\n" + script).CombinedOutput()
	require.NoError(h.t, err, "%s\n%s", script, out)
}

func TestOwnDeviceOfTheDemo(t *testing.T) {
	t.Parallel()
	h := newHome(t)
	demo, lines := h.startDemo()
	h.awaitState("my-kiosk", deviceops.Escrow, time.Second)

	// A person looks at what each line brings before typing the next.
	h.requireShell(lines[0])
	d := h.awaitState("my-kiosk", deviceops.Provisioning, 10*time.Second)
	require.Equal(t, deviceops.Online, d.Session.Connectivity)
	h.awaitOpenCommand("my-kiosk", deviceops.CommandConfigure)
	h.requireShell(lines[1])
	require.Eventually(t, func() bool {
		return !strings.Contains(h.must("explain", "device", "my-kiosk"), "configuration version")
	},
		10*time.Second, 100*time.Millisecond, "the report was to be taken")
	h.requireShell(lines[2])
	h.awaitState("my-kiosk", deviceops.Active, 30*time.Second)
	require.Zero(t, demo.interrupt(10*time.Second))
}

// awaitOpenCommand waits until a device is asked to do something.
func (h home) awaitOpenCommand(device, name string) {
	c := h.client()
	require.Eventually(h.t, func() bool {
		page, err := c.ListCommands(context.Background(), device, 10)
		return err == nil && slices.ContainsFunc(page.Items, func(c deviceops.Command) bool { return c.Name == name && c.Status == deviceops.CommandSent })
	}, 10*time.Second, 50*time.Millisecond, "%s was to be asked to %s", device, name)
}

func TestOwnDeviceOfTheDemoPastedAtOnce(t *testing.T) {
	t.Parallel()
	h := newHome(t)
	_, lines := h.startDemo()
	h.requireShell(strings.Join(lines, "\n"))
	h.awaitState("my-kiosk", deviceops.Active, 30*time.Second)
}

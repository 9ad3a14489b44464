//go:build !lean

package main

import (
	"encoding/json"
	"fmt"
	"maps"
	"math/rand/v2"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/deviceops/deviceops"
	"github.com/deviceops/deviceops/protocol"
	"github.com/deviceops/deviceops/simulator"
)

// chaosDevices names how many devices the crash test of rollouts has, in place of
// a fleet that suits every run of all tests. See make chaos.
const chaosDevices = "DEVICEOPS_CHAOS_DEVICES"

// chaosSize is how large a crash test is, and how bad its devices are.
type chaosSize struct {
	devices, rounds                      int // in each round every part is killed once
	inFlight, perMinute                  int
	offline, failing, rejecting, seconds float64 // seconds: the mean between two disconnections
	patience                             time.Duration
	aloud                                bool
}

func chaosSizeOf(t *testing.T) chaosSize {
	small := chaosSize{devices: 150, rounds: 1, inFlight: 40, perMinute: 600, offline: .1, failing: .08, rejecting: .03, seconds: 8, patience: 8 * time.Minute}
	text := os.Getenv(chaosDevices)
	if text == "" {
		return small
	}
	n, err := strconv.Atoi(text)
	require.NoError(t, err)
	// It takes five minutes at least, so that the kills are spread over it.
	return chaosSize{devices: n, rounds: 4, inFlight: 1000, perMinute: max(60, n/5), offline: .05, failing: .03, rejecting: .01, seconds: 60,
		patience: max(10*time.Minute, time.Duration(n)*200*time.Millisecond), aloud: true}
}

// killable are the parts that are killed. Debian's broker is one of them.
var killable = []string{"worker", "gateway", "broker", "temporal", "postgres"}

// chaos is a stack in which every part is a process, and its devices another.
type chaos struct {
	home
	size   chaosSize
	chance *rand.Rand
	broker string
	parts  map[string]*process
	kills  map[string]int
	fleet  *fleet
	told   string
}

func newChaos(t *testing.T) *chaos {
	c := &chaos{home: newHome(t), size: chaosSizeOf(t), chance: moments(t), parts: map[string]*process{}, kills: map[string]int{}}
	c.broker = c.home.broker()
	for _, part := range []string{"postgres", "temporal", "broker", "api", "gateway", "worker"} {
		c.start(part)
	}
	return c
}

func (c *chaos) start(part string) {
	if part == "broker" {
		c.parts[part] = c.startMosquitto(c.port("broker"))
		return
	}
	c.parts[part] = c.startStack("--broker", c.broker, "--parts", part)
}

// kill ends a part as a power cut would. A process whose PostgreSQL is killed
// ends by itself.
func (c *chaos) kill(part string) {
	c.kills[part]++
	if part != "postgres" {
		c.parts[part].kill()
		return
	}
	require.NoError(c.t, syscall.Kill(postmasterOf(c.t, c.data), syscall.SIGKILL))
	require.NotZero(c.t, c.parts[part].exit(20*time.Second), "the loss of PostgreSQL is no good end")
}

// tell says how far the test is, if that is news: a large one at once.
func (c *chaos) tell(format string, args ...any) {
	text := fmt.Sprintf(format, args...)
	if text == c.told {
		return
	}
	c.told = text
	line := time.Now().Format("15:04:05 ") + text
	if c.size.aloud {
		fmt.Fprintln(os.Stderr, line)
		return
	}
	c.t.Log(line)
}

// switchOn brings the whole fleet to active. Its devices behave until then: what
// is tested comes after that.
func (c *chaos) switchOn() {
	c.fleet = c.startFleet(c.broker, c.size.devices)
	require.Eventually(c.t, func() bool {
		n := c.fleet.active()
		c.tell("%d of %d devices are active", n, c.size.devices)
		return n == c.size.devices
	}, c.size.patience, max(200*time.Millisecond, c.size.patience/200), "all devices were to become active")
	share := func(p float64) string { return strconv.FormatFloat(p, 'g', -1, 64) }
	c.fleet.again("--latency", "300ms", "--resend", "10s", "--churn", share(c.size.offline), "--churn-every", share(c.size.seconds)+"s", "--churn-for", "5s",
		"--fail", share(c.size.failing), "--reject", share(c.size.rejecting))
}

const chaosManifest = `rollout: chaos
change: { release: kiosk-os@2.4.0 }
targets: device.profile == "kiosk"
rings:
  - { name: canary, take: 10, soak: 2s }
  - { name: early, take: 20%%, soak: 1s }
  - { name: everyone }
rate: %d/m
in_flight: %d
retry: { times: 8, delay: 1s..5s, if: error.retryable }
gate: { pass: "pct(ring.succeeded, ring.reached) >= 70", otherwise: wait }
`

// installed gives how many devices began to install, by their own ledger.
func (f *fleet) installed() int {
	ledger, err := simulator.ReadLedger(f.ledger)
	require.NoError(f.t, err)
	devices := map[string]bool{}
	for _, e := range ledger.Effects() {
		if e.Name == deviceops.CommandInstall {
			devices[e.Device] = true
		}
	}
	return len(devices)
}

// killAll kills every part in every round, in random order and at random moments
// that are spread over the rollout.
func (c *chaos) killAll() {
	all := c.size.rounds * len(killable)
	for round := range c.size.rounds {
		for i, at := range c.chance.Perm(len(killable)) {
			part, number := killable[at], round*len(killable)+i
			c.await(c.size.devices * (number + 1) / (all + 3))
			time.Sleep(time.Duration(c.chance.Int64N(int64(2 * time.Second)))) // the moment is what is tested
			c.tell("kill -9 of %s, %d of %d, with %d devices reached", part, number+1, all, c.fleet.installed())
			c.kill(part)
			time.Sleep(time.Duration(c.chance.Int64N(int64(3 * time.Second))))
			c.start(part)
			c.requireAlive()
		}
	}
}

// await waits until so many devices have begun to install.
func (c *chaos) await(devices int) {
	require.Eventually(c.t, func() bool { return c.fleet.installed() >= devices }, c.size.patience, 100*time.Millisecond,
		"%d devices were to install; killed so far: %v", devices, c.kills)
}

// requireAlive shows that no part takes another one with it.
func (c *chaos) requireAlive() {
	for part, p := range c.parts {
		require.False(c.t, p.over(), "%s has ended:\n%s", part, p.output())
	}
}

// end waits for the end of the rollout and gives it.
func (c *chaos) end() (report deviceops.RolloutReport) {
	require.Eventually(c.t, func() bool {
		var err error
		report, err = c.client().Rollout(c.t.Context(), "chaos")
		c.tell("%s %+v", report.Rollout.Status, report.Rollout.Total())
		return err == nil && report.Rollout.Status.Ended()
	}, c.size.patience, max(200*time.Millisecond, c.size.patience/200), "the rollout was to end")
	return report
}

// Every part is killed while a release reaches devices that come and go, fail and
// refuse. The rollout ends, and it agrees with every device about what became of
// it.
func TestKillEveryPartOfTheStackDuringARollout(t *testing.T) {
	c := newChaos(t)
	c.switchOn()
	c.release("2.4.0")
	c.rollOut(fmt.Sprintf(chaosManifest, c.size.perMinute, c.size.inFlight))
	began := time.Now()
	c.killAll()
	report := c.end()
	took := time.Since(began).Round(time.Second)
	require.Equal(t, deviceops.RolloutSucceeded, report.Rollout.Status, report.Rollout.StatusReason)

	require.Zero(t, c.fleet.process.interrupt(30*time.Second))
	ledger, err := simulator.ReadLedger(c.fleet.ledger)
	require.NoError(t, err)
	lost, became := c.disagreements("chaos")
	figures := fmt.Sprintf("%d devices in %s; killed: %v; became: %v; repeated %d, lost %d",
		c.size.devices, took, c.kills, became, len(ledger.Repeats()), len(lost))
	c.tell("%s", figures)
	require.Empty(t, ledger.Repeats(), "no attempt of a command may be executed twice")
	require.Empty(t, lost, "rollout and device were to agree")
	require.Equal(t, slices.Max(slices.Collect(maps.Values(c.kills))), c.size.rounds)
}

// recalled is what a device remembers of itself.
type recalled struct {
	Software map[string]string
	Journal  []struct {
		ID      string
		Attempt int
		Answer  *protocol.Result
	}
}

func (c *chaos) recall(device string) (m recalled) {
	text, err := os.ReadFile(filepath.Join(c.dir, "devices", device+".json"))
	require.NoError(c.t, err)
	require.NoError(c.t, json.Unmarshal(text, &m))
	return m
}

// answer gives what the device said last to a command.
func (m recalled) answer(command string) string {
	for _, e := range m.Journal {
		if e.ID == command && e.Answer != nil {
			return e.Answer.Status
		}
	}
	return ""
}

// disagreements gives the devices of which a rollout does not say what they say
// themselves, and how many devices ended in which status.
func (c *chaos) disagreements(rollout string) (lost []string, became map[deviceops.RolloutDeviceStatus]int) {
	rows, became := c.rows(rollout), map[deviceops.RolloutDeviceStatus]int{}
	for n := range c.size.devices {
		id := fmt.Sprintf("sim-%05d", n+1)
		row, own := rows[id], c.recall(id)
		became[row.Status]++
		said, runs := own.answer(deviceops.RolloutCommandID(row.Rollout, id)), own.Software["os"]
		agree := false
		switch row.Status {
		case deviceops.DeviceSucceeded:
			agree = runs == "2.4.0" && c.reported(id) == runs
		case deviceops.DeviceRejected:
			agree = runs == "2.3.0" && said == protocol.ResultRejected
		case deviceops.DeviceFailed:
			agree = runs == "2.3.0" && said == protocol.ResultFailed
		case deviceops.DeviceExcused:
			agree = runs == "2.3.0" && row.Error != nil && row.Error.Message != ""
		}
		if !agree {
			lost = append(lost, fmt.Sprintf("%s is %q (%+v), runs %s, reported %s and said %q", id, row.Status, row.Error, runs, c.reported(id), said))
		}
	}
	return lost, became
}

// reported gives what the engine knows of the software of a device.
func (h home) reported(device string) string {
	d, err := h.client().Device(h.t.Context(), device)
	require.NoError(h.t, err)
	return d.Twin.Reported.Software["os"]
}

// rows gives the rows of a rollout by device.
func (h home) rows(rollout string) map[string]deviceops.RolloutDevice {
	rows := map[string]deviceops.RolloutDevice{}
	for cursor := ""; ; {
		page, err := h.client().RolloutDevices(h.t.Context(), rollout, "", deviceops.RolloutDeviceFilter{Limit: 500}, cursor)
		require.NoError(h.t, err)
		for _, row := range page.Items {
			rows[row.Device] = row
		}
		if cursor = page.Next; cursor == "" {
			return rows
		}
	}
}

// release creates a release of kiosk-os.
func (h home) release(version string, flags ...string) {
	image := filepath.Join(h.dir, "os-"+version+".img")
	require.NoError(h.t, os.WriteFile(image, []byte(strings.Repeat(version+"\n", 1000)), 0o600))
	h.must(append([]string{"release", "create", "kiosk-os@" + version, "--file", "os=" + image}, flags...)...)
}

// rollOut begins a rollout.
func (h home) rollOut(manifest string) {
	file := filepath.Join(h.dir, "rollout.yaml")
	require.NoError(h.t, os.WriteFile(file, []byte(manifest), 0o600))
	h.must("rollout", "create", file, "--reason", "test")
}

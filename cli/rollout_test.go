package cli

import (
	"bytes"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/deviceops/deviceops"
)

func number(n float64) *float64 { return &n }

// inCanary is a rollout whose first ring soaks and whose second waits.
func inCanary() deviceops.RolloutReport {
	return deviceops.RolloutReport{
		Rollout: deviceops.Rollout{
			ID: "ro-0a1b2c3d4e5f", Account: "acme", Name: "kiosk-2.4.0", Kind: deviceops.ChangeRelease, Status: deviceops.RolloutRunning,
			StatusSince: ago(time.Hour), StatusBy: "user:maria", Limits: deviceops.Limits{InFlight: 500}, CreatedBy: "token:ci", CreatedAt: ago(90 * time.Minute),
			StartedAt: ago(time.Hour), Reason: "ticket 4711",
			Rings: []deviceops.Ring{
				{Index: 0, Name: "canary", Status: deviceops.RingSoaking, Reason: "soaks until 12:10", OpenedAt: ago(time.Hour),
					Counts: deviceops.Counts{Targeted: 10, Succeeded: 7, Failed: 1, Rejected: 1, Sent: 1, Healthy: 6, Unhealthy: 1}},
				{Index: 1, Name: "everyone", Status: deviceops.RingPending, Counts: deviceops.Counts{Targeted: 1990, Pending: 1990}},
			},
		},
		Change: "release kiosk-os@2.4.0", PerMinute: 120,
		Gates: []deviceops.RingGate{{Ring: 0, GateVerdict: deviceops.GateVerdict{
			Fail: deviceops.GateReading{Terms: []deviceops.GateTerm{{Text: "ring.failed + ring.unhealthy", Value: number(3), Op: ">=", Threshold: number(4), Verdict: deviceops.No}}},
			Pass: deviceops.GateReading{Terms: []deviceops.GateTerm{{Text: "pct(ring.healthy, ring.reached)", Op: ">=", Threshold: number(98)}}},
		}}},
		Errors: []deviceops.ErrorCount{{Ring: 0, Status: deviceops.DeviceFailed, Code: "disk_full", Message: "no space left", Count: 1, Example: "k7"}},
		Waits:  map[deviceops.WaitKind]int{deviceops.WaitWindow: 3, deviceops.WaitRing: 1990},
		Next:   "ring canary passes or not", NextAt: now.Add(10 * time.Minute),
		Approvals: []deviceops.Approval{{ID: "rollout/ro-1/everyone", Question: "Go on with everyone?", By: []string{"role:operator"}}},
	}
}

func TestRenderRollout(t *testing.T) {
	t.Parallel()
	drawn(t, `
rollout  kiosk-2.4.0
id       ro-0a1b2c3d4e5f
change   release kiosk-os@2.4.0
status   running
since    1h ago by user:maria
limits   500 in flight, 120/m
created  1h ago by token:ci
reason   ticket 4711
took     1h
next     ring canary passes or not, in 10m

RING      STATUS   DONE    BUSY  OK  UNWELL  FAILED  LATER  OUT  TOOK
canary    soaking  9/10    1     7   1       2       0      0    1h
  ████████████▒▒▒▒▒▒▓▓  soaks until 12:10
everyone  pending  0/1990  0     0   0       0       0      0    -
  ░░░░░░░░░░░░░░░░░░░░

GATE                 OF                               IS      LIMIT  HOLDS
canary  fails when   ring.failed + ring.unhealthy     3   >=  4      no
canary  passes when  pct(ring.healthy, ring.reached)  ?   >=  98     unknown

waiting  1990 for their ring, 3 for their maintenance window

DEVICES  RING    STATUS  ERROR      SUCH AS  WHICH SAYS
1        canary  failed  disk_full  k7       no space left

Go on with everyone? (asks role:operator)
  deviceops approvals approve rollout/ro-1/everyone, or reject
`, func(w *screen) { w.rollout(inCanary()) })
}

func TestBarsShowTheLastDevice(t *testing.T) {
	t.Parallel()
	w := &screen{}
	require.Equal(t, "████████████████████", w.bar(deviceops.Counts{Targeted: 3, Succeeded: 3}))
	require.Equal(t, "▒░░░░░░░░░░░░░░░░░░░", w.bar(deviceops.Counts{Targeted: 10000, Failed: 1, Pending: 9999}))
	require.Equal(t, "░░░░░░░░░░░░░░░░░░░░", w.bar(deviceops.Counts{}))
	require.Equal(t, "████████████████████", w.bar(deviceops.Counts{Targeted: 1, Succeeded: 2}), "counts that are on their way never overflow")
}

func TestRenderRolloutDevices(t *testing.T) {
	t.Parallel()
	drawn(t, `
DEVICE  RING    STATUS     ATTEMPT  SENT    TOOK  NOTE
k1      canary  succeeded  1        2m ago  5.0s
k2      canary  failed     3        2m ago  1m    no space left (disk_full)
k3      1       pending    0        -       -     its window opens at 01:00
k4      canary  accepted   1        5s ago  5.0s  installing, 40 %
`, func(w *screen) {
		w.rolloutDevices([]deviceops.RolloutDevice{
			{Device: "k1", Status: deviceops.DeviceSucceeded, Attempt: 1, SentAt: ago(2 * time.Minute), EndedAt: ago(2*time.Minute - 5*time.Second), Health: deviceops.Yes},
			{Device: "k2", Status: deviceops.DeviceFailed, Attempt: 3, SentAt: ago(2 * time.Minute), EndedAt: ago(time.Minute),
				Error: &deviceops.CommandError{Code: "disk_full", Message: "no space left"}},
			{Device: "k3", Ring: 1, Status: deviceops.DevicePending, Wait: &deviceops.RolloutWait{Kind: deviceops.WaitWindow, Text: "its window opens at 01:00"}},
			{Device: "k4", Status: deviceops.DeviceAccepted, Attempt: 1, SentAt: ago(5 * time.Second), Phase: "installing", Percent: 40},
		}, []deviceops.Ring{{Name: "canary"}})
	})
}

func TestRenderPreview(t *testing.T) {
	t.Parallel()
	drawn(t, `
rollout  kiosk-2.4.0
change   release kiosk-os@2.4.0
targets  2000 devices
begins   now
ends     in 3h
sha256   abc

RING      DEVICES  ONLINE  BEGINS  SOAK  ASKS           ENDS    SUCH AS
canary    7        7       now     30m   -              in 30m  k1 k2
everyone  1990     1800    in 30m  2h    role:operator  in 3h

GATE      FAILS WHEN        THEN      PASSES WHEN
canary    ring.failed >= 2  rollback  none failed or is unhealthy
everyone  never             -         none failed or is unhealthy

LEFT OUT  BECAUSE                SUCH AS
3         it runs 2.4.0 already  k9

ring canary takes 7, not 10: no more match
`, func(w *screen) {
		w.rolloutPreview(deviceops.RolloutPreview{
			Name: "kiosk-2.4.0", Kind: deviceops.ChangeRelease, Change: "release kiosk-os@2.4.0", Hash: "abc", Targeted: 2000, Begins: now, Ends: now.Add(3 * time.Hour),
			Rings: []deviceops.RingPreview{
				{Name: "canary", Devices: 7, Online: 7, Examples: []string{"k1", "k2"}, Begins: now, Ends: now.Add(30 * time.Minute), Soak: 30 * time.Minute,
					Fail: "ring.failed >= 2", OnFail: deviceops.FailRollback},
				{Name: "everyone", Devices: 1990, Online: 1800, Begins: now.Add(30 * time.Minute), Ends: now.Add(3 * time.Hour), Soak: 2 * time.Hour, Asks: []string{"role:operator"}},
			},
			Excused: []deviceops.Excuse{{Reason: "it runs 2.4.0 already", Devices: 3, Example: "k9"}},
			Notes:   []string{"ring canary takes 7, not 10: no more match"},
		})
	})
}

func TestWatchWritesALineForEachChange(t *testing.T) {
	t.Parallel()
	var out bytes.Buffer
	view := (&app{Config: Config{Out: &out}}).rolloutView(true)
	report := inCanary()
	require.NoError(t, view.update(report, now))
	require.NoError(t, view.update(report, now.Add(time.Second)), "the same again says nothing")
	report.Rollout.Status, report.Rollout.StatusReason = deviceops.RolloutPaused, "the gate of canary failed"
	require.NoError(t, view.update(report, now.Add(2*time.Second)))
	require.NoError(t, view.close())
	require.Equal(t, "12:00:00  running  canary soaking 9/10 (3 bad)\n12:00:02  paused  canary soaking 9/10 (3 bad): the gate of canary failed\n", out.String())
}

func TestWatchDrawsOverItself(t *testing.T) {
	t.Parallel()
	var out bytes.Buffer
	view := (&app{Config: Config{Out: &out}}).rolloutView(true)
	require.NoError(t, view.draw("one\ntwo\n"))
	require.NoError(t, view.draw("three\n"))
	require.Equal(t, "one\ntwo\n\x1b[2A\x1b[Jthree\n", out.String())

	out.Reset()
	view.size = func() (int, int) { return 5, 4 }
	require.NoError(t, view.draw("12345\n\x1b[32m123456\x1b[0m\nno room\n"))
	require.NoError(t, view.draw("x\n"))
	require.Equal(t, "\x1b[1A\x1b[J12345\n\x1b[32m123456\x1b[0m\n\x1b[3A\x1b[Jx\n", out.String(), "a wide line takes two, and what is too high is left out")
}

// While nothing is new the clocks of a picture go on.
func TestWatchKeepsUp(t *testing.T) {
	t.Parallel()
	var out lockedBuffer
	at := now
	view := (&app{Config: Config{Out: &out, Now: func() time.Time { at = at.Add(time.Hour); return at }}}).rolloutView(true)
	view.live = true
	require.NoError(t, view.update(inCanary(), now))
	require.NotContains(t, out.String(), "took     3h")
	stop := view.keepUp(time.Millisecond)
	require.Eventually(t, func() bool { return strings.Contains(out.String(), "took     3h") }, time.Minute, time.Millisecond)
	stop()
}

type lockedBuffer struct {
	mu   sync.Mutex
	text bytes.Buffer
}

func (b *lockedBuffer) Write(p []byte) (int, error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.text.Write(p)
}

func (b *lockedBuffer) String() string {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.text.String()
}

// What is watched in a terminal of 80 columns has room there.
func TestARolloutHasRoomIn80Columns(t *testing.T) {
	t.Parallel()
	report := inCanary()
	for i := range report.Rollout.Rings {
		c := &report.Rollout.Rings[i].Counts
		c.Targeted, c.Succeeded, c.Unhealthy, c.Failed, c.Pending, c.Excused = 100_000, 20_000, 100, 200, 0, 40
	}
	var w screen
	w.rings(report.Rollout.Rings)
	for line := range strings.Lines(w.String()) {
		require.LessOrEqual(t, printed(strings.TrimSuffix(line, "\n")), 80, line)
	}
}

func TestPace(t *testing.T) {
	t.Parallel()
	var p pace
	p.add(0, now)
	require.Zero(t, p.perMinute())
	p.add(100, now.Add(10*time.Second))
	require.InDelta(t, 600, p.perMinute(), 0.1)
	require.Equal(t, ", 2m for the 1200 that are left of all rings", p.left(1200))
	p.add(100, now.Add(45*time.Second))
	require.Less(t, p.perMinute(), 600.0, "what is long past does not count")
}

func TestSimulateARollout(t *testing.T) {
	t.Parallel()
	file := filepath.Join(t.TempDir(), "rollout.yaml")
	require.NoError(t, os.WriteFile(file, []byte(`rollout: kiosk-2.4.0
change: { release: kiosk-os@2.4.0 }
targets: device.profile == "kiosk"
rings:
  - { name: canary, take: 10, tags: [canary], soak: 30m, gate: { fail: ring.failed + ring.unhealthy >= 2 } }
  - { name: everyone }
on_fail: rollback
`), 0o600))
	simulate := func(args ...string) (string, int) {
		var out bytes.Buffer
		root := New(Config{Out: &out, Err: &out, Now: func() time.Time { return now }})
		code := Execute(t.Context(), root, append([]string{"rollout", "simulate", file, "--devices", "500"}, args...))
		return out.String(), code
	}
	good, code := simulate()
	require.Zero(t, code, good)
	require.Contains(t, good, "500 devices, succeeded after ")
	require.Contains(t, good, "99 % after ")

	bad, code := simulate("--unhealthy", "80%")
	require.Zero(t, code, bad)
	require.Contains(t, bad, "ring canary stopped it after ")
	require.Contains(t, bad, "touched by then: 10 of 500 devices (2.0 %)")
	require.Contains(t, bad, "taken back: 10 devices in ")

	wrong, code := simulate("--fail", "120%")
	require.Equal(t, ExitUsage, code)
	require.Contains(t, wrong, "write a share from 0% to 100%, such as 2%")
}

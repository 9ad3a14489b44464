package cli

import (
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/deviceops/deviceops"
)

var now = time.Date(2026, 11, 20, 12, 0, 0, 0, time.UTC)

func ago(d time.Duration) time.Time { return now.Add(-d) }

// drawn gives what a rendering shows, without the first line break of want.
func drawn(t *testing.T, want string, draw func(w *screen)) {
	t.Helper()
	w := &screen{now: now}
	draw(w)
	require.Equal(t, strings.TrimPrefix(want, "\n"), w.String())
}

func TestRenderDevices(t *testing.T) {
	t.Parallel()
	drawn(t, `
ID     PROFILE  STATE        CONNECTIVITY  WELLNESS  SEEN     ACCOUNT    TAGS
k1     kiosk    active       online        well      12s ago  acme       critical,lobby
kiösk  -        quarantined  offline       degraded  3d ago   acme/emea
`, func(w *screen) {
		w.devices([]deviceops.Device{
			{ID: "k1", Profile: "kiosk", State: deviceops.Active, Account: "acme", Tags: []string{"critical", "lobby"},
				Session: deviceops.Session{Connectivity: deviceops.Online, LastSeen: ago(12 * time.Second)}, Wellness: deviceops.Wellness{Status: deviceops.Well}},
			{ID: "kiösk", State: deviceops.Quarantined, Account: "acme/emea",
				Session: deviceops.Session{Connectivity: deviceops.Offline, LastSeen: ago(73 * time.Hour)}, Wellness: deviceops.Wellness{Status: deviceops.Degraded}},
		})
	})
}

func TestRenderDevice(t *testing.T) {
	t.Parallel()
	drawn(t, `
id            k1
account       acme
serial        s1
profile       kiosk
state         escrow
since         2h ago
reason        install failed
connectivity  never
seen          -
wellness      degraded 2h ago: disk, crashes; flapping 5m ago
labels        floor=2 site=berlin
place         52.5, 13.4
config        desired 3, reported 2
software      app=1.0 os=2.3.0
created       5m ago
`, func(w *screen) {
		w.device(deviceops.Device{
			ID: "k1", Account: "acme", Serial: "s1", Profile: "kiosk", State: deviceops.Escrow, StateSince: ago(2 * time.Hour), StateReason: "install failed",
			Wellness: deviceops.Wellness{DegradedSince: ago(2 * time.Hour), Because: []string{"disk", "crashes"}, FlappingSince: ago(5 * time.Minute)},
			Session:  deviceops.Session{Connectivity: deviceops.Never}, Labels: map[string]string{"site": "berlin", "floor": "2"},
			Place: &deviceops.Place{Latitude: 52.5, Longitude: 13.4}, CreatedAt: ago(5 * time.Minute),
			Twin: deviceops.Twin{Desired: deviceops.Desired{Version: 3}, Reported: deviceops.Reported{ConfigVersion: 2, Software: map[string]string{"os": "2.3.0", "app": "1.0"}}},
		})
	})
}

func TestRenderImport(t *testing.T) {
	t.Parallel()
	drawn(t, `
5 rows: 1 conflict, 2 registered, 2 not taken

LINE  ID  REASON
3     k3  profile "": name the profile of the device
12    -   not CSV
`, func(w *screen) {
		w.importReport(deviceops.ImportReport{
			Total: 5, Outcomes: map[deviceops.RegisterOutcome]int{deviceops.Registered: 2, deviceops.Conflict: 1},
			Bad: []deviceops.BadRow{{Line: 3, ID: "k3", Reason: `profile "": name the profile of the device`}, {Line: 12, Reason: "not CSV"}},
		})
	})
}

func TestRenderStats(t *testing.T) {
	t.Parallel()
	stats := deviceops.FleetStats{
		Total: 205, ByState: map[deviceops.State]int{deviceops.Active: 200, deviceops.Quarantined: 5},
		ByConnectivity: map[deviceops.Connectivity]int{deviceops.Online: 201, deviceops.Offline: 4},
	}
	drawn(t, `
STATE        DEVICES
active       200
quarantined  5
total        205

CONNECTIVITY  DEVICES
offline       4
online        201
`, func(w *screen) { w.stats(stats) })
	drawn(t, `
12:00:00  active 200  quarantined 5  online 201 of 205
`, func(w *screen) { w.statsLine(stats) })
}

func TestRenderRun(t *testing.T) {
	t.Parallel()
	run := deviceops.Run{
		ID: "run-1", Workflow: "check", Version: 3, Status: deviceops.RunFailed, Account: "acme", Device: "k1", StartedBy: "user:olga",
		Inputs: map[string]any{"battery": 18}, StartedAt: ago(time.Hour), FinishedAt: ago(55 * time.Minute),
		Error: &deviceops.RunError{Code: "busy", Message: "in use", Step: "reboot"},
		Steps: []deviceops.RunStep{
			{Step: "diagnostics", Verb: "command", Status: deviceops.RunSucceeded, Attempts: 1, StartedAt: ago(time.Hour), FinishedAt: ago(time.Hour - 1500*time.Millisecond), Input: map[string]any{"device": "k1"}, Output: map[string]any{"uptime_s": 5}},
			{Step: "first", Verb: "approve", Status: deviceops.RunSucceeded, Attempts: 1, StartedAt: ago(59 * time.Minute), FinishedAt: ago(39 * time.Minute), Output: map[string]any{"decision": "approved", "by": "user:maria"}},
			{
				Step: "decision", Verb: "approve", Status: deviceops.RunWaiting, Attempts: 1, StartedAt: ago(time.Minute), WaitsFor: "role:operator",
				Progress: "1 of 2 decided", Until: now.Add(2 * time.Hour),
			},
			{Step: "reboot", Verb: "command", Status: deviceops.RunFailed, Attempts: 4, Error: &deviceops.RunError{Code: "busy", Message: "in use"}},
		},
	}
	drawn(t, `
run       run-1
workflow  check@3
status    failed
device    k1
account   acme
by        user:olga
inputs    {"battery":18}
started   1h ago
took      5m
failure   in use (busy, at step reboot)

UTC                  STEP         VERB     STATUS     TRIES  TOOK
2026-11-20 11:00:00  diagnostics  command  succeeded  1      1.5s
                     in          {"device":"k1"}
                     out         {"uptime_s":5}
2026-11-20 11:01:00  first        approve  succeeded  1      20m
                     out         {"by":"user:maria","decision":"approved"}
                     decided by  user:maria
2026-11-20 11:59:00  decision     approve  waiting    1      1m
                     waits for   role:operator; 1 of 2 decided; until 2026-11-20 14:00:00, in 2h
-                    reboot       command  failed     4      -
                     failure     in use (busy)
`, func(w *screen) { w.run(run) })
}

func TestRenderChangesOfSteps(t *testing.T) {
	t.Parallel()
	seen := &seenRun{steps: map[int]seenStep{}}
	var paused *deviceops.RunPause
	step := deviceops.RunStep{Step: "install", Verb: "command", Status: deviceops.RunRunning, Attempts: 1}
	show := func(want string) {
		t.Helper()
		drawn(t, want, func(w *screen) { w.news(deviceops.Run{Paused: paused, Steps: []deviceops.RunStep{step}}, seen) })
	}
	show(`
12:00:00  install               running
`)
	show("")
	step.Status, step.WaitsFor, step.Progress, step.Until = deviceops.RunWaiting, "device k1 to carry out install", "accepted, downloading, 40 %", now.Add(time.Hour)
	show(`
12:00:00  install               waiting  waits for device k1 to carry out install; accepted, downloading, 40 %; until 2026-11-20 13:00:00, i…
`)
	show("")
	step.Progress, step.Until = "accepted, installing", time.Time{}
	show(`
12:00:00  install               waiting  waits for device k1 to carry out install; accepted, installing
`)
	step.Attempts = 2
	show(`
12:00:00  install #2            waiting  waits for device k1 to carry out install; accepted, installing
`)
	step = deviceops.RunStep{Step: "ok", Verb: "approve", Status: deviceops.RunSucceeded, Attempts: 1, Output: map[string]any{"by": "user:maria"}}
	show(`
12:00:00  ok                    succeeded  decided by user:maria
`)
	step.Error, step.Status = &deviceops.RunError{Code: "busy", Message: "in use"}, deviceops.RunFailed
	show(`
12:00:00  ok                    failed  in use (busy)
`)
	paused = &deviceops.RunPause{Since: now.Add(-time.Minute), By: "user:maria", Reason: "smoke"}
	show(`
12:00:00  paused since 2026-11-20 11:59:00, 1m ago, by user:maria: smoke
`)
	show("")
	paused = nil
	show(`
12:00:00  the run goes on
`)
}

func TestRenderTimeline(t *testing.T) {
	t.Parallel()
	drawn(t, `
WHEN    UTC                  KIND   SUBJECT               WHAT
5m ago  2026-11-20 11:55:00  event  device.state_changed  escrow → provisioning
6m ago  2026-11-20 11:54:00  audit  device:k1             device.tag by user:olga
`, func(w *screen) {
		w.timeline([]deviceops.TimelineEntry{
			{At: ago(5 * time.Minute), Kind: "event", Subject: "device.state_changed", Text: "escrow → provisioning"},
			{At: ago(6 * time.Minute), Kind: "audit", Subject: "device:k1", Text: "device.tag by user:olga", Data: map[string]any{"added": []string{"x"}}},
		})
	})
}

func TestRenderExplanation(t *testing.T) {
	t.Parallel()
	drawn(t, `
k1 is active: it sleeps.

wake: it sleeps
  since 5m ago
  until in 2h

profile: its profile is not published
  → publish it
`, func(w *screen) {
		w.explanation(deviceops.Explanation{Summary: "k1 is active: it sleeps.", Waits: []deviceops.Wait{
			{For: "wake", Text: "it sleeps", Since: ago(5 * time.Minute), Until: now.Add(2 * time.Hour)},
			{For: "profile", Text: "its profile is not published", Do: "publish it"},
		}})
	})
}

func TestRenderAuditAndRejected(t *testing.T) {
	t.Parallel()
	drawn(t, `
UTC                  WHO        ACTION      TARGET     WHY  EVIDENCE
2026-11-20 12:00:00  user:olga  device.tag  device:k1  -    {"added":["x"]}
`, func(w *screen) {
		w.audit([]deviceops.AuditEntry{{At: now, Actor: "user:olga", Action: "device.tag", Target: "device:k1", Evidence: map[string]any{"added": []string{"x"}}}})
	})
	drawn(t, `
CODE       EVER
malformed  7

WHEN    DEVICE  CODE       BYTES  TOPIC                     REASON
3m ago  k1      malformed  12     deviceops/v1/k1/up/hello  not JSON
`, func(w *screen) {
		w.rejected(deviceops.RejectedReport{Counts: map[string]int64{"malformed": 7}, Items: []deviceops.Rejected{
			{ReceivedAt: ago(3 * time.Minute), Device: "k1", Code: "malformed", Size: 12, Topic: "deviceops/v1/k1/up/hello", Reason: "not JSON"},
		}}, deviceops.RejectedFilter{})
	})
}

func TestColorsKeepColumnsAligned(t *testing.T) {
	t.Parallel()
	w := &screen{colors: true}
	w.table([]string{"STATE", "N"}, [][]string{{"active", "1"}, {"escrow", "2"}})
	require.Equal(t, "STATE   N\n\x1b[32mactive\x1b[0m  1\nescrow  2\n", w.String())
}

func TestRelativeTimes(t *testing.T) {
	t.Parallel()
	for want, at := range map[string]time.Time{
		"-": {}, "now": now, "12s ago": ago(12 * time.Second), "3m ago": ago(3*time.Minute + 40*time.Second), "47h ago": ago(47 * time.Hour),
		"2d ago": ago(50 * time.Hour), "in 5m": now.Add(5 * time.Minute),
	} {
		require.Equal(t, want, relative(at, now))
	}
}

func TestYAMLKeepsOrderAndTypes(t *testing.T) {
	t.Parallel()
	var b strings.Builder
	require.NoError(t, writeYAML(&b, map[string]any{"text": "5", "number": 5, "list": []string{"a: b", "true"}, "empty": map[string]any{}}))
	require.Equal(t, "empty: {}\nlist:\n    - 'a: b'\n    - \"true\"\nnumber: 5\ntext: \"5\"\n", b.String())
}

func TestCut(t *testing.T) {
	t.Parallel()
	require.Equal(t, "a b", cut(" a\n b ", 5))
	require.Equal(t, "äöü…", cut("äöüßx", 4))
}

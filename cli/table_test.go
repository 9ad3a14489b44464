package cli

import (
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/deviceops/deviceops"
)

// lists are tables as they are in an installation that has been used for a while.
var lists = map[string]func(w *screen){
	"tickets": func(w *screen) {
		w.tickets([]deviceops.Ticket{{ID: "ticket-0a1b2c3d4e5f6071", Status: deviceops.TicketOpen, Severity: "critical", Count: 128, Members: 40, OpenMembers: 31,
			Device: "kiosk-berlin-0001", Assignee: "user:maria.schneider", OpenedAt: ago(73 * time.Hour), Title: "The panel of kiosk-berlin-0001 is dark since it was updated"}})
	},
	"automations": func(w *screen) {
		w.automations([]deviceops.AutomationView{{AutomationRef: deviceops.AutomationRef{Account: "acme/emea/stores", Name: "low-battery-reboot"}, Version: 12, Status: "stopped",
			Since: ago(time.Hour), Reason: "51 runs within 10m, more than limit: 50 per 10m allows", Hears: "device.battery, device.offline", Workflow: "reboot-with-approval"}})
	},
	"rejected": func(w *screen) {
		w.rejected(deviceops.RejectedReport{Items: []deviceops.Rejected{{ReceivedAt: ago(time.Minute), Device: "sensor-hall-7-0017", Code: "untranslated", Size: 1207,
			Topic: "acme/berlin/hall-7/sensor-hall-7-0017/telemetry", Reason: "metrics.temperature_c: there is no member temp in the payload; it has t, h and battery"}}}, deviceops.RejectedFilter{})
	},
	"routes": func(w *screen) {
		w.routes([]deviceops.RouteStatus{{Name: "telemetry-to-warehouse", Version: 4, Targets: []deviceops.RouteTarget{{TargetKey: deviceops.TargetKey{Target: "warehouse-eu-central"},
			Failures: 12, Error: "https://ingest.warehouse.example.com/v2/events answered 503 Service Unavailable", DeadLetters: 310, Delivered: 1_482_113, LagEvents: 48_211, LagSeconds: 912}}}})
	},
	"events": func(w *screen) {
		w.events([]deviceops.Event{{ID: 4812345, At: now, Device: "kiosk-berlin-0001", Type: "device.state_changed", Severity: "warning",
			Data: map[string]any{"from": "active", "to": "quarantined", "reason": "the certificate is not the one it was given", "by": "user:maria"}}})
	},
	"an event": func(w *screen) {
		w.event(deviceops.Event{ID: 4812345, At: now, Device: "kiosk-berlin-0001", Type: "device.state_changed", Severity: "warning", Data: map[string]any{"from": "active", "to": "quarantined"}})
	},
	"devices": func(w *screen) {
		w.devices([]deviceops.Device{{ID: "kiosk-berlin-0001", Profile: "kiosk-indoor", State: deviceops.Quarantined, Account: "acme/emea/stores", Tags: []string{"canary", "critical", "lobby", "pilot"}}})
	},
	"runs": func(w *screen) {
		w.runs([]deviceops.Run{{ID: "run-0a1b2c3d4e5f6071", Workflow: "reboot-with-approval", Version: 3, Device: "kiosk-berlin-0001", Status: deviceops.RunWaiting,
			StartedAt: ago(time.Hour), StartedBy: "automation:low-battery-reboot"}})
	},
}

func TestListsFitInATerminalAndLeaveNothingOut(t *testing.T) {
	t.Parallel()
	for name, draw := range lists {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			whole, narrow := &screen{now: now, colors: true}, &screen{now: now, colors: true, width: 80}
			draw(whole)
			draw(narrow)
			wide := 0
			for line := range strings.Lines(whole.String()) {
				wide = max(wide, printed(strings.TrimSpace(line)))
			}
			require.Greater(t, wide, 80, "this list tells nothing of how wide ones are shown")
			for line := range strings.Lines(narrow.String()) {
				require.LessOrEqual(t, printed(strings.TrimSuffix(line, "\n")), 80, line)
			}
			require.ElementsMatch(t, lettersOf(whole), lettersOf(narrow))
		})
	}
}

// lettersOf gives what a screen shows without what arranges it.
func lettersOf(w *screen) []string {
	return strings.Split(strings.Join(strings.Fields(escapes.ReplaceAllString(w.String(), "")), ""), "")
}

func TestATableFoldsItsLastColumns(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		name  string
		width int
		want  string
	}{
		{"no terminal", 0, `
ID   DEVICE  WHY
t-1  kiosk1  the sensor of the door tells nothing since the last update
t-2  kiosk2
`},
		{"the text is wrapped where there is room", 60, `
ID   DEVICE  WHY
t-1  kiosk1  the sensor of the door tells nothing since the
             last update
t-2  kiosk2
`},
		{"and goes below where there is none", 44, `
ID   DEVICE
  WHY
t-1  kiosk1
  the sensor of the door tells nothing since
  the last update
t-2  kiosk2
`},
		{"as do more columns", 10, `
ID
  DEVICE
  WHY
t-1
  kiosk1
  the
  sensor
  of the
  door
  tells
  nothing
  since
  the last
  update
t-2
  kiosk2
`},
	} {
		w := &screen{width: c.width}
		w.table([]string{"ID", "DEVICE", "WHY"}, [][]string{{"t-1", "kiosk1", "the sensor of the door tells nothing since the last update"}, {"t-2", "kiosk2", ""}})
		require.Equal(t, strings.TrimPrefix(c.want, "\n"), w.String(), c.name)
	}
}

func TestATableWrapsItsWidestColumnWhereverItIs(t *testing.T) {
	t.Parallel()
	w := &screen{width: 60}
	w.table([]string{"RESULT", "CASE", "RUNS"}, [][]string{{"failed", "half an hour without a heartbeat is told, and told once", "1"}, {"ok", "a short loss is not", "0"}})
	require.Equal(t, strings.TrimPrefix(`
RESULT  CASE                                            RUNS
failed  half an hour without a heartbeat is told, and   1
        told once
ok      a short loss is not                             0
`, "\n"), w.String())
}

func TestWrappedTextBreaksWhereItCanBeRead(t *testing.T) {
	t.Parallel()
	require.Equal(t, []string{`{"from":"active",`, `"to":"retired"}`}, wrapped(`{"from":"active","to":"retired"}`, 20))
	require.Equal(t, []string{"see", "https://kiosks.example.com/0001", "and ask"}, wrapped("see https://kiosks.example.com/0001 and ask", 10), "an address is copied")
}

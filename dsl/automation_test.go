package dsl

import (
	"cmp"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/deviceops/deviceops"
)

const lowBattery = `automation: low-battery
version: 2
description: Reboots what runs out of power.
trigger:
  event: device.battery
  where: event.data.battery_pct < 20 && "critical" in device.tags
  for: 10m
  gap: 5m
key: event.device + "/" + string(event.data.cell ?? 0)
dedupe: 1h
concurrency: queue
limit: 50 per 10m
run: reboot@3
with:
  device: ${{ event.device }}
  battery: ${{ event.data.battery_pct }}
  note: "${{ event.device }} is at ${{ event.data.battery_pct }} %"
`

func automationOf(t *testing.T, source string) *Automation {
	t.Helper()
	a, found := CompileAutomation(source)
	require.NoError(t, found.Err())
	return a
}

func TestAutomation(t *testing.T) {
	t.Parallel()
	a := automationOf(t, lowBattery)
	require.Equal(t, "low-battery", a.Name)
	require.Equal(t, 2, a.Version)
	require.Equal(t, Trigger{Kind: TriggerEvent, Event: "device.battery"}, a.Trigger)
	require.Equal(t, deviceops.Window{For: 10 * time.Minute, Gap: 5 * time.Minute, Dedupe: time.Hour}, a.Window)
	require.Equal(t, deviceops.ConcurrencyQueue, a.Concurrency)
	require.Equal(t, deviceops.Limit{N: 50, Per: 10 * time.Minute}, a.Limit)
	require.Equal(t, "reboot", a.Workflow)
	require.Equal(t, 3, a.WorkflowVersion)
	rules := a.Rules()
	require.True(t, rules.Hears(&deviceops.Event{Type: "device.battery"}))
	require.False(t, rules.Hears(&deviceops.Event{Type: "device.crash"}))
}

// battery makes an occasion; nil tags are those of a device of which nothing is
// known.
func battery(pct any, tags ...string) deviceops.Occasion {
	o := deviceops.Occasion{Event: EventFacts(deviceops.Event{
		Type: "device.battery", Device: "k1", At: time.Date(2026, 1, 5, 6, 0, 0, 0, time.UTC), Data: map[string]any{"battery_pct": pct},
	})}
	if tags != nil {
		o.Device = DeviceFacts(&deviceops.Device{ID: "k1", Tags: tags})
	}
	return o
}

func TestAutomationJudges(t *testing.T) {
	t.Parallel()
	a := automationOf(t, lowBattery)
	for name, c := range map[string]struct {
		occasion deviceops.Occasion
		want     deviceops.Judgement
	}{
		"it holds":                              {battery(18, "critical"), deviceops.Judgement{Verdict: deviceops.Yes}},
		"it does not hold":                      {battery(80, "critical"), deviceops.Judgement{Verdict: deviceops.No, Denied: "event.data.battery_pct < 20"}},
		"a part does not hold":                  {battery(18, "spare"), deviceops.Judgement{Verdict: deviceops.No, Denied: `"critical" in device.tags`}},
		"a part is not known":                   {battery(18), deviceops.Judgement{Verdict: deviceops.Unknown, Unknown: []string{`"critical" in device.tags`}}},
		"a no is a no, whatever is not known":   {battery(80), deviceops.Judgement{Verdict: deviceops.No, Denied: "event.data.battery_pct < 20"}},
		"a value is missing":                    {battery(nil, "critical"), deviceops.Judgement{Verdict: deviceops.Unknown, Unknown: []string{"event.data.battery_pct < 20"}, Lacking: true}},
		"a no counts though a value is missing": {battery(nil, "spare"), deviceops.Judgement{Verdict: deviceops.No, Denied: `"critical" in device.tags`}},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			got, err := a.Judge(c.occasion)
			require.NoError(t, err)
			require.Equal(t, c.want, got)
		})
	}
}

func TestAutomationMakesKeyAndInputs(t *testing.T) {
	t.Parallel()
	a := automationOf(t, lowBattery)
	key, err := a.Key(battery(18))
	require.NoError(t, err)
	require.Equal(t, "k1/0", key)
	inputs, err := a.InputsFor(battery(18))
	require.NoError(t, err)
	require.Equal(t, map[string]any{"device": "k1", "battery": int64(18), "note": "k1 is at 18 %"}, inputs)

	plain := automationOf(t, "automation: a\ntrigger: { event: device.crash }\nrun: w@latest\n")
	key, err = plain.Key(battery(18))
	require.NoError(t, err)
	require.Equal(t, "k1", key, "windows count by device")
	inputs, err = plain.InputsFor(battery(18))
	require.NoError(t, err)
	require.Empty(t, inputs)
	require.Equal(t, deviceops.ConcurrencySkip, plain.Concurrency)
}

func at(s deviceops.Schedule) Trigger {
	s.CatchUp = cmp.Or(s.CatchUp, deviceops.DefaultCatchUp)
	return Trigger{Kind: TriggerSchedule, Schedule: &s}
}

func by(w deviceops.Webhook) Trigger {
	w.ID = cmp.Or(w.ID, DefaultWebhookID)
	return Trigger{Kind: TriggerWebhook, Webhook: &w}
}

func TestTriggers(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct {
		trigger string
		want    Trigger
		window  deviceops.Window
		hears   string
	}{
		"state":            {"{ state: quarantined }", Trigger{Kind: TriggerState, State: deviceops.Quarantined}, deviceops.Window{}, deviceops.EventDeviceState},
		"state for a time": {"{ state: maintenance, for: 2h }", Trigger{Kind: TriggerState, State: deviceops.Maintenance}, deviceops.Window{For: 2 * time.Hour, Gap: MaxDuration}, deviceops.EventDeviceState},
		"offline":          {"{ offline: 15m }", Trigger{Kind: TriggerOffline}, deviceops.Window{For: 15 * time.Minute, Gap: MaxDuration}, deviceops.EventDeviceConnectivity},
		"leaves": {"{ leaves: { circle: [53.5, 10, 250] } }", Trigger{Kind: TriggerLeaves, Fence: deviceops.Fence{Center: deviceops.Place{Latitude: 53.5, Longitude: 10}, Radius: 250}, Margin: 25},
			deviceops.Window{Once: true, Gap: MaxDuration}, deviceops.EventPlace},
		"dwells": {"{ enters: { polygon: [[0, 0], [0, 1], [1.5, 1]], margin: 2.5 }, for: 30m }",
			Trigger{Kind: TriggerEnters, Fence: deviceops.Fence{Polygon: []deviceops.Place{{}, {Longitude: 1}, {Latitude: 1.5, Longitude: 1}}}, Margin: 2.5},
			deviceops.Window{Once: true, For: 30 * time.Minute, Gap: MaxDuration}, deviceops.EventPlace},
		"schedule": {`{ schedule: "*/5 0-6 1,15 jan-mar mon-fri" }`, at(deviceops.Schedule{Cron: "*/5 0-6 1,15 jan-mar mon-fri"}), deviceops.Window{}, deviceops.EventSchedule},
		"schedule in a zone": {`{ schedule: { cron: "0 3 * * 7", zone: America/Argentina/Ushuaia, calendars: [fair], catch_up: 1h } }`,
			at(deviceops.Schedule{Cron: "0 3 * * 7", Zone: "America/Argentina/Ushuaia", Calendars: []string{"fair"}, CatchUp: time.Hour}), deviceops.Window{}, deviceops.EventSchedule},
		"every":   {"{ schedule: { every: 2s } }", at(deviceops.Schedule{Every: 2 * time.Second}), deviceops.Window{}, deviceops.EventSchedule},
		"webhook": {"{ webhook: spare-parts }", by(deviceops.Webhook{Name: "spare-parts", Proof: deviceops.DefaultProof("secret:webhooks/spare-parts")}), deviceops.Window{}, ""},
		"webhook with secrets": {"{ webhook: { secret: [secret:shop/new, secret:shop/old] } }",
			by(deviceops.Webhook{Name: "a", Proof: deviceops.DefaultProof("secret:shop/new", "secret:shop/old")}), deviceops.Window{}, ""},
		"webhook of another system": {"{ webhook: { name: push, id: X-GitHub-Delivery, verify: { hmac: { header: X-Hub-Signature-256, prefix: sha256=, secret: secret:github/hook } } } }",
			by(deviceops.Webhook{Name: "push", ID: "X-GitHub-Delivery", Proof: deviceops.MessageProof{
				Header: "X-Hub-Signature-256", Secrets: []string{"secret:github/hook"}, Prefix: "sha256=", Algorithm: "sha256", Encoding: "hex",
			}}), deviceops.Window{}, ""},
		"manual": {"{ manual: true }", Trigger{Kind: TriggerManual}, deviceops.Window{}, deviceops.EventManual},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			a := automationOf(t, "automation: a\ntrigger: "+c.trigger+"\nrun: w@latest\n")
			require.Equal(t, c.want, a.Trigger)
			require.Equal(t, c.window, a.Window)
			require.Equal(t, c.hears, a.Trigger.EventType())
		})
	}
}

func TestCalendarsOfSchedulesHaveToBeThere(t *testing.T) {
	t.Parallel()
	const source = "automation: a\ntrigger: { schedule: { every: 1h, calendars: [fair, peaks, fairr] } }\nrun: w@latest\n---\ncalendar: fair\nblackout: [ { from: 2026-11-27, to: 2026-11-30 } ]\n"
	published := func(name string) *deviceops.Calendar {
		if name == "peaks" {
			return &deviceops.Calendar{Name: name}
		}
		return nil
	}
	_, found := CheckFile("a.yaml", source, Options{Calendar: published})
	require.Len(t, found, 1)
	require.Equal(t, `there is no calendar "fairr"`, found[0].Message)
	require.Equal(t, 2, found[0].Line)
	_, found = CheckFile("a.yaml", source, Options{})
	require.Empty(t, found, "nothing can be said about what is published")
}

func TestStateAndOfflineTriggersReadTheirEvents(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct {
		trigger, to string
		want        deviceops.Verdict
	}{
		"enters the state":   {"{ state: quarantined }", "quarantined", deviceops.Yes},
		"leaves it":          {"{ state: quarantined }", "active", deviceops.No},
		"goes offline":       {"{ offline: 15m }", "offline", deviceops.Yes},
		"comes back":         {"{ offline: 15m }", "online", deviceops.No},
		"and a condition":    {"{ state: quarantined, where: event.device == 'k2' }", "quarantined", deviceops.No},
		"or the other way":   {"{ state: quarantined, where: event.device == 'k1' }", "quarantined", deviceops.Yes},
		"of the trigger too": {"{ state: quarantined, where: event.device == 'k1' }", "active", deviceops.No},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			a := automationOf(t, "automation: a\ntrigger: "+c.trigger+"\nrun: w@latest\n")
			got, err := a.Judge(deviceops.Occasion{Event: EventFacts(deviceops.Event{Device: "k1", Data: map[string]any{"to": c.to}})})
			require.NoError(t, err)
			require.Equal(t, c.want, got.Verdict)
		})
	}
}

// TestCrossings judges moves over the border of a circle of 100 m around 0, 0 with
// a margin of 50 m, by how many meters north of it a device is.
func TestCrossings(t *testing.T) {
	t.Parallel()
	const unknown = -1
	for name, c := range map[string]struct {
		from, to      float64
		leaves, enter crossing
	}{
		"stays in":                    {10, 20, crossing{arms: true}, crossing{holds: true}},
		"goes out":                    {10, 200, crossing{holds: true, arms: true}, crossing{}},
		"comes in":                    {200, 10, crossing{}, crossing{holds: true, arms: true}},
		"stays out":                   {200, 300, crossing{holds: true}, crossing{arms: true}},
		"into the margin from inside": {10, 120, crossing{arms: true}, crossing{silent: true}},
		"into it from outside":        {200, 120, crossing{silent: true}, crossing{arms: true}},
		"within it":                   {110, 120, crossing{silent: true}, crossing{silent: true}},
		"out of it":                   {120, 200, crossing{holds: true}, crossing{}},
		"back in":                     {120, 10, crossing{}, crossing{holds: true}},
		"first seen outside":          {unknown, 200, crossing{holds: true}, crossing{}},
		"nowhere":                     {unknown, unknown, crossing{silent: true}, crossing{silent: true}},
	} {
		place := func(meters float64) map[string]any {
			if meters == unknown {
				return nil
			}
			return map[string]any{"latitude": meters / 111_195, "longitude": int64(0)}
		}
		data := place(c.to)
		if from := place(c.from); from != nil {
			data["from"] = from
		}
		for kind, want := range map[TriggerKind]crossing{TriggerLeaves: c.leaves, TriggerEnters: c.enter} {
			trigger := Trigger{Kind: kind, Fence: deviceops.Fence{Radius: 100}, Margin: 50}
			require.Equal(t, want, trigger.crossing(data), "%s %s", kind, name)
			require.Equal(t, !want.holds, trigger.denies(map[string]any{"data": data}))
		}
	}
}

// TestFenceHearsWhatArms although the condition says no.
func TestFenceHearsWhatArms(t *testing.T) {
	t.Parallel()
	a := automationOf(t, "automation: a\ntrigger: { leaves: { circle: [0, 0, 100] }, where: event.device == 'k1' }\nrun: w@latest\n")
	o := deviceops.Occasion{Event: EventFacts(deviceops.Event{Device: "k2", Data: map[string]any{
		"latitude": 1.0, "longitude": 0.0, "from": map[string]any{"latitude": 0.0, "longitude": 0.0}}})}
	require.False(t, a.Denies(o))
	got, err := a.Judge(o)
	require.NoError(t, err)
	require.Equal(t, deviceops.Judgement{Verdict: deviceops.No, Arms: true, Denied: `event.device == 'k1'`}, got)
	delete(o.Event["data"].(map[string]any), "from")
	require.True(t, a.Denies(o))
}

func TestCollectedSamplesAreEvents(t *testing.T) {
	t.Parallel()
	a := automationOf(t, `automation: a
trigger: { event: device.crash }
collect: { within: 5m, at_least: 2 }
run: w@latest
with: { devices: "${{ map(events, .device) }}" }
`)
	first, second := EventFacts(deviceops.Event{Device: "k1"}), EventFacts(deviceops.Event{Device: "k2"})
	inputs, err := a.InputsFor(deviceops.Occasion{Event: second, Events: []any{first, second}})
	require.NoError(t, err)
	require.Equal(t, map[string]any{"devices": []any{"k1", "k2"}}, inputs)
}

func TestConjuncts(t *testing.T) {
	t.Parallel()
	for source, want := range map[string][]string{
		"a":                        {"a"},
		"a && b":                   {"a", "b"},
		"a && (b && c) and d":      {"a", "b", "c", "d"},
		"a || b && c":              {"a || b && c"},
		"(a || b) && c":            {"a || b", "c"},
		"!(a && b) && c":           {"!(a && b)", "c"},
		`x == "a && b" && y`:       {`x == "a && b"`, "y"},
		"let n = 1; n > 0 && true": {"let n = 1; n > 0 && true"},
	} {
		require.Equal(t, want, conjuncts(source), source)
	}
}

func TestAutomationsCheckTheWorkflowOfTheirFile(t *testing.T) {
	t.Parallel()
	const automation = "automation: a\ntrigger: { event: device.crash }\nrun: %s\nwith: { %s }\n---\nworkflow: w\nversion: 2\ninputs: { device: device, n: integer }\nsteps: [ { wait: 1m } ]\n"
	for given, want := range map[[2]string][]string{
		{"w@2", "n: 1"}:          nil,
		{"w@latest", "m: 1"}:     {"missing-argument", "unknown-argument"},
		{"w@2", "n: many"}:       {"bad-argument"},
		{"w@7", "m: 1"}:          nil, // of a version that is not in the file nothing is known
		{"other@latest", "m: 1"}: nil,
	} {
		_, found := CheckFile("a.yaml", sprintf(automation, given[0], given[1]), checked)
		require.ElementsMatch(t, want, codes(found), "%v", given)
	}
}

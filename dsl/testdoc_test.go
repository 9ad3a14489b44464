package dsl

import (
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/deviceops/deviceops"
)

const story = `# head
test: low-battery
automation: [low-battery, other]
devices:
  k1: { profile: kiosk, tags: [critical], metrics: { battery_pct: 50 }, software: { os: "2.3.0" } }
mock:
  health: { output: { online: true } }
cases:
  - name: a long story
    now: 2026-03-01T02:00:00+01:00
    until: 3h
    cancel: 2h
    devices:
      k2: { state: maintenance }
    events:
      - { at: 10m, event: device.battery, device: k1, data: { battery_pct: 16 }, age: 2m, severity: warning }
      - { at: 0m, event: device.battery, device: k1, every: 1m, times: 3 }
      - { at: 1h, device: k1, metrics: { battery_pct: 9 } }
      - { at: 1h, device: k1, offline: true }
      - { at: 2h, schedule: nightly }
    mock:
      reboot: [ { error: { code: busy, retryable: true }, after: 3s }, { rejected: not now }, { silent: true } ]
    answers:
      - { at: 45m, run: 2, step: decision, by: maria, roles: [role:duty-manager, operator], decision: approve, form: { mode: hard }, comment: go }
      - { at: 46m, step: decision, by: user:paul, decision: reject, refused: conflict }
    expect:
      runs: [ { status: failed, error: { code: busy, message: not } }, { took: 40m..1h } ]
      calls: { reboot: 2 }
      tickets: 0
      storms: 1
      starts: [ 12m, 1h ]
      outputs: { rebooted: true, list: [ 1, 2.5 ] }
      ran: [ reboot ]
`

func testOf(t *testing.T, source string) *Test {
	t.Helper()
	docs, found := CheckFile("story.yaml", source, checked)
	require.NoError(t, found.Err())
	return docs[0].Test
}

func TestTestDocument(t *testing.T) {
	t.Parallel()
	test := testOf(t, story)
	require.Equal(t, "low-battery", test.Name)
	require.Equal(t, []string{"low-battery", "other"}, []string{test.Automations[0].Name, test.Automations[1].Name})
	require.Len(t, test.Cases, 1)
	c := test.Cases[0]
	require.Equal(t, "a long story", c.Name)
	require.Equal(t, time.Date(2026, 3, 1, 1, 0, 0, 0, time.UTC), c.Now)
	require.Equal(t, 3*time.Hour, c.Until)
	require.Equal(t, 2*time.Hour, *c.Cancel)
	require.Equal(t, deviceops.Maintenance, c.Devices["k2"].State)
	require.Equal(t, []string{"critical"}, c.Devices["k1"].Tags)
	require.Equal(t, "2.3.0", c.Devices["k1"].Twin.Reported.Software["os"])
	require.Equal(t, deviceops.Online, c.Devices["k1"].Session.Connectivity)
}

func TestTestEvents(t *testing.T) {
	t.Parallel()
	events := testOf(t, story).Cases[0].Events
	var at []time.Duration
	for _, e := range events {
		at = append(at, e.At)
	}
	require.Equal(t, []time.Duration{0, time.Minute, 2 * time.Minute, 10 * time.Minute, time.Hour, time.Hour, 2 * time.Hour}, at, "in the order of their times")
	require.Equal(t, 2*time.Minute, events[3].Age)
	require.Equal(t, "warning", events[3].Event.Severity)
	require.Equal(t, map[string]any{"battery_pct": int64(16)}, events[3].Event.Data)
	require.Equal(t, deviceops.EventTelemetry, events[4].Event.Type)
	require.Equal(t, map[string]any{"battery_pct": int64(9)}, events[4].Metrics)
	require.Equal(t, map[string]any{"to": "offline"}, events[5].Event.Data)
	require.Equal(t, &deviceops.Call{Kind: deviceops.CallSchedule, Name: "nightly"}, events[6].Event.Call)
	require.Equal(t, deviceops.EventSchedule, events[6].Event.Type)
}

func TestMocks(t *testing.T) {
	t.Parallel()
	mocks := testOf(t, story).Cases[0].Mocks
	require.Equal(t, map[string]any{"online": true}, mocks["health"].Call(1).Output, "of the test")
	reboot := mocks["reboot"]
	require.Equal(t, &Failure{Code: "busy", Message: "the mock says busy", Retryable: true}, reboot.Call(1).Error)
	require.Equal(t, 3*time.Second, reboot.Call(1).After)
	require.True(t, reboot.Call(2).Rejected)
	require.Equal(t, "not now", reboot.Call(2).Error.Message)
	require.True(t, reboot.Call(3).Silent)
	require.True(t, reboot.Call(99).Silent, "the last answer is given from then on")
}

func TestAnswers(t *testing.T) {
	t.Parallel()
	answers := testOf(t, story).Cases[0].Answers
	require.Equal(t, deviceops.Decision{
		Approve: true, Comment: "go", Form: map[string]any{"mode": "hard"},
		By: deviceops.Principal{Name: "user:maria", Account: deviceops.RootAccount, Roles: []string{"duty-manager", "operator"}},
	}, answers[0].Decision)
	require.Equal(t, 2, answers[0].Run)
	require.Equal(t, "user:paul", answers[1].Decision.By.Name)
	require.Equal(t, deviceops.ECONFLICT, answers[1].Refused)
}

func TestExpectations(t *testing.T) {
	t.Parallel()
	type short struct {
		kind, name string
		run        int
		want       any
	}
	var got []short
	for _, e := range testOf(t, story).Cases[0].Expect {
		got = append(got, short{e.Kind, e.Name, e.Run, e.Want})
	}
	require.Equal(t, []short{
		{ExpectRuns, "", 0, 2},
		{ExpectStatus, "", 1, "failed"},
		{ExpectError, "code", 1, "busy"},
		{ExpectError, "message", 1, "not"},
		{ExpectTook, "", 2, [2]time.Duration{40 * time.Minute, time.Hour}},
		{ExpectCalls, "reboot", 0, 2},
		{ExpectTickets, "", 0, 0},
		{ExpectStorms, "", 0, 1},
		{ExpectStarts, "", 0, []time.Duration{12 * time.Minute, time.Hour}},
		{ExpectOutputs, "rebooted", 0, true},
		{ExpectOutputs, "list", 0, []any{int64(1), 2.5}},
		{ExpectRan, "", 0, []string{"reboot"}},
	}, got)
}

func TestPlacesPointIntoTheFile(t *testing.T) {
	t.Parallel()
	docs, found := CheckFile("two.yaml", "workflow: w\nsteps: [ { wait: 1m } ]\n---\ntest: w\ncases:\n  - name: one\n    expect: { status: failed }\n", checked)
	require.NoError(t, found.Err())
	e := docs[1].Test.Cases[0].Expect[0]
	require.Equal(t, `two.yaml:7:23: error: expected failed [expectation]
  7 |     expect: { status: failed }
    |                       ^^^^^^
fix: look
`, e.Diagnostic("expectation", "look", "expected %s", e.Want).String())
}

func TestTook(t *testing.T) {
	t.Parallel()
	for text, want := range map[string][2]time.Duration{
		"45m":      {45 * time.Minute, 45 * time.Minute},
		"40m..1h":  {40 * time.Minute, time.Hour},
		"..1h":     {0, time.Hour},
		"40m..":    {40 * time.Minute, MaxDuration},
		"1s .. 2s": {time.Second, 2 * time.Second},
	} {
		test := testOf(t, "test: w\ncases:\n  - name: one\n    expect: { took: "+text+" }\n")
		require.Equal(t, want, test.Cases[0].Expect[0].Want, text)
	}
}

func TestAllStepsAndBlocks(t *testing.T) {
	t.Parallel()
	p, found := Compile("workflow: w\nsteps:\n  - try:\n      - id: a\n        wait: 1m\n    catch:\n      - fail: ${{ error }}\n  - wait: 2m\n")
	require.NoError(t, found.Err())
	var steps, blocks []string
	for _, s := range p.AllSteps() {
		steps = append(steps, s.ID)
	}
	for _, b := range p.AllBlocks() {
		blocks = append(blocks, b.Path)
	}
	require.Equal(t, []string{"steps.0", "a", "steps.0.catch.0", "steps.1"}, steps)
	require.Equal(t, []string{"steps", "steps[0].try", "steps[0].catch"}, blocks)
}

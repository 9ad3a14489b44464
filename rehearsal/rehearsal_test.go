package rehearsal_test

import (
	"encoding/json"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/deviceops/deviceops"
	"github.com/deviceops/deviceops/activities"
	"github.com/deviceops/deviceops/dsl"
	"github.com/deviceops/deviceops/rehearsal"
)

// kiosk is what the stories of these tests are about.
const kiosk = `profile: kiosk
commands:
  diagnostics: { result: { uptime_s: integer } }
  reboot: { args: { mode: { enum: [soft, hard], default: soft } }, reboots: true, timeout: 5m }
  health: { result: { online: boolean } }
guards: { maintenance: "device.labels.site != nil" }
---
workflow: reboot
version: 2
inputs: { device: device kiosk, battery: { type: number, default: 50 } }
outputs: { by: "${{ steps.decision?.output.by }}", battery: "${{ inputs.battery }}" }
device: ${{ inputs.device }}
steps:
  - id: decision
    approve: Reboot ${{ inputs.device }}?
    by: [role:operator]
    expires: 2h
  - try:
      - id: reboot
        command: reboot
        retry: { times: 2, delay: 10s, if: error.retryable }
    catch:
      - id: park
        action: device.transition
        with: { to: maintenance, reason: "${{ error.message }}" }
      - fail: ${{ error }}
---
automation: low-battery
trigger: { event: device.battery, where: 'event.data.pct < 20 && "critical" in device.tags', for: 10m }
dedupe: 1h
run: reboot@2
with: { device: "${{ event.device }}", battery: "${{ event.data.pct }}" }
---
`

// load loads kiosk and what a test adds.
func load(t testing.TB, source string) *rehearsal.Suite {
	t.Helper()
	suite, found := rehearsal.Load([]deviceops.ApplyFile{{Name: "story.yaml", Source: kiosk + source}}, activities.Actions())
	require.NoError(t, found.Err())
	return suite
}

// play runs the only case of a test.
func play(t *testing.T, source string) rehearsal.Result {
	t.Helper()
	report := load(t, source).Run(rehearsal.Options{})
	require.Len(t, report.Results, 1)
	return report.Results[0]
}

// differences gives what a case reports, without where.
func differences(r rehearsal.Result) []string {
	texts := []string{}
	for _, d := range r.Differences {
		texts = append(texts, d.Message)
	}
	return texts
}

// TestStories plays cases that pass.
func TestStories(t *testing.T) {
	t.Parallel()
	for name, source := range map[string]string{
		"a person approves, the second reboot works": `
test: reboot
cases:
  - name: it works
    inputs: { device: k1 }
    mock: { reboot: [ { error: { code: busy, retryable: true } }, { output: {}, after: 40s } ] }
    answers: [ { at: 45m, step: decision, by: maria, roles: [operator], decision: approve } ]
    expect: { runs: 1, status: succeeded, ran: [decision, reboot], calls: { reboot: 2, device.transition: 0 }, took: 45m50s, outputs: { by: "user:maria", battery: 50 } }
`,
		"a person rejects": `
test: reboot
cases:
  - name: rejected
    inputs: { device: k1 }
    answers: [ { at: 5m, step: decision, by: maria, roles: [operator], decision: reject, comment: not now } ]
    expect: { status: failed, error: { code: approval.rejected, message: not now, step: decision }, calls: { reboot: 0 }, took: 5m, steps: { decision: failed, reboot: skipped } }
`,
		"nobody answers": `
test: reboot
cases:
  - name: silence
    inputs: { device: k1 }
    expect: { status: failed, error: approval.expired, took: 2h }
`,
		"answers that are refused": `
test: reboot
cases:
  - name: refused
    inputs: { device: k1 }
    mock: { reboot: { output: {} } }
    answers:
      - { at: 1m, step: decision, by: paul, roles: [viewer], decision: approve, refused: forbidden }
      - { at: 2m, step: decision, by: maria, roles: [operator], decision: approve }
      - { at: 3m, step: decision, by: maria, roles: [operator], decision: reject, refused: true }
    expect: { status: succeeded }
`,
		"a device that stays silent is asked until the time is over": `
test: reboot
cases:
  - name: silent
    inputs: { device: k1 }
    devices: { k1: { profile: kiosk, labels: { site: hall } } }
    mock: { reboot: { silent: true } }
    answers: [ { at: 1m, step: decision, by: maria, roles: [operator], decision: approve } ]
    expect: { status: failed, error: timeout, devices: { k1: maintenance }, took: 16m.. }
`,
		"a device that rejects is not asked again": `
test: reboot
cases:
  - name: rejected
    inputs: { device: k1 }
    mock: { reboot: { rejected: { code: in_use, message: a customer is there } } }
    answers: [ { at: 1m, step: decision, by: maria, roles: [operator], decision: approve } ]
    expect: { status: failed, error: { code: in_use, step: reboot }, calls: { reboot: 1 }, devices: { k1: maintenance } }
`,
		"the guard of the profile forbids a state": `
test: reboot
cases:
  - name: guarded
    inputs: { device: k1 }
    devices: { k1: { profile: kiosk } }
    mock: { reboot: { error: broken } }
    answers: [ { at: 1m, step: decision, by: maria, roles: [operator], decision: approve } ]
    expect: { status: failed, error: { code: conflict, step: park }, devices: { k1: active } }
`,
		"the run is called off": `
test: reboot
cases:
  - name: canceled
    inputs: { device: k1 }
    cancel: 20m
    expect: { status: canceled, took: 20m, steps: { decision: canceled } }
`,
		"the end is looked at before there is one": `
test: reboot
cases:
  - name: waiting
    inputs: { device: k1 }
    until: 1h
    expect: { status: waiting, steps: { decision: waiting } }
`,
		"an automation holds, fires and is silent": `
test: low-battery
cases:
  - name: hours of samples
    devices: { k1: { profile: kiosk, tags: [critical] }, k2: { profile: kiosk } }
    events:
      - { at: 0m, event: device.battery, device: k1, data: { pct: 18 }, every: 5m, times: 30 }
      - { at: 0m, event: device.battery, device: k2, data: { pct: 5 }, every: 5m, times: 30 }
    answers: [ { at: 15m, step: decision, by: maria, roles: [operator], decision: reject } ]
    expect: { runs: 2, starts: [10m, 1h10m] }
`,
		"what lacks the value that counts says nothing": `
test: low-battery
cases:
  - name: the voltage in between
    devices: { k1: { profile: kiosk, tags: [critical] } }
    events:
      - { at: 0m, event: device.battery, device: k1, data: { pct: 18 } }
      - { at: 5m, event: device.battery, device: k1, data: { volt: 3 } }
      - { at: 10m, event: device.battery, device: k1, data: { pct: 18 } }
    until: 1h
    expect: { runs: 1, starts: [10m] }
`,
		"a device may be silent for as long as its profile says": `
profile: buoy
heartbeat: { every: 30m, offline_after: 3 }
---
test: low-battery
cases:
  - name: two reports
    devices: { b1: { profile: buoy, tags: [critical] }, k1: { profile: kiosk, tags: [critical] } }
    events:
      - { at: 0m, event: device.battery, device: b1, data: { pct: 18 }, every: 4m, times: 2 }
      - { at: 0m, event: device.battery, device: k1, data: { pct: 18 }, every: 4m, times: 2 }
    until: 1h
    expect: { runs: 1, starts: [10m30s] }
`,
		"an automation without its condition does nothing": `
test: low-battery
cases:
  - name: charged in between
    devices: { k1: { tags: [critical] } }
    events:
      - { at: 0m, event: device.battery, device: k1, data: { pct: 18 } }
      - { at: 5m, event: device.battery, device: k1, data: { pct: 60 } }
      - { at: 10m, event: device.battery, device: k1, data: { pct: 18 } }
    expect: { runs: 0 }
`,
		"a run waits for an event, and makes one": `
workflow: visit
inputs: { device: device }
device: ${{ inputs.device }}
steps:
  - id: arrival
    wait: { event: door.opened, where: event.data.badge == "maria", timeout: 1d }
  - id: told
    emit: visit.begun
    with: { badge: "${{ steps.arrival.output.data.badge }}" }
  - id: again
    wait: { event: visit.begun, timeout: 5m }
---
test: visit
cases:
  - name: maria comes
    inputs: { device: k1 }
    events:
      - { at: 1h, event: door.opened, device: k1, data: { badge: paul } }
      - { at: 3h, event: door.opened, device: k2, data: { badge: maria } }
      - { at: 5h, event: door.opened, device: k1, data: { badge: maria } }
    expect: { status: succeeded, ran: [arrival, told, again], took: 5h }
`,
		"loops, branches and what is taken back": `
workflow: rounds
inputs: { devices: { type: integer, default: 3 } }
outputs: { tries: "${{ vars.tries }}" }
steps:
  - set: { tries: 0 }
  - id: rounds
    while: vars.tries < inputs.devices
    steps:
      - set: { tries: "${{ vars.tries + 1 }}" }
      - wait: 10m
  - id: both
    parallel:
      left: [ { command: health, device: k1 } ]
      right: [ { command: health, device: k2 } ]
---
test: rounds
mock: { health: [ { output: { online: true }, after: 20s }, { output: { online: true }, after: 5s } ] }
cases:
  - name: three rounds
    inputs: {}
    expect: { status: succeeded, outputs: { tries: 3 }, calls: { health: 2 }, took: 30m20s }
`,
		"what is expected of each run": `
test: low-battery
cases:
  - name: two devices
    mock: { reboot: { output: {} } }
    events:
      - { at: 0m, event: device.battery, device: k1, data: { pct: 18 } }
      - { at: 10m, event: device.battery, device: k1, data: { pct: 17 } }
      - { at: 1m, event: device.battery, device: k2, data: { pct: 18 } }
      - { at: 11m, event: device.battery, device: k2, data: { pct: 16 } }
    answers: [ { at: 20m, run: 2, step: decision, by: maria, roles: [operator], decision: approve } ]
    expect: { runs: [ { status: failed, error: approval.expired }, { status: succeeded, outputs: { battery: 16 } } ], starts: [10m, 11m] }
`,
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			r := play(t, source)
			require.Empty(t, differences(r), "%+v", r.Timeline())
		})
	}
}

// TestConcurrencies plays an automation that fires at 0, 30 and 60 minutes, each
// run taking 45.
func TestConcurrencies(t *testing.T) {
	t.Parallel()
	const source = `
workflow: slow
steps: [ { wait: 45m } ]
---
automation: often
trigger: { event: tick }
concurrency: %s
limit: %s
run: slow@latest
---
test: often
cases:
  - name: three
    events: [ { at: 0m, event: tick, device: k1, every: 30m, times: 3 } ]
    expect: { runs: 0 }
`
	for _, c := range []struct {
		concurrency, limit string
		want               []string
	}{
		{"skip", "9 per 1h", []string{"0s succeeded 45m", "1h succeeded 45m"}},
		{"queue", "9 per 1h", []string{"0s succeeded 45m", "45m succeeded 45m", "1h30m succeeded 45m"}},
		{"cancel-running", "9 per 1h", []string{"0s canceled 30m", "30m canceled 30m", "1h succeeded 45m"}},
		{"parallel", "9 per 1h", []string{"0s succeeded 45m", "30m succeeded 45m", "1h succeeded 45m"}},
		{"parallel", "2 per 2h", []string{"0s succeeded 45m", "30m succeeded 45m"}},
	} {
		t.Run(c.concurrency+" "+c.limit, func(t *testing.T) {
			t.Parallel()
			r := play(t, fmt.Sprintf(source, c.concurrency, c.limit))
			var got []string
			for _, run := range r.Runs {
				got = append(got, fmt.Sprintf("%s %s %s", dsl.FormatDuration(run.StartedAt.Sub(r.Start)), run.Status, dsl.FormatDuration(run.FinishedAt.Sub(run.StartedAt))))
			}
			require.Equal(t, c.want, got)
		})
	}
}

// TestDifferences plays one case of which nothing is as expected.
func TestDifferences(t *testing.T) {
	t.Parallel()
	r := play(t, `
test: reboot
cases:
  - name: all wrong
    inputs: { device: k1, battery: 12 }
    mock: { reboot: { output: {} } }
    answers:
      - { at: 1m, step: decision, by: paul, roles: [viewer], decision: approve }
      - { at: 5m, step: decision, by: maria, roles: [operator], decision: approve }
      - { at: 6m, step: decision, by: maria, roles: [operator], decision: approve }
    expect:
      runs: 2
      status: failed
      ran: [decision]
      steps: { reboot: skipped }
      calls: { reboot: 2 }
      tickets: 1
      outputs: { by: "user:paul", battery: "12" }
      error: busy
      took: 1m..2m
      starts: [1m]
      devices: { k1: maintenance }
`)
	require.Equal(t, []string{
		"this answer is refused: user:paul may not decide this; it asks [role:operator] (forbidden)",
		"nobody waits for this answer at 6m: the step decision is approved since 5m",
		"expected runs 2: 1 run was started",
		"expected status failed: it is succeeded",
		"expected ran [decision]: [decision, reboot] ran",
		"expected steps.reboot skipped: it is succeeded",
		"expected calls.reboot 2: reboot was called once",
		"expected tickets 1: no ticket was opened",
		"expected outputs.by user:paul: it is user:maria",
		"expected outputs.battery 12: it is 12",
		"expected error.code busy: there is no error, the run is succeeded",
		"expected took 1m..2m: it took 5m",
		"expected starts [1m]: runs were started at [0s]",
		"expected devices.k1 maintenance: it is active",
	}, differences(r))
	require.Contains(t, r.Differences[3].String(), "|       status: failed\n     |               ^^^^^^\n", "each is told at its expectation")
}

func TestWhatACaseDoesNotSayIsTold(t *testing.T) {
	t.Parallel()
	r := play(t, `
test: reboot
cases:
  - name: no mock
    inputs: { device: k1 }
    answers: [ { at: 1m, step: decision, by: maria, roles: [operator], decision: approve } ]
    expect: { status: failed }
`)
	require.Equal(t, []string{"device k1 is sent reboot, and the case does not say what it answers"}, differences(r))
	require.Equal(t, "add mock: { reboot: { output: {} } }", r.Differences[0].Fix)
}

func TestConditionsAboutDevicesThatACaseDoesNotDescribe(t *testing.T) {
	t.Parallel()
	r := play(t, `
test: low-battery
cases:
  - name: not described
    events:
      - { at: 0m, event: device.battery, device: k1, data: { pct: 18 } }
      - { at: 10m, event: device.battery, device: k1, data: { pct: 18 } }
    expect: { runs: 1 }
`)
	require.Empty(t, differences(r))
	require.Equal(t, `low-battery: taken to hold, since the case does not describe device k1: "critical" in device.tags`, r.Notes[0].Text)
}

// What the event lacks is not made up for: in earnest it tells nothing either.
func TestEventsThatLackWhatTheConditionIsAbout(t *testing.T) {
	t.Parallel()
	r := play(t, `
test: low-battery
cases:
  - name: not described
    events: [ { at: 0m, event: device.battery, device: k1, data: { volt: 3 }, every: 1m, times: 20 } ]
    expect: { runs: 0 }
`)
	require.Empty(t, differences(r))
	require.Equal(t, `low-battery: unknown, so it does not hold: event.data.pct < 20`, r.Notes[0].Text)
}

func TestLoadFindsWhatIsNotThere(t *testing.T) {
	t.Parallel()
	for source, want := range map[string]string{
		"test: rebot\ncases: [ { name: a, expect: { runs: 0 } } ]":                                                                   `there is no automation and no workflow "rebot" in these files`,
		"test: a\nautomation: low-batery\ncases: [ { name: a, expect: { runs: 0 } } ]":                                               `there is no automation "low-batery" in these files`,
		"test: a\nworkflow: rebot\ncases: [ { name: a, expect: { runs: 0 } } ]":                                                      `there is no workflow "rebot" in these files`,
		"test: reboot\ncases: [ { name: a, expect: { ran: [rebot] } } ]":                                                             `what is tested has no step "rebot"; did you mean reboot?`,
		"test: reboot\ncases: [ { name: a, expect: { calls: { helth: 1 } } } ]":                                                      `what is tested has no command, action or workflow "helth"`,
		"test: reboot\nmock: { rebot: { output: {} } }\ncases: [ { name: a, expect: { runs: 0 } } ]":                                 `what is tested has no command, action or workflow "rebot"; did you mean reboot?`,
		"test: reboot\ncases: [ { name: a, answers: [ { at: 1m, step: reboot, by: m, decision: approve } ], expect: { runs: 0 } } ]": `what is tested has no step with approve "reboot"`,
		"test: low-battery\ncases: [ { name: a, expect: { runs: 0 } } ]":                                                             `nothing happens in this case`,
		"test: low-battery\ncases: [ { name: a, inputs: {}, expect: { runs: 0 } } ]":                                                 `this test is about automations, which take their inputs from events`,
	} {
		_, found := rehearsal.Load([]deviceops.ApplyFile{{Name: "story.yaml", Source: kiosk + source + "\n"}}, activities.Actions())
		require.Len(t, found, 1, source)
		require.Equal(t, want, found[0].Message, source)
	}
}

func TestFilesKnowEachOther(t *testing.T) {
	t.Parallel()
	parts := strings.SplitN(kiosk, "---\n", 3)
	suite, found := rehearsal.Load([]deviceops.ApplyFile{
		{Name: "test.yaml", Source: "test: reboot\ncases: [ { name: a, inputs: { device: k1 }, expect: { status: failed } } ]\n"},
		{Name: "workflow.yaml", Source: parts[1]},
		{Name: "profile.yaml", Source: parts[0]},
	}, activities.Actions())
	require.NoError(t, found.Err())
	require.Empty(t, differences(suite.Run(rehearsal.Options{}).Results[0]))
}

func TestADocumentIsThereOnce(t *testing.T) {
	t.Parallel()
	_, found := rehearsal.Load([]deviceops.ApplyFile{{Name: "a.yaml", Source: kiosk + "test: reboot\ncases: [ { name: a, expect: { runs: 1 } } ]\n"}, {Name: "b.yaml", Source: "workflow: reboot\nversion: 2\nsteps: [ { wait: 1m } ]\n"}}, activities.Actions())
	require.Len(t, found, 1)
	require.Equal(t, "another of these files has a workflow reboot, too", found[0].Message)
}

func TestRunSelectsCases(t *testing.T) {
	t.Parallel()
	suite := load(t, "test: reboot\ncases:\n  - { name: one, inputs: { device: k1 }, expect: { runs: 1 } }\n  - { name: two, inputs: { device: k1 }, expect: { runs: 1 } }\n")
	report := suite.Run(rehearsal.Options{Run: "reboot/tw"})
	require.Len(t, report.Results, 1)
	require.Equal(t, "two", report.Results[0].Case)
}

func TestCoverage(t *testing.T) {
	t.Parallel()
	report := load(t, `
workflow: branches
inputs: { n: integer }
steps:
  - if: inputs.n > 1
    set: { a: 1 }
  - try:
      - if: inputs.n > 2
        fail: too many
    catch:
      - set: { b: 1 }
---
test: branches
cases:
  - { name: two, inputs: { n: 2 }, expect: { status: succeeded } }
`).Run(rehearsal.Options{})
	require.Len(t, report.Coverage, 2)
	c := report.Coverage[0]
	require.Equal(t, "branches", c.Workflow)
	require.Equal(t, []int{4, 2, 6, 3}, []int{c.Steps, c.StepsRun(), c.Branches, c.BranchesTaken()})
	var missed []string
	for _, m := range c.Missed {
		missed = append(missed, m.What+": "+strings.TrimSpace(m.Snippet))
	}
	require.Equal(t, []string{"its if is never false: - if: inputs.n > 1", "never run: - if: inputs.n > 2", "never run: - set: { b: 1 }"}, missed)
	require.Zero(t, report.Coverage[1].StepsRun(), "no case ran it")
}

// many makes n cases, each of some hours with a question, retries and silence.
func many(n int) string {
	var b strings.Builder
	b.WriteString("test: low-battery\ncases:\n")
	for i := range n {
		fmt.Fprintf(&b, `  - name: case %d
    events: [ { at: 0m, event: device.battery, device: k1, data: { pct: 18 }, every: 5m, times: 40 } ]
    mock: { reboot: [ { error: { code: busy, retryable: true }, after: 1m }, { error: { code: busy, retryable: true } }, { output: {} } ] }
    answers: [ { at: %dm, step: decision, by: maria, roles: [operator], decision: approve } ]
    expect: { runs: [ { status: succeeded }, { status: failed } ], calls: { reboot: 3 } }
`, i, 20+i%60)
	}
	return b.String()
}

// TestOneCaseGivesOneResult holds that rehearsals do not differ from one another.
func TestOneCaseGivesOneResult(t *testing.T) {
	t.Parallel()
	suite := load(t, many(3))
	first, err := json.Marshal(suite.Run(rehearsal.Options{}))
	require.NoError(t, err)
	for range 20 {
		again, err := json.Marshal(suite.Run(rehearsal.Options{}))
		require.NoError(t, err)
		require.JSONEq(t, string(first), string(again))
	}
}

// TestAHundredCasesAreQuick holds what an author may expect of a save.
func TestAHundredCasesAreQuick(t *testing.T) {
	suite := load(t, many(100))
	begin := time.Now()
	report := suite.Run(rehearsal.Options{})
	took := time.Since(begin)
	require.Zero(t, report.Failed(), "%v", differences(report.Results[0]))
	var virtual time.Duration
	for _, r := range report.Results {
		virtual += r.Virtual
	}
	require.Greater(t, virtual, 300*time.Hour)
	require.Less(t, took, slowness*5*time.Second)
	t.Logf("%s of virtual time in %s", virtual, took)
}

func BenchmarkHundredCases(b *testing.B) {
	suite := load(b, many(100))
	for b.Loop() {
		require.Zero(b, suite.Run(rehearsal.Options{}).Failed())
	}
}

package dsl

import (
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

const controlSource = `workflow: w
device: k1
inputs: { kiosks: { type: string, default: "" }, mode: { enum: [soft, hard], default: soft } }
outputs: { healthy: "${{ steps.sweep.output.succeeded }}", left: "${{ steps.both.output.left }}", a: "${{ steps.a.output }}" }
steps:
  - id: sweep
    foreach:
      items: split(inputs.kiosks, ",")
      as: kiosk
      max_parallel: 5
      on_error: tolerate 2.5%
      steps:
        - command: health
          device: ${{ kiosk }}
          with: { number: "${{ index }}" }
          until: output.online
          every: 10s
          timeout: 5m
          offline: fail
          undo:
            - command: reset
              with: { why: "${{ error.code }}" }
  - id: both
    parallel:
      left:
        - id: a
          command: left
      right:
        - id: b
          command: right
  - parallel:
      - id: fast
        command: fast
      - wait: 10m
    race: true
  - switch:
      - if: inputs.mode == "soft"
        steps:
          - id: soft
            command: soft
    default:
      - return: ${{ steps.fast?.output }}
  - while: (steps.poll?.output.tries ?? 0) < 3
    max_iterations: 7
    steps:
      - id: poll
        command: poll
        with: { round: "${{ index }}", soft: "${{ steps.soft.output }}" }
  - wait: { until: "2026-05-01T12:00:00Z" }
  - wait: { until: run.now.Add(duration("2h")) }
  - id: pressed
    wait: { event: device.button, where: event.data.name == "ok", timeout: 10m }
  - emit: store.closed
    severity: warning
    with: { button: "${{ steps.pressed.output.data }}" }
  - try:
      - command: left
    finally:
      - command: right
catch:
  - fail: ${{ error }}
finally:
  - action: log
    with: { message: "${{ steps.a?.status }}" }
`

func TestControlVerbs(t *testing.T) {
	t.Parallel()
	p := mustCompile(t, controlSource)
	op := func(i int) Op { return p.Root.Steps[i].Op }

	each := op(0).(*Foreach)
	require.Equal(t, "kiosk", each.As)
	require.Equal(t, 5, each.Parallel)
	require.Equal(t, Tolerance{Percent: 2.5}, each.Tolerance)
	items, err := each.Items.Eval(Env{Inputs: map[string]any{"kiosks": "a,b"}})
	require.NoError(t, err)
	require.Equal(t, []any{"a", "b"}, items)
	inner := each.Body.Steps[0]
	require.Equal(t, "steps[0].foreach[0]", inner.Path)
	require.Equal(t, 10*time.Second, inner.Every)
	require.True(t, inner.FailOffline)
	require.Equal(t, "steps[0].foreach[0].undo", inner.Undo.Path)
	done, err := inner.Until.Bool(Env{Locals: map[string]any{"output": map[string]any{"online": true}}})
	require.NoError(t, err)
	require.True(t, done)

	both := op(1).(*Parallel)
	require.True(t, both.Named)
	require.Equal(t, []string{"left", "right"}, []string{both.Branches[0].Name, both.Branches[1].Name})
	require.Equal(t, "steps[1].parallel.left", both.Branches[0].Block.Path)
	race := op(2).(*Parallel)
	require.True(t, race.Race)
	require.False(t, race.Named)
	require.Equal(t, "fast", race.Branches[0].Block.Steps[0].ID)

	pick := op(3).(*Switch)
	require.Len(t, pick.Cases, 1)
	require.Equal(t, "steps[3].switch[0]", pick.Cases[0].Block.Path)
	require.Equal(t, "steps[3].default", pick.Default.Path)
	loop := op(4).(*While)
	require.Equal(t, 7, loop.Max)
	require.Equal(t, "steps[4].steps", loop.Body.Path)

	require.NotNil(t, op(5).(*Wait).Until)
	event := op(7).(*Wait)
	require.Equal(t, "device.button", event.Event)
	require.NotNil(t, event.Where)
	require.Equal(t, "warning", op(8).(*Emit).Severity)
	require.Nil(t, op(9).(*Try).Catch)
	require.NotNil(t, op(9).(*Try).Finally)
	require.Equal(t, "catch", p.Catch.Path)
	require.Equal(t, "finally", p.Finally.Path)
	for _, path := range []string{"steps[0].foreach", "steps[1].parallel.left", "steps[3].switch[0]", "steps[3].default", "steps[9].finally", "catch", "finally"} {
		_, ok := p.Block(path)
		require.True(t, ok, path)
	}
	require.Empty(t, schemaErrors(t, compiledSchema(t), controlSource))
}

func TestTolerance(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct {
		tolerance     Tolerance
		failed, total int
		want          bool
	}{
		"none failed":       {Tolerance{Stop: true}, 0, 10, false},
		"stop":              {Tolerance{Stop: true}, 1, 10, true},
		"continue":          {Tolerance{Percent: 100}, 10, 10, false},
		"just tolerated":    {Tolerance{Percent: 5}, 1, 20, false},
		"above":             {Tolerance{Percent: 5}, 2, 20, true},
		"nothing tolerated": {Tolerance{}, 1, 1000, true},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			require.Equal(t, c.want, c.tolerance.Exceeded(c.failed, c.total))
		})
	}
}

// TestIdle holds that what nothing reads is said, unless something is wrong that
// may have meant it.
func TestIdle(t *testing.T) {
	t.Parallel()
	const steps = `workflow: w
device: k1
steps:
  - set: { used: 1, unused: 2, again: 3 }
  - set: { again: "${{ vars.again + vars.used }}", unused: 4 }
  - action: device.get
  - id: facts
    action: device.get
  - id: told
    action: device.get
  - id: polled
    action: device.get
    until: output.state == "active"
    timeout: 5m
  - if: false
    wait: 1m
  - switch: [ { if: false, steps: [ { wait: 1m } ] } ]
  - return: ${{ steps.told.output.state }}
`
	_, found := CheckFile("w.yaml", steps, Options{})
	require.Equal(t, []string{"unused", "unused", "unused", "unreachable", "unreachable"}, codes(found))
	require.Equal(t, "nothing uses the variable unused", found[0].Message)
	require.Equal(t, 4, found[0].Line)
	require.Equal(t, []int{6, 8}, []int{found[1].Line, found[2].Line})
	require.False(t, found.HasErrors())

	_, found = CheckFile("w.yaml", steps+"  - fail: ${{ nothing }}\n", Options{})
	require.NotContains(t, codes(found), "unused")
}

// What comes after a fork knows which of its steps ran.
func TestMissingAfterForks(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct {
		steps string
		want  []string
	}{
		"all branches of a parallel ran": {steps: `
  - parallel: { x: [ { id: a, command: c } ], y: [ { id: b, command: c } ] }
  - return: ${{ [steps.a.output, steps.b.output] }}`},
		"one branch of a race did": {want: []string{"step-may-be-missing"}, steps: `
  - parallel: { x: [ { id: a, command: c } ], y: [ { wait: 1m } ] }
    race: true
  - return: ${{ steps.a.output }}`},
		"one case of a switch did": {want: []string{"step-may-be-missing"}, steps: `
  - switch: [ { if: run.version > 1, steps: [ { id: a, command: c } ] } ]
    default: [ { wait: 1m } ]
  - return: ${{ steps.a.output }}`},
		"all other cases end the run": {steps: `
  - switch: [ { if: run.version > 1, steps: [ { id: a, command: c } ] }, { if: run.version > 2, steps: [ { return: 1 } ] } ]
    default: [ { fail: never } ]
  - return: ${{ steps.a.output }}`},
		"after a switch that always ends": {want: []string{"unreachable"}, steps: `
  - switch: [ { if: run.version > 1, steps: [ { return: 1 } ] } ]
    default: [ { fail: never } ]
  - wait: 1m`},
		"a try without catch saw all of its body": {steps: `
  - try: [ { id: a, command: c } ]
    finally: [ { id: f, command: c } ]
  - return: ${{ [steps.a.output, steps.f.output] }}`},
		"a round of a while sees the one before": {steps: `
  - while: steps.a?.output.x != 1
    steps: [ { id: a, command: c } ]
  - return: ${{ steps.a?.output }}`},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			_, found := CheckFile("w.yaml", "workflow: w\ndevice: k1\nsteps:"+c.steps+"\n", checked)
			require.Equal(t, c.want, codes(found))
		})
	}
}

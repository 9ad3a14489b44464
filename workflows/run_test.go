package workflows_test

import (
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/deviceops/deviceops"
	"github.com/deviceops/deviceops/activities"
	"github.com/deviceops/deviceops/workflows"
)

// started is the run that these tests execute, for device k1.
func started(inputs map[string]any) workflows.RunInput {
	return workflows.RunInput{Run: deviceops.Run{
		ID: "r1", Account: "acme", Workflow: "w", Version: 1, Device: "k1", Inputs: inputs, StartedBy: "user:maria",
	}}
}

// execute runs the steps and gives how the run was saved in the end.
func execute(t *testing.T, w *world, source string, inputs map[string]any) deviceops.Run {
	t.Helper()
	w.sources["w"] = source
	w.ExecuteWorkflow("w", started(inputs))
	require.True(t, w.IsWorkflowCompleted())
	require.NotEmpty(t, w.saved)
	run := w.saved[len(w.saved)-1]
	if run.Status == deviceops.RunSucceeded {
		require.NoError(t, w.GetWorkflowError())
	} else {
		require.Error(t, w.GetWorkflowError())
	}
	run.Steps = w.rows()
	return run
}

// rows gives the timeline as the store has it: every row as saved last.
func (w *world) rows() []deviceops.RunStep {
	var rows []deviceops.RunStep
	runs := w.saved
	for _, in := range w.actions {
		if in.Run != nil {
			runs = append([]deviceops.Run{*in.Run}, runs...)
		}
	}
	for _, in := range w.commands {
		if in.Run != nil {
			runs = append([]deviceops.Run{*in.Run}, runs...)
		}
	}
	for _, r := range runs {
		for _, row := range r.Steps {
			for len(rows) <= row.Index {
				rows = append(rows, deviceops.RunStep{})
			}
			if !rows[row.Index].Status.Ended() {
				rows[row.Index] = row
			}
		}
	}
	return rows
}

// statuses gives the timeline in short.
func statuses(r deviceops.Run) (short []string) {
	for _, row := range r.Steps {
		short = append(short, row.Step+" "+string(row.Status))
	}
	return short
}

func TestVerbs(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct {
		source  string
		inputs  map[string]any
		setup   func(w *world)
		status  deviceops.RunStatus
		outputs map[string]any
		code    string
		message string
		steps   []string
	}{
		"set sees what it set before": {
			source: `
workflow: w
steps:
  - set: { a: 2, b: "${{ vars.a + 3 }}" }
  - set: { a: "${{ vars.b * 2 }}" }
  - return: { a: "${{ vars.a }}", b: "${{ vars.b }}" }
`,
			status: deviceops.RunSucceeded, outputs: map[string]any{"a": int64(10), "b": int64(5)},
			steps: []string{"steps.0 succeeded", "steps.1 succeeded", "steps.2 succeeded"},
		},
		"a command gives its output": {
			source: `
workflow: w
inputs: { device: device }
outputs: { uptime: "${{ steps.diag.output.uptime_s }}" }
device: ${{ inputs.device }}
steps:
  - id: diag
    command: diagnostics
    with: { depth: 9007199254740993 }
    timeout: 2m
`,
			setup: func(w *world) {
				w.command = func(activities.CommandInput) (activities.CommandOutput, error) {
					return activities.CommandOutput{Output: map[string]any{"uptime_s": 9007199254740993}}, nil
				}
			},
			status: deviceops.RunSucceeded, outputs: map[string]any{"uptime": int64(9007199254740993)},
			steps: []string{"diag succeeded"},
		},
		"a step whose condition says no is skipped": {
			source: `
workflow: w
inputs: { battery: number }
steps:
  - id: low
    if: inputs.battery < 20
    action: log
    with: { message: low }
  - return: { skipped: "${{ steps.low == nil }}" }
`,
			inputs: map[string]any{"battery": 80},
			status: deviceops.RunSucceeded, outputs: map[string]any{"skipped": true},
			steps: []string{"low skipped", "steps.1 succeeded"},
		},
		"an action of the engine": {
			source: `
workflow: w
device: k1
steps:
  - id: moved
    action: device.transition
    with: { to: maintenance, reason: test }
  - return: "${{ steps.moved.output }}"
`,
			setup: func(w *world) {
				w.action = func(in activities.ActionInput) (activities.ActionOutput, error) {
					return activities.ActionOutput{Output: map[string]any{"state": in.Args["to"], "previous": "active"}}, nil
				}
			},
			status: deviceops.RunSucceeded, outputs: map[string]any{"state": "maintenance", "previous": "active"},
			steps: []string{"moved succeeded", "steps.1 succeeded"},
		},
		"an action that gives a device shows it as expressions do": {
			source: `
workflow: w
device: k1
steps:
  - id: got
    action: device.get
  - return: { state: "${{ steps.got.output.state }}" }
`,
			setup: func(w *world) {
				w.action = func(activities.ActionInput) (activities.ActionOutput, error) {
					return activities.ActionOutput{Device: &deviceops.Device{ID: "k1", State: deviceops.Active}}, nil
				}
			},
			status: deviceops.RunSucceeded, outputs: map[string]any{"state": "active"},
			steps: []string{"got succeeded", "steps.1 succeeded"},
		},
		"fail ends the run": {
			source: `
workflow: w
steps:
  - id: refuse
    fail: { code: not-today, message: "it rains", data: { mm: 7 } }
`,
			status: deviceops.RunFailed, code: "not-today", message: "it rains", steps: []string{"refuse failed"},
		},
		"catch takes the failure of a step": {
			source: `
workflow: w
device: k1
steps:
  - try:
      - id: reboot
        command: reboot
        timeout: 1m
      - set: { never: 1 }
    catch:
      - return: { code: "${{ error.code }}", step: "${{ error.step }}", status: "${{ error.data.status }}" }
`,
			setup:  failing(deviceops.CommandFailed, "busy", true),
			status: deviceops.RunSucceeded, outputs: map[string]any{"code": "busy", "step": "reboot", "status": "failed"},
			steps: []string{"steps.0 succeeded", "reboot failed", "steps.0.catch.0 succeeded"},
		},
		"the run goes on after a catch": {
			source: `
workflow: w
steps:
  - try:
      - fail: first
    catch:
      - set: { seen: "${{ error.message }}" }
  - return: { seen: "${{ vars.seen }}" }
`,
			status: deviceops.RunSucceeded, outputs: map[string]any{"seen": "first"},
			steps: []string{"steps.0 succeeded", "steps.0.try.0 failed", "steps.0.catch.0 succeeded", "steps.1 succeeded"},
		},
		"a failure in a catch goes to the try around it": {
			source: `
workflow: w
steps:
  - try:
      - try:
          - fail: first
        catch:
          - fail: { code: second, message: "after ${{ error.message }}" }
    catch:
      - return: { code: "${{ error.code }}", message: "${{ error.message }}" }
`,
			status: deviceops.RunSucceeded, outputs: map[string]any{"code": "second", "message": "after first"},
			steps: []string{
				"steps.0 succeeded", "steps.0.try.0 failed", "steps.0.try.0.try.0 failed", "steps.0.try.0.catch.0 failed", "steps.0.catch.0 succeeded",
			},
		},
		"a caught error can be raised again": {
			source: `
workflow: w
steps:
  - try:
      - id: inner
        fail: { code: odd, message: strange }
    catch:
      - fail: ${{ error }}
`,
			status: deviceops.RunFailed, code: "odd", message: "strange",
			steps: []string{"steps.0 failed", "inner failed", "steps.0.catch.0 failed"},
		},
		"an expression that fails can be caught": {
			source: `
workflow: w
inputs: { n: { type: integer, default: 0 } }
steps:
  - try:
      - set: { x: "${{ [1, 2][inputs.n + 7] }}" }
    catch:
      - return: { code: "${{ error.code }}" }
`,
			status: deviceops.RunSucceeded, outputs: map[string]any{"code": "invalid"},
			steps: []string{"steps.0 succeeded", "steps.0.try.0 failed", "steps.0.catch.0 succeeded"},
		},
		"a wrong input is told": {
			source: "workflow: w\ninputs: { battery: number 0..100 }\nsteps:\n  - set: { a: 1 }\n",
			inputs: map[string]any{"battery": 200},
			status: deviceops.RunFailed, code: deviceops.EINVALID,
			message: `the input "battery": the number 200 is given where a number 0..100 is needed`,
		},
		"a definition that does not compile ends the run": {
			source: "workflow: w\nsteps:\n  - comand: reboot\n",
			status: deviceops.RunFailed, code: deviceops.EINVALID,
		},
		"a return that is no map is the output value": {
			source: "workflow: w\nsteps:\n  - return: 7\n",
			status: deviceops.RunSucceeded, outputs: map[string]any{"value": int64(7)}, steps: []string{"steps.0 succeeded"},
		},
		"facts of the device are read when they may have changed": {
			source: `
workflow: w
device: k1
steps:
  - set: { before: "${{ device.state }}" }
  - wait: 1m
  - return: { before: "${{ vars.before }}", after: "${{ device.state }}" }
`,
			setup: func(w *world) {
				states := []deviceops.State{deviceops.Active, deviceops.Maintenance}
				w.facts = func() deviceops.Device {
					d := deviceops.Device{ID: "k1", State: states[0]}
					states = states[1:]
					return d
				}
			},
			status: deviceops.RunSucceeded, outputs: map[string]any{"before": "active", "after": "maintenance"},
			steps: []string{"steps.0 succeeded", "steps.1 succeeded", "steps.2 succeeded"},
		},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			w := newWorld(t)
			if c.setup != nil {
				c.setup(w)
			}
			run := execute(t, w, c.source, c.inputs)
			require.Equal(t, c.status, run.Status, "%+v", run.Error)
			require.Equal(t, c.outputs, run.Outputs)
			require.Equal(t, c.steps, statuses(run), "%+v", run.Error)
			if c.status == deviceops.RunFailed {
				require.Equal(t, c.code, run.Error.Code)
				if c.message != "" {
					require.Equal(t, c.message, run.Error.Message)
				}
				require.Equal(t, c.code, activities.Cause(w.GetWorkflowError()).Code)
			}
		})
	}
}

// failing makes every command fail.
func failing(status deviceops.CommandStatus, code string, retryable bool) func(*world) {
	return func(w *world) {
		w.command = func(in activities.CommandInput) (activities.CommandOutput, error) {
			return answered(in, status, code, retryable)
		}
	}
}

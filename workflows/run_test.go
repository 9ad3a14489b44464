package workflows_test

import (
	"testing"
	"time"

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
	w.ExecuteWorkflow(workflows.TypeRun, started(inputs))
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

const retried = `
workflow: w
device: k1
steps:
  - id: reboot
    command: reboot
    timeout: 1h
    retry: { times: 3, delay: 10s..15s }
  - return: { attempts: "${{ steps.reboot.attempts }}" }
`

func TestRetry(t *testing.T) {
	t.Parallel()
	t.Run("until it succeeds", func(t *testing.T) {
		t.Parallel()
		w := newWorld(t)
		w.command = func(in activities.CommandInput) (activities.CommandOutput, error) {
			if in.Attempt < 3 {
				return answered(in, deviceops.CommandFailed, "busy", true)
			}
			return activities.CommandOutput{}, nil
		}
		run := execute(t, w, retried, nil)
		require.Equal(t, map[string]any{"attempts": int64(3)}, run.Outputs)
		require.Equal(t, []int{1, 2, 3}, attempts(w.commands))
		require.Equal(t, "r1.steps.0.0", w.commands[0].ID)
		require.Equal(t, w.commands[0].ID, w.commands[2].ID)
		require.Equal(t, noon.Add(25*time.Second), run.FinishedAt.UTC(), "pauses of 10 s and 15 s")
	})
	t.Run("until the last try", func(t *testing.T) {
		t.Parallel()
		w := newWorld(t)
		failing(deviceops.CommandFailed, "busy", true)(w)
		run := execute(t, w, retried, nil)
		require.Equal(t, deviceops.RunFailed, run.Status)
		require.Equal(t, []int{1, 2, 3, 4}, attempts(w.commands))
		require.Equal(t, "reboot", run.Error.Step)
	})
	t.Run("never of what the device refused", func(t *testing.T) {
		t.Parallel()
		w := newWorld(t)
		failing(deviceops.CommandRejected, "nonsense", true)(w)
		execute(t, w, retried, nil)
		require.Equal(t, []int{1}, attempts(w.commands))
	})
	t.Run("not of what is not retryable", func(t *testing.T) {
		t.Parallel()
		w := newWorld(t)
		failing(deviceops.CommandFailed, "full", false)(w)
		execute(t, w, retried, nil)
		require.Equal(t, []int{1}, attempts(w.commands))
	})
	t.Run("if its condition says so", func(t *testing.T) {
		t.Parallel()
		w := newWorld(t)
		failing(deviceops.CommandFailed, "full", false)(w)
		execute(t, w, `
workflow: w
device: k1
steps:
  - command: reboot
    retry: { times: 1, delay: 1s, if: error.code == "full" }
`, nil)
		require.Equal(t, []int{1, 2}, attempts(w.commands))
	})
	t.Run("not when no time is left", func(t *testing.T) {
		t.Parallel()
		w := newWorld(t)
		failing(deviceops.CommandFailed, "busy", true)(w)
		run := execute(t, w, `
workflow: w
device: k1
steps:
  - command: reboot
    timeout: 15s
    retry: { times: 9, delay: 10s }
`, nil)
		require.Equal(t, []int{1, 2}, attempts(w.commands))
		require.Equal(t, "busy", run.Error.Code)
	})
	t.Run("of a whole try", func(t *testing.T) {
		t.Parallel()
		w := newWorld(t)
		w.command = func(in activities.CommandInput) (activities.CommandOutput, error) {
			if in.ID == "r1.steps.0.try.0.0" {
				return answered(in, deviceops.CommandFailed, "busy", true)
			}
			return activities.CommandOutput{}, nil
		}
		run := execute(t, w, `
workflow: w
device: k1
steps:
  - try:
      - command: reboot
    catch:
      - fail: ${{ error }}
    retry: { times: 1, delay: 1s }
`, nil)
		require.Equal(t, deviceops.RunSucceeded, run.Status)
		require.Equal(t, "r1.steps.0.try.0.1", w.commands[1].ID, "a step that is begun again is another command")
		require.Equal(t, 2, run.Steps[0].Attempts)
	})
}

func TestSilentDevices(t *testing.T) {
	t.Parallel()
	silent := func(activities.CommandInput) (activities.CommandOutput, error) {
		return activities.CommandOutput{}, errSilence
	}
	t.Run("time out", func(t *testing.T) {
		t.Parallel()
		w := newWorld(t)
		w.command = silent
		run := execute(t, w, "workflow: w\ndevice: k1\nsteps:\n  - id: go\n    command: reboot\n", nil)
		require.Equal(t, deviceops.ETIMEOUT, run.Error.Code)
		require.Equal(t, []activities.CloseInput{{
			ID: "r1.steps.0.0", Status: deviceops.CommandExpired,
			Reason: "the device did not answer in time; whether it did it is unknown",
		}}, w.closed)
		require.Equal(t, noon.Add(10*time.Minute), w.commands[0].ExpiresAt.UTC(), "the profile says how long")
	})
	t.Run("are asked again with the same attempt", func(t *testing.T) {
		t.Parallel()
		w := newWorld(t)
		asked := 0
		w.command = func(in activities.CommandInput) (activities.CommandOutput, error) {
			if asked++; asked < 3 {
				return silent(in)
			}
			return activities.CommandOutput{}, nil
		}
		run := execute(t, w, `
workflow: w
device: k1
steps:
  - command: reboot
    timeout: 1h
    attempt_timeout: 5m
    retry: { times: 2, delay: 1s }
`, nil)
		require.Equal(t, deviceops.RunSucceeded, run.Status)
		require.Equal(t, []int{1, 1, 1}, attempts(w.commands), "nobody knows whether the attempt had its effect")
		require.Empty(t, w.closed)
	})
	t.Run("may answer at the last moment", func(t *testing.T) {
		t.Parallel()
		w := newWorld(t)
		w.command = silent
		w.closing = func(activities.CloseInput) (activities.CommandOutput, error) {
			return activities.CommandOutput{Output: map[string]any{"ok": true}}, nil
		}
		run := execute(t, w, "workflow: w\ndevice: k1\nsteps:\n  - id: go\n    command: reboot\n  - return: ${{ steps.go.output }}\n", nil)
		require.Equal(t, map[string]any{"ok": true}, run.Outputs)
	})
}

func TestConfigureIsFollowedByItsCommand(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	w.action = func(activities.ActionInput) (activities.ActionOutput, error) {
		return activities.ActionOutput{
			Output:  map[string]any{"version": 4},
			Command: &activities.FollowUp{Name: deviceops.CommandConfigure, Args: map[string]any{"version": 4}},
		}, nil
	}
	run := execute(t, w, `
workflow: w
device: k1
steps:
  - id: dim
    action: device.configure
    with: { configuration: { brightness: 10 } }
  - return: ${{ steps.dim.output }}
`, nil)
	require.Equal(t, map[string]any{"version": int64(4)}, run.Outputs)
	require.Equal(t, deviceops.CommandConfigure, w.commands[0].Name)
	require.Equal(t, "r1.steps.0.0", w.commands[0].ID)
}

func TestTimeouts(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct {
		source string
		ends   time.Duration
		step   string
	}{
		"of the run cut a wait short": {
			source: "workflow: w\ntimeout: 10m\nsteps:\n  - id: long\n    wait: 1h\n", ends: 10 * time.Minute, step: "long",
		},
		"of a try cover its catch": {
			source: `
workflow: w
steps:
  - try:
      - id: long
        wait: 1h
    catch:
      - set: { never: 1 }
    timeout: 5m
`, ends: 5 * time.Minute, step: "long",
		},
		"of a try leave the catch around it alone": {
			source: `
workflow: w
steps:
  - try:
      - try:
          - wait: 1h
        catch:
          - set: { never: 1 }
        timeout: 5m
    catch:
      - id: raised
        fail: { code: timeout, message: "${{ error.code }}" }
`, ends: 5 * time.Minute, step: "raised",
		},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			w := newWorld(t)
			run := execute(t, w, c.source, nil)
			require.Equal(t, deviceops.ETIMEOUT, run.Error.Code)
			require.Equal(t, c.step, run.Error.Step)
			require.Equal(t, noon.Add(c.ends), run.FinishedAt.UTC())
		})
	}
}

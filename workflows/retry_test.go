package workflows_test

import (
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/deviceops/deviceops"
	"github.com/deviceops/deviceops/activities"
)

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

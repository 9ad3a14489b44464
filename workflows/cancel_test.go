package workflows_test

import (
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/deviceops/deviceops"
	"github.com/deviceops/deviceops/activities"
)

// A run that is called off undoes what it completed and cleans up; nothing of
// that is canceled with it.
func TestCancelCleansUp(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct {
		source string
		sent   []string
		rows   []string
	}{
		"in a try": {
			source: `
steps:
  - { command: a, undo: [ { command: undo-a, with: { why: "${{ error.code }}" } }, { wait: 1m }, { command: undo-a2 } ] }
  - try:
      - { command: b, undo: [ { command: undo-b } ] }
      - wait: 2h
      - command: never
    catch: [ { command: never } ]
    finally: [ { command: inner } ]
catch: [ { command: never } ]
finally: [ { command: outer } ]
`,
			sent: []string{"a", "b", "undo-b", "inner", "undo-a", "undo-a2", "outer"},
			rows: []string{
				"steps.0 succeeded", "steps.1 canceled", "steps.1.try.0 succeeded", "steps.1.try.1 canceled", "steps.1.try.0.undo.0 succeeded",
				"steps.1.finally.0 succeeded", "steps.0.undo.0 succeeded", "steps.0.undo.1 succeeded", "steps.0.undo.2 succeeded", "finally.0 succeeded",
			},
		},
		"in branches, in reverse order of completion": {
			source: `
steps:
  - foreach:
      items: [10, 20]
      max_parallel: 2
      steps:
        - wait: ${{ string(item) }}m
        - { command: a, undo: [ { command: "undo-a", device: "k${{ item }}" } ] }
        - try: [ { wait: 2h } ]
          finally: [ { wait: 1m }, { command: clean } ]
`,
			sent: []string{"a", "a", "clean", "clean", "undo-a k20", "undo-a k10"},
		},
		"while finally runs": {
			source: `
steps:
  - try: [ { command: a } ]
    finally: [ { wait: 2h }, { command: clean } ]
  - command: never
`,
			sent: []string{"a", "clean"},
			rows: []string{"steps.0 succeeded", "steps.0.try.0 succeeded", "steps.0.finally.0 succeeded", "steps.0.finally.1 succeeded"},
		},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			w := newWorld(t)
			w.at(time.Hour, w.CancelWorkflow)
			run := execute(t, w, "workflow: w\ndevice: k1\n"+c.source, nil)
			require.Equal(t, deviceops.RunCanceled, run.Status)
			var sent []string
			for _, in := range w.commands {
				if in.Device != "k1" {
					in.Name += " " + in.Device
				}
				sent = append(sent, in.Name)
			}
			require.Equal(t, c.sent, sent)
			if c.rows != nil {
				require.Equal(t, c.rows, statuses(run))
			}
		})
	}
}

// A command that was on its way when the run was called off may have been
// carried out.
func TestCancelUndoesWhatIsUnderWay(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	w.command = func(in activities.CommandInput) (activities.CommandOutput, error) {
		if in.Name == "a" {
			return activities.CommandOutput{}, errPending
		}
		return activities.CommandOutput{}, nil
	}
	w.at(time.Minute, w.CancelWorkflow)
	run := execute(t, w, `workflow: w
device: k1
steps:
  - { command: a, timeout: 1h, undo: [ { command: undo-a } ] }
`, nil)
	require.Equal(t, deviceops.RunCanceled, run.Status)
	require.Equal(t, []string{"a", "undo-a"}, w.names())
	require.Len(t, w.closed, 1)
}

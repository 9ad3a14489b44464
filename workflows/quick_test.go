package workflows_test

import (
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/deviceops/deviceops"
	"github.com/deviceops/deviceops/activities"
)

// Of many quick actions some save the timeline, so that people see how far the run
// is.
func TestSomeQuickActionsSaveTheTimeline(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	run := execute(t, w, `workflow: w
version: 1
steps:
  - set: { n: 0 }
  - while: vars.n < 40
    steps:
      - set: { n: "${{ vars.n + 1 }}" }
      - action: log
        with: { message: "${{ vars.n }}" }
`, nil)
	require.Equal(t, deviceops.RunSucceeded, run.Status)
	require.Len(t, w.actions, 40)
	var saving []int
	for i, in := range w.actions {
		if in.Run != nil {
			saving = append(saving, i+1)
		}
	}
	require.Equal(t, []int{16, 32}, saving)
	require.Len(t, run.Steps, 2+2*40)
}

// What an action says fails a step or not as it does elsewhere.
func TestAQuickActionFailsItsStep(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	w.action = func(in activities.ActionInput) (activities.ActionOutput, error) {
		return activities.ActionOutput{}, deviceops.Errorf(deviceops.ECONFLICT, "it is retired")
	}
	run := execute(t, w, `workflow: w
version: 1
outputs: { why: "${{ vars.why }}" }
steps:
  - try:
      - action: device.transition
        with: { to: maintenance }
    catch:
      - set: { why: "${{ error.code + ': ' + error.message }}" }
`, nil)
	require.Equal(t, deviceops.RunSucceeded, run.Status)
	require.EqualValues(t, map[string]any{"why": "conflict: it is retired"}, run.Outputs)
	require.Len(t, w.actions, 1)
}

package workflows_test

import (
	"encoding/json"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/deviceops/deviceops"
	"github.com/deviceops/deviceops/activities"
)

// big is a part of an output that the activity has stored.
var big = deviceops.Stored{Ref: "output/abc", SHA256: "abc", Size: 100_000, Type: "list"}.Map()

func TestReferencesToLargeOutputs(t *testing.T) {
	t.Parallel()
	const source = `workflow: w
device: k1
outputs: { kept: "${{ vars.kept }}", status: "${{ steps.get.output.status }}", code: "${{ vars.code }}", message: "${{ vars.message }}" }
steps:
  - { id: get, action: http.request, with: { url: "http://a" } }
  - set: { kept: "${{ steps.get.output.json }}" }
  - action: http.request
    with: { url: "http://b", json: { report: "${{ vars.kept }}" } }
  - command: upload
    with: { report: "${{ steps.get.output.json }}" }
    timeout: 1m
  - try:
      - if: len(steps.get.output.json) > 3
        set: { kept: never }
    catch:
      - set: { code: "${{ error.code }}", message: "${{ error.message }}" }
`
	last, executions := relayed(t, source, 1, func(w *world, _ int) {
		w.action = func(in activities.ActionInput) (activities.ActionOutput, error) {
			if in.Args["url"] == "http://b" {
				require.Equal(t, map[string]any{"report": asSent(t, big)}, in.Args["json"])
			}
			return activities.ActionOutput{Output: map[string]any{"status": 200, "json": big}}, nil
		}
	})
	require.Greater(t, executions, 2, "it was carried over")
	run := last.saved[len(last.saved)-1]
	require.Equal(t, deviceops.RunSucceeded, run.Status, run.Error)
	require.EqualValues(t, 200, run.Outputs["status"])
	require.Equal(t, asSent(t, big), asSent(t, run.Outputs["kept"]))
	require.Equal(t, deviceops.EEXHAUSTED, run.Outputs["code"])
	require.Contains(t, run.Outputs["message"], "`len(steps.get.output.json) > 3`: this is part of an output of more than 64 KiB")
	require.Len(t, last.commands, 1)
	require.Equal(t, asSent(t, big), last.commands[0].Args["report"])
}

// asSent gives a value as JSON brings it.
func asSent(t *testing.T, v any) (sent any) {
	t.Helper()
	data, err := json.Marshal(v)
	require.NoError(t, err)
	require.NoError(t, json.Unmarshal(data, &sent))
	settle := sent.(map[string]any)["$stored"].(map[string]any)
	settle["size"] = int64(settle["size"].(float64))
	return sent
}

// What a foreach collects is not bounded by what one step may give. It reaches the
// store past the history.
func TestCollectedOutputsGoPastTheHistory(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	w.action = func(activities.ActionInput) (activities.ActionOutput, error) {
		return activities.ActionOutput{Output: map[string]any{"body": strings.Repeat("x", 30_000)}}, nil
	}
	run := execute(t, w, `workflow: w
outputs: { bodies: "${{ map(steps.each.output.results, #.output.body) }}", n: "${{ len(steps.each.output.results) }}" }
steps:
  - id: each
    foreach: { items: [1, 2, 3], steps: [ { action: http.request, with: { url: "http://a" } } ] }
  - action: log
    with: { message: "${{ len(steps.each.output.results[2].output.body) }} in the last" }
`, nil)
	require.Equal(t, deviceops.RunSucceeded, run.Status, run.Error)
	require.Equal(t, "30000 in the last", w.actions[3].Args["message"], "expressions read it")
	for _, in := range w.actions {
		data, err := json.Marshal(in)
		require.NoError(t, err)
		require.Less(t, len(data), deviceops.MaxInlineOutput)
	}
	require.Len(t, w.kept, 1)
	_, ok := deviceops.StoredIn(run.Outputs["bodies"])
	require.True(t, ok, "and the outputs of the run are bounded again")
	require.EqualValues(t, 3, run.Outputs["n"])
}

func TestARunThatGivesTooMuchFails(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	w.keep = func(activities.KeepInput) (activities.ActionOutput, error) {
		return activities.ActionOutput{}, deviceops.Errorf(deviceops.EEXHAUSTED, "the output is too large")
	}
	run := execute(t, w, `workflow: w
steps:
  - return: "${{ repeat('x', 70000) }}"
`, nil)
	require.Equal(t, deviceops.RunFailed, run.Status)
	require.Equal(t, deviceops.EEXHAUSTED, run.Error.Code)
}

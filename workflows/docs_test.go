package workflows_test

import (
	"encoding/json"
	"os"
	"regexp"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/deviceops/deviceops"
	"github.com/deviceops/deviceops/activities"
)

var (
	shownWorkflow = regexp.MustCompile("(?s)```yaml\n(workflow: [a-z-]+\n.*?)```")
	shownOutputs  = regexp.MustCompile(`# gives (\{.*\})`)
)

// TestLanguagePage executes the workflows that docs/language.md shows with what
// they give, on devices that answer every command with its name.
func TestLanguagePage(t *testing.T) {
	t.Parallel()
	page, err := os.ReadFile("../docs/language.md")
	require.NoError(t, err)
	executed := 0
	for _, m := range shownWorkflow.FindAllStringSubmatch(string(page), -1) {
		gives := shownOutputs.FindStringSubmatch(m[1])
		if gives == nil {
			continue
		}
		executed++
		w := newWorld(t)
		answers(nil)(w)
		w.watch = func(activities.WatchInput) (activities.WatchOutput, error) {
			return activities.WatchOutput{Events: []deviceops.Event{{ID: 1, Type: "device.button", Data: map[string]any{"by": "maria"}}}}, nil
		}
		run := execute(t, w, m[1], nil)
		require.Equal(t, deviceops.RunSucceeded, run.Status, "%v", run.Error)
		outputs, err := json.Marshal(run.Outputs)
		require.NoError(t, err)
		require.Equal(t, gives[1], string(outputs))
	}
	require.GreaterOrEqual(t, executed, 4)
}

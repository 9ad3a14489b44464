package rehearsal_test

import (
	"os"
	"path/filepath"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/deviceops/deviceops"
	"github.com/deviceops/deviceops/activities"
	"github.com/deviceops/deviceops/rehearsal"
)

func files(t *testing.T, pattern string) []deviceops.ApplyFile {
	t.Helper()
	paths, err := filepath.Glob(pattern)
	require.NoError(t, err)
	var all []deviceops.ApplyFile
	for _, path := range paths {
		text, err := os.ReadFile(path)
		require.NoError(t, err)
		all = append(all, deviceops.ApplyFile{Name: path, Source: string(text)})
	}
	return all
}

// TestExamples rehearses all examples together: each has a test, which passes and
// goes through every step.
func TestExamples(t *testing.T) {
	t.Parallel()
	suite, found := rehearsal.Load(files(t, "../examples/*.yaml"), activities.Actions())
	require.NoError(t, found.Err())
	tests, _ := suite.Tests()
	require.GreaterOrEqual(t, tests, 12)
	report := suite.Run(rehearsal.Options{})
	for _, r := range report.Results {
		require.Empty(t, differences(r), "%s: %s: %+v", r.Test, r.Case, r.Timeline())
	}
	for _, c := range report.Coverage {
		require.Equal(t, c.Steps, c.StepsRun(), "%s has steps that no test runs: %+v", c.Workflow, c.Missed)
	}
}

// TestTheWholeLanguage rehearses the document that the design of the language
// shows: a question that is escalated, a form, undo, until and a ticket.
func TestTheWholeLanguage(t *testing.T) {
	t.Parallel()
	suite, found := rehearsal.Load(files(t, "testdata/low-battery.yaml"), activities.Actions())
	require.NoError(t, found.Err())
	report := suite.Run(rehearsal.Options{})
	require.Len(t, report.Results, 1)
	require.Empty(t, differences(report.Results[0]), "%+v", report.Results[0].Timeline())
}

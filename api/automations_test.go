package api_test

import (
	"testing"

	"github.com/stretchr/testify/require"
)

// An automation is kept, and whoever publishes it learns that its trigger does
// nothing yet.
func TestApplyTellsThatTriggersAreNotRun(t *testing.T) {
	t.Parallel()
	r := newRig(t)
	report := r.publish(anna, "?file=watch.yaml", "automation: watch\ntrigger: { offline: 30m }\nrun: check@latest\n---\ntest: watch\ncases: [ { name: a, expect: { runs: 0 } } ]\n")
	require.Equal(t, []string{"automation watch created", "test watch created"}, outcomes(report))
	require.False(t, report.Refused)
	require.Len(t, report.Documents[0].Diagnostics, 1)
	require.Equal(t, "not-triggered", report.Documents[0].Diagnostics[0].Code)
	require.Equal(t, "warning", report.Documents[0].Diagnostics[0].Severity)
	require.Contains(t, report.Documents[0].Diagnostics[0].Text, "watch.yaml:1:1: warning: the automation watch is kept, and this version does not start runs by its trigger yet")
	require.Empty(t, report.Documents[1].Diagnostics)
}

package api_test

import (
	"testing"

	"github.com/stretchr/testify/require"
)

// A rollout beside other documents is checked, and neither kept nor started.
func TestApplyStartsNoRollout(t *testing.T) {
	t.Parallel()
	r := newRig(t)
	const source = "profile: pump\n---\nrollout: pumps-2\nchange: { config: { speed: 2 } }\ntargets: device.profile == \"pump\"\n---\ncalendar: fair\nblackout: [ { from: 2026-11-27, to: 2026-11-30 } ]\n"
	report := r.publish(anna, "?file=pumps.yaml", source)
	require.Equal(t, []string{"profile pump created", "rollout pumps-2 skipped", "calendar fair created"}, outcomes(report))
	require.False(t, report.Refused)
	require.Equal(t, "pumps.yaml:3:1: warning: rollouts are started by `deviceops rollout create pumps.yaml`: apply never touches a device\n", report.Documents[1].Diagnostics[0].Text)
	again := r.publish(anna, "?file=pumps.yaml", source)
	require.Equal(t, []string{"profile pump unchanged", "rollout pumps-2 skipped", "calendar fair unchanged"}, outcomes(again))

	unknown := r.publish(anna, "", "rollout: r\nchange: { release: os@2 }\ntargets: true\n---\nworkflow: w\nsteps:\n  - action: notify\n    with: { text: x, channel: slakc }\n")
	require.True(t, unknown.Refused)
	require.Contains(t, unknown.Documents[0].Diagnostics[0].Text, "there is no release os@2")
	require.Contains(t, unknown.Documents[1].Diagnostics[0].Text, "there is no channel slakc")
	broken := r.publish(anna, "", "rollout: r\nchange: { release: os }\ntargets: true\n")
	require.True(t, broken.Refused)
	require.Contains(t, broken.Documents[0].Diagnostics[0].Text, "bad-reference")
}

package api_test

import (
	"testing"

	"github.com/stretchr/testify/require"
)

// Automations that listen begin with their publication. Whoever publishes one of
// another kind learns that its trigger does nothing yet.
func TestApplyTellsThatTriggersAreNotRun(t *testing.T) {
	t.Parallel()
	r := newRig(t)
	const automations = "automation: watch\ntrigger: { offline: 30m }\nrun: check@latest\n---\nautomation: nightly\ntrigger: { schedule: 0 3 * * * }\nrun: check@latest\n"
	refused := r.publish(anna, "?file=watch.yaml", automations)
	require.True(t, refused.Refused)
	require.Contains(t, refused.Documents[0].Diagnostics[0].Text, "watch.yaml:3:6: error: there is no workflow check@latest")
	r.publish(anna, "", "workflow: check\nsteps: [ { wait: 1s } ]\n")
	report := r.publish(anna, "?file=watch.yaml", automations)
	require.Equal(t, []string{"automation watch created", "automation nightly created"}, outcomes(report))
	require.False(t, report.Refused)
	require.Empty(t, report.Documents[0].Diagnostics)
	require.Len(t, report.Documents[1].Diagnostics, 1)
	require.Equal(t, "not-triggered", report.Documents[1].Diagnostics[0].Code)
	require.Contains(t, report.Documents[1].Diagnostics[0].Text, "watch.yaml:5:1: warning: the automation nightly is kept, and this version does not start runs by schedule yet")
}

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

package cli_test

import (
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/deviceops/deviceops"
	"github.com/deviceops/deviceops/cli"
)

func TestPauseAndResumeRuns(t *testing.T) {
	t.Parallel()
	m := newTerminal(t)
	_, err := m.store.CreateRun(t.Context(), deviceops.Run{
		ID: "run-1", Account: deviceops.RootAccount, Workflow: "look", Version: 1, Status: deviceops.RunWaiting, StartedAt: time.Now(),
		Steps: []deviceops.RunStep{
			{Step: "steps.0", Verb: "try", Status: deviceops.RunRunning},
			{Index: 1, Step: "read", Verb: "command", Status: deviceops.RunWaiting, WaitsFor: "device k1 to carry out read"},
		},
	})
	require.NoError(t, err)
	require.Equal(t, "run-1 is paused: no step begins until deviceops runs resume run-1\nStill under way: read, which waits for device k1 to carry out read\n",
		m.run("runs", "pause", "run-1", "--reason", "smoke").done())
	require.Regexp(t, `run-1 +look@1 +- +paused`, m.run("runs", "list", "--status", "paused").done())
	require.Regexp(t, `status +paused\npaused +since .*, by user:maria: smoke\n`, m.run("runs", "show", "run-1").done())
	require.Equal(t, "user:maria", decoded[deviceops.Run](m.run("runs", "show", "run-1", "-o", "json")).Paused.By)
	require.Equal(t, "run-1 goes on: deviceops runs watch run-1\n", m.run("runs", "resume", "run-1").done())
	require.NotContains(t, m.run("runs", "show", "run-1").done(), "paused")
	m.run("runs", "pause").failed(cli.ExitUsage)
	require.Contains(t, m.run("runs", "pause", "run-9").failed(cli.ExitFailed), "there is no run run-9")
}

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

func TestRerun(t *testing.T) {
	t.Parallel()
	m := newTerminal(t)
	m.runWith(kioskYAML+"---\n"+"workflow: two\ndevice: k1\nsteps:\n  - { id: diagnostics, command: diagnostics }\n  - { id: b, command: diagnostics }\n", "apply", "-f", "-").done()
	m.run("devices", "register", "k1", "--profile", "kiosk").done()
	document, err := m.store.FindDocument(t.Context(), deviceops.RootAccount, deviceops.KindWorkflow, "two", 1)
	require.NoError(t, err)
	_, err = m.store.CreateRun(t.Context(), deviceops.Run{
		ID: "run-1", Account: deviceops.RootAccount, Workflow: "two", Version: 1, Hash: document.Hash, Device: "k1", Status: deviceops.RunFailed, StartedAt: time.Now(),
		Steps: []deviceops.RunStep{
			{Step: "diagnostics", Verb: "command", Status: deviceops.RunSucceeded, Attempts: 1},
			{Index: 1, Step: "b", Verb: "command", Status: deviceops.RunFailed, Attempts: 1},
		},
	})
	require.NoError(t, err)
	require.Regexp(t, `^run-\w+ runs run-1 again as two@1\nIt begins at b, since it failed; 1 row of the steps before is copied.\nFollow it: deviceops runs watch run-\w+\n$`,
		m.run("runs", "rerun", "run-1", "--reason", "fixed", "--key", "x").done())
	again := decoded[deviceops.Run](m.run("runs", "rerun", "run-1", "--key", "x", "-o", "json"))
	require.Equal(t, "run-1", again.RerunOf.Run)
	shown := m.run("runs", "show", again.ID).done()
	require.Contains(t, shown, "rerun of  run-1, from step b, since it failed\n")
	require.Regexp(t, `diagnostics +command +succeeded, copied +1 `, shown)
	require.Contains(t, m.run("devices", "timeline", "k1").done(), "goes on with run-1 from b")
	require.Contains(t, m.run("runs", "rerun", "run-1", "--from", "c").failed(cli.ExitFailed), "the steps of the run are diagnostics, b")
	require.Contains(t, m.run("runs", "rerun", "run-1", "-i", "c").failed(cli.ExitUsage), "write key=value")
	require.Contains(t, m.run("runs", "rerun", "run-1", "--wait").done(), "two@1 succeeded after")
}

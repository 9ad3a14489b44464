package cli_test

import (
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/deviceops/deviceops"
	"github.com/deviceops/deviceops/cli"
)

const graphed = `workflow: look
steps:
  - id: pause
    wait: 10m
  - id: read
    command: diagnostics
    device: k1
`

func TestGraphs(t *testing.T) {
	t.Parallel()
	m := newTerminal(t)
	m.runWith(graphed, "apply", "-f", "-").done()
	const drawing = "look@1\n├─ pause  wait 10m\n└─ read  command diagnostics\n     on k1\n"
	require.Equal(t, drawing, m.run("get", "workflow", "look", "--graph").done())
	require.Equal(t, drawing, m.run("get", "workflow", "look", "--version=1", "--graph=text").done())
	require.Contains(t, m.run("get", "workflow", "look", "--graph=svg").done(), "<svg ")
	require.Contains(t, m.run("get", "workflow", "look", "--graph=png").failed(cli.ExitUsage), "use text or svg")
	require.Contains(t, m.run("get", "workflow", "--graph").failed(cli.ExitUsage), "get workflow NAME --graph")
	m.run("get", "workflow", "none", "--graph").failed(cli.ExitFailed)

	_, err := m.store.CreateRun(t.Context(), deviceops.Run{
		ID: "run-1", Account: deviceops.RootAccount, Workflow: "look", Version: 1, Status: deviceops.RunFailed,
		Steps: []deviceops.RunStep{{Step: "pause", Verb: "wait", Status: deviceops.RunCanceled}},
	})
	require.NoError(t, err)
	require.Contains(t, m.run("runs", "show", "run-1", "--graph").done(), "├─ ⊘ pause  wait 10m\n│    canceled\n└─ · read")
	require.Contains(t, m.run("runs", "show", "run-1", "--graph=svg").done(), "<svg ")
}

package cli_test

import (
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/deviceops/deviceops"
	"github.com/deviceops/deviceops/cli"
)

// What is published in an account is listed and shown there, and not beside it.
func TestListsAndShowsOfAnAccount(t *testing.T) {
	t.Parallel()
	m := newTerminal(t)
	for _, account := range []string{"acme", "globex"} {
		require.NoError(t, m.store.EnsureAccount(t.Context(), deviceops.Account{Path: account}))
	}
	m.run("apply", "-f", "../examples/routes.yaml", "--account", "acme").done()
	m.run("apply", "-f", m.file("hot.yaml", hotYAML), "--account", "acme").done()
	for kind, c := range map[string]struct{ name, shown string }{
		"automations": {"hot", "device.hot"},
		"routes":      {"battery-to-lake", "dead letters"},
	} {
		t.Run(kind, func(t *testing.T) {
			require.Contains(t, m.run(kind, "list", "--account", "acme").done(), c.name)
			require.NotContains(t, m.run(kind, "list", "--account", "globex").done(), c.name)
			shown := m.run(kind, "show", c.name, "--account", "acme").done()
			require.Contains(t, shown, c.name)
			require.Contains(t, shown, c.shown)
			require.Contains(t, m.run(kind, "show", c.name, "--account", "acme", "-o", "json").done(), `"name": "`+c.name+`"`)
			require.NotEmpty(t, m.run(kind, "show", c.name, "--account", "globex").failed(cli.ExitFailed))
			require.NotEmpty(t, m.run(kind, "show").failed(cli.ExitUsage))
			require.NotEmpty(t, m.run(kind, "list", "all").failed(cli.ExitUsage))
		})
	}
}

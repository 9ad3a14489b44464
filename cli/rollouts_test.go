package cli_test

import (
	"path/filepath"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/deviceops/deviceops"
	"github.com/deviceops/deviceops/cli"
)

// What is wrong with a manifest is told where it is, and nothing else.
func TestARefusedRolloutIsToldWithACaret(t *testing.T) {
	t.Parallel()
	m := newTerminal(t)
	m.file("r.yaml", "rollout: r\nchange: { release: kiosk-os@9 }\ntargets: device.profile == \"kiosk\"\n")
	for _, command := range []string{"create", "preview"} {
		refused := m.run("rollout", command, filepath.Join(m.dir, "r.yaml")).failed(cli.ExitFailed)
		require.Contains(t, refused, "r.yaml:2:20: error: there is no release kiosk-os@9")
		require.Contains(t, refused, "                   ^^^^^^^^^^")
		require.NotContains(t, refused, "the log of the server")
	}
}

func TestARolloutIsShownWithWhatItChanges(t *testing.T) {
	t.Parallel()
	m := newTerminal(t)
	m.file("r.yaml", "rollout: bright\nchange: { config: { volume: 3, brightness: 50 } }\ntargets: device.profile == \"kiosk\"\n")
	file := filepath.Join(m.dir, "r.yaml")
	require.Regexp(t, `change +config brightness, volume\n`, m.run("rollout", "preview", file).done())
	m.run("rollout", "create", file, "--reason", "it is dark").done()
	require.Regexp(t, `change +config brightness, volume\n`, m.run("rollout", "show", "bright").done())
	require.Equal(t, "config brightness, volume", decoded[deviceops.RolloutReport](m.run("rollout", "show", "bright", "-o", "json")).Change)
}

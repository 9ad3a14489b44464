package main

import (
	"os"
	"path/filepath"
	"testing"

	"github.com/spf13/cobra"
	"github.com/stretchr/testify/require"

	"github.com/deviceops/deviceops"
)

func TestFlagsOverEnvironmentOverFile(t *testing.T) {
	t.Parallel()
	file := settingsFile(t, "database-url: from-file\nlisten: from-file\nmqtt-url: from-file\nroles: [api, worker]\nlanes: 2\n")
	cmd, values := settingsCommand()
	require.NoError(t, cmd.ParseFlags([]string{"--listen", "from-flag"}))
	require.NoError(t, settle(cmd, file, environment(map[string]string{
		"DEVICEOPS_DATABASE_URL": "from-environment", "DEVICEOPS_LISTEN": "from-environment",
	})))
	require.Equal(t, "from-flag", *values["listen"])
	require.Equal(t, "from-environment", *values["database-url"])
	require.Equal(t, "from-file", *values["mqtt-url"])
	roles, err := cmd.Flags().GetStringSlice("roles")
	require.NoError(t, err)
	require.Equal(t, []string{"api", "worker"}, roles)
	lanes, err := cmd.Flags().GetInt("lanes")
	require.NoError(t, err)
	require.Equal(t, 2, lanes)
}

func TestSettingsThatCannotBeRead(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct {
		file string
		env  map[string]string
		code string
		text string
	}{
		"an unknown key":      {settingsFile(t, "databse-url: x\n"), nil, deviceops.EINVALID, `no setting "databse-url"`},
		"no such file":        {filepath.Join(t.TempDir(), "none.yaml"), nil, deviceops.ENOTFOUND, "there is no settings file"},
		"not a mapping":       {settingsFile(t, "- a\n"), nil, deviceops.EINVALID, "settings file"},
		"a value of its kind": {"", map[string]string{"DEVICEOPS_LANES": "many"}, deviceops.EINVALID, "DEVICEOPS_LANES for --lanes"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			cmd, _ := settingsCommand()
			err := settle(cmd, c.file, environment(c.env))
			require.Equal(t, c.code, deviceops.ErrorCode(err))
			require.ErrorContains(t, err, c.text)
		})
	}
}

func settingsCommand() (*cobra.Command, map[string]*string) {
	cmd := &cobra.Command{Use: "serve"}
	values := map[string]*string{}
	for _, name := range []string{"database-url", "listen", "mqtt-url", "config"} {
		values[name] = cmd.Flags().String(name, "", "")
	}
	cmd.Flags().StringSlice("roles", nil, "")
	cmd.Flags().Int("lanes", 4, "")
	return cmd, values
}

func settingsFile(t *testing.T, text string) string {
	path := filepath.Join(t.TempDir(), "settings.yaml")
	require.NoError(t, os.WriteFile(path, []byte(text), 0o600))
	return path
}

func environment(values map[string]string) func(string) (string, bool) {
	return func(name string) (string, bool) {
		value, ok := values[name]
		return value, ok
	}
}

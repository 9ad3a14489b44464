package cluster

import (
	"errors"
	"io"
	"os"
	"path/filepath"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/deviceops/deviceops"
)

// install makes a folder that looks like PostgreSQL's.
func install(t *testing.T, version string) string {
	t.Helper()
	dir := t.TempDir()
	for _, name := range []string{"initdb", "postgres"} {
		script := "#!/bin/sh\necho '" + name + " (PostgreSQL) " + version + "'\n"
		require.NoError(t, os.WriteFile(filepath.Join(dir, name), []byte(script), 0o755))
	}
	return dir
}

func TestFindPrograms_NamedFolder(t *testing.T) {
	tests := map[string]struct {
		version, major, code string
	}{
		"any version":     {"16.4", "", ""},
		"same version":    {"16.4", "16", ""},
		"beta":            {"19beta1", "", ""},
		"other version":   {"16.4", "15", deviceops.ECONFLICT},
		"too old":         {"13.2", "", deviceops.ECONFLICT},
		"no such version": {"unknown", "", deviceops.EINVALID},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			dir := install(t, tt.version)
			t.Setenv("DEVICEOPS_PG_BIN", dir)
			p, err := findPrograms(tt.major, io.Discard)
			require.Equal(t, tt.code, deviceops.ErrorCode(err), "%v", err)
			if tt.code == "" {
				require.Equal(t, dir, p.dir)
			}
		})
	}
}

func TestFindPrograms_PrefersThePath(t *testing.T) {
	dir := install(t, "99.1")
	t.Setenv("DEVICEOPS_PG_BIN", "")
	t.Setenv("PATH", dir+":"+os.Getenv("PATH"))
	p, err := findPrograms("", io.Discard)
	require.NoError(t, err)
	require.Equal(t, programs{dir: dir, version: "99.1"}, p)
}

func TestVersionIn(t *testing.T) {
	t.Parallel()
	for path, want := range map[string]int{
		"/usr/lib/postgresql/15/bin":           15,
		"/opt/homebrew/opt/postgresql@17/bin":  17,
		"/usr/local/pgsql/bin":                 0,
		"/Applications/Postgres.app/9/bin":     9,
		"/usr/pgsql-16/bin":                    16,
		"/usr/local/opt/postgresql@16/bin/17/": 16,
	} {
		require.Equal(t, want, versionIn(path), path)
	}
}

func TestMissing_SaysWhatToInstall(t *testing.T) {
	t.Parallel()
	err := missing(errors.New("no network"))
	require.Equal(t, deviceops.EUNAVAILABLE, deviceops.ErrorCode(err))
	require.ErrorContains(t, err, "no network")
	require.ErrorContains(t, err, "apt-get install postgresql")
	require.ErrorContains(t, err, "DEVICEOPS_PG_BIN")
}

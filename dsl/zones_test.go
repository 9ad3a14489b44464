package dsl

import (
	"archive/zip"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

// TestZonesAreThoseOfGo: the list is that of the zones which Go brings along,
// and each of them can be loaded.
func TestZonesAreThoseOfGo(t *testing.T) {
	t.Parallel()
	root, err := exec.Command("go", "env", "GOROOT").Output()
	require.NoError(t, err)
	archive, err := zip.OpenReader(filepath.Join(strings.TrimSpace(string(root)), "lib", "time", "zoneinfo.zip"))
	require.NoError(t, err)
	defer func() { require.NoError(t, archive.Close()) }()
	var names []string
	for _, file := range archive.File {
		if !strings.HasSuffix(file.Name, "/") {
			names = append(names, file.Name)
		}
	}
	slices.Sort(names)
	if *update {
		require.NoError(t, os.WriteFile("zones.txt", []byte(strings.Join(names, "\n")+"\n"), 0o644))
	}
	require.Equal(t, names, zoneNames(), "run: go test ./dsl -run TestZonesAreThoseOfGo -update")
	for _, name := range names {
		_, err := time.LoadLocation(name)
		require.NoError(t, err)
	}
}

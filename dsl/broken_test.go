package dsl

import (
	"flag"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
)

var update = flag.Bool("update", false, "write the files that tests compare with")

// TestBroken prints everything that is wrong with each file of testdata/broken
// and compares it, in full, with the text beside the file.
func TestBroken(t *testing.T) {
	t.Parallel()
	files, err := filepath.Glob("testdata/broken/*.yaml")
	require.NoError(t, err)
	require.GreaterOrEqual(t, len(files), 30)
	for _, path := range files {
		t.Run(strings.TrimSuffix(filepath.Base(path), ".yaml"), func(t *testing.T) {
			t.Parallel()
			source, err := os.ReadFile(path)
			require.NoError(t, err)
			_, diagnostics := CheckFile(filepath.Base(path), string(source), checked)
			require.True(t, diagnostics.HasErrors())
			var got strings.Builder
			require.NoError(t, WriteText(&got, diagnostics))
			compare := strings.TrimSuffix(path, ".yaml") + ".txt"
			if *update {
				require.NoError(t, os.WriteFile(compare, []byte(got.String()), 0o644))
			}
			want, err := os.ReadFile(compare)
			require.NoError(t, err)
			require.Equal(t, string(want), got.String())
		})
	}
}

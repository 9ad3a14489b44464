package cluster

import (
	"os"
	"path/filepath"
	"testing"

	"github.com/stretchr/testify/require"
)

func TestAccount_Reaches(t *testing.T) {
	t.Parallel()
	me, ok := ownerOf(t.TempDir())
	require.True(t, ok)
	stranger := account{uid: me.uid + 1000, gid: me.gid + 1000, switched: true}
	colleague := account{uid: me.uid + 1000, gid: me.gid, switched: true}
	tests := map[string]struct {
		mode    os.FileMode
		account account
		want    bool
	}{
		"owner":                {0o700, me, true},
		"stranger, closed":     {0o700, stranger, false},
		"stranger, may pass":   {0o711, stranger, true},
		"stranger, may list":   {0o704, stranger, false},
		"group, may pass":      {0o710, colleague, true},
		"group, others may":    {0o701, colleague, false},
		"no change of account": {0o000, account{}, true},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			dir := filepath.Join(folder(t), "parent")
			require.NoError(t, os.Mkdir(dir, 0o700))
			require.NoError(t, os.Chmod(dir, tt.mode))
			require.Equal(t, tt.want, tt.account.reaches(filepath.Join(dir, "data")))
		})
	}
}

func TestPIDFile(t *testing.T) {
	t.Parallel()
	tests := map[string]struct {
		text string
		want pidFile
		err  string
	}{
		"ready":    {"42\n/d\n1700000000\n5433\n\n127.0.0.1\n1 2\nready   \n", pidFile{42, 5433, true}, ""},
		"starting": {"42\n/d\n1700000000\n5433\n\n127.0.0.1\n1 2\nstarting\n", pidFile{42, 5433, false}, ""},
		"cut":      {"42\n/d\n", pidFile{}, "incomplete"},
		"empty":    {"", pidFile{}, "incomplete"},
		"nonsense": {"x\n\n\n\n", pidFile{}, `names process "x"`},
		"init":     {"1\n\n\n\n", pidFile{}, `names process "1"`},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			h := home{dir: t.TempDir()}
			require.NoError(t, os.Mkdir(h.data(), 0o700))
			require.NoError(t, os.WriteFile(filepath.Join(h.data(), "postmaster.pid"), []byte(tt.text), 0o600))
			got, err := h.readPIDFile()
			require.Equal(t, tt.want, got)
			if tt.err != "" {
				require.ErrorContains(t, err, tt.err)
			}
		})
	}
}

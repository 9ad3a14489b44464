package vault_test

import (
	"os"
	"path/filepath"
	"testing"

	"github.com/deviceops/deviceops"
	"github.com/deviceops/deviceops/vault"
	"github.com/stretchr/testify/require"
)

func TestFileGivesSecrets(t *testing.T) {
	t.Parallel()
	path := write(t, `{"ticketing/api-token": "s3cret"}`, 0o600)
	file, err := vault.OpenFile(path)
	require.NoError(t, err)

	value, err := file.Secret(t.Context(), "acme", "ticketing/api-token")
	require.NoError(t, err)
	require.Equal(t, "s3cret", value)

	_, err = file.Secret(t.Context(), "acme", "ticketing/apitoken")
	require.Equal(t, deviceops.ENOTFOUND, deviceops.ErrorCode(err))
	require.Contains(t, err.Error(), "ticketing/api-token", "the message names what there is")
	require.NotContains(t, err.Error(), "s3cret")
}

func TestAnEditCountsAtOnce(t *testing.T) {
	t.Parallel()
	path := write(t, `{}`, 0o600)
	file, err := vault.OpenFile(path)
	require.NoError(t, err)
	require.NoError(t, os.WriteFile(path, []byte(`{"a": "b"}`), 0o600))
	value, err := file.Secret(t.Context(), "acme", "a")
	require.NoError(t, err)
	require.Equal(t, "b", value)
}

func TestOpenMakesAFileForItsOwnerAlone(t *testing.T) {
	t.Parallel()
	path := filepath.Join(t.TempDir(), "new", "secrets.json")
	_, err := vault.OpenFile(path)
	require.NoError(t, err)
	info, err := os.Stat(path)
	require.NoError(t, err)
	require.Equal(t, os.FileMode(0o600), info.Mode().Perm())
}

func TestOpenRefuses(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct {
		text string
		mode os.FileMode
		code string
	}{
		"a file that others may read": {`{}`, 0o644, deviceops.EFORBIDDEN},
		"what is not JSON":            {`a: b`, 0o600, deviceops.EINVALID},
		"values that are not strings": {`{"a": 1}`, 0o600, deviceops.EINVALID},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			_, err := vault.OpenFile(write(t, c.text, c.mode))
			require.Equal(t, c.code, deviceops.ErrorCode(err))
		})
	}
}

func write(t *testing.T, text string, mode os.FileMode) string {
	path := filepath.Join(t.TempDir(), "secrets.json")
	require.NoError(t, os.WriteFile(path, []byte(text), mode))
	require.NoError(t, os.Chmod(path, mode))
	return path
}

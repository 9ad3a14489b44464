package dev

import (
	"net"
	"os"
	"strconv"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/deviceops/deviceops"
)

func openFolder(t *testing.T, dir string) *Folder {
	t.Helper()
	f, err := OpenFolder(dir)
	require.NoError(t, err)
	t.Cleanup(func() { f.Close() })
	return f
}

// occupy listens on a port until the test ends.
func occupy(t *testing.T, port int) int {
	t.Helper()
	l, err := net.Listen("tcp", loopback(port))
	require.NoError(t, err)
	t.Cleanup(func() { l.Close() })
	return l.Addr().(*net.TCPAddr).Port
}

func TestFolder_LockNamesTheHolder(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	first, second := openFolder(t, dir), openFolder(t, dir)
	require.NoError(t, first.Lock("postgres", "broker"))
	require.NoError(t, second.Lock("gateway"), "another part of the same stack")

	err := second.Lock("broker")
	require.Equal(t, deviceops.ECONFLICT, deviceops.ErrorCode(err))
	require.ErrorContains(t, err, "the part broker in "+dir+" is run by process "+strconv.Itoa(os.Getpid()))

	require.NoError(t, first.Close())
	require.NoError(t, second.Lock("broker"))
}

func TestFolder_PortIsStable(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	first, err := openFolder(t, dir).Port("api", 0)
	require.NoError(t, err)
	again, err := openFolder(t, dir).Port("api", 8080)
	require.NoError(t, err)
	require.Equal(t, first, again)
	known, err := openFolder(t, dir).KnownPort("api")
	require.NoError(t, err)
	require.Equal(t, first, known)
}

func TestFolder_PortMovesOnWhenTaken(t *testing.T) {
	t.Parallel()
	f := openFolder(t, t.TempDir())
	taken := occupy(t, 0)
	port, err := f.Port("broker", taken)
	require.NoError(t, err)
	require.Greater(t, port, taken)

	occupy(t, port)
	moved, err := f.Port("broker", taken)
	require.NoError(t, err)
	require.NotEqual(t, port, moved)
}

func TestFolder_PortsOfPartsDiffer(t *testing.T) {
	t.Parallel()
	f := openFolder(t, t.TempDir())
	free := occupy(t, 0) + 1
	a, err := f.Port("a", free)
	require.NoError(t, err)
	b, err := f.Port("b", free)
	require.NoError(t, err)
	require.NotEqual(t, a, b)
}

func TestFolder_RememberPort(t *testing.T) {
	t.Parallel()
	f := openFolder(t, t.TempDir())
	_, err := f.KnownPort("postgres")
	require.Equal(t, deviceops.ENOTFOUND, deviceops.ErrorCode(err))
	require.NoError(t, f.RememberPort("postgres", 5555))
	port, err := f.KnownPort("postgres")
	require.NoError(t, err)
	require.Equal(t, 5555, port)
}

func TestFolder_BrokenMemory(t *testing.T) {
	t.Parallel()
	f := openFolder(t, t.TempDir())
	require.NoError(t, os.WriteFile(f.Path("dev.json"), []byte("{"), 0o600))
	_, err := f.Port("api", 0)
	require.Equal(t, deviceops.ECONFLICT, deviceops.ErrorCode(err))
	require.ErrorContains(t, err, "remove the file")
}

func TestOpenFolder_Refused(t *testing.T) {
	t.Parallel()
	_, err := OpenFolder("/dev/null/data")
	require.Equal(t, deviceops.ECONFLICT, deviceops.ErrorCode(err))
}

package dev

import (
	"io"
	"net"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/stretchr/testify/require"

	"github.com/deviceops/deviceops"
)

// dataFolder is a data folder that PostgreSQL's user can reach.
func dataFolder(t *testing.T) *Folder {
	t.Helper()
	dir := t.TempDir()
	require.NoError(t, os.Chmod(filepath.Dir(dir), 0o711))
	return openFolder(t, filepath.Join(dir, "data"))
}

func startEmbedded(t *testing.T, folder *Folder, temporary bool) (*Embedded, *Parts) {
	t.Helper()
	e := NewEmbedded(folder, temporary, io.Discard)
	p, err := StartParts(t.Context(), e.Parts(PartPostgres, PartTemporal, PartBroker)...)
	require.NoError(t, err)
	t.Cleanup(func() { p.Stop(t.Context()) })
	return e, p
}

// ownPorts gives the folder ports that no other test will ask for.
func ownPorts(t *testing.T, folder *Folder) {
	t.Helper()
	for _, part := range []string{PartPostgres, PartTemporal, PartBroker} {
		l, err := net.Listen("tcp", loopback(0))
		require.NoError(t, err)
		defer l.Close() // held until all are chosen, so that they differ
		require.NoError(t, folder.RememberPort(part, l.Addr().(*net.TCPAddr).Port))
	}
}

type addresses struct{ database, temporal, broker string }

func addressesOf(t *testing.T, e *Embedded) addresses {
	t.Helper()
	database, err := e.DatabaseURL(t.Context())
	require.NoError(t, err)
	temporal, err := e.TemporalAddress()
	require.NoError(t, err)
	broker, err := e.BrokerURL()
	require.NoError(t, err)
	return addresses{database, temporal, broker}
}

func TestEmbedded_RestartAnswersInTheSamePlaces(t *testing.T) {
	t.Parallel()
	folder := dataFolder(t)
	ownPorts(t, folder)
	e, p := startEmbedded(t, folder, false)
	first := addressesOf(t, e)

	other := NewEmbedded(folder, false, io.Discard) // as another process sees it
	require.Equal(t, first, addressesOf(t, other))
	conn, err := pgx.Connect(t.Context(), first.database)
	require.NoError(t, err)
	_, err = conn.Exec(t.Context(), "create table kept (n int)")
	require.NoError(t, err)

	began := time.Now()
	require.NoError(t, p.Stop(t.Context()), "with a session open")
	require.Less(t, time.Since(began), stopTimeout)
	for _, address := range []string{first.temporal, strings.TrimPrefix(first.broker, "tcp://")} {
		_, err := net.Dial("tcp", address)
		require.Error(t, err, address)
	}

	e, _ = startEmbedded(t, folder, false)
	require.Equal(t, first, addressesOf(t, e))
	conn, err = pgx.Connect(t.Context(), first.database)
	require.NoError(t, err)
	_, err = conn.Exec(t.Context(), "insert into kept values (1)")
	require.NoError(t, err)
	require.NoError(t, conn.Close(t.Context()))
}

func TestEmbedded_NothingRuns(t *testing.T) {
	t.Parallel()
	e := NewEmbedded(dataFolder(t), false, io.Discard)
	_, err := e.DatabaseURL(t.Context())
	require.Equal(t, deviceops.ENOTFOUND, deviceops.ErrorCode(err))
	require.ErrorContains(t, err, "start the part postgres first")
	_, err = e.TemporalAddress()
	require.ErrorContains(t, err, "start the part temporal first")
	_, err = e.BrokerURL()
	require.ErrorContains(t, err, "start the part broker first")
}

func TestEmbedded_ChoosesAgainWhenAPortWasTakenInBetween(t *testing.T) {
	t.Parallel()
	taken := deviceops.Errorf(deviceops.ECONFLICT, "taken")
	for name, c := range map[string]struct {
		answers []error
		tries   int
		want    error
	}{
		"free":               {[]error{nil}, 1, nil},
		"for a moment":       {[]error{taken, taken, nil}, 3, nil},
		"for ever":           {[]error{taken, taken, taken, taken, taken, nil}, 5, taken},
		"another difficulty": {[]error{io.ErrUnexpectedEOF, nil}, 1, io.ErrUnexpectedEOF},
	} {
		e := NewEmbedded(dataFolder(t), false, io.Discard)
		tries := 0
		err := e.onPort("x", 0, func(int) error {
			tries++
			return c.answers[tries-1]
		})
		require.Equal(t, c.want, err, name)
		require.Equal(t, c.tries, tries, name)
	}
}

func TestEmbedded_OnlyNamedParts(t *testing.T) {
	t.Parallel()
	folder := dataFolder(t)
	e := NewEmbedded(folder, true, io.Discard)
	p, err := StartParts(t.Context(), e.Parts(PartBroker, "gateway")...)
	require.NoError(t, err)
	t.Cleanup(func() { p.Stop(t.Context()) })
	require.NotNil(t, e.broker)
	require.Nil(t, e.temporal)
	require.Nil(t, e.cluster)
	require.FileExists(t, folder.Path("broker.log"))
}

func TestEmbedded_ReportsPostgresThatDies(t *testing.T) {
	t.Parallel()
	e, p := startEmbedded(t, dataFolder(t), true)
	require.NoError(t, e.cluster.Stop(t.Context()))
	select {
	case err := <-p.Failed():
		require.ErrorContains(t, err, "postgres ended by itself")
	case <-time.After(patience):
		require.Fail(t, "nobody noticed")
	}
}

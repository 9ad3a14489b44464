package cluster

import (
	"bytes"
	"context"
	"errors"
	"net"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/stretchr/testify/require"

	"github.com/deviceops/deviceops"
)

func TestMain(m *testing.M) { os.Exit(RunTests(m)) }

// folder is a temporary folder that the server's user can reach: the ones of
// package testing are for their owner alone.
func folder(t *testing.T) string {
	t.Helper()
	dir := t.TempDir()
	require.NoError(t, os.Chmod(filepath.Dir(dir), 0o711))
	return dir
}

// start starts a cluster in dir and stops it with the test.
func start(t *testing.T, dir string) (*Cluster, *bytes.Buffer) {
	t.Helper()
	var log bytes.Buffer
	c, err := Start(t.Context(), Config{Dir: dir, Log: &log})
	require.NoError(t, err)
	t.Cleanup(func() { c.Stop(context.Background()) })
	return c, &log
}

// query runs one statement in the cluster and gives its first value as text.
func query(t *testing.T, c *Cluster, sql string) string {
	t.Helper()
	conn, err := pgx.Connect(t.Context(), c.URL("postgres"))
	require.NoError(t, err)
	defer conn.Close(context.Background())
	rows, err := conn.Query(t.Context(), sql, pgx.QueryExecModeSimpleProtocol)
	require.NoError(t, err)
	texts, err := pgx.CollectRows(rows, func(row pgx.CollectableRow) (string, error) {
		return string(row.RawValues()[0]), nil
	})
	require.NoError(t, err)
	return strings.Join(texts, ",")
}

func execute(t *testing.T, c *Cluster, sql string) {
	t.Helper()
	query(t, c, sql)
}

func awaitEnd(t *testing.T, done <-chan struct{}) {
	t.Helper()
	select {
	case <-done:
	case <-time.After(20 * time.Second):
		require.Fail(t, "the server did not end")
	}
}

func TestStart_KeepsDataOverRestarts(t *testing.T) {
	t.Parallel()
	dir := filepath.Join(folder(t), "postgres")

	first, _ := start(t, dir)
	execute(t, first, "create table kept as select 42 as n")
	require.NoError(t, first.Stop(t.Context()))
	awaitEnd(t, first.Done())

	second, _ := start(t, dir)
	require.Equal(t, "42", query(t, second, "select n from kept"))
	require.False(t, second.Adopted())
}

func TestStart_AdoptsServerThatSurvivedItsParent(t *testing.T) {
	t.Parallel()
	dir := folder(t)
	first, _ := start(t, dir)
	execute(t, first, "create table kept as select 42 as n")

	second, log := start(t, dir) // first was never stopped
	require.True(t, second.Adopted())
	require.Equal(t, first.Port(), second.Port())
	require.Equal(t, "42", query(t, second, "select n from kept"))
	require.Contains(t, log.String(), "going on with it")

	require.NoError(t, second.Stop(t.Context()))
	awaitEnd(t, first.Done())
}

func TestStart_RecoversAfterServerWasKilled(t *testing.T) {
	t.Parallel()
	dir := folder(t)
	first, _ := start(t, dir)
	execute(t, first, "create table kept as select 42 as n")
	require.NoError(t, syscall.Kill(first.process.pid, syscall.SIGKILL))
	awaitEnd(t, first.Done())

	second, _ := start(t, dir)
	require.False(t, second.Adopted())
	require.Equal(t, "42", query(t, second, "select n from kept"))
}

func TestStart_ReplacesServerThatDoesNotAnswer(t *testing.T) {
	t.Parallel()
	dir := folder(t)
	first, _ := start(t, dir)
	require.NoError(t, first.home.writePassword()) // not the one that the server knows

	var log bytes.Buffer
	second := &Cluster{config: Config{Log: &log}, home: first.home, programs: first.programs}
	require.False(t, second.adopt(t.Context()))
	awaitEnd(t, first.Done())
	require.Contains(t, log.String(), "does not answer, ending it")
}

func TestStart_IgnoresPIDFileOfAnotherProgram(t *testing.T) {
	t.Parallel()
	dir := folder(t)
	first, _ := start(t, dir)
	require.NoError(t, first.Stop(t.Context()))
	stale := strings.Join([]string{strconv.Itoa(os.Getpid()), first.home.data(), "0", "1", "", "", "", "ready"}, "\n")
	path := filepath.Join(first.home.data(), "postmaster.pid")
	require.NoError(t, os.WriteFile(path, []byte(stale), 0o600))
	require.NoError(t, first.home.account.own(path))

	second, _ := start(t, dir)
	require.False(t, second.Adopted())
	require.Equal(t, "1", query(t, second, "select 1"))
}

func TestStart_UnreachableFolder(t *testing.T) {
	t.Parallel()
	if os.Geteuid() != 0 {
		return // an ordinary user's server runs as that user and reaches what it reaches
	}
	locked := filepath.Join(folder(t), "locked")
	require.NoError(t, os.Mkdir(locked, 0o700))
	dir := filepath.Join(locked, "postgres")

	first, log := start(t, dir)
	t.Cleanup(func() { os.RemoveAll(first.home.dir) })
	require.Contains(t, log.String(), "keeps its data in /var/tmp/deviceops-")
	execute(t, first, "create table kept as select 42 as n")
	require.NoError(t, first.Stop(t.Context()))

	second, _ := start(t, dir)
	require.Equal(t, "42", query(t, second, "select n from kept"))
	require.Equal(t, first.home.dir, second.home.dir)
}

func TestStart_ForeignFolderIsRefused(t *testing.T) {
	t.Parallel()
	if os.Geteuid() != 0 {
		return // only root can make a folder of another user
	}
	h := home{dir: filepath.Join(folder(t), "foreign"), wanted: "/asked", account: account{uid: 101, gid: 101, switched: true}}
	require.NoError(t, os.Mkdir(h.dir, 0o700))
	require.NoError(t, os.Chown(h.dir, 12345, 12345))
	require.ErrorContains(t, h.make(), "belongs to another user")
}

func TestStart_Temporary(t *testing.T) {
	t.Parallel()
	for name, dir := range map[string]string{"own folder": "", "given folder": filepath.Join(folder(t), "demo")} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			c, err := Start(t.Context(), Config{Dir: dir, Temporary: true})
			require.NoError(t, err)
			require.Equal(t, "on", query(t, c, "show fsync"))
			require.NoError(t, c.Stop(t.Context()))
			awaitEnd(t, c.Done())
			require.NoDirExists(t, c.home.dir)
		})
	}
}

func TestSweep_RemovesWhatADeadProcessLeft(t *testing.T) {
	t.Parallel()
	c, err := Start(t.Context(), Config{Temporary: true, volatile: true})
	require.NoError(t, err)
	parent := filepath.Dir(c.home.dir)

	sweep(parent, c.home.account)
	require.Equal(t, "1", query(t, c, "select 1"), "a cluster in use stays")

	c.release() // as the end of its process does
	sweep(parent, c.home.account)
	awaitEnd(t, c.Done())
	require.NoDirExists(t, c.home.dir)
}

func TestStart_Errors(t *testing.T) {
	t.Parallel()
	taken, err := net.Listen("tcp", "127.0.0.1:0")
	require.NoError(t, err)
	t.Cleanup(func() { taken.Close() })
	port := taken.Addr().(*net.TCPAddr).Port

	newer := folder(t)
	require.NoError(t, os.Mkdir(filepath.Join(newer, "data"), 0o700))
	require.NoError(t, os.WriteFile(filepath.Join(newer, "data", "PG_VERSION"), []byte("99\n"), 0o600))

	tests := map[string]struct {
		config  Config
		code    string
		message string
	}{
		"no folder":        {Config{}, deviceops.EINVALID, "needs a data folder"},
		"port taken":       {Config{Dir: folder(t), Port: port}, deviceops.ECONFLICT, "port " + strconv.Itoa(port) + " for PostgreSQL is taken"},
		"other version":    {Config{Dir: newer}, deviceops.ECONFLICT, "the data was made by PostgreSQL 99"},
		"not a folder":     {Config{Dir: "/dev/null/x"}, deviceops.ECONFLICT, "make the data folder"},
		"temporary failed": {Config{Temporary: true, Port: port}, deviceops.ECONFLICT, "is taken"},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			_, err := Start(t.Context(), tt.config)
			require.ErrorContains(t, err, tt.message)
			require.Equal(t, tt.code, deviceops.ErrorCode(err))
		})
	}
}

func TestStart_ShowsLogWhenServerRefuses(t *testing.T) {
	t.Parallel()
	dir := folder(t)
	first, _ := start(t, dir)
	require.NoError(t, first.Stop(t.Context()))
	require.NoError(t, os.WriteFile(filepath.Join(first.home.data(), "pg_hba.conf"), []byte("nonsense\n"), 0o600))

	_, err := Start(t.Context(), Config{Dir: dir})
	require.ErrorContains(t, err, "PostgreSQL ended at its start")
	require.ErrorContains(t, err, "pg_hba.conf")
}

func TestStart_JudgesFailures(t *testing.T) {
	t.Parallel()
	ended := errors.New("ended")
	for name, tt := range map[string]struct {
		port  int
		log   string
		code  string
		again bool
	}{
		"port taken meanwhile":     {5433, "FATAL:  could not create any TCP/IP sockets\n", deviceops.ECONFLICT, false},
		"any port taken meanwhile": {0, "FATAL:  could not create any TCP/IP sockets\n", deviceops.ECONFLICT, true},
		"sessions of a dead one":   {5433, "FATAL:  pre-existing shared memory block is still in use\n", deviceops.EINTERNAL, true},
		"something else":           {5433, "FATAL:  could not load pg_hba.conf\n", deviceops.EINTERNAL, false},
	} {
		c := &Cluster{config: Config{Port: tt.port}, home: home{dir: folder(t)}}
		require.NoError(t, os.WriteFile(c.home.log(), []byte(tt.log), 0o600))
		err, again := c.judge(ended)
		require.Equal(t, tt.code, deviceops.ErrorCode(err), name)
		require.Equal(t, tt.again, again, name)
	}
}

func TestAttach(t *testing.T) {
	t.Parallel()
	dir := folder(t)
	_, err := Attach(t.Context(), dir)
	require.Equal(t, deviceops.ENOTFOUND, deviceops.ErrorCode(err))

	c, _ := start(t, dir)
	other, err := Attach(t.Context(), dir)
	require.NoError(t, err)
	require.Equal(t, c.URL("x"), other.URL("x"))
	require.NoError(t, other.Stop(t.Context()))
	require.Equal(t, "1", query(t, c, "select 1"), "it goes on")
}

func TestEnsureDatabase(t *testing.T) {
	t.Parallel()
	c, err := Shared(t.Context())
	require.NoError(t, err)
	for range 2 {
		require.NoError(t, c.EnsureDatabase(t.Context(), `quoted "name"`))
	}
	require.Contains(t, query(t, c, "select datname from pg_database"), `quoted "name"`)
}

func TestShared_IsOneCluster(t *testing.T) {
	t.Parallel()
	a, err := Shared(t.Context())
	require.NoError(t, err)
	b, err := Shared(t.Context())
	require.NoError(t, err)
	require.Same(t, a, b)
	require.Equal(t, "off", query(t, a, "show fsync"))
}

func TestShared_UsesGivenServer(t *testing.T) {
	t.Setenv(TestURLVariable, "postgres://someone@db.test:5433/postgres?sslmode=require")
	c, err := openShared(t.Context())
	require.NoError(t, err)
	require.Equal(t, "postgres://someone@db.test:5433/orders?sslmode=require", c.URL("orders"))
	require.NoError(t, c.Stop(t.Context()))
}

func TestSettings_StayDurable(t *testing.T) {
	t.Parallel()
	c, err := Start(t.Context(), Config{Dir: folder(t)})
	require.NoError(t, err)
	t.Cleanup(func() { c.Stop(context.Background()) })
	for _, name := range []string{"fsync", "synchronous_commit", "full_page_writes"} {
		require.Equal(t, "on", query(t, c, "show "+name), name)
	}
	require.Equal(t, "127.0.0.1", query(t, c, "show listen_addresses"))
	require.Equal(t, "UTF8", query(t, c, "show server_encoding"))
	info, err := os.Stat(c.home.password())
	require.NoError(t, err)
	require.Equal(t, os.FileMode(0o600), info.Mode().Perm())
}

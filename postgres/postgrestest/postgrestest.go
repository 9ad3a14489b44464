// Package postgrestest gives tests a store on a database of their own.
//
// All databases are copies of one template, which is migrated once, on the
// cluster that a test process shares. A package whose tests use it ends the
// cluster in its TestMain:
//
//	func TestMain(m *testing.M) { os.Exit(cluster.RunTests(m)) }
package postgrestest

import (
	"context"
	"fmt"
	"os"
	"sync"
	"sync/atomic"
	"testing"

	"github.com/jackc/pgx/v5"
	"github.com/stretchr/testify/require"

	"github.com/deviceops/deviceops/cluster"
	"github.com/deviceops/deviceops/postgres"
)

// maxConns is enough for a test with some goroutines, and lets many tests run
// side by side.
const maxConns = 6

// New gives a store on a migrated, empty database that no other test uses at
// the same time.
func New(t testing.TB) *postgres.Store {
	t.Helper()
	return Open(t, borrow(t))
}

// Open gives a store on a database, closed with the test.
func Open(t testing.TB, url string) *postgres.Store {
	t.Helper()
	s, err := postgres.Open(t.Context(), postgres.Config{URL: url, MaxConns: maxConns})
	require.NoError(t, err)
	t.Cleanup(s.Close)
	return s
}

// URL gives the address of a new, migrated database that is dropped with the
// test, for tests whose own parts connect to it or change its tables.
func URL(t testing.TB) string {
	t.Helper()
	template, err := madeTemplate(t.Context())
	require.NoError(t, err)
	return fresh(t, "template "+template+" strategy file_copy")
}

// EmptyURL gives the address of a new database without any tables.
func EmptyURL(t testing.TB) string {
	t.Helper()
	return fresh(t, "")
}

func fresh(t testing.TB, options string) string {
	t.Helper()
	url, drop, err := create(t.Context(), options)
	require.NoError(t, err)
	t.Cleanup(drop)
	return url
}

var databases atomic.Int64

func create(ctx context.Context, options string) (url string, drop func(), err error) {
	server, err := cluster.Shared(ctx)
	if err != nil {
		return "", nil, err
	}
	name, admin := fmt.Sprintf("test_%d_%d", os.Getpid(), databases.Add(1)), server.URL("postgres")
	drop = func() { _ = execute(context.Background(), admin, "drop database if exists "+name+" with (force)") }
	return server.URL(name), drop, execute(ctx, admin, "create database "+name+" "+options)
}

// template is made by the first test that needs it.
var template struct {
	sync.Mutex
	name string
}

// madeTemplate gives the name of a migrated database of this process's own: on
// a server that outlives it, another process may have other migrations.
func madeTemplate(ctx context.Context) (string, error) {
	template.Lock()
	defer template.Unlock()
	if template.name != "" {
		return template.name, nil
	}
	server, err := cluster.Shared(ctx)
	if err != nil {
		return "", err
	}
	name := fmt.Sprintf("template_%d", os.Getpid())
	if err := execute(ctx, server.URL("postgres"), "create database "+name); err != nil {
		return "", err
	}
	if err := postgres.Migrate(ctx, server.URL(name)); err != nil {
		return "", err
	}
	template.name = name
	return name, nil
}

func execute(ctx context.Context, url, sql string) error {
	conn, err := pgx.Connect(ctx, url)
	if err != nil {
		return err
	}
	defer func() { _ = conn.Close(context.WithoutCancel(ctx)) }()
	_, err = conn.Exec(ctx, sql)
	return err
}

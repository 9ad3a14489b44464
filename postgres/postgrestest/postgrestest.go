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

// New gives a store on a new, migrated database that is dropped with the test.
func New(t testing.TB) *postgres.Store {
	t.Helper()
	return Open(t, URL(t))
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
// test.
func URL(t testing.TB) string {
	t.Helper()
	name, err := template(t.Context())
	require.NoError(t, err)
	return create(t, "template "+name)
}

// EmptyURL gives the address of a new database without any tables.
func EmptyURL(t testing.TB) string {
	t.Helper()
	return create(t, "")
}

var databases atomic.Int64

func create(t testing.TB, options string) string {
	t.Helper()
	server, err := cluster.Shared(t.Context())
	require.NoError(t, err)
	name := fmt.Sprintf("test_%d_%d", os.Getpid(), databases.Add(1))
	require.NoError(t, execute(t.Context(), server.URL("postgres"), "create database "+name+" "+options))
	t.Cleanup(func() {
		_ = execute(context.Background(), server.URL("postgres"), "drop database if exists "+name+" with (force)")
	})
	return server.URL(name)
}

// template is made by the first test that needs it.
var template = func() func(ctx context.Context) (string, error) {
	var mutex sync.Mutex
	var name string
	return func(ctx context.Context) (string, error) {
		mutex.Lock()
		defer mutex.Unlock()
		if name != "" {
			return name, nil
		}
		made, err := makeTemplate(ctx)
		if err == nil {
			name = made
		}
		return made, err
	}
}()

// makeTemplate migrates a database of this process's own: on a server that
// outlives it, another process may have other migrations.
func makeTemplate(ctx context.Context) (string, error) {
	server, err := cluster.Shared(ctx)
	if err != nil {
		return "", err
	}
	name, admin := fmt.Sprintf("template_%d", os.Getpid()), server.URL("postgres")
	if err := execute(ctx, admin, "drop database if exists "+name); err != nil {
		return "", err
	}
	if err := execute(ctx, admin, "create database "+name); err != nil {
		return "", err
	}
	return name, postgres.Migrate(ctx, server.URL(name))
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

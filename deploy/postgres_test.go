package deploy

import (
	"context"
	"os"
	"regexp"
	"strings"
	"testing"

	"github.com/jackc/pgx/v5"
	"github.com/stretchr/testify/require"

	"github.com/deviceops/deviceops/cluster"
)

func TestMain(m *testing.M) { os.Exit(cluster.RunTests(m)) }

func connectPostgres(t *testing.T) *pgx.Conn {
	t.Helper()
	c, err := cluster.Shared(t.Context())
	require.NoError(t, err)
	conn, err := pgx.Connect(t.Context(), c.URL("postgres"))
	require.NoError(t, err)
	t.Cleanup(func() { conn.Close(context.Background()) })
	return conn
}

// restart is what a running server says of settings that a new one takes.
var restart = regexp.MustCompile("could not be applied|cannot be changed without restarting")

// The server itself reads the file and says what it thinks of each line.
func TestPostgres_AcceptsSettings(t *testing.T) {
	t.Parallel()
	conn := connectPostgres(t)
	var config string
	require.NoError(t, conn.QueryRow(t.Context(), "show config_file").Scan(&config))
	if _, err := os.Stat(config); err != nil {
		return // a server elsewhere, whose files this test cannot change
	}
	text := read(t, "postgres/postgresql.conf")
	require.NoError(t, os.WriteFile(config, []byte(text), 0o600))

	rows, err := conn.Query(t.Context(), "select coalesce(name, ''), coalesce(error, '') from pg_file_settings")
	require.NoError(t, err)
	seen := 0
	for rows.Next() {
		var name, problem string
		require.NoError(t, rows.Scan(&name, &problem))
		if !restart.MatchString(problem) {
			require.Empty(t, problem, name)
		}
		seen++
	}
	require.NoError(t, rows.Err())
	require.GreaterOrEqual(t, seen, strings.Count(text, " = "))
}

func TestPostgres_RunsDatabaseScript(t *testing.T) {
	t.Parallel()
	conn := connectPostgres(t)
	for statement := range strings.SplitSeq(read(t, "postgres/databases.sql"), ";") {
		if strings.Contains(statement, "CREATE") {
			_, err := conn.Exec(t.Context(), statement)
			require.NoError(t, err)
		}
	}
	var n int
	err := conn.QueryRow(t.Context(), "select count(*) from pg_database where datname in ('deviceops', 'temporal', 'temporal_visibility')").Scan(&n)
	require.NoError(t, err)
	require.Equal(t, 3, n)
}

package postgres_test

import (
	"context"
	"fmt"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/deviceops/deviceops"
	"github.com/deviceops/deviceops/postgres"
	"github.com/deviceops/deviceops/postgres/postgrestest"
)

// noon is the time at which tests happen. PostgreSQL keeps microseconds.
var noon = time.Date(2026, 6, 1, 12, 0, 0, 123456000, time.UTC)

func after(d time.Duration) time.Time { return noon.Add(d) }

// both runs a test of a method outside a transaction and within one.
func both(t *testing.T, test func(t *testing.T, s deviceops.Tx)) {
	t.Parallel()
	t.Run("alone", func(t *testing.T) {
		t.Parallel()
		test(t, postgrestest.New(t))
	})
	t.Run("in a transaction", func(t *testing.T) {
		t.Parallel()
		err := postgrestest.New(t).InTx(t.Context(), func(_ context.Context, tx deviceops.Tx) error {
			test(t, tx)
			return nil
		})
		require.NoError(t, err)
	})
}

func requireCode(t *testing.T, code string, err error) {
	t.Helper()
	require.Equal(t, code, deviceops.ErrorCode(err), "%v", err)
}

// registered stores devices in account acme.
func registered(t testing.TB, s deviceops.Tx, ids ...string) {
	t.Helper()
	rows := make([]deviceops.Registration, len(ids))
	for i, id := range ids {
		rows[i] = deviceops.Registration{ID: id, Account: "acme", Serial: "sn-" + id, Profile: "kiosk"}
	}
	outcomes, err := s.RegisterDevices(t.Context(), rows, noon)
	require.NoError(t, err)
	for i, o := range outcomes {
		require.Equal(t, deviceops.Registered, o, ids[i])
	}
}

// online stores devices whose sessions are online since noon.
func online(t testing.TB, s deviceops.Tx, ids ...string) {
	t.Helper()
	registered(t, s, ids...)
	connectivity(t, s, deviceops.Online, ids...)
}

func connectivity(t testing.TB, s deviceops.Tx, c deviceops.Connectivity, ids ...string) {
	t.Helper()
	sessions := map[string]deviceops.Session{}
	for _, id := range ids {
		sessions[id] = deviceops.Session{Connectivity: c, Since: noon, Boot: "b1", LastSeen: noon}
	}
	require.NoError(t, s.SaveSessions(t.Context(), sessions))
}

func names(prefix string, n int) []string {
	ids := make([]string, n)
	for i := range ids {
		ids[i] = fmt.Sprintf("%s%05d", prefix, i)
	}
	return ids
}

func command(id, device string) deviceops.Command {
	return deviceops.Command{
		ID: id, Account: "acme", Device: device, Name: "diagnostics", By: "user:maria", CreatedAt: noon, DueAt: noon,
		ExpiresAt: after(time.Hour),
	}
}

// created stores commands, each a second younger than the one before.
func created(t testing.TB, s deviceops.Tx, commands ...deviceops.Command) {
	t.Helper()
	for i, c := range commands {
		c.CreatedAt = c.CreatedAt.Add(time.Duration(i) * time.Second)
		_, isNew, err := s.CreateCommand(t.Context(), c)
		require.NoError(t, err)
		require.True(t, isNew)
	}
}

func claim(t testing.TB, s deviceops.Tx, q deviceops.ClaimQuery) []string {
	t.Helper()
	claimed, err := s.ClaimCommands(t.Context(), q)
	require.NoError(t, err)
	ids := make([]string, len(claimed))
	for i, c := range claimed {
		ids[i] = c.ID
	}
	return ids
}

// query looks behind the ports.
func query[T any](t testing.TB, s *postgres.Store, sql string, args ...any) []T {
	t.Helper()
	found, err := postgres.Query[T](t.Context(), s, sql, args...)
	require.NoError(t, err)
	return found
}

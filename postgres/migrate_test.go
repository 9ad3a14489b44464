package postgres_test

import (
	"sync"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/deviceops/deviceops"
	"github.com/deviceops/deviceops/postgres"
	"github.com/deviceops/deviceops/postgres/postgrestest"
)

func TestMigrateTwiceChangesNothing(t *testing.T) {
	t.Parallel()
	url := postgrestest.EmptyURL(t)
	require.NoError(t, postgres.Migrate(t.Context(), url))
	s := postgrestest.Open(t, url)
	require.NoError(t, s.EnsureAccount(t.Context(), deviceops.Account{Path: "acme", Name: "Acme"}))
	require.NoError(t, postgres.Migrate(t.Context(), url))
	accounts, err := s.ListAccounts(t.Context(), "")
	require.NoError(t, err)
	require.Len(t, accounts, 2)
}

func TestMigrateAtTheSameTime(t *testing.T) {
	t.Parallel()
	url := postgrestest.EmptyURL(t)
	errs := make([]error, 4)
	var group sync.WaitGroup
	for i := range errs {
		group.Go(func() { errs[i] = postgres.Migrate(t.Context(), url) })
	}
	group.Wait()
	for _, err := range errs {
		require.NoError(t, err)
	}
}

func TestOpenTellsWhatIsWrong(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct{ url, code string }{
		"unreadable":      {"postgres://a:b@[", deviceops.EINVALID},
		"nobody there":    {"postgres://a:b@127.0.0.1:1/x?sslmode=disable", deviceops.EUNAVAILABLE},
		"no such address": {"postgres:///x?host=/nonexistent", deviceops.EUNAVAILABLE},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			_, err := postgres.Open(t.Context(), postgres.Config{URL: c.url})
			require.Equal(t, c.code, deviceops.ErrorCode(err), "%v", err)
			require.Equal(t, c.code, deviceops.ErrorCode(postgres.Migrate(t.Context(), c.url)))
		})
	}
}

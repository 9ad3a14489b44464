package postgres_test

import (
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/deviceops/deviceops/postgres"
)

// waitForLock returns when a connection of the store's database waits for a
// lock.
func waitForLock(t *testing.T, s *postgres.Store) {
	t.Helper()
	require.Eventually(t, func() bool {
		waiting, err := postgres.LockWaits(t.Context(), s)
		return err == nil && waiting > 0
	}, 10*time.Second, 5*time.Millisecond)
}

package postgres_test

import (
	"testing"

	"github.com/stretchr/testify/require"
	"golang.org/x/sync/errgroup"

	"github.com/deviceops/deviceops/postgres/postgrestest"
)

func TestEnsureKeyGivesEverybodyTheSame(t *testing.T) {
	t.Parallel()
	store := postgrestest.New(t)
	keys := make([][]byte, 8)
	var all errgroup.Group
	for i := range keys {
		all.Go(func() (err error) {
			keys[i], err = store.EnsureKey(t.Context(), "decisions", []byte{byte(i), 7})
			return err
		})
	}
	require.NoError(t, all.Wait())
	for _, key := range keys {
		require.Equal(t, keys[0], key)
	}
	require.Equal(t, byte(7), keys[0][1])
	other, err := store.EnsureKey(t.Context(), "other", []byte{9})
	require.NoError(t, err)
	require.Equal(t, []byte{9}, other)
}

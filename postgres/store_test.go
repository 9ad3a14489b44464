package postgres_test

import (
	"context"
	"errors"
	"sync"
	"sync/atomic"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/deviceops/deviceops"
	"github.com/deviceops/deviceops/postgres/postgrestest"
)

func TestInTxCommitsAllOrNothing(t *testing.T) {
	t.Parallel()
	s := postgrestest.New(t)
	broken := errors.New("broken")
	err := s.InTx(t.Context(), func(ctx context.Context, tx deviceops.Tx) error {
		require.NoError(t, tx.EnsureAccount(ctx, deviceops.Account{Path: "acme"}))
		return broken
	})
	require.ErrorIs(t, err, broken)
	accounts, err := s.ListAccounts(t.Context(), "acme")
	require.NoError(t, err)
	require.Empty(t, accounts)

	require.NoError(t, s.InTx(t.Context(), func(ctx context.Context, tx deviceops.Tx) error {
		return tx.EnsureAccount(ctx, deviceops.Account{Path: "acme"})
	}))
	accounts, err = s.ListAccounts(t.Context(), "acme")
	require.NoError(t, err)
	require.Len(t, accounts, 1)
}

// Two transactions that lock two devices in opposite order deadlock; the one
// that PostgreSQL ends is tried again.
func TestInTxTriesDeadlocksAgain(t *testing.T) {
	t.Parallel()
	s := postgrestest.New(t)
	registered(t, s, "a", "b")
	var tries atomic.Int32
	var met, group sync.WaitGroup
	met.Add(2)
	errs := make([]error, 2)
	for i, order := range [][]string{{"a", "b"}, {"b", "a"}} {
		group.Go(func() {
			var once sync.Once
			errs[i] = s.InTx(t.Context(), func(ctx context.Context, tx deviceops.Tx) error {
				tries.Add(1)
				if _, err := tx.LockDevices(ctx, order[:1]); err != nil {
					return err
				}
				once.Do(func() { met.Done(); met.Wait() })
				_, err := tx.LockDevices(ctx, order[1:])
				return err
			})
		})
	}
	group.Wait()
	require.NoError(t, errors.Join(errs...))
	require.Greater(t, tries.Load(), int32(2))
}

func TestInTxEndsWithItsContext(t *testing.T) {
	t.Parallel()
	s := postgrestest.New(t)
	ctx, cancel := context.WithCancel(t.Context())
	err := s.InTx(ctx, func(ctx context.Context, tx deviceops.Tx) error {
		cancel()
		return tx.EnsureAccount(ctx, deviceops.Account{Path: "acme"})
	})
	requireCode(t, deviceops.ECANCELED, err)
	require.NoError(t, s.Ping(t.Context()))
}

func TestErrorsOfTheDatabaseHaveCodes(t *testing.T) {
	t.Parallel()
	s := postgrestest.New(t)
	closed := postgrestest.New(t)
	closed.Close()
	canceled, cancel := context.WithCancel(t.Context())
	cancel()
	_, nul := s.FindDevice(t.Context(), "a\x00b")
	_, dead := s.FindDevice(canceled, "a")
	for name, c := range map[string]struct {
		code string
		err  error
	}{
		"text that cannot be stored": {deviceops.EINVALID, nul},
		"the caller gave up":         {deviceops.ECANCELED, dead},
	} {
		requireCode(t, c.code, c.err)
		require.NotEmpty(t, deviceops.ErrorMessage(c.err), name)
	}
	require.Error(t, closed.Ping(t.Context()))
}

func TestAccounts(t *testing.T) {
	both(t, func(t *testing.T, s deviceops.Tx) {
		for _, path := range []string{"acme", "acme/emea", "acme/emea/stores", "acme0", "acme-x", "acmf"} {
			require.NoError(t, s.EnsureAccount(t.Context(), deviceops.Account{Path: path, Name: "of " + path, CreatedAt: noon}))
		}
		require.NoError(t, s.EnsureAccount(t.Context(), deviceops.Account{Path: "acme", Name: "changed", CreatedAt: after(1)}))
		for top, want := range map[string][]string{
			"":          {"acme", "acme-x", "acme/emea", "acme/emea/stores", "acme0", "acmf", "root"},
			"root":      {"acme", "acme-x", "acme/emea", "acme/emea/stores", "acme0", "acmf", "root"},
			"acme":      {"acme", "acme/emea", "acme/emea/stores"},
			"acme/emea": {"acme/emea", "acme/emea/stores"},
			"nobody":    {},
		} {
			found, err := s.ListAccounts(t.Context(), top)
			require.NoError(t, err)
			paths := []string{}
			for _, a := range found {
				paths = append(paths, a.Path)
			}
			require.Equal(t, want, paths, top)
		}
		acme, err := s.ListAccounts(t.Context(), "acme")
		require.NoError(t, err)
		require.Equal(t, deviceops.Account{Path: "acme", Name: "of acme", CreatedAt: noon}, acme[0])
	})
}

package postgres

import (
	"context"

	"github.com/jackc/pgx/v5"
)

// Query gives the rows of a query for tests that look behind the ports.
func Query[T any](ctx context.Context, s *Store, sql string, args ...any) ([]T, error) {
	return list(ctx, s.tx, "look", pgx.RowTo[T], sql, args...)
}

// Exec runs a statement for tests that change what no port changes.
func Exec(ctx context.Context, s *Store, sql string, args ...any) error {
	_, err := s.exec(ctx, "change", sql, args...)
	return err
}

// LockWaits gives the number of connections of this database that wait for a
// lock.
func LockWaits(ctx context.Context, s *Store) (int, error) {
	found, err := Query[int](ctx, s,
		`select count(*)::int from pg_stat_activity where datname = current_database() and wait_event_type = 'Lock'`)
	if err != nil {
		return 0, err
	}
	return found[0], nil
}

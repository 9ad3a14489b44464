package postgres

import (
	"context"
	"strings"

	"github.com/jackc/pgx/v5"

	"github.com/deviceops/deviceops"
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

// EventsPlan tells how PostgreSQL finds the events of a filter.
func EventsPlan(ctx context.Context, s *Store, f deviceops.EventFilter) (string, error) {
	sql, args := eventsQuery(f)
	lines, err := list(ctx, s.tx, "explain", pgx.RowTo[string], "explain "+sql, args...)
	return strings.Join(lines, "\n"), err
}

// Verdicts gives what a filter says of each device.
func Verdicts(ctx context.Context, s *Store, f deviceops.Filter) (map[string]deviceops.Verdict, error) {
	type verdict struct {
		Device string
		Holds  *bool
	}
	var where filter
	p, err := where.judge(f)
	if err != nil {
		return nil, err
	}
	found, err := list(ctx, s.tx, "judge devices", pgx.RowToStructByPos[verdict], `select d.id, `+p.sql+` from `+deviceTables, where.args...)
	verdicts := make(map[string]deviceops.Verdict, len(found))
	for _, v := range found {
		switch {
		case v.Holds == nil:
			verdicts[v.Device] = deviceops.Unknown
		case *v.Holds:
			verdicts[v.Device] = deviceops.Yes
		default:
			verdicts[v.Device] = deviceops.No
		}
	}
	return verdicts, err
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

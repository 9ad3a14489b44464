package postgres

import (
	"context"
	"strings"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/deviceops/deviceops"
)

// EventHorizon implements deviceops.Routes. Who inserts into events holds a lock
// on that table, of a mode that nothing else takes, from before the first id is
// given to it until after its commit is seen by others. So when every transaction
// is gone that held one after an id was read, no lower id can come any more.
func (t tx) EventHorizon(ctx context.Context, before deviceops.Horizon) (deviceops.Horizon, error) {
	mark, _, err := first(ctx, t, "read the last event id", pgx.RowTo[int64], `select case when is_called then last_value else 0 end from event_ids`)
	if err != nil {
		return before, err
	}
	writers, err := list(ctx, t, "find writers of events", pgx.RowTo[string], `
		select distinct virtualtransaction from pg_locks
		where locktype = 'relation' and mode = 'RowExclusiveLock' and granted
			and database = (select oid from pg_database where datname = current_database()) and relation = 'events'::regclass`)
	if err != nil {
		return before, err
	}
	return before.Advance(mark, writers), nil
}

// selection gives the conditions of a selection.
func selection(s deviceops.EventSelection) (where filter) {
	where.withinEvents(s.Account)
	where.add("id > ?", s.After)
	where.add("id <= ?", s.UpTo)
	var exact, any []string
	for _, pattern := range s.Types {
		if prefix, open := strings.CutSuffix(pattern, "*"); open {
			any = append(any, prefix)
		} else {
			exact = append(exact, pattern)
		}
	}
	where.conditions = append(where.conditions,
		"(type = any("+where.arg(exact)+") or exists (select from unnest("+where.arg(any)+"::text[]) as p where starts_with(type, p)))")
	return where
}

// RouteEvents implements deviceops.Routes.
func (t tx) RouteEvents(ctx context.Context, s deviceops.EventSelection) ([]deviceops.Event, error) {
	where := selection(s)
	return list(ctx, t, "select events", scanEvent, `
		select `+eventColumns+` from events`+where.where()+` order by id limit `+where.arg(limitOf(s.Limit)), where.args...)
}

// CountRouteEvents implements deviceops.Routes.
func (t tx) CountRouteEvents(ctx context.Context, s deviceops.EventSelection) (n int, oldest time.Time, err error) {
	where := selection(s)
	_, _, err = first(ctx, t, "count events", func(row pgx.CollectableRow) (struct{}, error) {
		return struct{}{}, row.Scan(&n, moment{&oldest})
	}, `
		select count(*), min(received_at) from (
			select received_at from events`+where.where()+` order by id limit `+where.arg(limitOf(s.Limit))+`) as waiting`, where.args...)
	return n, oldest, err
}

// FindEvents implements deviceops.Routes.
func (t tx) FindEvents(ctx context.Context, ids []int64) ([]deviceops.Event, error) {
	return list(ctx, t, "find events", scanEvent, `select `+eventColumns+` from events where id = any($1) order by id`, ids)
}

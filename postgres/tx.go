package postgres

import (
	"context"
	"errors"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"
	"github.com/jackc/pgx/v5/pgxpool"

	"github.com/deviceops/deviceops"
)

// querier is a pool or a transaction.
type querier interface {
	Exec(ctx context.Context, sql string, args ...any) (pgconn.CommandTag, error)
	Query(ctx context.Context, sql string, args ...any) (pgx.Rows, error)
}

// tx carries all methods of deviceops.Tx, over a transaction or, in a Store,
// over the pool, where each statement is a transaction of its own.
type tx struct {
	db   querier
	pool *pgxpool.Pool // nil within a transaction
}

var _ deviceops.Tx = tx{}

// try runs a single statement: within a transaction once, since a failure ends
// the transaction, and again after a lost race otherwise.
func (t tx) try(ctx context.Context, f func() error) error {
	if t.pool == nil {
		return f()
	}
	return retry(ctx, f)
}

// atomically runs f in the present transaction, or in a new one.
func (t tx) atomically(ctx context.Context, f func(t tx) error) error {
	if t.pool == nil {
		return f(t)
	}
	return retry(ctx, func() error { return t.once(ctx, f) })
}

func (t tx) once(ctx context.Context, f func(t tx) error) error {
	opened, err := t.pool.Begin(ctx)
	if err != nil {
		return translate("begin", err)
	}
	// After a commit this changes nothing. It must not be cut short by the end
	// of ctx, or the connection would be lost with it.
	defer func() { _ = opened.Rollback(context.WithoutCancel(ctx)) }()
	if err := f(tx{db: opened}); err != nil {
		return err
	}
	return translate("commit", opened.Commit(ctx))
}

// exec runs a statement and gives the number of rows it touched. Errors name
// what was done.
func (t tx) exec(ctx context.Context, what, sql string, args ...any) (touched int64, err error) {
	err = t.try(ctx, func() error {
		tag, err := t.db.Exec(ctx, sql, args...)
		touched = tag.RowsAffected()
		return err
	})
	return touched, translate(what, err)
}

// list runs a query and gives its rows.
func list[T any](ctx context.Context, t tx, what string, scan pgx.RowToFunc[T], sql string, args ...any) (found []T, err error) {
	return listOf(ctx, t, 0, what, scan, sql, args...)
}

// listOf is list where as many rows are expected, which are large: growing by and
// by would copy them several times.
func listOf[T any](ctx context.Context, t tx, expected int, what string, scan pgx.RowToFunc[T], sql string, args ...any) (found []T, err error) {
	err = t.try(ctx, func() error {
		rows, err := t.db.Query(ctx, sql, args...)
		if err != nil {
			return err
		}
		found, err = pgx.AppendRows(make([]T, 0, expected), rows, scan)
		return err
	})
	return found, translate(what, err)
}

// first runs a query for one row; ok is false when there is none.
func first[T any](ctx context.Context, t tx, what string, scan pgx.RowToFunc[T], sql string, args ...any) (found T, ok bool, err error) {
	err = t.try(ctx, func() error {
		rows, err := t.db.Query(ctx, sql, args...)
		if err != nil {
			return err
		}
		found, err = pgx.CollectOneRow(rows, scan)
		return err
	})
	if errors.Is(err, pgx.ErrNoRows) {
		return found, false, nil
	}
	return found, err == nil, translate(what, err)
}

// lock takes an advisory lock until the transaction ends. It waits.
func (t tx) lock(ctx context.Context, name string) error {
	_, err := t.exec(ctx, "lock "+name, `select pg_advisory_xact_lock(hashtextextended($1, 0))`, "deviceops:"+name)
	return err
}

// bulk runs one statement over records, which it reads as the JSON array $1.
// No records are no statement.
func bulk[T any](ctx context.Context, t tx, what string, records []T, sql string, args ...any) error {
	if len(records) == 0 {
		return nil
	}
	text, err := rows(records)
	if err != nil {
		return err
	}
	_, err = t.exec(ctx, what, sql, append([]any{text}, args...)...)
	return err
}

// lockAll is lock for several names, which are in order.
func (t tx) lockAll(ctx context.Context, names []string) error {
	for i := range names {
		names[i] = "deviceops:" + names[i]
	}
	_, err := t.exec(ctx, "take turns", `
		select count(pg_advisory_xact_lock(hashtextextended(name, 0))) from unnest($1::text[]) as name`, append([]string{}, names...))
	return err
}

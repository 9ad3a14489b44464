package postgres

import (
	"context"
	"database/sql"
	"embed"
	"io/fs"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/stdlib"
	"github.com/pressly/goose/v3"

	"github.com/deviceops/deviceops"
)

//go:embed migrations/*.sql
var migrations embed.FS

// migrationLock keeps processes that start together from migrating together.
const migrationLock = 0x6465766f7073 // "devops"

// Migrate brings the schema of a database up to date and makes the partitions
// of the coming days. Processes that call it at the same time wait for each
// other. EUNAVAILABLE when the database does not answer.
func Migrate(ctx context.Context, url string) error {
	config, err := pgx.ParseConfig(url)
	if err != nil {
		return deviceops.Errorf(deviceops.EINVALID, "the database URL cannot be read: write postgres://user:password@host:port/database")
	}
	conn, err := pgx.ConnectConfig(ctx, config)
	if err != nil {
		return translate("connect", err)
	}
	// The lock is the connection's, so it ends with this process whatever
	// happens to it.
	defer func() { _ = conn.Close(context.WithoutCancel(ctx)) }()
	if _, err := conn.Exec(ctx, "select pg_advisory_lock($1)", int64(migrationLock)); err != nil {
		return translate("wait for another migration", err)
	}
	if err := migrateUp(ctx, config); err != nil {
		return translate("migrate", err)
	}
	return makePartitions(ctx, conn)
}

func migrateUp(ctx context.Context, config *pgx.ConnConfig) error {
	db := stdlib.OpenDB(*config)
	defer func(db *sql.DB) { _ = db.Close() }(db)
	files, err := fs.Sub(migrations, "migrations")
	if err != nil {
		return err
	}
	// Numbers are given out ahead, so that one may come after a higher one.
	provider, err := goose.NewProvider(goose.DialectPostgres, db, files, goose.WithAllowOutofOrder(true))
	if err != nil {
		return err
	}
	_, err = provider.Up(ctx)
	return err
}

func makePartitions(ctx context.Context, conn *pgx.Conn) error {
	opened, err := conn.Begin(ctx)
	if err != nil {
		return translate("begin", err)
	}
	defer func() { _ = opened.Rollback(context.WithoutCancel(ctx)) }()
	if err := (tx{db: opened}).addPartitions(ctx, events, time.Now()); err != nil {
		return err
	}
	return translate("commit", opened.Commit(ctx))
}

package postgres

import (
	"context"
	"math/rand/v2"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgtype"
	"github.com/jackc/pgx/v5/pgxpool"

	"github.com/deviceops/deviceops"
)

// Config says which database to use and how.
type Config struct {
	URL      string // postgres://user:password@host:port/database
	MaxConns int    // 0: 16
}

// DefaultMaxConns bounds the connections of a Store where Config says nothing.
const DefaultMaxConns = 16

// Store implements deviceops.Store.
type Store struct {
	tx
	pool *pgxpool.Pool
}

var _ deviceops.Store = (*Store)(nil)

// Open connects to a database whose schema Migrate has made. EINVALID when the
// URL cannot be read, EUNAVAILABLE when the database does not answer.
func Open(ctx context.Context, c Config) (*Store, error) {
	config, err := pgxpool.ParseConfig(c.URL)
	if err != nil {
		return nil, deviceops.Errorf(deviceops.EINVALID, "the database URL cannot be read: write postgres://user:password@host:port/database")
	}
	config.MaxConns = DefaultMaxConns
	if c.MaxConns > 0 {
		config.MaxConns = int32(c.MaxConns)
	}
	config.AfterConnect = registerTypes
	pool, err := pgxpool.NewWithConfig(ctx, config)
	if err != nil {
		return nil, translate("connect", err)
	}
	if err := pool.Ping(ctx); err != nil {
		pool.Close()
		return nil, translate("connect", err)
	}
	return &Store{tx: tx{db: pool, pool: pool}, pool: pool}, nil
}

// registerTypes makes a connection use this package's JSON.
func registerTypes(_ context.Context, conn *pgx.Conn) error {
	conn.TypeMap().RegisterType(&pgtype.Type{
		Name: "jsonb", OID: pgtype.JSONBOID, Codec: &pgtype.JSONBCodec{Marshal: encode, Unmarshal: decode},
	})
	return nil
}

// Close gives all connections back. It waits for those in use.
func (s *Store) Close() { s.pool.Close() }

// Ping reports EUNAVAILABLE when the database does not answer.
func (s *Store) Ping(ctx context.Context) error {
	return translate("ping", s.pool.Ping(ctx))
}

// InTx implements deviceops.Store.
func (s *Store) InTx(ctx context.Context, f func(ctx context.Context, tx deviceops.Tx) error) error {
	return s.atomically(ctx, func(t tx) error { return f(ctx, t) })
}

// Transactions that lost a race are tried again this often; the pauses between
// grow from firstPause, about a second in all.
const (
	maxTries   = 8
	firstPause = 4 * time.Millisecond
)

// retry runs f until it does not fail by a lost race.
func retry(ctx context.Context, f func() error) error {
	for try := 1; ; try++ {
		err := f()
		if err == nil || !lostRace(err) || try == maxTries {
			return err
		}
		pause := firstPause << try
		select {
		case <-ctx.Done():
			return err
		case <-time.After(pause/2 + rand.N(pause)):
		}
	}
}

package forward

import (
	"context"
	"encoding/json"
	"errors"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"
	"github.com/jackc/pgx/v5/pgxpool"

	"github.com/deviceops/deviceops"
	"github.com/deviceops/deviceops/dsl"
	"github.com/deviceops/deviceops/outbound"
)

// databaseTimeout is how long an insert into another database may take.
const databaseTimeout = 30 * time.Second

// postgresSink inserts into a table of another database.
type postgresSink struct {
	*dsl.PostgresTarget
	guard    *outbound.Guard
	secrets  *secrets
	parallel int

	mu   sync.Mutex
	url  string // of pool
	pool *pgxpool.Pool
}

func (s *postgresSink) most() int { return dsl.MaxRouteBatch }

func (s *postgresSink) close() {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.pool != nil {
		s.pool.Close()
	}
}

func (s *postgresSink) send(ctx context.Context, records []*record) error {
	ctx, cancel := context.WithTimeout(ctx, databaseTimeout)
	defer cancel()
	rows, err := s.rows(records)
	if err != nil {
		return err
	}
	pool, err := s.connect(ctx)
	if err != nil {
		return err
	}
	_, err = pool.Exec(ctx, s.statement(), rows)
	return s.judge(err)
}

// rows gives records as a JSON array of rows.
func (s *postgresSink) rows(records []*record) (string, error) {
	rows := make([]map[string]json.RawMessage, len(records))
	for i, r := range records {
		var fields map[string]json.RawMessage
		if err := json.Unmarshal(r.body, &fields); err != nil || fields == nil {
			return "", &refused{"the shape gives no map, whose fields the columns could take"}
		}
		key, _ := json.Marshal(r.key) // it is text
		rows[i] = map[string]json.RawMessage{s.ID: key}
		for _, column := range s.Columns {
			if value, given := fields[column]; given {
				rows[i][column] = value
			}
		}
	}
	text, err := json.Marshal(rows)
	return string(text), err
}

// statement lets the table say of which types its columns are.
func (s *postgresSink) statement() string {
	names := column(append([]string{s.ID}, s.Columns...), func(name string) string { return pgx.Identifier{name}.Sanitize() })
	table, columns := pgx.Identifier(strings.Split(s.Table, ".")).Sanitize(), strings.Join(names, ", ")
	return "insert into " + table + " (" + columns + ") select " + columns + " from json_populate_recordset(null::" + table + ", $1::json) on conflict do nothing"
}

// connect gives a pool for what the secret says now.
func (s *postgresSink) connect(ctx context.Context) (*pgxpool.Pool, error) {
	url, err := s.secrets.get(ctx, s.URL)
	if err != nil {
		return nil, err
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.pool != nil && s.url == url {
		return s.pool, nil
	}
	config, err := pgxpool.ParseConfig(url)
	if err != nil { // whose text may hold the password
		return nil, deviceops.Errorf(deviceops.EINVALID, "%s is not the URL of a database: write postgres://user:password@host/database", s.URL)
	}
	config.MaxConns, config.MinConns = int32(s.parallel), 0
	config.ConnConfig.DialFunc = s.guard.DialContext
	pool, err := pgxpool.NewWithConfig(ctx, config)
	if err != nil {
		return nil, networkFailure("the database cannot be used", err)
	}
	if s.pool != nil {
		go s.pool.Close() // it waits for what is under way
	}
	s.pool, s.url = pool, url
	return pool, nil
}

// judge tells errors of the values from those of the table and of the database.
func (s *postgresSink) judge(err error) error {
	var said *pgconn.PgError
	var forbidden outbound.ForbiddenAddress
	switch {
	case err == nil:
		return nil
	case errors.As(err, &said) && aboutValues(said.Code):
		return &refused{said.Message}
	case errors.As(err, &said):
		s.secrets.forget() // the password may be a new one
		return deviceops.Errorf(deviceops.EUNAVAILABLE, "the database says: %s", said.Message)
	case errors.As(err, &forbidden):
		return deviceops.Errorf(deviceops.EFORBIDDEN, "%s", forbidden.Error())
	case errors.Is(err, context.DeadlineExceeded):
		return deviceops.Errorf(deviceops.ETIMEOUT, "the database did not answer in time")
	}
	s.secrets.forget()
	return deviceops.Errorf(deviceops.EUNAVAILABLE, "the database cannot be reached")
}

// aboutValues reports whether an SQLSTATE is about the values of a row: they do not
// fit, or a constraint, the condition of a view or a trigger of the table is against
// them.
func aboutValues(code string) bool {
	return slices.Contains([]string{"22", "23", "44"}, code[:2]) || code == "P0001"
}

package postgres

import (
	"context"
	"errors"
	"fmt"
	"strings"

	"github.com/jackc/pgx/v5/pgconn"

	"github.com/deviceops/deviceops"
)

// translate gives err as an error of the domain, the one place where
// PostgreSQL's codes are read. what says what was being done. An error that
// nobody foresaw stays outside the domain, so that its text reaches the log and
// not a caller.
func translate(what string, err error) error {
	var known *deviceops.Error
	if err == nil || errors.As(err, &known) {
		return err
	}
	if code := codeOf(err); code != deviceops.EINTERNAL {
		return deviceops.Errorf(code, "%s: %w", what, err)
	}
	return fmt.Errorf("%s: %w", what, err)
}

func codeOf(err error) string {
	var pg *pgconn.PgError
	var connect *pgconn.ConnectError
	switch {
	case errors.As(err, &pg):
		return codeOfState(pg.Code)
	case errors.Is(err, context.DeadlineExceeded):
		return deviceops.ETIMEOUT
	case errors.Is(err, context.Canceled):
		return deviceops.ECANCELED
	case errors.As(err, &connect), pgconn.SafeToRetry(err), brokenConnection(err):
		return deviceops.EUNAVAILABLE
	default:
		return deviceops.EINTERNAL
	}
}

// codeOfState maps an SQLSTATE (PostgreSQL, appendix A).
func codeOfState(state string) string {
	switch state {
	case "23505", "23503", "23001": // unique, foreign key, restrict
		return deviceops.ECONFLICT
	case "40001", "40P01", "55P03", "23514": // serialization, deadlock, lock not available, partition
		return deviceops.EUNAVAILABLE
	case "57014": // canceled by statement_timeout
		return deviceops.ETIMEOUT
	case "53300", "57P01", "57P02", "57P03", "25006": // no connection left, shutting down, starting up, read only
		return deviceops.EUNAVAILABLE
	}
	switch state[:2] {
	case "22": // data that cannot be stored
		return deviceops.EINVALID
	case "08", "53": // connection, resources
		return deviceops.EUNAVAILABLE
	default:
		return deviceops.EINTERNAL
	}
}

// brokenConnection tells whether the server went away in the middle. pgx has
// no type for it.
func brokenConnection(err error) bool {
	text := err.Error()
	return strings.Contains(text, "unexpected EOF") || strings.Contains(text, "connection reset") ||
		strings.Contains(text, "conn closed") || strings.Contains(text, "broken pipe")
}

// lostRace tells whether the same transaction may succeed when tried again:
// after a serialization failure, a deadlock, or when a row was on its way to
// the default partition while its day got one of its own (a violation of a
// check without a name).
func lostRace(err error) bool {
	var pg *pgconn.PgError
	if !errors.As(err, &pg) {
		return false
	}
	return pg.Code == "40001" || pg.Code == "40P01" || pg.Code == "23514" && pg.ConstraintName == ""
}

// missing is an ENOTFOUND unless err says worse.
func missing(err error, format string, args ...any) error {
	if err != nil {
		return err
	}
	return deviceops.Errorf(deviceops.ENOTFOUND, format, args...)
}

package postgres

import (
	"time"

	"github.com/jackc/pgx/v5/pgtype"
)

// moment scans a timestamptz into a time: NULL into the zero time, all others
// in UTC.
type moment struct{ to *time.Time }

// ScanTimestamptz implements pgtype.TimestamptzScanner.
func (m moment) ScanTimestamptz(v pgtype.Timestamptz) error {
	*m.to = time.Time{}
	if v.Valid {
		*m.to = v.Time.UTC()
	}
	return nil
}

// orNull gives NULL for the zero time.
func orNull(t time.Time) *time.Time {
	if t.IsZero() {
		return nil
	}
	return &t
}

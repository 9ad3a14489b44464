package starter

import (
	"context"
	"log/slog"

	"go.temporal.io/sdk/log"
)

// activityError is the line that the SDK writes as an error for every failed
// attempt of an activity. Here that is part of the design, since what looks
// again later fails until then; Temporal shows each failure that matters.
const activityError = "Activity error."

// quiet writes failed attempts of activities at level debug.
type quiet struct{ slog.Handler }

// newLogger gives the SDK's logger.
func newLogger(l *slog.Logger) log.Logger {
	return log.NewStructuredLogger(slog.New(quiet{l.Handler()}))
}

// Handle implements slog.Handler.
func (q quiet) Handle(ctx context.Context, r slog.Record) error {
	if r.Message == activityError {
		if r.Level = slog.LevelDebug; !q.Enabled(ctx, r.Level) {
			return nil
		}
	}
	return q.Handler.Handle(ctx, r)
}

// WithAttrs implements slog.Handler.
func (q quiet) WithAttrs(attrs []slog.Attr) slog.Handler { return quiet{q.Handler.WithAttrs(attrs)} }

// WithGroup implements slog.Handler.
func (q quiet) WithGroup(name string) slog.Handler { return quiet{q.Handler.WithGroup(name)} }

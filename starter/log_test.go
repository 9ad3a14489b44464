package starter

import (
	"bytes"
	"log/slog"
	"testing"

	"github.com/stretchr/testify/require"
)

func TestFailedAttemptsAreNoErrorsOfTheLog(t *testing.T) {
	t.Parallel()
	for level, want := range map[slog.Level]string{
		slog.LevelInfo:  "level=ERROR msg=\"something else\" worker=w1\n",
		slog.LevelDebug: "level=DEBUG msg=\"Activity error.\" worker=w1\nlevel=ERROR msg=\"something else\" worker=w1\n",
	} {
		var out bytes.Buffer
		handler := slog.NewTextHandler(&out, &slog.HandlerOptions{Level: level, ReplaceAttr: func(_ []string, a slog.Attr) slog.Attr {
			if a.Key == slog.TimeKey {
				return slog.Attr{}
			}
			return a
		}})
		logger := newLogger(slog.New(handler).With("worker", "w1"))
		logger.Error(activityError)
		logger.Error("something else")
		require.Equal(t, want, out.String())
	}
}

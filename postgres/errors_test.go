package postgres

import (
	"context"
	"errors"
	"fmt"
	"io"
	"testing"

	"github.com/jackc/pgx/v5/pgconn"
	"github.com/stretchr/testify/require"

	"github.com/deviceops/deviceops"
)

func TestTranslate(t *testing.T) {
	t.Parallel()
	state := func(code string) error { return fmt.Errorf("wrapped: %w", &pgconn.PgError{Code: code, Message: "m"}) }
	for name, c := range map[string]struct {
		err  error
		code string
	}{
		"nothing":            {nil, ""},
		"of the domain":      {deviceops.Errorf(deviceops.EREJECTED, "no"), deviceops.EREJECTED},
		"unique":             {state("23505"), deviceops.ECONFLICT},
		"foreign key":        {state("23503"), deviceops.ECONFLICT},
		"bad text":           {state("22021"), deviceops.EINVALID},
		"serialization":      {state("40001"), deviceops.EUNAVAILABLE},
		"deadlock":           {state("40P01"), deviceops.EUNAVAILABLE},
		"lock timeout":       {state("55P03"), deviceops.EUNAVAILABLE},
		"statement timeout":  {state("57014"), deviceops.ETIMEOUT},
		"shutting down":      {state("57P01"), deviceops.EUNAVAILABLE},
		"too many clients":   {state("53300"), deviceops.EUNAVAILABLE},
		"disk full":          {state("53100"), deviceops.EUNAVAILABLE},
		"connection failure": {state("08006"), deviceops.EUNAVAILABLE},
		"no such table":      {state("42P01"), deviceops.EINTERNAL},
		"gave up":            {context.Canceled, deviceops.ECANCELED},
		"out of time":        {context.DeadlineExceeded, deviceops.ETIMEOUT},
		"cut off":            {io.ErrUnexpectedEOF, deviceops.EUNAVAILABLE},
		"anything else":      {errors.New("odd"), deviceops.EINTERNAL},
	} {
		err := translate("save device", c.err)
		require.Equal(t, c.code, deviceops.ErrorCode(err), name)
		if c.err != nil {
			require.ErrorIs(t, err, c.err, name)
		}
	}
}

func TestDefectsAreNotShownToCallers(t *testing.T) {
	t.Parallel()
	err := translate("save device", &pgconn.PgError{Code: "42P01", Message: `relation "secret" does not exist`})
	require.Equal(t, "internal error", deviceops.ErrorMessage(err))
	require.ErrorContains(t, err, `save device: `)
	require.ErrorContains(t, err, `relation "secret" does not exist`)
}

func TestRetryGivesUp(t *testing.T) {
	t.Parallel()
	deadlock := &pgconn.PgError{Code: "40P01"}
	for name, c := range map[string]struct {
		results []error // the last one repeats
		tries   int
		fails   bool
	}{
		"at once":          {[]error{nil}, 1, false},
		"after a deadlock": {[]error{deadlock, translate("x", deadlock), nil}, 3, false},
		"always deadlocks": {[]error{deadlock}, maxTries, true},
		"another error":    {[]error{errors.New("x")}, 1, true},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			tries := 0
			err := retry(t.Context(), func() error {
				tries++
				return c.results[min(tries, len(c.results))-1]
			})
			require.Equal(t, c.fails, err != nil)
			require.Equal(t, c.tries, tries)
		})
	}
}

func TestRetryEndsWithItsContext(t *testing.T) {
	t.Parallel()
	ctx, cancel := context.WithCancel(t.Context())
	tries := 0
	require.Error(t, retry(ctx, func() error {
		tries++
		cancel()
		return &pgconn.PgError{Code: "40001"}
	}))
	require.Equal(t, 1, tries)
}

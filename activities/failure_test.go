package activities_test

import (
	"context"
	"errors"
	"fmt"
	"testing"

	"github.com/stretchr/testify/require"
	"go.temporal.io/api/enums/v1"
	"go.temporal.io/sdk/temporal"

	"github.com/deviceops/deviceops"
	"github.com/deviceops/deviceops/activities"
)

func TestFailureAndBack(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct {
		err   error
		want  deviceops.RunError
		again bool // by Temporal
	}{
		"an answer": {
			err:  deviceops.Errorf(deviceops.ENOTFOUND, "there is no device k1"),
			want: deviceops.RunError{Code: deviceops.ENOTFOUND, Message: "there is no device k1"},
		},
		"an answer that was wrapped": {
			err:  fmt.Errorf("looking: %w", deviceops.Errorf(deviceops.ECONFLICT, "taken")),
			want: deviceops.RunError{Code: deviceops.ECONFLICT, Message: "taken"},
		},
		"a part that is out of reach": {
			err:   deviceops.Errorf(deviceops.EUNAVAILABLE, "the store is out of reach"),
			want:  deviceops.RunError{Code: deviceops.EUNAVAILABLE, Message: "the store is out of reach", Retryable: true},
			again: true,
		},
		"an error of somebody else": {
			err:   errors.New("password=hunter2"),
			want:  deviceops.RunError{Code: deviceops.EINTERNAL, Message: "internal error", Retryable: true},
			again: true,
		},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			failure := activities.Failure(c.err)
			var application *temporal.ApplicationError
			require.ErrorAs(t, failure, &application)
			require.Equal(t, c.want.Code, application.Type())
			require.Equal(t, c.again, !application.NonRetryable())
			require.Equal(t, failure, activities.Failure(failure), "what has its form keeps it")
			require.Equal(t, c.want, *activities.Cause(failure))
			require.Equal(t, c.want.Code, deviceops.ErrorCode(activities.DomainError(failure)))
		})
	}
	require.NoError(t, activities.Failure(nil))
	require.NoError(t, activities.DomainError(nil))
	require.Nil(t, activities.Cause(nil))
}

func TestRunFailureKeepsAllOfAnError(t *testing.T) {
	t.Parallel()
	e := deviceops.RunError{Code: "busy", Message: "in use", Retryable: true, Step: "reboot", Data: map[string]any{"attempt": 2}}
	failure := activities.RunFailure(&e)
	var application *temporal.ApplicationError
	require.ErrorAs(t, failure, &application)
	require.True(t, application.NonRetryable(), "trying again is the workflow's decision")
	require.Equal(t, e, *activities.Cause(failure))
}

func TestCauseOfWhatTemporalSays(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct {
		err  error
		code string
	}{
		"a timeout":        {temporal.NewTimeoutError(enums.TIMEOUT_TYPE_SCHEDULE_TO_CLOSE, nil), deviceops.ETIMEOUT},
		"a cancellation":   {temporal.NewCanceledError(), deviceops.ECANCELED},
		"a bare failure":   {temporal.NewApplicationError("odd", "oddness"), "oddness"},
		"one without type": {temporal.NewApplicationError("odd", ""), deviceops.EINTERNAL},
		"something else":   {context.DeadlineExceeded, deviceops.EINTERNAL},
	} {
		require.Equal(t, c.code, activities.Cause(c.err).Code, name)
	}
}

func TestCommandResult(t *testing.T) {
	t.Parallel()
	busy := &deviceops.CommandError{Code: "busy", Message: "in use", Retryable: true}
	for status, c := range map[deviceops.CommandStatus]struct {
		cause *deviceops.CommandError
		code  string
	}{
		deviceops.CommandFailed:   {busy, "busy"},
		deviceops.CommandRejected: {nil, "rejected"},
		deviceops.CommandCanceled: {nil, "canceled"},
		deviceops.CommandExpired:  {nil, deviceops.ETIMEOUT},
		deviceops.CommandSent:     {nil, deviceops.EINTERNAL},
	} {
		_, err := activities.CommandResult(deviceops.Command{ID: "c", Attempt: 2, Status: status, Error: c.cause})
		require.Equal(t, c.code, activities.Cause(err).Code, status)
	}
	out, err := activities.CommandResult(deviceops.Command{Status: deviceops.CommandSucceeded, Output: map[string]any{"ok": true}})
	require.NoError(t, err)
	require.Equal(t, map[string]any{"ok": true}, out.Output)
}

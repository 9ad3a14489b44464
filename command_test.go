package deviceops_test

import (
	"testing"
	"time"

	"github.com/deviceops/deviceops"
	"github.com/stretchr/testify/require"
)

var noon = time.Date(2026, 5, 1, 12, 0, 0, 0, time.UTC)

func TestAnswersAdvanceACommand(t *testing.T) {
	t.Parallel()
	busy := &deviceops.CommandError{Code: "busy", Message: "in use", Retryable: true}
	for _, c := range []struct {
		name    string
		from    deviceops.CommandStatus
		answer  deviceops.Answer
		want    deviceops.CommandStatus
		changed bool
	}{
		{"accepted", deviceops.CommandSent, deviceops.Answer{Attempt: 1, Status: "accepted"}, deviceops.CommandAccepted, true},
		{"an answer before the broker's is taken", deviceops.CommandPending, deviceops.Answer{Attempt: 1, Status: "succeeded"}, deviceops.CommandSucceeded, true},
		{"progress", deviceops.CommandAccepted, deviceops.Answer{Attempt: 1, Status: "progress", Percent: 40}, deviceops.CommandAccepted, true},
		{"succeeded", deviceops.CommandAccepted, deviceops.Answer{Attempt: 1, Status: "succeeded"}, deviceops.CommandSucceeded, true},
		{"failed", deviceops.CommandSent, deviceops.Answer{Attempt: 1, Status: "failed", Error: busy}, deviceops.CommandFailed, true},
		{"rejected", deviceops.CommandSent, deviceops.Answer{Attempt: 1, Status: "rejected", Error: busy}, deviceops.CommandRejected, true},
		{"deferred", deviceops.CommandSent, deviceops.Answer{Attempt: 1, Status: "deferred", RetryIn: time.Minute}, deviceops.CommandDeferred, true},
		{"canceled", deviceops.CommandSent, deviceops.Answer{Attempt: 1, Status: "canceled"}, deviceops.CommandCanceled, true},
		{"a refused cancel changes nothing", deviceops.CommandAccepted, deviceops.Answer{Attempt: 1, Status: "cancel_refused"}, deviceops.CommandAccepted, false},
		{"an older attempt changes nothing", deviceops.CommandSent, deviceops.Answer{Attempt: 0, Status: "succeeded"}, deviceops.CommandSent, false},
		{"a later attempt changes nothing", deviceops.CommandSent, deviceops.Answer{Attempt: 2, Status: "succeeded"}, deviceops.CommandSent, false},
		{"the first end stays", deviceops.CommandSucceeded, deviceops.Answer{Attempt: 1, Status: "failed"}, deviceops.CommandSucceeded, false},
		{"late progress does not reopen", deviceops.CommandFailed, deviceops.Answer{Attempt: 1, Status: "progress"}, deviceops.CommandFailed, false},
		{"an unknown status changes nothing", deviceops.CommandSent, deviceops.Answer{Attempt: 1, Status: "pondering"}, deviceops.CommandSent, false},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			cmd := deviceops.Command{ID: "c", Attempt: 1, Status: c.from}
			require.Equal(t, c.changed, cmd.Answer(c.answer, noon))
			require.Equal(t, c.want, cmd.Status)
			require.Equal(t, c.changed && c.want.Terminal(), cmd.FinishedAt.Equal(noon))
		})
	}
}

func TestRejectedIsNeverRetryable(t *testing.T) {
	t.Parallel()
	cmd := deviceops.Command{Attempt: 1, Status: deviceops.CommandSent}
	cmd.Answer(deviceops.Answer{Attempt: 1, Status: "rejected", Error: &deviceops.CommandError{Code: "no", Retryable: true}}, noon)
	require.False(t, cmd.Error.Retryable)
}

func TestAttemptRisesOnlyAfterAReportedFailure(t *testing.T) {
	t.Parallel()
	for status, want := range map[deviceops.CommandStatus]bool{
		deviceops.CommandFailed: true, deviceops.CommandPending: false, deviceops.CommandSent: false, deviceops.CommandAccepted: false,
		deviceops.CommandExpired: false, deviceops.CommandRejected: false, deviceops.CommandSucceeded: false,
	} {
		cmd := deviceops.Command{Attempt: 1, Status: status, Error: &deviceops.CommandError{Code: "busy"}}
		require.Equal(t, want, cmd.Retry(2, noon), status)
		if want {
			require.Equal(t, deviceops.CommandPending, cmd.Status)
			require.Nil(t, cmd.Error)
		}
	}
	cmd := deviceops.Command{Attempt: 1, Status: deviceops.CommandFailed}
	require.False(t, cmd.Retry(1, noon), "the same attempt")
	require.False(t, cmd.Retry(3, noon), "a skipped attempt")
}

func TestDue(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct {
		cmd  deviceops.Command
		want bool
	}{
		"pending":             {deviceops.Command{Status: deviceops.CommandPending}, true},
		"pending, not yet":    {deviceops.Command{Status: deviceops.CommandPending, DueAt: noon.Add(time.Second)}, false},
		"leased":              {deviceops.Command{Status: deviceops.CommandPending, LeasedUntil: noon.Add(time.Second)}, false},
		"lease lapsed":        {deviceops.Command{Status: deviceops.CommandPending, LeasedUntil: noon}, true},
		"deferred until now":  {deviceops.Command{Status: deviceops.CommandDeferred, DueAt: noon}, true},
		"sent a moment ago":   {deviceops.Command{Status: deviceops.CommandSent, SentAt: noon.Add(-time.Second)}, false},
		"sent and unanswered": {deviceops.Command{Status: deviceops.CommandSent, SentAt: noon.Add(-deviceops.Resend)}, true},
		"accepted":            {deviceops.Command{Status: deviceops.CommandAccepted}, false},
		"ended":               {deviceops.Command{Status: deviceops.CommandSucceeded}, false},
	} {
		require.Equal(t, c.want, c.cmd.Due(noon), name)
	}
}

func TestConfirmedByWhatTheDeviceReports(t *testing.T) {
	t.Parallel()
	components := []any{map[string]any{"name": "os", "to": "2.4.0"}, map[string]any{"name": "app", "to": "7"}}
	install := deviceops.Command{Name: "install", Status: deviceops.CommandSent, Args: map[string]any{"components": components}}
	configure := deviceops.Command{Name: "configure", Status: deviceops.CommandSent, Args: map[string]any{"version": float64(3)}}
	both := deviceops.Reported{ConfigVersion: 3, Software: map[string]string{"os": "2.4.0", "app": "7"}}
	half := deviceops.Reported{ConfigVersion: 2, Software: map[string]string{"os": "2.4.0", "app": "6"}}
	require.True(t, install.Confirmed(both))
	require.False(t, install.Confirmed(half), "every component must be new")
	require.True(t, configure.Confirmed(both))
	require.False(t, configure.Confirmed(half))

	pending := install
	pending.Status = deviceops.CommandPending
	require.False(t, pending.Confirmed(both), "what was never sent is not confirmed")
	require.False(t, (&deviceops.Command{Name: "install", Status: deviceops.CommandSent}).Confirmed(both), "no components")
	require.False(t, (&deviceops.Command{Name: "reboot", Status: deviceops.CommandSent}).Confirmed(both))
}

func TestNothingComesAfterThePhaseInWhichAnInstallIsDone(t *testing.T) {
	t.Parallel()
	c := deviceops.Command{Name: "install", Attempt: 1, Status: deviceops.CommandAccepted}
	for _, phase := range []string{"rebooting", deviceops.PhaseConfirming, "rebooting"} {
		require.True(t, c.Answer(deviceops.Answer{Attempt: 1, Status: "progress", Phase: phase}, noon))
	}
	require.Equal(t, deviceops.PhaseConfirming, c.Phase)
}

func TestFulfilledBeforeItWasAsked(t *testing.T) {
	t.Parallel()
	install := map[string]any{"components": []any{map[string]any{"name": "os", "to": "2"}}}
	configure := map[string]any{"version": float64(3)}
	device := deviceops.Device{Session: deviceops.Session{Boot: "b1"}}
	device.Twin.Reported = deviceops.Reported{ConfigVersion: 3, Software: map[string]string{"os": "2"}}
	for name, c := range map[string]struct {
		command deviceops.Command
		want    bool
	}{
		"configure":                 {deviceops.Command{Name: "configure", Status: deviceops.CommandPending, Args: configure}, true},
		"configure that was sent":   {deviceops.Command{Name: "configure", Status: deviceops.CommandSent, Boot: "b1", Args: configure}, true},
		"configure that ended":      {deviceops.Command{Name: "configure", Status: deviceops.CommandFailed, Args: configure}, false},
		"configure, a later one":    {deviceops.Command{Name: "configure", Status: deviceops.CommandPending, Args: map[string]any{"version": 4}}, false},
		"install":                   {deviceops.Command{Name: "install", Status: deviceops.CommandPending, Args: install}, true},
		"install before the boot":   {deviceops.Command{Name: "install", Status: deviceops.CommandAccepted, Boot: "b1", Args: install}, false},
		"install after the boot":    {deviceops.Command{Name: "install", Status: deviceops.CommandAccepted, Boot: "b0", Args: install}, true},
		"install sent again after":  {deviceops.Command{Name: "install", Status: deviceops.CommandAccepted, Boot: "b1", Phase: "confirming", Args: install}, true},
		"a command without reports": {deviceops.Command{Name: "reboot", Status: deviceops.CommandPending}, false},
	} {
		require.Equal(t, c.want, c.command.Fulfilled(&device), name)
	}
}

func TestBelieveClock(t *testing.T) {
	t.Parallel()
	const none = time.Duration(-1)
	for name, c := range map[string]struct {
		claimed time.Time
		age     time.Duration
		want    time.Time
		fixed   bool
	}{
		"no time":              {time.Time{}, none, noon, false},
		"a right clock":        {noon.Add(-time.Hour), none, noon.Add(-time.Hour), false},
		"slightly fast":        {noon.Add(time.Minute), none, noon.Add(time.Minute), false},
		"1970":                 {time.Unix(0, 0), none, noon, true},
		"2099":                 {time.Date(2099, 1, 1, 0, 0, 0, 0, time.UTC), none, noon, true},
		"an age":               {time.Time{}, time.Hour, noon.Add(-time.Hour), false},
		"age beats time":       {time.Unix(0, 0), time.Minute, noon.Add(-time.Minute), false},
		"an age beyond reason": {time.Time{}, 40 * 365 * 24 * time.Hour, noon, true},
	} {
		at, fixed := deviceops.BelieveClock(noon, c.claimed, c.age)
		require.Equal(t, c.want, at.UTC(), name)
		require.Equal(t, c.fixed, fixed, name)
	}
}

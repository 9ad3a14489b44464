package activities_test

import (
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/deviceops/deviceops"
	"github.com/deviceops/deviceops/activities"
)

func ping(id string, attempt int) activities.CommandInput {
	return activities.CommandInput{
		ID: id, Account: "acme", Device: "k1", Name: "ping", Attempt: attempt, By: "run:r1", ExpiresAt: noon.Add(time.Hour),
	}
}

// answer applies a device's answer to a stored command.
func (w *world) answer(t *testing.T, id string, a deviceops.Answer) {
	t.Helper()
	c := w.command(t, id)
	a.Attempt = c.Attempt
	require.True(t, c.Answer(a, w.now))
	require.NoError(t, w.store.SaveCommands(t.Context(), []deviceops.Command{c}))
}

func (w *world) command(t *testing.T, id string) deviceops.Command {
	t.Helper()
	c, err := w.store.FindCommand(t.Context(), id)
	require.NoError(t, err)
	return c
}

func execute(w *world, in activities.CommandInput) (map[string]any, error) {
	out, err := do[activities.CommandOutput](w, activities.NameExecuteCommand, in)
	return out.Output, err
}

func TestExecuteSendsOnceAndLeaves(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	w.device(t, "k1", deviceops.Active)
	_, err := execute(w, ping("c1", 1))
	requirePending(t, err)
	require.Len(t, w.broker.published, 1)
	require.Equal(t, map[string]any{"depth": 1.0}, plain(w.broker.published[0].Args), "the profile fills in defaults")

	c := w.command(t, "c1")
	require.Equal(t, deviceops.CommandSent, c.Status)
	require.NotNil(t, c.Waiter)
	require.NotEmpty(t, c.Waiter.Activity)

	_, err = execute(w, ping("c1", 1))
	requirePending(t, err)
	require.Len(t, w.broker.published, 1, "asking twice is asking once")
}

// plain gives arguments with every number as a float64.
func plain(args map[string]any) map[string]any {
	out := map[string]any{}
	for k, v := range args {
		switch n := v.(type) {
		case int:
			v = float64(n)
		case int64:
			v = float64(n)
		}
		out[k] = v
	}
	return out
}

func TestExecuteFindsAnAnswerWhoseNotificationWasLost(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	w.device(t, "k1", deviceops.Active)
	_, err := execute(w, ping("c1", 1))
	requirePending(t, err)
	w.answer(t, "c1", deviceops.Answer{Status: "succeeded", Output: map[string]any{"ok": true}})
	output, err := execute(w, ping("c1", 1))
	require.NoError(t, err)
	require.Equal(t, map[string]any{"ok": true}, output)
}

func configureTo(version int64) activities.CommandInput {
	in := ping("c1", 1)
	in.Name, in.Args = deviceops.CommandConfigure, map[string]any{"version": version}
	in.Prepared, in.Exclusive = true, true
	return in
}

func TestExecuteAsksForNothingThatTheDeviceShowsAlready(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	w.device(t, "k1", deviceops.Provisioning)
	w.reported(t, 1, "2.3")
	_, err := execute(w, configureTo(1))
	require.NoError(t, err)
	require.Empty(t, w.broker.published)
	require.Equal(t, deviceops.CommandSucceeded, w.command(t, "c1").Status)
}

func TestExecuteFindsAReportThatCameTooEarly(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	w.device(t, "k1", deviceops.Provisioning)
	_, err := execute(w, configureTo(1))
	requirePending(t, err)
	w.reported(t, 1, "2.3")
	_, err = execute(w, configureTo(1))
	require.NoError(t, err, "the next lease looks at what the device reported")
	c := w.command(t, "c1")
	require.Equal(t, deviceops.CommandSucceeded, c.Status)
	require.Equal(t, noon, c.FinishedAt.UTC())
	require.Len(t, w.broker.published, 1)
}

func TestExecuteOutlivesADeadBroker(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	w.device(t, "k1", deviceops.Active)
	w.broker.fails = true
	_, err := execute(w, ping("c1", 1))
	requirePending(t, err)
	w.broker.fails = false
	w.now = noon.Add(deviceops.PublishLease)
	_, err = execute(w, ping("c1", 1))
	requirePending(t, err)
	require.Len(t, w.broker.published, 1)
	require.Equal(t, 1, w.broker.published[0].Attempt)
}

func TestAttemptsRiseOnlyAfterAFailure(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	w.device(t, "k1", deviceops.Active)
	_, err := execute(w, ping("c1", 1))
	requirePending(t, err)

	_, err = execute(w, ping("c1", 2))
	requirePending(t, err)
	require.Equal(t, 1, w.command(t, "c1").Attempt, "nobody knows yet what became of the first")

	w.answer(t, "c1", deviceops.Answer{Status: "failed", Error: &deviceops.CommandError{Code: "busy", Message: "in use", Retryable: true}})
	_, err = execute(w, ping("c1", 1))
	cause := requireCode(t, "busy", err)
	require.True(t, cause.Retryable)
	require.Equal(t, "failed", cause.Data["status"])

	_, err = execute(w, ping("c1", 2))
	requirePending(t, err)
	require.Equal(t, 2, w.broker.published[len(w.broker.published)-1].Attempt)

	_, err = execute(w, ping("c1", 1))
	requireCode(t, deviceops.ECONFLICT, err)
}

func TestExecuteRefuses(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct {
		state  deviceops.State
		change func(*activities.CommandInput)
		code   string
	}{
		"wrong arguments":            {deviceops.Active, func(in *activities.CommandInput) { in.Args = map[string]any{"x": 1} }, deviceops.EINVALID},
		"unknown commands":           {deviceops.Active, func(in *activities.CommandInput) { in.Name = "dance" }, deviceops.ENOTFOUND},
		"devices of other accounts":  {deviceops.Active, func(in *activities.CommandInput) { in.Account = "other" }, deviceops.ENOTFOUND},
		"devices that are not there": {deviceops.Active, func(in *activities.CommandInput) { in.Device = "k2" }, deviceops.ENOTFOUND},
		"quarantined devices":        {deviceops.Quarantined, func(*activities.CommandInput) {}, deviceops.ECONFLICT},
		"retired devices":            {deviceops.Retired, func(*activities.CommandInput) {}, deviceops.ECONFLICT},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			w := newWorld(t)
			w.device(t, "k1", c.state)
			in := ping("c1", 1)
			c.change(&in)
			_, err := execute(w, in)
			requireCode(t, c.code, err)
			require.Empty(t, w.broker.published)
		})
	}
}

func TestClose(t *testing.T) {
	t.Parallel()
	send := func(t *testing.T, w *world) {
		_, err := execute(w, ping("c1", 1))
		requirePending(t, err)
	}
	for name, c := range map[string]struct {
		prepare func(t *testing.T, w *world)
		status  deviceops.CommandStatus
		code    string // of the result; "": it succeeded
		left    deviceops.CommandStatus
		told    bool
	}{
		"expired in flight": {send, deviceops.CommandExpired, deviceops.ETIMEOUT, deviceops.CommandExpired, true},
		"canceled in flight waits for the device's word": {send, deviceops.CommandCanceled, deviceops.ECANCELED, deviceops.CommandSent, true},
		"canceled before it was sent": {func(t *testing.T, w *world) {
			w.session(t, "k1", func(s *deviceops.Session) { s.Connectivity = deviceops.Offline })
			send(t, w)
		}, deviceops.CommandCanceled, deviceops.ECANCELED, deviceops.CommandCanceled, false},
		"an answer at the last moment counts": {func(t *testing.T, w *world) {
			send(t, w)
			w.answer(t, "c1", deviceops.Answer{Status: "succeeded"})
		}, deviceops.CommandExpired, "", deviceops.CommandSucceeded, false},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			w := newWorld(t)
			w.device(t, "k1", deviceops.Active)
			c.prepare(t, w)
			_, err := do[activities.CommandOutput](w, activities.NameCloseCommand, activities.CloseInput{ID: "c1", Status: c.status, Reason: "over"})
			if c.code == "" {
				require.NoError(t, err)
			} else {
				requireCode(t, c.code, err)
			}
			stored := w.command(t, "c1")
			require.Equal(t, c.left, stored.Status)
			require.Equal(t, c.told, len(w.broker.canceled) == 1)
			if c.left == deviceops.CommandSent {
				require.True(t, stored.CancelAsked)
				require.Nil(t, stored.Waiter)
				for _, later := range []time.Duration{time.Minute, time.Hour} {
					require.False(t, stored.Due(noon.Add(later)), "what was called off is not sent again")
				}
			}
		})
	}
	t.Run("a command that was never made", func(t *testing.T) {
		t.Parallel()
		_, err := do[activities.CommandOutput](newWorld(t), activities.NameCloseCommand, activities.CloseInput{ID: "c9", Status: deviceops.CommandCanceled, Reason: "over"})
		requireCode(t, deviceops.ECANCELED, err)
	})
}

func TestTimeout(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	w.device(t, "k1", deviceops.Active)
	for name, want := range map[string]time.Duration{"ping": time.Minute, "reboot": deviceops.DefaultCommandTimeout} {
		got, err := do[time.Duration](w, activities.NameCommandTimeout, activities.CommandTimeoutInput{Account: "acme", Device: "k1", Name: name})
		require.NoError(t, err)
		require.Equal(t, want, got)
	}
}

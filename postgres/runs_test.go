package postgres_test

import (
	"fmt"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/deviceops/deviceops"
)

func run(id string, started time.Time) deviceops.Run {
	return deviceops.Run{
		ID: id, Account: "acme", Workflow: "reboot", Version: 3, Hash: "h", Device: "k1", Status: deviceops.RunRunning,
		StartedBy: "user:maria", StartedAt: started,
	}
}

func TestRunsComeBackAsTheyWereSaved(t *testing.T) {
	both(t, func(t *testing.T, s deviceops.Tx) {
		_, err := s.FindRun(t.Context(), "r1")
		requireCode(t, deviceops.ENOTFOUND, err)
		requireCode(t, deviceops.ENOTFOUND, s.SaveRun(t.Context(), run("r1", noon)))

		r := run("r1", noon)
		r.Inputs, r.Reason = map[string]any{"n": int64(1), "f": 2.0}, "because"
		r.RerunOf = &deviceops.RunOrigin{Run: "r0", Step: "a", Because: "it failed"}
		r.Steps = []deviceops.RunStep{{Index: 0, Step: "a", Verb: "command", Status: deviceops.RunRunning, Attempts: 1, StartedAt: noon, WaitsFor: "device", Copied: true}}
		isNew, err := s.CreateRun(t.Context(), r)
		require.NoError(t, err)
		require.True(t, isNew)
		found, err := s.FindRun(t.Context(), "r1")
		require.NoError(t, err)
		require.Equal(t, r, found)

		other := run("r1", after(time.Hour))
		isNew, err = s.CreateRun(t.Context(), other)
		require.NoError(t, err)
		require.False(t, isNew)

		failed := &deviceops.RunError{Code: "busy", Message: "m", Retryable: true, Step: "b", Data: map[string]any{"n": int64(2), "f": 3.0}}
		r.Steps[0].Status, r.Steps[0].FinishedAt, r.Steps[0].WaitsFor = deviceops.RunSucceeded, after(1e6), ""
		r.Steps[0].Vars = map[string]any{"n": int64(1), "f": 2.0}
		r.Steps[0].Input, r.Steps[0].Output = map[string]any{"x": 1.0}, []any{int64(1), 2.0, "x"}
		second := deviceops.RunStep{Index: 1, Step: "b", Verb: "set", Status: deviceops.RunFailed, StartedAt: after(1e6), Output: "text", Error: failed}
		r.Status, r.Outputs, r.Error, r.FinishedAt = deviceops.RunFailed, map[string]any{"o": true}, failed, after(2e6)
		save := r
		save.Account, save.Workflow, save.Inputs, save.StartedBy = "other", "other", nil, "" // not written again
		save.Steps = []deviceops.RunStep{second, r.Steps[0]}
		require.NoError(t, s.SaveRun(t.Context(), save))
		r.Steps = []deviceops.RunStep{r.Steps[0], second}
		found, err = s.FindRun(t.Context(), "r1")
		require.NoError(t, err)
		require.Equal(t, r, found)

		late := r
		late.Status, late.Outputs = deviceops.RunRunning, nil
		late.Steps = []deviceops.RunStep{{Index: 0, Step: "late"}, {Index: 2}}
		require.NoError(t, s.SaveRun(t.Context(), late))
		found, err = s.FindRun(t.Context(), "r1")
		require.NoError(t, err)
		require.Equal(t, r, found)
	})
}

func TestPausedRuns(t *testing.T) {
	both(t, func(t *testing.T, s deviceops.Tx) {
		r := run("r1", noon)
		_, err := s.CreateRun(t.Context(), r)
		require.NoError(t, err)
		is := func(status deviceops.RunStatus, paused *deviceops.RunPause) {
			t.Helper()
			found, err := s.FindRun(t.Context(), "r1")
			require.NoError(t, err)
			require.Equal(t, status, found.Status)
			require.Equal(t, paused, found.Paused)
		}
		pause := func(status deviceops.RunStatus, paused *deviceops.RunPause, changes bool) {
			t.Helper()
			changed, err := s.PauseRun(t.Context(), deviceops.Run{ID: "r1", Status: status, Paused: paused})
			require.NoError(t, err)
			require.Equal(t, changes, changed)
		}
		smoke := &deviceops.RunPause{Since: after(time.Second), By: "user:maria", Reason: "smoke \x00 \" in the shop"}
		pause(deviceops.RunRunning, nil, false)
		pause(deviceops.RunPaused, smoke, true)
		pause(deviceops.RunPaused, smoke, false)
		smoke.Reason = "smoke \ufffd \" in the shop"
		is(deviceops.RunPaused, smoke)

		r.Status = deviceops.RunWaiting // as it was before, and saved late
		require.NoError(t, s.SaveRun(t.Context(), r))
		is(deviceops.RunPaused, smoke)
		unchecked, err := s.UncheckedRuns(t.Context(), after(time.Hour), after(time.Hour), 10)
		require.NoError(t, err)
		require.Len(t, unchecked, 1, "a paused run is open")
		paused, err := s.ListRuns(t.Context(), deviceops.RunFilter{Status: deviceops.RunPaused})
		require.NoError(t, err)
		require.Equal(t, smoke, paused[0].Paused)

		pause(deviceops.RunWaiting, nil, true)
		is(deviceops.RunWaiting, nil)
		r.Status = deviceops.RunPaused
		require.NoError(t, s.SaveRun(t.Context(), r))
		is(deviceops.RunRunning, nil)

		pause(deviceops.RunPaused, smoke, true)
		r.Status, r.FinishedAt = deviceops.RunCanceled, after(time.Minute)
		require.NoError(t, s.SaveRun(t.Context(), r))
		is(deviceops.RunCanceled, nil)
		pause(deviceops.RunPaused, smoke, false)
		is(deviceops.RunCanceled, nil)
	})
}

func TestListRuns(t *testing.T) {
	both(t, func(t *testing.T, s deviceops.Tx) {
		runs := make([]deviceops.Run, 5)
		for i := range runs {
			runs[i] = run(fmt.Sprint("r", i), after(time.Duration(i/2)*time.Second)) // some start at the same time
		}
		runs[1].Account, runs[2].Workflow, runs[3].Device, runs[4].Status = "acme/emea", "other", "k2", deviceops.RunFailed
		runs[0].Account = "beta"
		for _, r := range runs {
			_, err := s.CreateRun(t.Context(), r)
			require.NoError(t, err)
		}
		for name, c := range map[string]struct {
			filter deviceops.RunFilter
			want   []string
		}{
			"the newest first": {deviceops.RunFilter{}, []string{"r4", "r3", "r2", "r1", "r0"}},
			"account":          {deviceops.RunFilter{Account: "acme"}, []string{"r4", "r3", "r2", "r1"}},
			"workflow":         {deviceops.RunFilter{Workflow: "other"}, []string{"r2"}},
			"device":           {deviceops.RunFilter{Device: "k2"}, []string{"r3"}},
			"status":           {deviceops.RunFilter{Status: deviceops.RunFailed}, []string{"r4"}},
			"page":             {deviceops.RunFilter{After: "r3", Limit: 2}, []string{"r2", "r1"}},
			"after the last":   {deviceops.RunFilter{After: "r0"}, []string{}},
		} {
			found, err := s.ListRuns(t.Context(), c.filter)
			require.NoError(t, err, name)
			ids := []string{}
			for _, r := range found {
				require.Empty(t, r.Steps)
				ids = append(ids, r.ID)
			}
			require.Equal(t, c.want, ids, name)
		}
	})
}

func TestDeviceTimeline(t *testing.T) {
	both(t, func(t *testing.T, s deviceops.Tx) {
		at := func(minute int) time.Time { return after(time.Duration(minute) * time.Minute) }
		door := event("k1", "device.door", at(1))
		door.Data = map[string]any{"open": true}
		require.NoError(t, s.AppendEvents(t.Context(), []deviceops.Event{
			door, event("k1", deviceops.EventTelemetry, at(2)), event("k2", "x", at(3)),
		}))
		c := command("c1", "k1")
		c.CreatedAt = at(4)
		created(t, s, c, command("c2", "k2"))
		c.Status, c.Attempt, c.Error = deviceops.CommandFailed, 1, &deviceops.CommandError{Code: "busy", Message: "in use"}
		require.NoError(t, s.SaveCommands(t.Context(), []deviceops.Command{c}))
		require.NoError(t, s.AppendAudit(t.Context(),
			deviceops.AuditEntry{At: at(5), Account: "acme", Actor: "user:maria", Action: "device.tag", Target: "device:k1", Reason: "sold"},
			deviceops.AuditEntry{At: at(5), Account: "acme", Actor: "user:maria", Action: "device.transition", Target: "device:k1"},
			deviceops.AuditEntry{At: at(6), Account: "acme", Actor: "user:maria", Action: "device.transition", Target: "device:k2"}))
		a := approval("a1")
		a.OpenedAt, a.DecidedAt, a.DecidedBy, a.Status, a.Comment = at(7), at(9), "user:maria", deviceops.ApprovalApproved, "fine"
		_, err := s.SaveApproval(t.Context(), a)
		require.NoError(t, err)
		r := run("r1", at(8))
		r.Error = &deviceops.RunError{Code: "timeout", Message: "too late"}
		_, err = s.CreateRun(t.Context(), r)
		require.NoError(t, err)

		timeline, err := s.DeviceTimeline(t.Context(), "k1", 0)
		require.NoError(t, err)
		lines := []string{}
		for _, e := range timeline {
			lines = append(lines, fmt.Sprintf("%s %s %s | %s", e.At.Format("04"), e.Kind, e.Subject, e.Text))
		}
		require.Equal(t, []string{
			"09 approval a1 | approved by user:maria: fine",
			"08 run r1 | reboot@3 by user:maria: running (timeout: too late)",
			"07 approval a1 | asked: may it?",
			"05 audit device:k1 | device.tag by user:maria: sold",
			"04 command c1 | diagnostics asked for by user:maria, now failed (busy: in use)",
			"01 event device.door | open=true",
		}, lines)
		timeline, err = s.DeviceTimeline(t.Context(), "k1", 2)
		require.NoError(t, err)
		require.Len(t, timeline, 2)
	})
}

func TestUncheckedRunsAreGivenOneByOne(t *testing.T) {
	both(t, func(t *testing.T, s deviceops.Tx) {
		for i, status := range []deviceops.RunStatus{deviceops.RunRunning, deviceops.RunWaiting, deviceops.RunPending, deviceops.RunFailed, deviceops.RunRunning} {
			r := run(fmt.Sprintf("r%d", i), after(time.Duration(i)*time.Minute))
			r.Status = status
			_, err := s.CreateRun(t.Context(), r)
			require.NoError(t, err)
		}
		require.NoError(t, s.RequestStarts(t.Context(), []deviceops.Start{{WorkflowID: "r2", Type: "Run"}}, noon))
		ids := func(before, now time.Time) (ids []string) {
			runs, err := s.UncheckedRuns(t.Context(), before, now, 2)
			require.NoError(t, err)
			for _, r := range runs {
				ids = append(ids, r.ID)
			}
			return ids
		}
		require.Equal(t, []string{"r0"}, ids(noon, after(time.Hour)), "the others are too young")
		require.ElementsMatch(t, []string{"r1", "r4"}, ids(after(time.Hour-1), after(time.Hour)), "one has ended, one waits to be started")
		require.Empty(t, ids(after(time.Hour-1), after(time.Hour)))
		require.Len(t, ids(after(time.Hour), after(2*time.Hour)), 2, "no more than asked for")
	})
}

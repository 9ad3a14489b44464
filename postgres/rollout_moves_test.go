package postgres_test

import (
	"context"
	"fmt"
	"math/rand/v2"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/deviceops/deviceops"
	"github.com/deviceops/deviceops/postgres"
	"github.com/deviceops/deviceops/postgres/postgrestest"
)

var openRows = []deviceops.RolloutDeviceStatus{
	deviceops.DevicePending, deviceops.DeviceSent, deviceops.DeviceAccepted, deviceops.DeviceDeferred,
}

// moved moves a row, from any open status unless change says otherwise, and
// reports what took place.
func moved(t testing.TB, s deviceops.Tx, r deviceops.Rollout, device string, to deviceops.RolloutDeviceStatus, change func(*deviceops.RolloutMove)) []deviceops.RolloutMove {
	t.Helper()
	m := deviceops.RolloutMove{Rollout: r.ID, Device: device, From: openRows, To: to, At: after(time.Minute)}
	if change != nil {
		change(&m)
	}
	done, err := s.AdvanceRollout(t.Context(), []deviceops.RolloutMove{m})
	require.NoError(t, err)
	return done
}

func advanced(t testing.TB, s deviceops.Tx, r deviceops.Rollout, to deviceops.RolloutDeviceStatus, devices ...string) {
	t.Helper()
	for _, device := range devices {
		require.Len(t, moved(t, s, r, device, to, nil), 1)
	}
}

func TestAdvanceRollout(t *testing.T) {
	both(t, func(t *testing.T, s deviceops.Tx) {
		r := running(t, s, rollout("kiosk-2", "canary", "all"))
		assigned(t, s, r, 1, "k1", "k2")
		done := moved(t, s, r, "k1", deviceops.DeviceSent, func(m *deviceops.RolloutMove) { m.Attempt = 1 })
		require.Len(t, done, 1)
		require.Equal(t, 1, done[0].Ring)
		require.False(t, done[0].Drained)
		found := row(t, s, r, "k1")
		require.Equal(t, deviceops.DeviceSent, found.Status)
		require.Equal(t, after(time.Minute), found.SentAt)
		require.Zero(t, found.DueAt)
		require.Equal(t, deviceops.Counts{Targeted: 2, Pending: 1, Sent: 1}, counts(t, s, r, 1))

		moved(t, s, r, "k1", deviceops.DeviceAccepted, func(m *deviceops.RolloutMove) { m.At, m.Phase, m.Percent = after(2*time.Minute), "downloading", 20 })
		moved(t, s, r, "k1", deviceops.DeviceAccepted, func(m *deviceops.RolloutMove) { m.At, m.Phase, m.Percent = after(3*time.Minute), "installing", 90 })
		found = row(t, s, r, "k1")
		require.Equal(t, after(2*time.Minute), found.AnswerAt, "the first sign of life")
		require.Equal(t, "installing", found.Phase)
		require.Equal(t, 90, found.Percent)
		require.Equal(t, deviceops.Counts{Targeted: 2, Pending: 1, Accepted: 1}, counts(t, s, r, 1))

		cause := &deviceops.CommandError{Code: "disk", Message: "full", Retryable: true}
		wait := &deviceops.RolloutWait{Kind: deviceops.WaitRetry, Text: "tried again", Since: after(4 * time.Minute), Until: after(time.Hour)}
		moved(t, s, r, "k1", deviceops.DevicePending, func(m *deviceops.RolloutMove) { m.Error, m.Wait, m.DueAt = cause, wait, after(time.Hour) })
		found = row(t, s, r, "k1")
		require.Equal(t, deviceops.RolloutDevice{
			Rollout: r.ID, Device: "k1", Account: "acme", Ring: 1, Status: deviceops.DevicePending, Attempt: 1,
			DueAt: after(time.Hour), Wait: wait, Error: cause, AddedAt: noon,
		}, found)

		moved(t, s, r, "k1", deviceops.DeviceDeferred, func(m *deviceops.RolloutMove) { m.Deferrals, m.DueAt = 2, after(time.Hour) })
		require.Equal(t, 2, row(t, s, r, "k1").Deferrals)
		require.Equal(t, deviceops.Counts{Targeted: 2, Pending: 1, Deferred: 1}, counts(t, s, r, 1))

		require.False(t, moved(t, s, r, "k1", deviceops.DeviceSucceeded, nil)[0].Drained)
		require.True(t, moved(t, s, r, "k2", deviceops.DeviceExcused, nil)[0].Drained)
		require.Equal(t, after(time.Minute), row(t, s, r, "k1").EndedAt)
		require.Equal(t, deviceops.Counts{Targeted: 1, Succeeded: 1, Excused: 1}, counts(t, s, r, 1))
	})
}

func TestAdvanceRolloutGuards(t *testing.T) {
	both(t, func(t *testing.T, s deviceops.Tx) {
		r := running(t, s, rollout("kiosk-2", "all"))
		assigned(t, s, r, 0, "k1", "k2")
		advanced(t, s, r, deviceops.DeviceSucceeded, "k1")
		before := row(t, s, r, "k1")
		fromPending := func(m *deviceops.RolloutMove) { m.From = []deviceops.RolloutDeviceStatus{deviceops.DevicePending} }
		require.Empty(t, moved(t, s, r, "k1", deviceops.DeviceSent, fromPending), "the answer overtook the record of the publication")
		require.Empty(t, moved(t, s, r, "k1", deviceops.DeviceFailed, nil), "a late result")
		require.Empty(t, moved(t, s, r, "k9", deviceops.DeviceFailed, nil), "no such row")
		require.Equal(t, before, row(t, s, r, "k1"))
		require.Equal(t, deviceops.Counts{Targeted: 2, Pending: 1, Succeeded: 1}, counts(t, s, r, 0))
	})
}

func TestAdvanceRolloutDatesWhatWasAnsweredAtOnce(t *testing.T) {
	both(t, func(t *testing.T, s deviceops.Tx) {
		r := running(t, s, rollout("kiosk-2", "all"))
		assigned(t, s, r, 0, "k1", "k2")
		require.Empty(t, leased(t, s, r, after(time.Second), "k1"))
		advanced(t, s, r, deviceops.DeviceSucceeded, "k1", "k2")
		answered := row(t, s, r, "k1")
		require.Equal(t, after(time.Second), answered.SentAt)
		require.Equal(t, after(time.Minute), answered.AnswerAt)
		without := row(t, s, r, "k2")
		require.Zero(t, without.SentAt, "it needed no message")
		require.Zero(t, without.AnswerAt)
	})
}

func TestJudgeRollout(t *testing.T) {
	both(t, func(t *testing.T, s deviceops.Tx) {
		r := running(t, s, rollout("kiosk-2", "all"))
		assigned(t, s, r, 0, "k1", "k2", "k3", "k4")
		advanced(t, s, r, deviceops.DeviceSucceeded, "k1", "k2", "k3")
		judge := func(device string, health deviceops.Verdict) deviceops.RolloutDevice {
			return deviceops.RolloutDevice{Rollout: r.ID, Device: device, Health: health}
		}
		require.NoError(t, s.JudgeRollout(t.Context(), []deviceops.RolloutDevice{
			judge("k1", deviceops.Yes), judge("k2", deviceops.No), judge("k3", deviceops.Unknown), judge("k4", deviceops.Yes),
		}))
		require.Equal(t, deviceops.Counts{Targeted: 4, Pending: 1, Succeeded: 3, Healthy: 1, Unhealthy: 1}, counts(t, s, r, 0))
		require.Equal(t, deviceops.Yes, row(t, s, r, "k1").Health)
		require.NoError(t, s.JudgeRollout(t.Context(), []deviceops.RolloutDevice{judge("k1", deviceops.No)}))
		require.Equal(t, deviceops.Counts{Targeted: 4, Pending: 1, Succeeded: 3, Unhealthy: 2}, counts(t, s, r, 0))
		moved(t, s, r, "k1", deviceops.DeviceReverting, func(m *deviceops.RolloutMove) {
			m.From = []deviceops.RolloutDeviceStatus{deviceops.DeviceSucceeded}
		})
		require.Equal(t, deviceops.Counts{Targeted: 4, Pending: 1, Succeeded: 2, Reverting: 1, Unhealthy: 1}, counts(t, s, r, 0))
	})
}

func TestAdvanceRolloutWithHealthBySuccess(t *testing.T) {
	both(t, func(t *testing.T, s deviceops.Tx) {
		wanted := rollout("kiosk-2", "all")
		wanted.HealthBySuccess = true
		r := running(t, s, wanted)
		assigned(t, s, r, 0, "k1", "k2", "k3")
		advanced(t, s, r, deviceops.DeviceSucceeded, "k1")
		advanced(t, s, r, deviceops.DeviceFailed, "k2")
		require.Equal(t, deviceops.Counts{Targeted: 3, Pending: 1, Succeeded: 1, Failed: 1, Healthy: 1}, counts(t, s, r, 0))
		require.Equal(t, deviceops.Yes, row(t, s, r, "k1").Health)
		require.Equal(t, deviceops.Unknown, row(t, s, r, "k2").Health)
	})
}

func TestWithdrawRollout(t *testing.T) {
	both(t, func(t *testing.T, s deviceops.Tx) {
		ids := []string{"accepted", "deferred", "lapsed", "leased", "pending", "sent", "succeeded"}
		online(t, s, ids...)
		r := running(t, s, rollout("kiosk-2", "all"))
		assigned(t, s, r, 0, ids...)
		require.Empty(t, leased(t, s, r, after(-time.Minute), "deferred", "lapsed"))
		require.Empty(t, leased(t, s, r, noon, "leased"))
		for _, status := range []deviceops.RolloutDeviceStatus{deviceops.DeviceAccepted, deviceops.DeviceDeferred, deviceops.DeviceSent, deviceops.DeviceSucceeded} {
			advanced(t, s, r, status, string(status))
		}
		w, err := s.WithdrawRollout(t.Context(), r.ID, after(time.Second))
		require.NoError(t, err)
		require.Equal(t, deviceops.Withdrawal{Withdrawn: 2, Running: 1, Unknown: 2}, w)
		require.Equal(t, deviceops.Counts{Targeted: 7, Pending: 4, Leased: 1, Accepted: 1, Sent: 1, Succeeded: 1}, counts(t, s, r, 0))
		require.Equal(t, []string{"pending", "deferred", "lapsed"}, due(t, s, claimOf(r, 0)))
		for _, device := range []string{"deferred", "lapsed"} {
			_, err := s.FindCommand(t.Context(), deviceops.RolloutCommandID(r.ID, device))
			requireCode(t, deviceops.ENOTFOUND, err)
		}
		_, err = s.FindCommand(t.Context(), deviceops.RolloutCommandID(r.ID, "leased"))
		require.NoError(t, err, "it is on its way")
		require.Empty(t, leased(t, s, r, after(time.Second), "deferred", "lapsed"), "they are asked anew")
	})
}

func TestEndRolloutDevices(t *testing.T) {
	both(t, func(t *testing.T, s deviceops.Tx) {
		online(t, s, "a", "b", "c", "d")
		r := running(t, s, rollout("kiosk-2", "canary", "all"))
		assigned(t, s, r, 0, "a", "b", "c")
		assigned(t, s, r, 1, "d")
		require.Empty(t, leased(t, s, r, noon, "b", "c"))
		advanced(t, s, r, deviceops.DeviceSent, "b")
		cause := &deviceops.CommandError{Code: "canceled", Message: "maria called it off"}
		ended, err := s.EndRolloutDevices(t.Context(), r.ID, 0, deviceops.DeviceCanceled, cause, after(time.Second))
		require.NoError(t, err)
		require.Equal(t, 1, ended)
		found := row(t, s, r, "a")
		require.Equal(t, deviceops.DeviceCanceled, found.Status)
		require.Equal(t, cause, found.Error)
		require.Equal(t, deviceops.Counts{Targeted: 3, Pending: 1, Leased: 1, Sent: 1, Canceled: 1}, counts(t, s, r, 0), "what is on its way stays open")
		ended, err = s.EndRolloutDevices(t.Context(), r.ID, -1, deviceops.DeviceCanceled, cause, after(time.Hour))
		require.NoError(t, err)
		require.Equal(t, 2, ended, "the lease has lapsed")
	})
}

func TestEndRolloutDevicesLetsThemGo(t *testing.T) {
	both(t, func(t *testing.T, s deviceops.Tx) {
		online(t, s, "a", "b")
		older, newer := rollout("kiosk-1", "canary", "all"), rollout("kiosk-2", "all")
		newer.CreatedAt = after(time.Minute)
		older, newer = running(t, s, older), running(t, s, newer)
		assigned(t, s, older, 0, "a")
		assigned(t, s, older, 1, "b")
		assigned(t, s, newer, 0, "a", "b")
		for device, kind := range map[string]deviceops.WaitKind{"a": deviceops.WaitConflict, "b": deviceops.WaitWindow} {
			held := row(t, s, newer, device)
			held.DueAt, held.Wait = after(5*time.Minute), &deviceops.RolloutWait{Kind: kind, Since: noon}
			require.NoError(t, s.HoldRollout(t.Context(), []deviceops.RolloutDevice{held}))
		}
		_, err := s.EndRolloutDevices(t.Context(), older.ID, 1, deviceops.DeviceCanceled, nil, after(time.Second))
		require.NoError(t, err)
		require.Equal(t, after(5*time.Minute), row(t, s, newer, "a").DueAt, "it is held by the other ring")
		_, err = s.EndRolloutDevices(t.Context(), older.ID, -1, deviceops.DeviceCanceled, nil, after(2*time.Second))
		require.NoError(t, err)
		require.Equal(t, after(2*time.Second), row(t, s, newer, "a").DueAt)
		require.Equal(t, after(5*time.Minute), row(t, s, newer, "b").DueAt, "it waits for something else")
	})
}

func TestOverdueRollout(t *testing.T) {
	both(t, func(t *testing.T, s deviceops.Tx) {
		ids := []string{"asleep", "download", "install", "pending", "sent", "work"}
		online(t, s, ids...)
		require.NoError(t, s.SaveSessions(t.Context(), map[string]deviceops.Session{
			"asleep": {Connectivity: deviceops.Sleeping, Since: noon, WakeAt: after(time.Hour)},
		}))
		r := running(t, s, rollout("kiosk-2", "all"))
		assigned(t, s, r, 0, ids...)
		advanced(t, s, r, deviceops.DeviceSent, "asleep", "sent", "download", "install", "work")
		for device, phase := range map[string]string{"download": "downloading", "install": "installing", "work": ""} {
			moved(t, s, r, device, deviceops.DeviceAccepted, func(m *deviceops.RolloutMove) { m.At, m.Phase = after(2*time.Minute), phase })
		}
		overdue := func(l deviceops.OverdueLimits) []string {
			l.Rollout = r.ID
			found, err := s.OverdueRollout(t.Context(), l, 10)
			require.NoError(t, err)
			devices := []string{}
			for _, d := range found {
				devices = append(devices, d.Device)
			}
			return devices
		}
		now := after(5 * time.Minute)
		require.Empty(t, overdue(deviceops.OverdueLimits{Now: now}))
		require.Empty(t, overdue(deviceops.OverdueLimits{Now: now, SentAt: after(time.Second), Download: after(time.Second), Install: after(time.Second)}))
		require.Equal(t, []string{"sent"}, overdue(deviceops.OverdueLimits{Now: now, SentAt: after(time.Minute)}))
		require.Equal(t, []string{"download", "sent", "work"}, overdue(deviceops.OverdueLimits{Now: now, Download: after(time.Minute)}))
		require.Equal(t, []string{"install"}, overdue(deviceops.OverdueLimits{Now: now, Download: after(time.Second), Install: after(2 * time.Minute)}))
		require.Equal(t, []string{"download", "install", "work"}, overdue(deviceops.OverdueLimits{Now: now, Install: after(2 * time.Minute)}), "no download: all is work")
		require.Equal(t, []string{"download", "install", "pending", "sent", "work"}, overdue(deviceops.OverdueLimits{Now: now, RingSince: map[int]bool{0: true}}))
		require.Len(t, overdue(deviceops.OverdueLimits{Now: after(2 * time.Hour), RingSince: map[int]bool{0: true, 1: false}}), 6)
		require.Equal(t, []string{"asleep", "sent"}, overdue(deviceops.OverdueLimits{Now: after(2 * time.Hour), SentAt: after(time.Hour)}))
	})
}

func TestWakeRollout(t *testing.T) {
	both(t, func(t *testing.T, s deviceops.Tx) {
		ids := []string{"gw", "k1", "k2", "k3"}
		online(t, s, ids...)
		d, err := s.FindDevice(t.Context(), "k2")
		require.NoError(t, err)
		d.Parent = "gw"
		require.NoError(t, s.SaveDevice(t.Context(), &d))
		r := running(t, s, rollout("kiosk-2", "all"))
		assigned(t, s, r, 0, ids...)
		hold := func(device string, kind deviceops.WaitKind, until time.Time) {
			held := row(t, s, r, device)
			held.DueAt, held.Wait = until, &deviceops.RolloutWait{Kind: kind, Text: "x", Since: noon, Until: until}
			require.NoError(t, s.HoldRollout(t.Context(), []deviceops.RolloutDevice{held}))
		}
		hold("gw", deviceops.WaitFamily, time.Time{})
		hold("k1", deviceops.WaitWindow, after(time.Hour))
		hold("k2", deviceops.WaitOffline, time.Time{})
		hold("k3", deviceops.WaitLock, time.Time{})
		require.Empty(t, due(t, s, claimOf(r, 0)))
		require.NoError(t, s.WakeRollout(t.Context(), []string{"k1", "k2"}, after(time.Second)))
		require.Equal(t, []string{"gw", "k2"}, due(t, s, claimOf(r, 0)), "a window opens by itself; the gateway may have waited for k2")
		require.NoError(t, s.WakeRollout(t.Context(), []string{"k3", "k9"}, after(time.Second)))
		require.Contains(t, due(t, s, claimOf(r, 0)), "k3")
	})
}

// A device says hello after a claim has read that it is offline and before what
// the claim found is written.
func TestWakeConnected(t *testing.T) {
	both(t, func(t *testing.T, s deviceops.Tx) {
		online(t, s, "k1", "k2", "k3")
		r := running(t, s, rollout("kiosk-2", "all"))
		assigned(t, s, r, 0, "k1", "k2", "k3")
		hold := func(device string, kind deviceops.WaitKind) {
			held := row(t, s, r, device)
			held.DueAt, held.Wait = time.Time{}, &deviceops.RolloutWait{Kind: kind, Text: "x", Since: noon}
			require.NoError(t, s.HoldRollout(t.Context(), []deviceops.RolloutDevice{held}))
		}
		require.NoError(t, s.WakeRollout(t.Context(), []string{"k1"}, noon))
		hold("k1", deviceops.WaitOffline)
		hold("k2", deviceops.WaitOffline)
		hold("k3", deviceops.WaitLock)
		connectivity(t, s, deviceops.Offline, "k2")
		woken, err := s.WakeConnected(t.Context(), after(time.Second), 10)
		require.NoError(t, err)
		require.Equal(t, 1, woken)
		require.Equal(t, []string{"k1"}, due(t, s, claimOf(r, 0)))
		woken, err = s.WakeConnected(t.Context(), after(time.Second), 10)
		require.NoError(t, err)
		require.Zero(t, woken, "it is due already")
	})
}

func TestRecallRollout(t *testing.T) {
	both(t, func(t *testing.T, s deviceops.Tx) {
		online(t, s, "k1", "k2")
		excuse := func(r deviceops.Rollout, device, code string) {
			moved(t, s, r, device, deviceops.DeviceExcused, func(m *deviceops.RolloutMove) {
				m.Error = &deviceops.CommandError{Code: code, Message: "x"}
			})
		}
		open, done, stopped := running(t, s, rollout("a", "canary", "all")), running(t, s, rollout("b", "all")), running(t, s, rollout("c", "all"))
		for _, r := range []deviceops.Rollout{open, done, stopped} {
			assigned(t, s, r, 0, "k1", "k2")
			excuse(r, "k1", deviceops.CodeStraggler)
			excuse(r, "k2", "state")
		}
		done.Status, stopped.Status = deviceops.RolloutSucceeded, deviceops.RolloutCanceled
		require.NoError(t, s.SaveRollout(t.Context(), done))
		require.NoError(t, s.SaveRollout(t.Context(), stopped))

		going, ended, err := s.RecallRollout(t.Context(), []string{"k1", "k2"}, after(time.Minute))
		require.NoError(t, err)
		require.Equal(t, []string{open.ID}, going)
		require.Equal(t, []string{done.ID}, ended)
		require.Equal(t, deviceops.RolloutDevice{
			Rollout: open.ID, Device: "k1", Account: "acme", Ring: 1, Status: deviceops.DevicePending, DueAt: after(time.Minute), AddedAt: noon,
			Error: &deviceops.CommandError{Code: deviceops.CodeStraggler, Message: "x"},
		}, row(t, s, open, "k1"), "it goes on to say that it had been given up")
		require.Equal(t, deviceops.Counts{Excused: 1}, counts(t, s, open, 0))
		require.Equal(t, deviceops.Counts{Targeted: 1, Pending: 1}, counts(t, s, open, 1))
		require.Equal(t, deviceops.Counts{Targeted: 1, Pending: 1, Excused: 1}, counts(t, s, done, 0))
		require.Equal(t, deviceops.DeviceExcused, row(t, s, stopped, "k1").Status)
		q := claimOf(done, 0)
		q.Now = after(time.Hour)
		require.Equal(t, []string{"k1"}, due(t, s, q), "a rollout that succeeded serves who comes late")
		going, ended, err = s.RecallRollout(t.Context(), []string{"k1"}, after(time.Hour))
		require.NoError(t, err)
		require.Empty(t, append(going, ended...))
	})
}

func TestIdleRollouts(t *testing.T) {
	both(t, func(t *testing.T, s deviceops.Tx) {
		online(t, s, "k1")
		r := running(t, s, rollout("kiosk-2", "all"))
		idle := func(before time.Time) []string {
			found, err := s.IdleRollouts(t.Context(), before, 10)
			require.NoError(t, err)
			return found
		}
		require.Empty(t, idle(after(time.Hour)), "it has no devices")
		assigned(t, s, r, 0, "k1")
		require.Equal(t, []string{r.ID}, idle(after(time.Hour)))
		require.Len(t, due(t, s, claimOf(r, 0)), 1)
		require.Empty(t, idle(noon), "somebody looked")
		require.Equal(t, []string{r.ID}, idle(after(time.Hour)))
		require.Empty(t, leased(t, s, r, after(time.Hour), "k1"))
		require.Empty(t, idle(after(time.Hour)), "it is being published")
		require.Equal(t, []string{r.ID}, idle(after(time.Hour+deviceops.PublishLease)), "nobody recorded that")
		r.Status = deviceops.RolloutPaused
		require.NoError(t, s.SaveRollout(t.Context(), r))
		require.Empty(t, idle(after(time.Hour)))
	})
}

// What a rollback does to a device is seen in the row that it takes back.
func TestRollbacksMoveWhatTheyTakeBack(t *testing.T) {
	both(t, func(t *testing.T, s deviceops.Tx) {
		r := running(t, s, rollout("kiosk-2", "all"))
		devices := []string{"k1", "k2", "k3", "k4"}
		assigned(t, s, r, 0, devices...)
		advanced(t, s, r, deviceops.DeviceSucceeded, "k1", "k2")
		advanced(t, s, r, deviceops.DeviceFailed, "k3")
		advanced(t, s, r, deviceops.DeviceTimedOut, "k4")
		back := rollout("kiosk-2-rollback", "all")
		back.RollbackOf = r.ID
		back = running(t, s, back)
		assigned(t, s, back, 0, devices...)

		advanced(t, s, back, deviceops.DeviceSent, "k1", "k2")
		require.Equal(t, deviceops.Counts{Targeted: 4, Reverting: 2, Failed: 1, TimedOut: 1}, counts(t, s, r, 0))
		advanced(t, s, back, deviceops.DeviceSucceeded, "k1", "k3")
		moved(t, s, back, "k2", deviceops.DeviceFailed, func(m *deviceops.RolloutMove) { m.Error = &deviceops.CommandError{Code: "disk", Message: "full"} })
		advanced(t, s, back, deviceops.DeviceCanceled, "k4")
		require.Equal(t, deviceops.Counts{Targeted: 4, Reverted: 2, RevertFailed: 2}, counts(t, s, r, 0))
		require.Equal(t, "disk", row(t, s, r, "k2").Error.Code)
		require.Equal(t, "canceled", row(t, s, r, "k4").Error.Code)
	})
}

// countersAgree requires that every counter equals what counting gives.
func countersAgree(t testing.TB, s *postgres.Store) {
	t.Helper()
	wrong, err := postgres.Query[string](t.Context(), s, `
		select g.rollout || ' ' || g.ring || ': ' || to_jsonb(g)::text || ' but ' || to_jsonb(n)::text
		from rollout_rings g left join lateral (
			select count(*) filter (where status <> 'excused') as targeted,
				count(*) filter (where status = 'pending') as pending,
				count(*) filter (where status = 'pending' and leased_until is not null) as leased,
				count(*) filter (where status = 'sent') as sent,
				count(*) filter (where status = 'accepted') as accepted,
				count(*) filter (where status = 'deferred') as deferred,
				count(*) filter (where status = 'succeeded') as succeeded,
				count(*) filter (where status = 'failed') as failed,
				count(*) filter (where status = 'rejected') as rejected,
				count(*) filter (where status = 'timed_out') as timed_out,
				count(*) filter (where status = 'excused') as excused,
				count(*) filter (where status = 'canceled') as canceled,
				count(*) filter (where status = 'reverting') as reverting,
				count(*) filter (where status = 'reverted') as reverted,
				count(*) filter (where status = 'revert_failed') as revert_failed,
				count(*) filter (where status = 'succeeded' and health = 2) as healthy,
				count(*) filter (where status = 'succeeded' and health = 1) as unhealthy
			from rollout_devices r where r.rollout = g.rollout and r.ring = g.ring) n on true
		where (g.targeted, g.pending, g.leased, g.sent, g.accepted, g.deferred, g.succeeded, g.failed, g.rejected, g.timed_out, g.excused,
				g.canceled, g.reverting, g.reverted, g.revert_failed, g.healthy, g.unhealthy)
			is distinct from (n.targeted, n.pending, n.leased, n.sent, n.accepted, n.deferred, n.succeeded, n.failed, n.rejected, n.timed_out,
				n.excused, n.canceled, n.reverting, n.reverted, n.revert_failed, n.healthy, n.unhealthy)`)
	require.NoError(t, err)
	require.Empty(t, wrong)
}

// Whatever is done at the same time, counters equal what counting gives.
func TestCountersEqualCounting(t *testing.T) {
	t.Parallel()
	s := postgrestest.New(t)
	ids := names("k", 40)
	online(t, s, ids...)
	r := running(t, s, rollout("kiosk-2", "canary", "early", "all"))
	back := rollout("kiosk-2-rollback", "all")
	back.RollbackOf, back.CreatedAt = r.ID, after(time.Second)
	back = running(t, s, back)
	for i, id := range ids {
		assigned(t, s, r, i%3, id)
	}
	assigned(t, s, back, 0, ids...)
	seed := rand.Uint64()
	t.Logf("seed %d", seed)
	var workers sync.WaitGroup
	for w := range 4 {
		workers.Go(func() {
			random := rand.New(rand.NewPCG(seed, uint64(w)))
			for n := range 60 {
				now := after(time.Duration(n) * 3 * time.Second)
				if err := disturb(t, s, random, []deviceops.Rollout{r, back}, ids, now); err != nil {
					t.Error(err)
				}
			}
		})
	}
	workers.Wait()
	countersAgree(t, s)
}

var everyStatus = []deviceops.RolloutDeviceStatus{
	deviceops.DevicePending, deviceops.DeviceSent, deviceops.DeviceAccepted, deviceops.DeviceDeferred, deviceops.DeviceSucceeded,
	deviceops.DeviceFailed, deviceops.DeviceRejected, deviceops.DeviceTimedOut, deviceops.DeviceExcused, deviceops.DeviceCanceled,
	deviceops.DeviceReverting, deviceops.DeviceReverted, deviceops.DeviceRevertFailed,
}

// disturb does one random thing to rollouts.
func disturb(t *testing.T, s *postgres.Store, random *rand.Rand, rollouts []deviceops.Rollout, ids []string, now time.Time) error {
	ctx, r := t.Context(), rollouts[random.IntN(len(rollouts))]
	some := func() []string {
		from := random.IntN(len(ids))
		return ids[from:min(len(ids), from+1+random.IntN(10))]
	}
	switch random.IntN(8) {
	case 0:
		_, err := s.WithdrawRollout(ctx, r.ID, now)
		return err
	case 1:
		_, err := s.EndRolloutDevices(ctx, r.ID, random.IntN(4)-1, deviceops.DeviceCanceled, nil, now)
		return err
	case 2:
		_, _, err := s.RecallRollout(ctx, some(), now)
		return err
	case 3:
		var judged []deviceops.RolloutDevice
		for _, id := range some() {
			judged = append(judged, deviceops.RolloutDevice{Rollout: r.ID, Device: id, Health: deviceops.Verdict(random.IntN(3))})
		}
		return s.JudgeRollout(ctx, judged)
	case 4:
		return claimSome(ctx, s, random, r, now)
	default:
		var moves []deviceops.RolloutMove
		for _, id := range some() {
			to := everyStatus[random.IntN(len(everyStatus))]
			m := deviceops.RolloutMove{Rollout: r.ID, Device: id, From: everyStatus[:1+random.IntN(len(everyStatus))], To: to, At: now, DueAt: now}
			if to == deviceops.DeviceExcused {
				m.Error = &deviceops.CommandError{Code: deviceops.CodeStraggler}
			}
			moves = append(moves, m)
		}
		_, err := s.AdvanceRollout(ctx, moves)
		return err
	}
}

// claimSome leases some of what is due and holds the rest.
func claimSome(ctx context.Context, s *postgres.Store, random *rand.Rand, r deviceops.Rollout, now time.Time) error {
	return s.InTx(ctx, func(ctx context.Context, tx deviceops.Tx) error {
		found, err := tx.ClaimRollout(ctx, deviceops.RolloutClaim{
			Rollout: r.ID, Ring: random.IntN(3), Now: now, Limit: 10, Exclusive: random.IntN(2) == 0, Conflict: true,
		})
		if err != nil {
			return err
		}
		var held, taken []deviceops.RolloutDevice
		var commands []deviceops.Command
		for _, c := range found {
			row := c.Row
			if random.IntN(3) == 0 {
				row.DueAt, row.Wait = now.Add(time.Second), &deviceops.RolloutWait{Kind: deviceops.WaitReady, Since: now}
				held = append(held, row)
				continue
			}
			row.Attempt = c.Attempt
			taken, commands = append(taken, row), append(commands, changeCommand(r, row.Device, c.Attempt))
		}
		if err := tx.HoldRollout(ctx, held); err != nil {
			return err
		}
		if _, err := tx.LeaseRollout(ctx, taken, commands, now); err != nil {
			return fmt.Errorf("lease: %w", err)
		}
		return nil
	})
}

func TestMarkRolloutSent(t *testing.T) {
	both(t, func(t *testing.T, s deviceops.Tx) {
		online(t, s, "k1", "k2", "k3")
		r := running(t, s, rollout("kiosk-2", "all"))
		assigned(t, s, r, 0, "k1", "k2", "k3")
		require.Empty(t, leased(t, s, r, noon, "k1", "k2", "k3"))
		sent := func(device string, attempt int) deviceops.Sent {
			return deviceops.Sent{ID: deviceops.RolloutCommandID(r.ID, device), Attempt: attempt, Boot: "b7"}
		}
		answered, err := s.FindCommand(t.Context(), sent("k2", 1).ID)
		require.NoError(t, err)
		require.True(t, answered.Answer(deviceops.Answer{Attempt: 1, Status: "succeeded"}, noon))
		require.NoError(t, s.SaveCommands(t.Context(), []deviceops.Command{answered}))
		advanced(t, s, r, deviceops.DeviceSucceeded, "k2")

		require.NoError(t, s.MarkRolloutSent(t.Context(), r.ID, []deviceops.Sent{sent("k1", 1), sent("k2", 1), sent("k3", 2)}, after(time.Second)))
		require.Equal(t, deviceops.Counts{Targeted: 3, Pending: 1, Leased: 1, Sent: 1, Succeeded: 1}, counts(t, s, r, 0))
		require.Equal(t, after(time.Second), row(t, s, r, "k1").SentAt)
		c, err := s.FindCommand(t.Context(), sent("k1", 1).ID)
		require.NoError(t, err)
		require.Equal(t, deviceops.CommandSent, c.Status)
		require.Equal(t, "b7", c.Boot)
		require.Zero(t, c.LeasedUntil)
		unchanged, err := s.FindCommand(t.Context(), answered.ID)
		require.NoError(t, err)
		require.Equal(t, answered, unchanged)
	})
}

func TestMarkRolloutSentMirrorsRollbacks(t *testing.T) {
	t.Parallel()
	s := postgrestest.New(t)
	online(t, s, "k1")
	r := running(t, s, rollout("kiosk-2", "all"))
	assigned(t, s, r, 0, "k1")
	advanced(t, s, r, deviceops.DeviceSucceeded, "k1")
	back := rollout("kiosk-2-rollback", "all")
	back.RollbackOf = r.ID
	back = running(t, s, back)
	assigned(t, s, back, 0, "k1")
	require.Empty(t, leased(t, s, back, noon, "k1"))
	require.NoError(t, s.MarkRolloutSent(t.Context(), back.ID, []deviceops.Sent{{ID: deviceops.RolloutCommandID(back.ID, "k1"), Attempt: 1}}, noon))
	require.Equal(t, deviceops.DeviceReverting, row(t, s, r, "k1").Status)
	countersAgree(t, s)
}

package ingest

import (
	"context"
	"fmt"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/deviceops/deviceops"
)

// rolled is a running rollout of two rings with k1 in the first, its command
// published, and k2 in the second.
func rolled(t *testing.T) (*testBundle, deviceops.Rollout) {
	t.Helper()
	b := newBundle(t, nil)
	for _, id := range []string{"k1", "k2"} {
		b.device(id, deviceops.Active)
		b.say(id, "hello", fullHello)
	}
	b.settle()
	b.engine.signals()
	r := b.rollout("kiosk-2")
	b.rows(r, deviceops.RolloutDevice{Device: "k1"}, deviceops.RolloutDevice{Device: "k2", Ring: 1})
	b.sent(r, "k1")
	return b, r
}

func (b *testBundle) rollout(name string) deviceops.Rollout {
	b.t.Helper()
	r := deviceops.Rollout{
		ID: deviceops.RolloutID("acme", name), Account: "acme", Name: name, Kind: deviceops.ChangeCommand, StatusSince: noon, CreatedAt: noon,
		Rings: []deviceops.Ring{
			{Name: "canary", Status: deviceops.RingRunning, OpenedAt: noon}, {Index: 1, Name: "all", Status: deviceops.RingRunning, OpenedAt: noon},
		},
	}
	stored, created, err := b.store.CreateRollout(b.t.Context(), r)
	require.NoError(b.t, err)
	require.True(b.t, created)
	return b.become(stored, deviceops.RolloutRunning)
}

func (b *testBundle) become(r deviceops.Rollout, s deviceops.RolloutStatus) deviceops.Rollout {
	b.t.Helper()
	r.Status = s
	require.NoError(b.t, b.store.SaveRollout(b.t.Context(), r))
	return r
}

func (b *testBundle) rows(r deviceops.Rollout, rows ...deviceops.RolloutDevice) {
	b.t.Helper()
	for i := range rows {
		rows[i].Rollout, rows[i].Account, rows[i].Status, rows[i].DueAt = r.ID, "acme", deviceops.DevicePending, noon
	}
	_, err := b.store.AddRolloutDevices(b.t.Context(), rows)
	require.NoError(b.t, err)
}

// sent publishes the command of a row as a pump does, but for the broker.
func (b *testBundle) sent(r deviceops.Rollout, device string) {
	b.t.Helper()
	ctx, now, row := b.t.Context(), b.clock.Now(), b.row(r, device)
	row.Attempt++
	id := deviceops.RolloutCommandID(r.ID, device)
	refused, err := b.store.LeaseRollout(ctx, []deviceops.RolloutDevice{row}, []deviceops.Command{{
		ID: id, Account: "acme", Device: device, Name: "ping", Attempt: row.Attempt, Exclusive: true, Rollout: r.ID, Ring: row.Ring, CreatedAt: now, DueAt: now,
		ExpiresAt: now.Add(time.Hour),
	}}, now)
	require.NoError(b.t, err)
	require.Empty(b.t, refused)
	require.NoError(b.t, b.store.MarkSent(ctx, []deviceops.Sent{{ID: id, Attempt: row.Attempt}}, now))
	b.move(r, device, deviceops.DeviceSent, nil)
}

func (b *testBundle) move(r deviceops.Rollout, device string, to deviceops.RolloutDeviceStatus, cause *deviceops.CommandError) {
	b.t.Helper()
	moved, err := b.store.AdvanceRollout(b.t.Context(), []deviceops.RolloutMove{{
		Rollout: r.ID, Device: device, To: to, At: b.clock.Now(), Error: cause,
		From: []deviceops.RolloutDeviceStatus{deviceops.DevicePending, deviceops.DeviceSent, deviceops.DeviceAccepted},
	}})
	require.NoError(b.t, err)
	require.Len(b.t, moved, 1)
}

func (b *testBundle) row(r deviceops.Rollout, device string) deviceops.RolloutDevice {
	b.t.Helper()
	row, err := b.store.FindRolloutDevice(b.t.Context(), r.ID, device)
	require.NoError(b.t, err)
	return row
}

func (b *testBundle) counts(r deviceops.Rollout, ring int) deviceops.Counts {
	b.t.Helper()
	rings, err := b.store.RolloutCounts(b.t.Context(), r.ID)
	require.NoError(b.t, err)
	return rings[ring].Counts
}

// answer has k1 answer the command of a rollout.
func (b *testBundle) answer(r deviceops.Rollout, attempt int, rest string) {
	b.t.Helper()
	b.say("k1", "result", fmt.Sprintf(`{"id":%q,"attempt":%d,%s}`, deviceops.RolloutCommandID(r.ID, "k1"), attempt, rest))
}

// nudges waits for signals to workflows.
func (b *testBundle) nudges() []string {
	b.t.Helper()
	var signals []string
	require.Eventually(b.t, func() bool {
		signals = b.engine.signals()
		return len(signals) > 0
	}, 5*time.Second, 5*time.Millisecond)
	return signals
}

func TestResultsMoveRowsOfRollouts(t *testing.T) {
	t.Parallel()
	b, r := rolled(t)
	b.answer(r, 1, `"status":"progress","phase":"installing","percent":40`)
	row := b.row(r, "k1")
	require.Equal(t, deviceops.DeviceAccepted, row.Status)
	require.Equal(t, "installing", row.Phase)
	require.Equal(t, deviceops.Counts{Targeted: 1, Accepted: 1}, b.counts(r, 0))
	b.answer(r, 1, `"status":"rejected","error":{"code":"unsupported","message":"no","retryable":true}`)
	require.Equal(t, deviceops.DeviceRejected, b.row(r, "k1").Status)
	require.Equal(t, deviceops.Counts{Targeted: 1, Rejected: 1}, b.counts(r, 0))
	require.Equal(t, []string{"nudge rollout/" + r.ID}, b.nudges())
}

func TestSuccessesOfRolloutsWriteNoEvents(t *testing.T) {
	t.Parallel()
	b, r := rolled(t)
	id := deviceops.RolloutCommandID(r.ID, "k1")
	b.say("k1", "result", `{"id":"`+id+`","attempt":1,"status":"accepted"}`)
	b.answer(r, 1, `"status":"succeeded"`)
	require.Equal(t, deviceops.DeviceSucceeded, b.row(r, "k1").Status)
	require.Empty(t, b.events("k1", deviceops.EventCommand))
	require.Equal(t, []string{"nudge rollout/" + r.ID}, b.nudges(), "its ring has nothing open")
}

func TestFailuresAreTriedAgain(t *testing.T) {
	t.Parallel()
	b, r := rolled(t)
	failed := `"status":"failed","error":{"code":"disk","message":"full","retryable":true}`
	b.answer(r, 1, failed)
	row := b.row(r, "k1")
	require.Equal(t, deviceops.DevicePending, row.Status)
	require.Equal(t, noon.Add(time.Minute), row.DueAt)
	require.Equal(t, deviceops.WaitRetry, row.Wait.Kind)
	require.Equal(t, "disk", row.Error.Code)
	require.Len(t, b.events("k1", deviceops.EventCommand), 1, "a failure is an event")

	b.sent(r, "k1")
	b.answer(r, 1, `"status":"succeeded"`)
	require.Equal(t, deviceops.DeviceSent, b.row(r, "k1").Status, "an answer to the attempt before")
	b.answer(r, 2, failed)
	require.Equal(t, deviceops.DeviceFailed, b.row(r, "k1").Status)
	require.Equal(t, 2, b.row(r, "k1").Attempt)
	require.Equal(t, []string{"nudge rollout/" + r.ID}, b.nudges())
}

func TestNothingIsTriedAgainInARolloutThatIsOver(t *testing.T) {
	t.Parallel()
	b, r := rolled(t)
	b.become(r, deviceops.RolloutCanceled)
	b.answer(r, 1, `"status":"failed","error":{"code":"disk","retryable":true}`)
	require.Equal(t, deviceops.DeviceFailed, b.row(r, "k1").Status)
}

func TestDeferralsAreBounded(t *testing.T) {
	t.Parallel()
	b, r := rolled(t)
	b.answer(r, 1, `"status":"deferred","retry_in":60,"reason":"in use"`)
	row := b.row(r, "k1")
	require.Equal(t, deviceops.DeviceDeferred, row.Status)
	require.Equal(t, noon.Add(time.Minute), row.DueAt)
	require.Equal(t, 1, row.Deferrals)

	b.answer(r, 1, `"status":"deferred","retry_in":60,"reason":"in use"`)
	row = b.row(r, "k1")
	require.Equal(t, deviceops.DeviceFailed, row.Status)
	require.Equal(t, deviceops.CodeDeferrals, row.Error.Code)
	require.Equal(t, deviceops.CommandCanceled, b.status(deviceops.RolloutCommandID(r.ID, "k1")), "nobody asks again")
}

func TestCommandsThatExpireEndTheirRows(t *testing.T) {
	t.Parallel()
	b, r := rolled(t)
	b.clock.advance(time.Hour)
	require.NoError(t, b.sweeper().Sweep(t.Context()))
	require.Equal(t, deviceops.DeviceTimedOut, b.row(r, "k1").Status)
	require.Contains(t, b.engine.signals(), "nudge rollout/"+r.ID)
}

func TestHellosWakeRowsAndBringStragglersBack(t *testing.T) {
	t.Parallel()
	b, r := rolled(t)
	done := b.rollout("kiosk-1")
	b.rows(done, deviceops.RolloutDevice{Device: "k2"})
	b.move(done, "k2", deviceops.DeviceExcused, &deviceops.CommandError{Code: deviceops.CodeStraggler})
	b.become(done, deviceops.RolloutSucceeded)
	held := b.row(r, "k2")
	held.DueAt, held.Wait = time.Time{}, &deviceops.RolloutWait{Kind: deviceops.WaitOffline, Since: noon}
	require.NoError(t, b.store.HoldRollout(t.Context(), []deviceops.RolloutDevice{held}))

	b.clock.advance(time.Minute)
	b.say("k2", "hello", fullHello)
	b.settle()
	require.Equal(t, b.clock.Now(), b.row(r, "k2").DueAt)
	back := b.row(done, "k2")
	require.Equal(t, deviceops.DevicePending, back.Status)
	require.Equal(t, 1, back.Ring)
	require.Equal(t, map[string]int{"rollout/" + done.ID: 1}, b.engine.started())
}

func TestTheSweeperWakesDevicesThatCameBackWhileTheyWereFoundToBeAway(t *testing.T) {
	t.Parallel()
	b, r := rolled(t)
	b.say("k2", "hello", fullHello)
	b.settle()
	held := b.row(r, "k2")
	held.DueAt, held.Wait = time.Time{}, &deviceops.RolloutWait{Kind: deviceops.WaitOffline, Since: noon}
	require.NoError(t, b.store.HoldRollout(t.Context(), []deviceops.RolloutDevice{held}))
	require.NoError(t, b.sweeper().Sweep(t.Context()))
	require.Equal(t, b.clock.Now(), b.row(r, "k2").DueAt)
}

func TestAStragglerThatIsBackIsNewsToARolloutThatGoesOn(t *testing.T) {
	t.Parallel()
	b, r := rolled(t)
	b.move(r, "k2", deviceops.DeviceExcused, &deviceops.CommandError{Code: deviceops.CodeStraggler})
	b.clock.advance(time.Minute)
	b.say("k2", "hello", fullHello)
	require.Equal(t, []string{"nudge rollout/" + r.ID}, b.nudges(), "it may pump nothing any more, and would excuse the device again before it looked")
	require.Equal(t, deviceops.DevicePending, b.row(r, "k2").Status)
}

func TestTheEndOfACommandWakesWhatItLocked(t *testing.T) {
	t.Parallel()
	b, r := rolled(t)
	other := b.rollout("kiosk-3")
	b.rows(other, deviceops.RolloutDevice{Device: "k1"})
	held := b.row(other, "k1")
	held.DueAt, held.Wait = time.Time{}, &deviceops.RolloutWait{Kind: deviceops.WaitConflict, Since: noon}
	require.NoError(t, b.store.HoldRollout(t.Context(), []deviceops.RolloutDevice{held}))
	b.answer(r, 1, `"status":"failed","error":{"code":"disk","message":"full"}`)
	require.Equal(t, noon, b.row(other, "k1").DueAt)
}

func TestTheSweeperNudgesRolloutsThatNobodyPumps(t *testing.T) {
	t.Parallel()
	b, r := rolled(t)
	sweeper := b.sweeper()
	require.NoError(t, sweeper.Sweep(t.Context()))
	require.Empty(t, b.engine.signals(), "there may be a pump")
	b.clock.advance(pumpPatience)
	require.NoError(t, sweeper.Sweep(t.Context()))
	require.Equal(t, []string{"nudge rollout/" + r.ID}, b.engine.signals())
	require.NoError(t, sweeper.Sweep(t.Context()))
	require.Empty(t, b.engine.signals(), "it was just told")
}

func TestNudgerCoalesces(t *testing.T) {
	t.Parallel()
	clock := &fakeClock{at: noon}
	n := newNudger(func(context.Context, string) {}, clock.Now)
	n.close() // its ticker: the test looks by itself
	at := func(d time.Duration, urgent ...bool) []string {
		clock.advance(d)
		for _, u := range urgent {
			n.add(map[string]bool{"r": u})
		}
		return n.takeDue()
	}
	require.Equal(t, []string{"r"}, at(0, false, true), "at once when it is urgent")
	require.Empty(t, at(0, true), "not twice in a second")
	require.Equal(t, []string{"r"}, at(time.Second))
	require.Empty(t, at(time.Second, false, false))
	require.Empty(t, at(8*time.Second, false))
	require.Equal(t, []string{"r"}, at(time.Second, false), "ten seconds after the last")
	require.Empty(t, at(time.Hour, false), "news after a long silence wait for more")
	require.Equal(t, []string{"r"}, at(nudgeEvery))
	require.Empty(t, at(nudgeEvery))
}

func TestTheSweeperTellsWorkflowsOfPausesThatAreHeld(t *testing.T) {
	t.Parallel()
	b, r := rolled(t)
	sweeper := b.sweeper()
	pause := deviceops.RolloutControl{Rollout: r.ID, Action: deviceops.RolloutPause, Request: "1"}
	require.NoError(t, b.store.HoldRolloutClaims(t.Context(), pause))
	b.engine.setDown(true)
	require.ErrorContains(t, sweeper.Sweep(t.Context()), "held: down")
	held, err := b.store.HeldRollouts(t.Context(), 0)
	require.NoError(t, err)
	require.Len(t, held, 1, "it is held until the workflow knows")

	b.engine.setDown(false)
	b.engine.signals()
	require.NoError(t, sweeper.Sweep(t.Context()))
	require.Contains(t, b.engine.signals(), "control "+deviceops.RolloutWorkflowID(r.ID))
	held, err = b.store.HeldRollouts(t.Context(), 0)
	require.NoError(t, err)
	require.Empty(t, held)
}

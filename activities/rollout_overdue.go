package activities

import (
	"context"
	"fmt"
	"slices"
	"time"

	"github.com/deviceops/deviceops"
)

// overdueLimit is how many overdue devices one call sees to.
const overdueLimit = 500

// Codes of devices that did not come to an end in time.
const (
	CodeNoAnswer        = "no_answer"        // no sign of life since it was sent the change
	CodeDownloadTimeout = "download_timeout" //
	CodeInstallTimeout  = "install_timeout"  // or, of another change, the whole of it
)

// overdue ends devices that are past one of the manifest's times, together with
// their commands: what timed out is not to happen later, behind everybody's back.
func (c *counting) overdue(ctx context.Context) error {
	if c.r.Status == deviceops.RolloutPlanning || c.r.StartedAt.IsZero() {
		return nil
	}
	limits := c.limits()
	rows, err := c.a.deps.Store.OverdueRollout(ctx, limits, overdueLimit)
	if err != nil {
		return err
	}
	var late []deviceops.RolloutDevice
	var moves []deviceops.RolloutMove
	for i := range rows {
		if m, ok := c.late(&rows[i], limits); ok {
			late, moves = append(late, rows[i]), append(moves, m)
		}
	}
	c.out.More = len(rows) == overdueLimit && len(moves) > 0
	return c.end(ctx, late, moves)
}

// limits gives the times at which rows are overdue now.
func (c *counting) limits() deviceops.OverdueLimits {
	now := c.a.deps.now()
	l := deviceops.OverdueLimits{Rollout: c.r.ID, Now: now, RingSince: map[int]bool{}}
	ago := func(d time.Duration) time.Time {
		if d <= 0 {
			return time.Time{}
		}
		return now.Add(-d)
	}
	if c.spec.Change.Kind != deviceops.ChangeWorkflow { // a run has times of its own
		l.SentAt, l.Install = ago(c.spec.AnswerWithin), ago(c.spec.Phases.Install.Timeout)
	}
	if c.spec.Change.Kind == deviceops.ChangeRelease {
		l.Download = ago(c.spec.Phases.Download.Timeout)
	}
	if s := c.spec.Stragglers; s.After > 0 && s.Then != deviceops.StragglerWait {
		for i, ring := range c.r.Rings {
			l.RingSince[i] = !ring.OpenedAt.IsZero() && !ring.OpenedAt.Add(s.After).After(now)
		}
	}
	return l
}

// late gives the move of a row that is overdue; false: it is not after all.
func (c *counting) late(r *deviceops.RolloutDevice, l deviceops.OverdueLimits) (deviceops.RolloutMove, bool) {
	m := deviceops.RolloutMove{
		Rollout: r.Rollout, Device: r.Device, From: []deviceops.RolloutDeviceStatus{r.Status}, To: deviceops.DeviceTimedOut, At: l.Now,
	}
	switch {
	case r.Status == deviceops.DeviceSent && reached(r.SentAt, l.SentAt):
		m.Error = timedOut(CodeNoAnswer, "it gave no sign of life within %s of being sent the change", c.spec.AnswerWithin)
	case r.Status.InFlight() && !installing(r.Phase) && reached(r.SentAt, l.Download):
		m.Error = timedOut(CodeDownloadTimeout, "it did not download the change within %s", c.spec.Phases.Download.Timeout)
	case l.RingSince[r.Ring] && c.straggles(r, l.Now):
		return c.straggler(m), true
	case r.Status == deviceops.DeviceAccepted && !l.Install.IsZero() && (l.Download.IsZero() || installing(r.Phase)) && reached(r.AnswerAt, l.Install):
		m.Error = timedOut(CodeInstallTimeout, "it did not come to an end within %s", c.spec.Phases.Install.Timeout)
	default:
		return m, false
	}
	return m, true
}

func timedOut(code, format string, args ...any) *deviceops.CommandError {
	return &deviceops.CommandError{Code: code, Message: fmt.Sprintf(format, args...), Retryable: true}
}

// reached reports whether t lies at limit or before.
func reached(t, limit time.Time) bool { return !t.IsZero() && !limit.IsZero() && !t.After(limit) }

// installing reports whether an install is past its download.
func installing(phase string) bool {
	return slices.Contains([]string{"installing", "rebooting", "confirming"}, phase)
}

// straggles reports whether a device of a ring that was opened long ago has had
// that long itself. One that joined later counts from then, one that is at it from
// when it was asked, one that had been given up before, and came back, from then.
func (c *counting) straggles(r *deviceops.RolloutDevice, now time.Time) bool {
	since := r.AddedAt
	switch {
	case r.Status.InFlight():
		since = r.SentAt
	case r.Error == nil || r.Error.Code != deviceops.CodeStraggler:
	case r.Wait != nil:
		since = r.Wait.Since
	default:
		since = r.DueAt
	}
	return !since.Add(c.spec.Stragglers.After).After(now)
}

func (c *counting) straggler(m deviceops.RolloutMove) deviceops.RolloutMove {
	m.Error = &deviceops.CommandError{
		Code: deviceops.CodeStraggler, Message: fmt.Sprintf("it was not done %s after its ring began", c.spec.Stragglers.After), Retryable: true,
	}
	if c.spec.Stragglers.Then == deviceops.StragglerExcuse {
		m.To = deviceops.DeviceExcused
	}
	return m
}

// end carries out moves that end rows, or have them go on, and ends the commands
// of those that have ended. Commands are locked before rows, as by whoever stores
// an answer: what was answered in the meantime is left as it is.
func (c *counting) end(ctx context.Context, rows []deviceops.RolloutDevice, moves []deviceops.RolloutMove) error {
	if len(moves) == 0 {
		return nil
	}
	var ids []string
	for _, r := range rows {
		if r.Attempt > 0 {
			ids = append(ids, deviceops.RolloutCommandID(r.Rollout, r.Device))
		}
	}
	now := c.a.deps.now()
	return c.a.deps.Store.InTx(ctx, func(ctx context.Context, tx deviceops.Tx) error {
		locked, err := tx.LockCommands(ctx, ids)
		if err != nil {
			return err
		}
		moved, err := tx.AdvanceRollout(ctx, moves)
		if err != nil {
			return err
		}
		if err := tx.SaveCommands(ctx, expired(locked, moved, now)); err != nil {
			return err
		}
		var freed []string
		for _, m := range moved {
			freed = append(freed, m.Device)
		}
		return tx.WakeRollout(ctx, freed, now)
	})
}

// expired ends the open commands of rows that ended and gives them.
func expired(locked map[string]*deviceops.Command, moved []deviceops.RolloutMove, now time.Time) (ended []deviceops.Command) {
	for _, m := range moved {
		command, ok := locked[deviceops.RolloutCommandID(m.Rollout, m.Device)]
		if ok && !m.To.Open() && command.Finish(deviceops.CommandExpired, m.Error, now) {
			ended = append(ended, *command)
		}
	}
	return ended
}

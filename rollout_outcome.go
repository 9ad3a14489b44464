package deviceops

import (
	"fmt"
	"time"
)

// CodeDeferrals is the error code of a device that put the change off more often
// than it may.
const CodeDeferrals = "deferrals"

// RolloutOutcome gives how the row of a device moves after its command changed.
// over says that the rollout has ended or is taken back, so that nothing is tried
// again. Without spec (its manifest can't be read any more) neither is it.
//
// A success counts even when the row was given up before.
func RolloutOutcome(spec *RolloutSpec, c *Command, over bool, now time.Time) RolloutMove {
	m := RolloutMove{
		Rollout: c.Rollout, Device: c.Device, At: now, From: openStatuses, Error: c.Error, Phase: c.Phase, Percent: c.Percent, Attempt: c.Attempt,
	}
	switch c.Status {
	case CommandAccepted:
		m.To = DeviceAccepted
	case CommandDeferred:
		spec.deferral(&m, c, over, now)
	case CommandSucceeded:
		m.To, m.Phase = DeviceSucceeded, ""
		m.From = append([]RolloutDeviceStatus{DeviceTimedOut, DeviceExcused}, openStatuses...)
	case CommandFailed:
		spec.failure(&m, c, over, now)
	case CommandRejected:
		m.To = DeviceRejected
	case CommandCanceled:
		m.To = DeviceCanceled
	case CommandExpired:
		m.To = DeviceTimedOut
	}
	return m
}

// openStatuses are those of rows to which something more happens.
var openStatuses = []RolloutDeviceStatus{DevicePending, DeviceSent, DeviceAccepted, DeviceDeferred}

// Urgent reports whether whoever decides for the rollout should know of a move at
// once.
func (m *RolloutMove) Urgent() bool {
	switch m.To {
	case DeviceFailed, DeviceRejected, DeviceTimedOut:
		return true
	case DeviceDeferred:
		return m.DueAt.IsZero() // a person is asked
	default:
		return m.Drained
	}
}

// failure tries a device again if the manifest says so.
func (s *RolloutSpec) failure(m *RolloutMove, c *Command, over bool, now time.Time) {
	m.To, m.Phase, m.Percent = DeviceFailed, "", 0
	if s == nil || over || c.Error == nil {
		return
	}
	delay, again := s.Retry.Next(*c.Error, c.Attempt, c.Device)
	if !again {
		return
	}
	m.To, m.DueAt = DevicePending, now.Add(delay)
	m.Wait = &RolloutWait{
		Kind: WaitRetry, Since: now, Until: m.DueAt,
		Text: fmt.Sprintf("attempt %d failed (%s); it is tried again at %s", c.Attempt, c.Error.Code, stamp(m.DueAt)),
	}
}

// deferral has a device asked again when it said so, as long as it may put the
// change off.
func (s *RolloutSpec) deferral(m *RolloutMove, c *Command, over bool, now time.Time) {
	m.To, m.Deferrals, m.DueAt, m.Phase, m.Percent = DeviceDeferred, c.Deferrals, c.DueAt, "", 0
	m.Wait = &RolloutWait{
		Kind: WaitDeferred, Since: now, Until: c.DueAt,
		Text: "it asked to be asked again at " + stamp(c.DueAt) + because(c.Phase),
	}
	exceeded := &CommandError{Code: CodeDeferrals, Message: fmt.Sprintf("it put the change off %d times%s", c.Deferrals, because(c.Phase))}
	switch {
	case over:
		m.To, m.Error = DeviceCanceled, exceeded
	case s == nil || !s.Deferrals.Exceeded(c.Deferrals):
	case s.Deferrals.Then == DeferralFail:
		m.To, m.Error = DeviceFailed, exceeded
	case s.Deferrals.Then == DeferralExcuse:
		m.To, m.Error = DeviceExcused, exceeded
	default:
		m.DueAt, m.Wait.Until = time.Time{}, time.Time{}
		m.Wait.Text = fmt.Sprintf("it put the change off %d times; a person decides whether it is asked again%s", c.Deferrals, because(c.Phase))
	}
	if m.To != DeviceDeferred {
		m.DueAt, m.Wait = time.Time{}, nil
	}
}

// Exceeded reports whether a device that put the change off n times has done so
// more often than it may. Where people are asked they are asked once per Max:
// each yes is good for as many again.
func (d DeferralSpec) Exceeded(n int) bool {
	switch {
	case d.Then == DeferralWait || d.Max <= 0 || n <= d.Max:
		return false
	case d.Then == DeferralFail || d.Then == DeferralExcuse:
		return true
	default:
		return (n-1)%d.Max == 0
	}
}

package ingest

import (
	"time"

	"github.com/deviceops/deviceops"
	"github.com/deviceops/deviceops/protocol"
)

// answerOf gives a result in the terms of the rules.
func answerOf(m *protocol.Result) deviceops.Answer {
	a := deviceops.Answer{
		Attempt: m.Attempt, Status: m.Status, RetryIn: m.RetryIn.Duration(), Reason: m.Reason, Phase: m.Phase, Output: m.Output,
	}
	if m.Percent != nil {
		a.Percent = int(*m.Percent)
	}
	if m.Error != nil {
		a.Error = &deviceops.CommandError{Code: m.Error.Code, Message: m.Error.Message, Retryable: m.Error.Retryable}
	}
	return a
}

// answer applies a result to a command and reports whether anything changed.
// An install that claims success while the device does not report the new
// software is not over: it waits, confirming, for that report.
func answer(c *deviceops.Command, m *protocol.Result, r deviceops.Reported, now time.Time) bool {
	a := answerOf(m)
	if !claimsInstall(c, m) || reportsInstall(*c, r) {
		return c.Answer(a, now)
	}
	a.Status, a.Phase = protocol.ResultAccepted, deviceops.PhaseConfirming
	changed := c.Answer(a, now)
	if changed {
		c.Output = a.Output
	}
	return changed
}

// claimsInstall reports whether a result says that an install is done.
func claimsInstall(c *deviceops.Command, m *protocol.Result) bool {
	return c != nil && c.Name == deviceops.CommandInstall && m.Status == protocol.ResultSucceeded
}

func reportsInstall(c deviceops.Command, r deviceops.Reported) bool {
	c.Status = deviceops.CommandAccepted // an answer may come before the publication was recorded
	return c.Confirmed(r)
}

// confirm ends a command in flight that is confirmed by what its device
// reports.
func confirm(c *deviceops.Command, d *deviceops.Device, byHello bool, now time.Time) bool {
	if !c.Confirmed(d.Twin.Reported) || byHello && !c.Restarted(d.Session.Boot) {
		return false
	}
	c.Percent = 100
	return c.Finish(deviceops.CommandSucceeded, nil, now)
}

// confirmable reports whether a report may confirm c.
func confirmable(c deviceops.Command) bool {
	return c.Status.InFlight() && c.Confirmable()
}

// uneventful reports whether no event tells of the status of a command: of a rollout
// that goes well the rows tell enough, once for each of many devices.
func uneventful(c *deviceops.Command) bool {
	return c.Rollout != "" && (c.Status == deviceops.CommandAccepted || c.Status == deviceops.CommandSucceeded)
}

// commandEvent tells that a command changed its status.
func commandEvent(c *deviceops.Command, now time.Time) deviceops.Event {
	data := map[string]any{"id": c.ID, "name": c.Name, "attempt": c.Attempt, "status": string(c.Status)}
	severity := "info"
	if c.Error != nil {
		data["error"] = map[string]any{"code": c.Error.Code, "message": c.Error.Message, "retryable": c.Error.Retryable}
		severity = "warning"
	}
	if c.Phase != "" {
		data["phase"] = c.Phase
	}
	return deviceops.Event{
		Account: c.Account, Device: c.Device, Type: deviceops.EventCommand, Severity: severity, Data: data, At: now, ReceivedAt: now,
	}
}

package api

import (
	"context"
	"time"

	"github.com/deviceops/deviceops"
	"github.com/deviceops/deviceops/workflows"
)

type callInput struct {
	Reasoned
	AutomationPath
	Key  string `header:"Idempotency-Key" maxLength:"128" doc:"The same key calls once"`
	Body deviceops.AutomationRequest
}

// run calls an automation for a person.
func (a automationService) run(ctx context.Context, p deviceops.Principal, in *callInput) (deviceops.CallAnswer, error) {
	if a.Automations == nil {
		return deviceops.CallAnswer{}, deviceops.Errorf(deviceops.EUNAVAILABLE, "this process calls no automations")
	}
	automation, state, err := a.find(ctx, p, in.AutomationPath)
	switch {
	case err != nil:
		return deviceops.CallAnswer{}, err
	case automation.Fault != "":
		return deviceops.CallAnswer{}, deviceops.Errorf(deviceops.EINVALID, "%s", automation.Fault)
	case !automation.Manual:
		return deviceops.CallAnswer{}, deviceops.Errorf(deviceops.EINVALID, "nobody calls the automation %s by hand: its trigger is not manual: true", in.Name)
	case state.Disabled:
		return deviceops.CallAnswer{}, deviceops.Errorf(deviceops.ECONFLICT, "the automation %s is disabled: deviceops automations enable %s", in.Name, in.Name)
	}
	account, err := a.calledIn(ctx, p, in)
	if err != nil {
		return deviceops.CallAnswer{}, err
	}
	call := deviceops.Call{
		Kind: deviceops.CallManual, Name: in.Name, To: []string{in.Name}, ID: keyed(p, "call", in.Key), By: p.Name, Reason: in.because(in.Body.Reason),
	}
	if _, err := a.Automations.Called(ctx, account, call); err != nil {
		return deviceops.CallAnswer{}, err
	}
	answers, err := a.Automations.Call(ctx, []deviceops.Event{{
		Account: account, Device: in.Body.Device, Type: deviceops.EventManual, Severity: "info", Data: in.Body.Inputs,
		At: a.Now(), ReceivedAt: a.Now(), Call: &call,
	}})
	if err != nil {
		return deviceops.CallAnswer{}, err
	}
	return answers[0], a.Store.AppendAudit(ctx, a.entry(p, change{
		account: account, action: "automation.run", target: "automation:" + in.Name, reason: call.Reason,
		evidence: map[string]any{"event": answers[0].Event, "device": in.Body.Device, "inputs": in.Body.Inputs},
	}))
}

// calledIn gives the account of the event: that of the device, if one is named.
func (a automationService) calledIn(ctx context.Context, p deviceops.Principal, in *callInput) (string, error) {
	account, err := scope(p, in.Account)
	if err != nil || in.Body.Device == "" {
		return account, err
	}
	d, err := a.device(ctx, p, in.Body.Device)
	if err != nil {
		return "", err
	}
	if !deviceops.AccountWithin(d.Account, account) {
		return "", outside("device", d.ID)
	}
	return d.Account, nil
}

// scheduler keeps the timetables of automations.
func (c *core) scheduler() deviceops.Scheduler {
	return deviceops.Scheduler{Store: c.Store, Catalog: c.Catalog, Orchestrator: c.Orchestrator, Start: workflows.TriggerStart}
}

// settle takes over at once what was published or decided about a schedule. A
// failure is no error of the request: the sweeper does it later.
func (c *core) settle(ctx context.Context, automation *deviceops.Automation, disabled bool) {
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), startTimeout)
	defer cancel()
	if err := c.scheduler().Settle(ctx, automation, disabled); err != nil {
		c.Log.WarnContext(ctx, "the schedule of an automation is not in place yet", "automation", automation.Name, "error", err)
	}
}

// settleAll takes over the schedules among documents that were published.
func (c *core) settleAll(ctx context.Context, account string, docs []checkedDocument) {
	for _, d := range docs {
		if d.Automation == nil || d.Automation.Trigger.Schedule == nil {
			continue
		}
		rules := d.Automation.Rules()
		rules.Account = account
		states, err := c.Store.ListAutomationStates(ctx, account)
		if err != nil {
			c.Log.WarnContext(ctx, "the schedule of an automation is not in place yet", "automation", d.Name, "error", err)
			return
		}
		disabled := false
		for _, s := range states {
			disabled = disabled || s.AutomationRef == rules.Ref() && s.Disabled
		}
		c.settle(ctx, &rules, disabled)
	}
}

// shownTimes is how many of the next times of a schedule are shown.
const shownTimes = 5

// nextTimes gives when a schedule comes next, without what calendars keep free.
func (a automationService) nextTimes(ctx context.Context, automation *deviceops.Automation) ([]time.Time, error) {
	if automation.Schedule == nil {
		return nil, nil
	}
	ctx, cancel := context.WithTimeout(ctx, queryTimeout)
	defer cancel()
	times, err := a.scheduler().Next(ctx, automation)
	switch deviceops.ErrorCode(err) {
	case deviceops.ENOTFOUND, deviceops.EUNAVAILABLE: // it is not in place yet, or nobody can tell
		return nil, nil
	}
	return times[:min(len(times), shownTimes)], err
}

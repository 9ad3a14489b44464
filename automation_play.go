package deviceops

import (
	"cmp"
	"context"
	"fmt"
	"maps"
	"slices"
	"strings"
	"time"
)

// automationPlay is the AutomationPlay of a key in the store.
type automationPlay struct {
	*hearing
	ctx        context.Context
	automation *Automation
	slot       AutomationSlot
	key        *AutomationKey
	sample     *Sample // that is judged; nil: the clock is, or the end of a run
	device     string  // of the sample
}

// outcomes says what a firing becomes, and a window's decision.
var outcomes = map[Admission]AutomationOutcome{
	AdmitStart: OutcomeStarted, AdmitSkip: OutcomeSkipped, AdmitQueue: OutcomeQueued, AdmitCancel: OutcomeReplacing,
}

// Decided implements AutomationPlay. A condition that does not hold leaves no row.
func (p *automationPlay) Decided(d WindowDecision, becomes Admission) {
	if d.Outcome == WindowNo {
		return
	}
	row := AutomationDecision{
		AutomationRef: p.automation.Ref(), Version: p.automation.Version, Key: p.slot.Key, Device: p.device, At: d.At, DecidedAt: p.now,
		Outcome: cmp.Or(outcomes[becomes], AutomationOutcome(d.Outcome)),
	}
	if p.sample != nil {
		row.Event = p.sample.ID
	}
	switch d.Outcome {
	case WindowFired:
		row.Event = d.Samples[len(d.Samples)-1].ID
	case WindowHolding:
		row.Since, row.Until = p.key.Window.Since, p.key.Deadline
	case WindowBroken, WindowLapsed:
		row.Since = d.Since
	case WindowSilenced:
		row.Until = p.key.Window.Silent
	}
	if becomes != "" && becomes != AdmitStart {
		row.Run = strings.Join(p.key.Runs.Running, " ")
	}
	p.decisions = append(p.decisions, row)
}

// Launch implements AutomationPlay: it asks for a run that begins after the commit.
// What keeps it from beginning is noted, and stops nothing else.
func (p *automationPlay) Launch(samples []Sample, at time.Time) (string, error) {
	row := p.launching(samples, at)
	if refused, err := p.brake(row); refused || err != nil {
		return "", err
	}
	run, err := p.plan(samples, at)
	switch code := ErrorCode(err); code {
	case "":
	case EINVALID, ENOTFOUND, EEXHAUSTED, ECONFLICT:
		row.Outcome, row.Detail = OutcomeFailed, ErrorMessage(err)
		p.tell(EventAutomationFailed, "warning", map[string]any{"key": p.slot.Key, "device": p.device, "error": ErrorMessage(err)})
		return "", nil
	default:
		return "", err
	}
	row.Run, row.Device = run.ID, run.Device
	p.runs = append(p.runs, run)
	p.owners[run.ID] = p.slot
	return run.ID, nil
}

// launching gives the row of the firing: the one that Decided just made or, when a
// run's end lets it start, a new one.
func (p *automationPlay) launching(samples []Sample, at time.Time) *AutomationDecision {
	event := samples[len(samples)-1].ID
	last := len(p.decisions) - 1
	if last < 0 || p.decisions[last].Outcome != OutcomeStarted || p.decisions[last].Run != "" || p.decisions[last].Event != event {
		p.decisions = append(p.decisions, AutomationDecision{
			AutomationRef: p.automation.Ref(), Version: p.automation.Version, Key: p.slot.Key, Device: p.device, Event: event,
			At: at, DecidedAt: p.now, Outcome: OutcomeStarted,
		})
		last++
	}
	return &p.decisions[last]
}

// brake asks whether a run may start at all.
func (p *automationPlay) brake(row *AutomationDecision) (refused bool, err error) {
	ref := p.automation.Ref()
	if p.automation.Limit.N == 0 { // nothing to count: what was read a moment ago is good enough
		index, err := p.index(p.ctx, p.tx, ref.Account, p.now)
		if err == nil && index.disabled[ref] {
			row.Outcome, refused = OutcomeDisabled, true
		}
		return refused, err
	}
	state, err := p.lockState(p.ctx, ref)
	switch {
	case err != nil:
		return false, err
	case state.Disabled:
		row.Outcome = OutcomeDisabled
		return true, nil
	}
	before := state.Brake.Stopped
	brake, ok := p.automation.Limit.Take(state.Brake, p.now)
	state.Brake, p.changed[ref] = brake, true
	if ok {
		return false, nil
	}
	row.Outcome, row.Since = OutcomeStopped, brake.Stopped
	if before.IsZero() {
		p.tell(EventAutomationStopped, "error", map[string]any{
			"key": p.slot.Key, "device": p.device, "text": p.automation.Limit.exceeded() + ": look at why, then resume it by: deviceops automations enable " + ref.Name,
		})
	}
	return true, nil
}

// state locks what people and the brake said of an automation. Automations are
// played in order, so that locks are taken in order.
func (h *hearing) lockState(ctx context.Context, ref AutomationRef) (*AutomationState, error) {
	if known := h.states[ref]; known != nil {
		return known, nil
	}
	locked, err := h.tx.LockAutomationStates(ctx, []AutomationRef{ref})
	h.states[ref] = locked[ref]
	return locked[ref], err
}

// tell makes an event of the automation itself. The device is in its data: the
// event is about the automation.
func (p *automationPlay) tell(kind, severity string, data map[string]any) {
	data["automation"], data["version"] = p.automation.Name, p.automation.Version
	p.events = append(p.events, Event{Account: p.automation.Account, Type: kind, Severity: severity, Data: data, At: p.now, ReceivedAt: p.now})
}

type planKey struct {
	account, workflow string
	version           int
}

// plan makes the run of a firing. Its id follows from what fired, so that no
// repetition makes a second one.
func (p *automationPlay) plan(samples []Sample, at time.Time) (Run, error) {
	a := p.automation
	occasion, err := a.Rules.Occasion(samples)
	if err != nil {
		return Run{}, err
	}
	account, device := p.accountOf(occasion), occasion.DeviceID()
	if err := p.acquaint(p.ctx, []string{device}); err != nil {
		return Run{}, err
	}
	occasion.Device = p.devices[device]
	inputs, err := a.Rules.InputsFor(occasion)
	if err != nil {
		return Run{}, err
	}
	plan, err := p.planOf(p.ctx, planKey{account, a.Workflow, a.WorkflowVersion})
	if err != nil {
		return Run{}, err
	}
	if inputs, err = plan.Coerce(inputs); err != nil {
		return Run{}, err
	}
	if err := p.checkDevices(plan, account, inputs); err != nil {
		return Run{}, err
	}
	return Run{
		ID: automationRun(p.slot, at, samples[len(samples)-1].ID), Account: account, Workflow: a.Workflow, Version: plan.Version, Hash: plan.Hash,
		Device: device, Inputs: inputs, Status: RunPending, StartedBy: a.actor(), StartedAt: p.now,
	}, nil
}

// checkDevices sees that the devices among the inputs of a run are of its account
// and fit. ENOTFOUND, EINVALID.
func (p *automationPlay) checkDevices(plan RunPlan, account string, inputs map[string]any) error {
	return CheckDevices(plan.Devices, inputs, func(asked DeviceInput, id string) (string, error) {
		if err := p.acquaint(p.ctx, []string{id}); err != nil {
			return "", err
		}
		device := p.devices[id]
		if owner, _ := device["account"].(string); device == nil || !AccountWithin(owner, account) {
			return "", Errorf(ENOTFOUND, "the input %q: there is no device %s in account %s", asked.Name, id, account)
		}
		profile, _ := device["profile"].(string)
		return profile, nil
	})
}

func (p *automationPlay) accountOf(o Occasion) string {
	account, _ := o.Event["account"].(string)
	return cmp.Or(account, p.automation.Account)
}

func (h *hearing) planOf(ctx context.Context, k planKey) (RunPlan, error) {
	if plan, ok := h.plans[k]; ok {
		return plan, nil
	}
	plan, err := h.Catalog.PlanRun(ctx, h.tx, k.account, k.workflow, k.version)
	if err == nil {
		h.plans[k] = plan
	}
	return plan, err
}

// automationRunPrefix begins the ids of runs that automations start.
const automationRunPrefix = "auto-"

func automationRun(s AutomationSlot, at time.Time, event int64) string {
	return automationRunPrefix + ShortHash(12, s.Account, s.Name, s.Key, fmt.Sprint(at.UnixNano()), fmt.Sprint(event))
}

// Cancel implements AutomationPlay.
func (p *automationPlay) Cancel(run string) error {
	p.effects.Cancels = append(p.effects.Cancels, run)
	return nil
}

// lockKeys locks keys that are not locked yet.
func (h *hearing) lockKeys(ctx context.Context, slots []AutomationSlot) error {
	slots = slices.DeleteFunc(slots, func(s AutomationSlot) bool { return h.keys[s] != nil })
	if len(slots) == 0 {
		return nil
	}
	locked, err := h.tx.LockAutomationKeys(ctx, slots)
	maps.Copy(h.keys, locked)
	return err
}

// save writes what was decided. What automations said is stored like any event.
func (h *hearing) save(ctx context.Context) error {
	if err := h.saveTickets(ctx); err != nil {
		return err
	}
	if err := h.tx.SaveAutomationKeys(ctx, h.keys, h.now); err != nil {
		return err
	}
	if err := h.saveRuns(ctx); err != nil {
		return err
	}
	var states []AutomationState
	for ref := range h.changed {
		states = append(states, *h.states[ref])
	}
	clear(h.changed)
	if len(states) > 0 {
		if err := h.tx.SaveAutomationStates(ctx, states); err != nil {
			return err
		}
	}
	if len(h.events) > 0 {
		if err := h.tx.AppendEvents(ctx, h.events); err != nil {
			return err
		}
	}
	return h.record(ctx)
}

func (h *hearing) saveRuns(ctx context.Context) error {
	if len(h.runs) > 0 {
		if err := h.tx.CreateRuns(ctx, h.runs); err != nil {
			return err
		}
		if err := h.tx.EnterAutomationRuns(ctx, h.owners); err != nil {
			return err
		}
		var starts []Start
		for _, r := range h.runs {
			starts = append(starts, h.Start(r))
		}
		if err := h.tx.RequestStarts(ctx, starts, h.now); err != nil {
			return err
		}
		h.effects.Starts = append(h.effects.Starts, starts...)
		h.runs = nil
		clear(h.owners)
	}
	if len(h.effects.Cancels) > 0 {
		return h.tx.CancelAutomationRuns(ctx, h.effects.Cancels, h.now)
	}
	return nil
}

func (h *hearing) record(ctx context.Context) error {
	if len(h.decisions) == 0 {
		return nil
	}
	err := h.tx.AppendAutomationDecisions(ctx, h.decisions)
	h.decisions = nil
	return err
}

func sortedIDs(set map[string]bool) []string { return slices.Sorted(maps.Keys(set)) }

func sortedSlots[V any](set map[AutomationSlot]V) []AutomationSlot {
	return slices.SortedFunc(maps.Keys(set), compareSlots)
}

func compareSlots(a, b AutomationSlot) int {
	return cmp.Or(strings.Compare(a.Account, b.Account), strings.Compare(a.Name, b.Name), strings.Compare(a.Key, b.Key))
}

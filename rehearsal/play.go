package rehearsal

import (
	"time"

	"go.temporal.io/sdk/workflow"

	"github.com/deviceops/deviceops"
	"github.com/deviceops/deviceops/dsl"
)

// play is the deviceops.AutomationPlay of one key in a rehearsal.
type play struct {
	*driver
	ctx        workflow.Context
	automation *deviceops.Automation
	slot       slot
}

func (d *driver) play(ctx workflow.Context, s slot) *play {
	return &play{driver: d, ctx: ctx, automation: d.rules[s.automation], slot: s}
}

// noFault reports why an automation could not go on.
func (d *driver) noFault(s slot, err error) {
	if err != nil {
		d.fault(d.story.Place, "", "the automation %s cannot make the inputs of its run: %s", s.automation, deviceops.ErrorMessage(err))
	}
}

func forKey(key string) string {
	if key == "" {
		return ""
	}
	return " for " + key
}

// Decided implements deviceops.AutomationPlay.
func (p *play) Decided(d deviceops.WindowDecision, becomes deviceops.Admission) {
	p.note("%s%s: %s", p.automation.Name, forKey(p.slot.key), d.Outcome)
	switch becomes {
	case "", deviceops.AdmitStart:
	case deviceops.AdmitCancel:
		p.note("%s%s: the run before is canceled", p.automation.Name, forKey(p.slot.key))
	default:
		p.note("%s%s: a run goes on: %s", p.automation.Name, forKey(p.slot.key), becomes)
	}
}

// Cancel implements deviceops.AutomationPlay.
func (p *play) Cancel(run string) error {
	p.running[run]()
	return nil
}

// Launch implements deviceops.AutomationPlay.
func (p *play) Launch(samples []deviceops.Sample, _ time.Time) (string, error) {
	a := p.automation
	if p.stopped() {
		return "", nil
	}
	occasion, err := p.occasion(samples)
	if err != nil {
		return "", err
	}
	device := occasion.DeviceID()
	inputs, err := a.Rules.InputsFor(occasion)
	if err != nil {
		return "", err
	}
	r := deviceops.Run{Inputs: inputs, Device: device, StartedBy: "automation:" + a.Name}
	return p.begin(p.ctx, p.suite.workflow(a.Workflow, a.WorkflowVersion), r, func(ctx workflow.Context, id string) { p.ended(ctx, p.slot, id) }), nil
}

// stopped asks the brake.
func (p *play) stopped() bool {
	a := p.automation
	brake, ok := a.Limit.Take(p.brakes[a.Name], p.now)
	p.brakes[a.Name] = brake
	if !ok {
		p.note("%s: stopped, since more than %d runs in %s were to start; a person has to resume it", a.Name, a.Limit.N, dsl.FormatDuration(a.Limit.Per))
	}
	return !ok
}

// occasion gives back the events of samples, with what is known of their device.
func (p *play) occasion(samples []deviceops.Sample) (deviceops.Occasion, error) {
	occasion, err := p.automation.Rules.Occasion(samples)
	occasion.Device = p.facts(occasion.DeviceID())
	return occasion, err
}

// OpenTicket implements deviceops.AutomationPlay.
func (p *play) OpenTicket(samples []deviceops.Sample, _ deviceops.WindowDecision) (bool, error) {
	if p.stopped() {
		return false, nil
	}
	occasion, err := p.occasion(samples)
	if err != nil {
		return false, err
	}
	opening, err := p.automation.Rules.TicketFor(occasion)
	if err != nil {
		return false, err
	}
	opening.Ticket.Account, opening.Ticket.Fingerprint = deviceops.RootAccount, p.automation.Name+"|"+p.slot.key
	opening.Entry = deviceops.TicketEntry{At: p.now, By: "automation:" + p.automation.Name}
	t, err := p.desk.open(opening, p.now)
	if err != nil {
		return false, err
	}
	p.ticketOf[p.slot] = t.ticket.ID
	p.noteTicket(t)
	return true, nil
}

// TicketOver implements deviceops.AutomationPlay.
func (p *play) TicketOver(deviceops.Sample) {
	p.over(p.ticketOf[p.slot], deviceops.EntryRecovered)
}

// ended starts what waited for the end of a run.
func (d *driver) ended(ctx workflow.Context, s slot, id string) {
	if !d.frozen {
		d.noFault(s, d.rules[s.automation].Ended(d.keys[s], id, d.now, d.play(ctx, s)))
	}
}

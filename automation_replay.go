package deviceops

import (
	"cmp"
	"encoding/json"
	"fmt"
	"maps"
	"slices"
	"time"
)

// AutomationReplay lets an automation hear stored events again, in memory: what it
// would have started. Windows and the brake decide as they do in earnest, by the
// times of the events. Devices are taken to be as they are now, and runs to end at
// once, since nobody knows how long they would have taken.
type AutomationReplay struct {
	automation *Automation
	catalog    Catalog
	plan       PlanFor
	now        time.Time
	keys       map[string]*AutomationKey
	devices    map[string]map[string]any // facts of those that were told of
	brake      LimitState
	report     AutomationReplayed
}

// PlanFor gives the plan of the run that an automation starts in an account, as
// Catalog.PlanRun does.
type PlanFor func(account string) (RunPlan, error)

// AutomationReplayed is what a replay found.
type AutomationReplayed struct {
	AutomationRef
	Version   int                       `json:"version"`
	Since     time.Time                 `json:"since"`
	Until     time.Time                 `json:"until"`
	Events    int                       `json:"events"`             // of the type that it hears, or times of its schedule
	Held      int                       `json:"held"`               // for which the condition holds
	Outcomes  map[AutomationOutcome]int `json:"outcomes"`           // of those, and of the clock
	Started   int                       `json:"started"`            // runs
	Tickets   int                       `json:"tickets,omitempty"`  // that it would have opened, or told again
	Starts    []AutomationDecision      `json:"starts"`             // the first of those runs or tickets
	Stopped   time.Time                 `json:"stopped,omitzero"`   // when the brake would have stopped it
	Truncated bool                      `json:"truncated"`          // there were more events than are replayed
	Failures  []string                  `json:"failures,omitempty"` // the first events on which it fails
}

// Bounds of what a replay tells.
const (
	maxReplayStarts   = 1000
	maxReplayFailures = 10
)

// NewAutomationReplay begins a replay at a time.
func NewAutomationReplay(a *Automation, c Catalog, plan PlanFor, since time.Time) *AutomationReplay {
	return &AutomationReplay{
		automation: a, catalog: c, plan: plan, now: since, keys: map[string]*AutomationKey{}, devices: map[string]map[string]any{},
		report: AutomationReplayed{AutomationRef: a.Ref(), Version: a.Version, Since: since, Outcomes: map[AutomationOutcome]int{}, Starts: []AutomationDecision{}},
	}
}

// Take lets an event be heard, in the order in which events came in. d is its
// device, nil if that is not known.
func (r *AutomationReplay) Take(e Event, d *Device) {
	r.report.Events++
	r.tick(e.ReceivedAt)
	o := r.catalog.Occasion(e, d)
	r.devices[e.Device] = o.Device
	judged, err := r.automation.Rules.Judge(o)
	if err != nil {
		r.fail(e.ID, err)
		return
	}
	sample := Sample{At: e.At, Holds: judged.Verdict == Yes, Arms: judged.Arms, ID: e.ID}
	if sample.Holds {
		r.report.Held++
		if d != nil {
			sample.Beat = r.automation.Window.Beat(d.Twin.Desired.Heartbeat)
		}
	}
	if judged.tellsNothing() || !r.automation.Wakes(sample.Holds || sample.Arms) {
		return
	}
	key, err := r.automation.Rules.Key(o)
	if err == nil {
		sample.Event, err = json.Marshal(o.Event)
	}
	if err != nil {
		r.fail(e.ID, err)
		return
	}
	r.take(key, sample)
}

func (r *AutomationReplay) take(key string, s Sample) {
	k := r.keys[key]
	if k == nil {
		k = &AutomationKey{}
		r.keys[key] = k
	}
	p := &replayPlay{AutomationReplay: r, key: key}
	_ = r.automation.Take(k, s, r.now, p) // this play never fails
	p.endRuns(k)
}

// Pass notes that a time of the schedule passed without being heard.
func (r *AutomationReplay) Pass(why AutomationOutcome) {
	r.report.Events++
	r.report.Outcomes[why]++
}

func (r *AutomationReplay) fail(event int64, err error) {
	r.report.Outcomes[OutcomeFailed]++
	if len(r.report.Failures) < maxReplayFailures {
		about := "a time of its schedule"
		if event > 0 {
			about = fmt.Sprintf("event %d", event)
		}
		r.report.Failures = append(r.report.Failures, about+": "+ErrorMessage(err))
	}
}

// tick lets the clock go on to a time.
func (r *AutomationReplay) tick(to time.Time) {
	r.now = later(r.now, to)
	due := slices.SortedFunc(maps.Keys(r.keys), func(a, b string) int {
		return cmp.Or(r.keys[a].Deadline.Compare(r.keys[b].Deadline), cmp.Compare(a, b))
	})
	for _, key := range due {
		k := r.keys[key]
		if k.Deadline.IsZero() || k.Deadline.After(r.now) {
			continue
		}
		p := &replayPlay{AutomationReplay: r, key: key}
		_ = r.automation.Tick(k, r.now, p)
		p.endRuns(k)
	}
}

// Finish lets the clock go on to the end, and gives what was found.
func (r *AutomationReplay) Finish(until time.Time, truncated bool) AutomationReplayed {
	r.tick(until)
	r.report.Until, r.report.Truncated, r.report.Stopped = r.now, truncated, r.brake.Stopped
	return r.report
}

// replayPlay is the AutomationPlay of one key in a replay.
type replayPlay struct {
	*AutomationReplay
	key string
}

// Decided implements AutomationPlay.
func (p *replayPlay) Decided(d WindowDecision, becomes Admission) {
	if d.Outcome != WindowNo && d.Outcome != WindowFired {
		p.report.Outcomes[AutomationOutcome(d.Outcome)]++
	}
}

// Launch implements AutomationPlay.
func (p *replayPlay) Launch(samples []Sample, at time.Time) (string, error) {
	if !p.becomes(OutcomeStarted, samples, at, p.inputs) {
		return "", nil
	}
	p.report.Started++
	return "replayed", nil
}

// inputs makes the inputs of the run as in earnest, to see whether they fit.
func (p *replayPlay) inputs(o Occasion) error {
	inputs, err := p.automation.Rules.InputsFor(o)
	if err != nil {
		return err
	}
	account, _ := o.Event["account"].(string)
	plan, err := p.plan(cmp.Or(account, p.automation.Account))
	if err != nil {
		return err
	}
	if inputs, err = plan.Coerce(inputs); err != nil {
		return err
	}
	return CheckDevices(plan.Devices, inputs, func(asked DeviceInput, id string) (string, error) {
		profile, known := p.devices[id]["profile"].(string)
		if !known { // of others than those of the events nothing is known here
			return asked.Profile, nil
		}
		return profile, nil
	})
}

// OpenTicket implements AutomationPlay.
func (p *replayPlay) OpenTicket(samples []Sample, d WindowDecision) (bool, error) {
	opened := p.becomes(OutcomeTicket, samples, d.At, func(o Occasion) error {
		_, err := p.automation.Rules.TicketFor(o)
		return err
	})
	if opened {
		p.report.Tickets++
	}
	return opened, nil
}

// becomes notes what a firing becomes, unless the brake or what is made of it
// keeps it from that.
func (p *replayPlay) becomes(outcome AutomationOutcome, samples []Sample, at time.Time, try func(Occasion) error) bool {
	brake, ok := p.automation.Limit.Take(p.brake, at)
	if p.brake = brake; !ok {
		p.report.Outcomes[OutcomeStopped]++
		return false
	}
	event := samples[len(samples)-1].ID
	occasion, err := p.automation.Rules.Occasion(samples)
	device := occasion.DeviceID()
	if err == nil {
		occasion.Device = p.devices[device]
		err = try(occasion)
	}
	if err != nil {
		p.fail(event, err)
		return false
	}
	p.report.Outcomes[outcome]++
	if len(p.report.Starts) < maxReplayStarts {
		p.report.Starts = append(p.report.Starts, AutomationDecision{
			AutomationRef: p.automation.Ref(), Version: p.automation.Version, Key: p.key, Event: event, Device: device,
			At: at, DecidedAt: p.now, Outcome: outcome,
		})
	}
	return true
}

// TicketOver implements AutomationPlay.
func (p *replayPlay) TicketOver(Sample) { p.report.Outcomes[OutcomeRecovered]++ }

// Cancel implements AutomationPlay.
func (p *replayPlay) Cancel(string) error { return nil }

// endRuns ends what was launched.
func (p *replayPlay) endRuns(k *AutomationKey) { k.Runs = ConcurrencyState{} }

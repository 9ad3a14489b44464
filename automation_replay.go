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
	now        time.Time
	keys       map[string]*AutomationKey
	brake      LimitState
	report     AutomationReplayed
}

// AutomationReplayed is what a replay found.
type AutomationReplayed struct {
	AutomationRef
	Version   int                       `json:"version"`
	Since     time.Time                 `json:"since"`
	Until     time.Time                 `json:"until"`
	Events    int                       `json:"events"`             // of the type that it hears
	Held      int                       `json:"held"`               // for which the condition holds
	Outcomes  map[AutomationOutcome]int `json:"outcomes"`           // of those, and of the clock
	Started   int                       `json:"started"`            //
	Starts    []AutomationDecision      `json:"starts"`             // the first of them
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
func NewAutomationReplay(a *Automation, c Catalog, since time.Time) *AutomationReplay {
	return &AutomationReplay{
		automation: a, catalog: c, now: since, keys: map[string]*AutomationKey{},
		report: AutomationReplayed{AutomationRef: a.Ref(), Version: a.Version, Since: since, Outcomes: map[AutomationOutcome]int{}, Starts: []AutomationDecision{}},
	}
}

// Take lets an event be heard, in the order in which events came in. d is its
// device, nil if that is not known.
func (r *AutomationReplay) Take(e Event, d *Device) {
	r.report.Events++
	r.tick(e.ReceivedAt)
	o := r.catalog.Occasion(e, d)
	judged, err := r.automation.Rules.Judge(o)
	key := ""
	if err == nil {
		key, err = r.automation.Rules.Key(o)
	}
	if err != nil {
		r.fail(e, err)
		return
	}
	holds := judged.Verdict == Yes
	if holds {
		r.report.Held++
	}
	if !r.automation.Wakes(holds) {
		return
	}
	data, err := json.Marshal(o.Event)
	if err != nil {
		r.fail(e, err)
		return
	}
	k := r.keys[key]
	if k == nil {
		k = &AutomationKey{}
		r.keys[key] = k
	}
	p := &replayPlay{AutomationReplay: r, key: key, device: e.Device, event: e.ID}
	_ = r.automation.Take(k, Sample{At: e.At, Holds: holds, Event: data, ID: e.ID}, r.now, p) // this play never fails
	p.endRuns(k)
}

func (r *AutomationReplay) fail(e Event, err error) {
	r.report.Outcomes[OutcomeFailed]++
	if len(r.report.Failures) < maxReplayFailures {
		r.report.Failures = append(r.report.Failures, fmt.Sprintf("event %d: %s", e.ID, ErrorMessage(err)))
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
	key    string
	device string
	event  int64
}

// Decided implements AutomationPlay.
func (p *replayPlay) Decided(d WindowDecision, becomes Admission) {
	if d.Outcome != WindowNo && d.Outcome != WindowFired {
		p.report.Outcomes[AutomationOutcome(d.Outcome)]++
	}
}

// Launch implements AutomationPlay.
func (p *replayPlay) Launch(samples []Sample, at time.Time) (string, error) {
	brake, ok := p.automation.Limit.Take(p.brake, at)
	if p.brake = brake; !ok {
		p.report.Outcomes[OutcomeStopped]++
		return "", nil
	}
	p.report.Outcomes[OutcomeStarted]++
	p.report.Started++
	last := samples[len(samples)-1]
	if len(p.report.Starts) < maxReplayStarts {
		occasion, _ := p.automation.Rules.Occasion(samples)
		p.report.Starts = append(p.report.Starts, AutomationDecision{
			AutomationRef: p.automation.Ref(), Version: p.automation.Version, Key: p.key, Event: last.ID, Device: occasion.DeviceID(),
			At: at, DecidedAt: p.now, Outcome: OutcomeStarted,
		})
	}
	return "replayed", nil
}

// OpenTicket implements AutomationPlay.
func (p *replayPlay) OpenTicket(samples []Sample, d WindowDecision) (bool, error) {
	run, err := p.Launch(samples, d.At)
	return run != "", err
}

// TicketOver implements AutomationPlay.
func (p *replayPlay) TicketOver(Sample) { p.report.Outcomes[OutcomeRecovered]++ }

// Cancel implements AutomationPlay.
func (p *replayPlay) Cancel(string) error { return nil }

// endRuns ends what was launched.
func (p *replayPlay) endRuns(k *AutomationKey) { k.Runs = ConcurrencyState{} }

package rehearsal

import (
	"cmp"
	"encoding/json"
	"fmt"
	"maps"
	"slices"
	"strings"
	"time"

	"go.temporal.io/sdk/workflow"

	"github.com/deviceops/deviceops"
	"github.com/deviceops/deviceops/dsl"
	"github.com/deviceops/deviceops/workflows"
)

// month is how long a case goes on after the last thing that it tells, where it
// does not say.
const month = 30 * 24 * time.Hour

// driver plays a case: a workflow of its own, which lets events happen, judges
// windows and starts runs as its children, all on one virtual clock.
type driver struct {
	*world
	about subject
	rules map[string]*deviceops.Automation // by name
	keys  map[slot]*deviceops.AutomationKey

	ticketOf map[slot]string                 // the last ticket that an automation opened
	brakes   map[string]deviceops.LimitState // by automation
	running  map[string]workflow.CancelFunc  // by id of run
}

// slot is one key of one automation.
type slot struct{ automation, key string }

func (w *world) driver(about subject) *driver {
	d := &driver{
		world: w, about: about, rules: map[string]*deviceops.Automation{}, keys: map[slot]*deviceops.AutomationKey{}, ticketOf: map[slot]string{},
		brakes: map[string]deviceops.LimitState{}, running: map[string]workflow.CancelFunc{},
	}
	for _, a := range about.automations {
		d.rules[a.Name] = new(a.Rules())
	}
	return d
}

// run is the workflow.
func (d *driver) run(ctx workflow.Context) error {
	if d.about.workflow != nil {
		d.begin(ctx, d.about.workflow, deviceops.Run{Inputs: d.story.Inputs, Device: d.story.Device, StartedBy: d.story.By}, nil)
	}
	events := d.story.Events
	for {
		next, ok := d.next(events)
		if !ok || next.Sub(d.start) > d.end() {
			break
		}
		if err := workflow.Sleep(ctx, next.Sub(workflow.Now(ctx))); err != nil {
			return err
		}
		d.now = workflow.Now(ctx)
		d.tick(ctx)
		for len(events) > 0 && !d.start.Add(events[0].At).After(d.now) {
			d.happen(ctx, events[0])
			events = events[1:]
		}
	}
	return d.rest(ctx)
}

// rest lets the runs go on to their end, and looks at the outcome when nothing
// more can come.
func (d *driver) rest(ctx workflow.Context) error {
	ended := func() bool { return len(d.running) == 0 }
	if _, err := workflow.AwaitWithTimeout(ctx, d.start.Add(d.end()).Sub(workflow.Now(ctx)), ended); err != nil {
		return err
	}
	d.now, d.frozen = workflow.Now(ctx), true
	d.cancelAll()
	_, err := workflow.AwaitWithTimeout(ctx, month, ended)
	return err
}

func (d *driver) cancelAll() {
	for _, id := range slices.Sorted(maps.Keys(d.running)) {
		d.running[id]()
	}
}

// end is when to stop looking.
func (d *driver) end() time.Duration {
	if d.story.Until > 0 {
		return d.story.Until
	}
	return lastTold(d.story) + month
}

// lastTold is the time of the last thing that a case tells.
func lastTold(c *dsl.TestCase) time.Duration {
	var last time.Duration
	for _, e := range c.Events {
		last = max(last, e.At)
	}
	for _, a := range c.Answers {
		last = max(last, a.At)
	}
	if c.Cancel != nil {
		last = max(last, *c.Cancel)
	}
	return last
}

// next gives the time of the next event or deadline.
func (d *driver) next(events []dsl.TestEvent) (at time.Time, ok bool) {
	if len(events) > 0 {
		at, ok = d.start.Add(events[0].At), true
	}
	for _, m := range d.keys {
		if !m.Deadline.IsZero() && (!ok || m.Deadline.Before(at)) {
			at, ok = m.Deadline, true
		}
	}
	return at, ok
}

// tick lets the windows judge that the clock goes on, in the order of their keys.
func (d *driver) tick(ctx workflow.Context) {
	slots := slices.SortedFunc(maps.Keys(d.keys), func(a, b slot) int {
		return cmp.Or(strings.Compare(a.automation, b.automation), strings.Compare(a.key, b.key))
	})
	for _, s := range slots {
		p := d.play(ctx, s)
		d.noFault(s, p.automation.Tick(d.keys[s], d.now, p))
	}
}

// happen lets one event come in.
func (d *driver) happen(ctx workflow.Context, e dsl.TestEvent) {
	if e.Event.Type == deviceops.EventPlace && !d.move(&e) {
		return
	}
	d.apply(e)
	event := e.Event
	event.At, event.ReceivedAt = d.now.Add(-e.Age), d.now
	for _, a := range d.about.automations {
		if rules := d.rules[a.Name]; rules.Hears(&event) {
			d.sample(ctx, rules, e, event)
		}
	}
}

// move has a device be somewhere else, and the event tell from where; false if it
// is where it was.
func (d *driver) move(e *dsl.TestEvent) (moved bool) {
	device, data := d.device(e.Event.Device), e.Event.Data
	latitude, _ := data["latitude"].(float64)
	longitude, _ := data["longitude"].(float64)
	to := deviceops.Place{Latitude: latitude, Longitude: longitude}
	if e.Event.Data, moved = deviceops.Move(device.Place, to); moved {
		device.Place = &to
	}
	return moved
}

// apply changes the device as the event says.
func (d *driver) apply(e dsl.TestEvent) {
	if e.Event.Device == "" {
		return
	}
	device := d.device(e.Event.Device)
	to, _ := e.Event.Data["to"].(string)
	switch e.Event.Type {
	case deviceops.EventDeviceState:
		device.State, device.StateSince = deviceops.State(to), d.now
	case deviceops.EventDeviceConnectivity:
		device.Session.Connectivity = deviceops.Connectivity(to)
		if device.Session.Connectivity == deviceops.Online {
			for _, id := range d.desk.recovering(device.ID) {
				d.over(id, deviceops.EntryRecovered)
			}
		}
	case deviceops.EventDegraded:
		device.Wellness.Status = deviceops.Degraded
	case deviceops.EventFlapping:
		device.Wellness.Status = deviceops.Flapping
	case deviceops.EventRecovered, deviceops.EventStable:
		device.Wellness.Status = deviceops.Well
	}
	if len(e.Metrics) > 0 {
		device.Metrics = maps.Clone(device.Metrics)
		if device.Metrics == nil {
			device.Metrics = map[string]any{}
		}
		maps.Copy(device.Metrics, e.Metrics)
	}
}

// sample judges an event for an automation and hands it to the window of its key.
func (d *driver) sample(ctx workflow.Context, a *deviceops.Automation, e dsl.TestEvent, event deviceops.Event) {
	occasion := deviceops.Occasion{Event: dsl.EventFacts(event), Device: d.facts(event.Device)}
	judged, err := a.Rules.Judge(occasion)
	key := ""
	if err == nil {
		key, err = a.Rules.Key(occasion)
	}
	if err != nil {
		d.fault(e.Place, "", "the automation %s cannot judge this event: %s", a.Name, deviceops.ErrorMessage(err))
		return
	}
	data, err := json.Marshal(occasion.Event)
	if err != nil {
		d.fault(e.Place, "", "this event is not JSON: %s", err)
		return
	}
	s := slot{a.Name, key}
	if d.keys[s] == nil {
		d.keys[s] = &deviceops.AutomationKey{}
	}
	if judged.Silent {
		return
	}
	holds := d.holds(a, event.Device, judged)
	if judged.Verdict == deviceops.Unknown && !holds {
		return // it says neither yes nor no
	}
	sample := deviceops.Sample{At: event.At, Holds: holds, Arms: judged.Arms, Event: data}
	sample.Beat = a.Window.Beat(d.heartbeat(event.Device))
	d.noFault(s, a.Take(d.keys[s], sample, d.now, d.play(ctx, s)))
}

// holds turns a judgement into yes or no. What cannot be told of a device that
// the case does not describe is taken to hold; what the event itself lacks is not.
func (d *driver) holds(a *deviceops.Automation, device string, judged deviceops.Judgement) bool {
	if judged.Verdict == deviceops.Unknown && !judged.Lacking && !d.described[device] && device != "" {
		for _, part := range judged.Unknown {
			d.noteOnce("%s: taken to hold, since the case does not describe device %s: %s", a.Name, device, part)
		}
		return true
	}
	for _, part := range judged.Unknown {
		d.noteOnce("%s: unknown, so it does not hold: %s", a.Name, part)
	}
	return judged.Verdict == deviceops.Yes
}

// begin starts a run and gives its id; then is called at its end.
func (d *driver) begin(ctx workflow.Context, def *definition, r deviceops.Run, then func(ctx workflow.Context, id string)) string {
	r.ID = fmt.Sprintf("run-%d", len(d.roots)+1)
	r.Account, r.Workflow, r.Version, r.Hash = deviceops.RootAccount, def.Name, def.version, def.Hash
	r.Status, r.StartedAt = deviceops.RunRunning, workflow.Now(ctx)
	d.roots = append(d.roots, r.ID)
	d.enter(r)
	d.note("%s starts: %s%s", r.ID, reference(r.Workflow, r.Version), onDevice(r.Device))
	child, cancel := workflow.WithCancel(workflow.WithChildOptions(ctx, workflow.ChildWorkflowOptions{WorkflowID: r.ID, WaitForCancellation: true}))
	d.running[r.ID] = cancel
	future := workflow.ExecuteChildWorkflow(child, workflows.RunType(r), workflows.RunInput{Run: r})
	workflow.Go(ctx, func(ctx workflow.Context) {
		err := future.Get(ctx, nil)
		delete(d.running, r.ID)
		d.now = workflow.Now(ctx)
		d.conclude(r.ID, err)
		if then != nil {
			then(ctx, r.ID)
		}
	})
	return r.ID
}

// conclude notes how a run ended. One that did not say so itself has a fault.
func (d *driver) conclude(id string, err error) {
	if d.frozen {
		return
	}
	r := d.byID[id]
	d.notes = append(d.notes, Note{At: d.now.Sub(d.world.start), Text: fmt.Sprintf("%s %s", id, r.Status), rank: rankOfEnds})
	if !r.Status.Ended() {
		d.fault(d.story.Place, "", "%s broke off: %v", id, err)
	}
}

func onDevice(device string) string {
	if device == "" {
		return ""
	}
	return " on " + device
}

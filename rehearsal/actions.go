package rehearsal

import (
	"fmt"
	"maps"
	"strings"

	"github.com/deviceops/deviceops"
	"github.com/deviceops/deviceops/activities"
	"github.com/deviceops/deviceops/dsl"
)

// builtins are the actions that need no mock: what they do can be told from their
// arguments, and it happens to the devices of the case.
var builtins = map[string]func(w *world, in activities.ActionInput) (activities.ActionOutput, error){
	"device.transition": (*world).transition,
	"device.configure":  (*world).configure,
	"device.get": func(w *world, in activities.ActionInput) (activities.ActionOutput, error) {
		d := *w.device(in.Device)
		return activities.ActionOutput{Device: &d}, nil
	},
	"log": func(w *world, in activities.ActionInput) (activities.ActionOutput, error) {
		w.note("log: %v", in.Args["message"])
		return activities.ActionOutput{}, nil
	},
	"ticket.open":   (*world).openTicket,
	"ticket.close":  (*world).closeTicket,
	"rollout.start": (*world).startRollout,
	"rollout.wait":  (*world).waitRollout,
}

// quiet are the actions that give nothing and change nothing that a case can see.
var quiet = []string{"notify", "ticket.", "mqtt.publish", "device.update"}

// action performs an action of the engine on the devices of the case.
func (w *world) action(in activities.ActionInput) reply {
	w.save(in.Run)
	answer, mocked := w.mock(in.Action)
	if mocked {
		return reply{after: answer.After, silent: answer.Silent}.with(actionResult(answer))
	}
	if perform := builtins[in.Action]; perform != nil {
		out, err := perform(w, in)
		return gives(out, activities.Failure(err))
	}
	for _, prefix := range quiet {
		if strings.HasPrefix(in.Action, prefix) {
			return gives(activities.ActionOutput{Output: map[string]any{}}, nil)
		}
	}
	w.fault(w.story.Place, fmt.Sprintf("add mock: { %s: { output: {} } }", in.Action), "the step %s does %s, and the case does not say what it gives", in.Step, in.Action)
	return gives(nil, activities.RunFailure(&dsl.Failure{Code: "no_mock", Message: "the test does not say what " + in.Action + " gives"}))
}

func actionResult(answer dsl.MockAnswer) (activities.ActionOutput, error) {
	if answer.Error != nil {
		return activities.ActionOutput{}, activities.RunFailure(answer.Error)
	}
	return activities.ActionOutput{Output: answer.Output}, nil
}

// transition brings a device into another state by the rules of the lifecycle.
func (w *world) transition(in activities.ActionInput) (activities.ActionOutput, error) {
	d := w.device(in.Device)
	to, _ := in.Args["to"].(string)
	previous := d.State
	if err := w.mayEnter(d, deviceops.State(to)); err != nil {
		return activities.ActionOutput{}, err
	}
	d.State, d.StateSince = deviceops.State(to), w.now
	w.note("device %s: %s → %s", d.ID, previous, to)
	return activities.ActionOutput{Output: map[string]any{"state": to, "previous": string(previous)}}, nil
}

// mayEnter holds the edges of the state machine and the guards of the profile. Of
// a device that the case does not describe guards are taken to hold.
func (w *world) mayEnter(d *deviceops.Device, to deviceops.State) error {
	profile := w.suite.profiles[d.Profile]
	if !w.described[d.ID] {
		profile = nil
	}
	return deviceops.CheckTransition(d, profile, to)
}

// configure changes what is desired, and sends the device its configuration.
func (w *world) configure(in activities.ActionInput) (activities.ActionOutput, error) {
	d := w.device(in.Device)
	merged := maps.Clone(d.Twin.Desired.Configuration)
	if merged == nil {
		merged = map[string]any{}
	}
	changes, _ := in.Args["configuration"].(map[string]any)
	for key, value := range changes {
		merged[key] = value
		if value == nil {
			delete(merged, key)
		}
	}
	d.Twin.Desired.Configuration = merged
	d.Twin.Desired.Version++
	return activities.ActionOutput{
		Output:  map[string]any{"version": d.Twin.Desired.Version},
		Command: &activities.FollowUp{Name: deviceops.CommandConfigure, Args: map[string]any{"version": d.Twin.Desired.Version, "configuration": merged}},
	}, nil
}

// openTicket opens a ticket, or tells again of the problem that has one. One that
// is over when its device is online is closed at once if it is.
func (w *world) openTicket(in activities.ActionInput) (activities.ActionOutput, error) {
	o, err := activities.TicketOpening(in)
	if err != nil {
		return activities.ActionOutput{}, err
	}
	o.Ticket.Account, o.Entry = deviceops.RootAccount, deviceops.TicketEntry{At: w.now, By: "run:" + in.Run.ID, Text: o.Ticket.Body}
	t, err := w.desk.open(o, w.now)
	if err != nil {
		return activities.ActionOutput{}, err
	}
	w.noteTicket(t)
	if o.Ticket.Recover != "" && w.device(in.Device).Session.Connectivity == deviceops.Online {
		w.over(t.ticket.ID, deviceops.EntryRecovered)
	}
	return activities.ActionOutput{Output: map[string]any{
		"id": t.ticket.ID, "created": t.before.ID == "", "count": t.ticket.Count, "parent": t.ticket.Parent,
	}}, nil
}

// closeTicket closes the ticket that is named, or the one of a problem that is
// over. A ticket that a mock opened is none of the case's.
func (w *world) closeTicket(in activities.ActionInput) (activities.ActionOutput, error) {
	id, _ := in.Args["ticket"].(string)
	kind := deviceops.EntryClosed
	if fingerprint, ok := in.Args["fingerprint"].(string); ok {
		id, kind = w.desk.about(fingerprint), deviceops.EntryRecovered
	}
	w.over(id, kind)
	return activities.ActionOutput{Output: map[string]any{"id": id, "status": string(deviceops.TicketClosed)}}, nil
}

// over closes a ticket that is open, and tells so.
func (w *world) over(id, kind string) {
	t := w.desk.tickets[id]
	if t.Status != deviceops.TicketOpen {
		return
	}
	storm, over := w.desk.over(id, kind, w.now)
	w.note("ticket, closed: %s", t.Title)
	if over {
		w.note("storm, over: %s", storm.Title)
	}
}

// noteTicket tells what became of an opening.
func (w *world) noteTicket(t told) {
	switch t.before.Status {
	case "":
		w.note("ticket: %s", t.ticket.Title)
	case deviceops.TicketClosed:
		w.note("ticket, open again: %s", t.ticket.Title)
	default:
		w.note("ticket, told again: %s", t.ticket.Title)
	}
	switch {
	case t.storm.ID != t.stormBefore.ID:
		w.note("storm of %s: %s", plural(t.storm.Members, "ticket", "tickets"), t.storm.Title)
	case t.storm.Status != t.stormBefore.Status:
		w.note("storm, open again: %s", t.storm.Title)
	}
}

// startRollout gives what a rollout that was just created does. No device of the
// case is reached: a test of a workflow says what it does when a rollout ends, and
// a test of a rollout is deviceops rollout simulate.
func (w *world) startRollout(in activities.ActionInput) (activities.ActionOutput, error) {
	name, _ := in.Args["name"].(string)
	if manifest, ok := in.Args["manifest"].(map[string]any); ok && name == "" {
		name, _ = manifest["rollout"].(string)
	}
	w.note("rollout %s begins", name)
	return activities.ActionOutput{Output: map[string]any{
		"id": deviceops.RolloutID(in.Account, name), "name": name, "status": string(deviceops.RolloutPlanning), "created": true,
	}}, nil
}

// waitRollout has a rollout be where it is waited for. A mock says otherwise.
func (w *world) waitRollout(in activities.ActionInput) (activities.ActionOutput, error) {
	status, ok := in.Args["status"].(string)
	if !ok {
		status = string(deviceops.RolloutSucceeded)
	}
	w.note("rollout %v: %s", in.Args["rollout"], status)
	return activities.ActionOutput{Output: map[string]any{
		"id": in.Args["rollout"], "name": in.Args["rollout"], "status": status, "reason": "",
		"targeted": 0, "succeeded": 0, "failed": 0, "unhealthy": 0,
	}}, nil
}

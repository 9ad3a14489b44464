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

func (w *world) openTicket(in activities.ActionInput) (activities.ActionOutput, error) {
	w.tickets = append(w.tickets, in.Args)
	w.note("ticket: %v", in.Args["title"])
	return activities.ActionOutput{Output: map[string]any{"id": fmt.Sprintf("T-%d", len(w.tickets)), "created": true}}, nil
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

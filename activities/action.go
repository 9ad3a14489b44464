package activities

import (
	"context"
	"encoding/json"
	"maps"
	"slices"

	"github.com/deviceops/deviceops"
)

// ActionInput asks for one action of a run.
type ActionInput struct {
	Action  string         `json:"action"`
	Account string         `json:"account"`          // that of the run: the action may reach into it and below
	Device  string         `json:"device,omitempty"` // of the step; "": none
	Args    map[string]any `json:"args,omitempty"`
	RunID   string         `json:"run_id"`
	Step    string         `json:"step"`
	By      string         `json:"by"` // who acts: run:<id>

	// Run carries rows of the timeline that are to be saved first; nil: none.
	Run *deviceops.Run `json:"run,omitempty"`
}

// ActionOutput is what an action gives.
type ActionOutput struct {
	Output any `json:"output,omitempty"`
	// Device is the output instead, where it is a device: the workflow shows it
	// as expressions see devices.
	Device *deviceops.Device `json:"device,omitempty"`
	// Command is to be sent to the step's device next; the step ends with it.
	// Nil: the step has ended.
	Command *FollowUp `json:"command,omitempty"`
}

// FollowUp is a command by which an action reaches the device itself.
type FollowUp struct {
	Name string         `json:"name"`
	Args map[string]any `json:"args,omitempty"`
}

// action is one kind of action. A type that implements it holds the arguments
// as its fields; perform runs on a copy into which they were decoded.
type action interface {
	perform(ctx context.Context, d Deps, in ActionInput) (ActionOutput, error)
}

// actions makes the actions by name, with nothing set.
var actions = map[string]func() action{
	"device.configure":  func() action { return &configureDevice{} },
	"device.get":        func() action { return &getDevice{} },
	"device.transition": func() action { return &transitionDevice{} },
	"log":               func() action { return &logEntry{} },
}

// ActionNames gives the names of all actions, in order.
func ActionNames() []string { return slices.Sorted(maps.Keys(actions)) }

// Action performs an action by name. ENOTFOUND for a name that is none, EINVALID
// for arguments of the wrong type; else the codes of the action itself.
func (a *Runs) Action(ctx context.Context, in ActionInput) (ActionOutput, error) {
	if in.Run != nil {
		if err := a.deps.Store.SaveRun(ctx, *in.Run); err != nil {
			return ActionOutput{}, Failure(err)
		}
	}
	act, err := newAction(in)
	if err != nil {
		return ActionOutput{}, Failure(err)
	}
	out, err := act.perform(ctx, a.deps, in)
	return out, Failure(err)
}

func newAction(in ActionInput) (action, error) {
	make, ok := actions[in.Action]
	if !ok {
		return nil, deviceops.Errorf(deviceops.ENOTFOUND, "there is no action %q; there are %v", in.Action, ActionNames())
	}
	act := make()
	data, err := json.Marshal(in.Args)
	if err == nil {
		err = json.Unmarshal(data, act)
	}
	if err != nil {
		return nil, deviceops.Errorf(deviceops.EINVALID, "the arguments of %s: %w", in.Action, err)
	}
	return act, nil
}

// target gives the device that an action works on.
func (in ActionInput) target(ctx context.Context, d Deps) (deviceops.Device, error) {
	if in.Device == "" {
		return deviceops.Device{}, deviceops.Errorf(deviceops.EINVALID, "%s needs a device: set `device` at the step or for the workflow", in.Action)
	}
	return d.device(ctx, in.Account, in.Device)
}

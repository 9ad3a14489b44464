package rehearsal

import (
	"fmt"
	"maps"
	"slices"
	"time"

	"github.com/deviceops/deviceops"
	"github.com/deviceops/deviceops/activities"
	"github.com/deviceops/deviceops/dsl"
)

// world is what the runs of one case see of everything outside themselves. It is
// touched by one goroutine at a time: those of the workflows, which the test
// environment runs one after the other.
type world struct {
	suite *Suite
	story *dsl.TestCase
	start time.Time
	now   time.Time

	devices   map[string]*deviceops.Device
	described map[string]bool   // devices that the case describes
	calls     map[string]int    // by name of command, action or workflow
	desk      *desk             // with the tickets of runs and automations
	emitted   []deviceops.Event // by runs

	runs      []*deviceops.Run // as stored, in the order of start, with those that runs started
	byID      map[string]*deviceops.Run
	roots     []string // ids of the runs that the case or its automations started
	approvals []*deviceops.Approval
	frozen    bool // the end was looked at: what comes later is clean-up

	notes []Note
	found dsl.Diagnostics // what went wrong that no expectation is about
	told  map[string]bool // what was noted once and need not be again
}

func newWorld(s *Suite, story *dsl.TestCase) *world {
	w := &world{
		suite: s, story: story, start: story.Now, now: story.Now, told: map[string]bool{}, desk: newDesk(),
		devices: map[string]*deviceops.Device{}, described: map[string]bool{}, calls: map[string]int{}, byID: map[string]*deviceops.Run{},
	}
	for id, d := range story.Devices {
		own := d.Device
		own.Metrics, own.Twin.Desired.Configuration = maps.Clone(own.Metrics), maps.Clone(own.Twin.Desired.Configuration)
		w.devices[id], w.described[id] = &own, true
	}
	return w
}

// note tells something on the timeline of the case.
func (w *world) note(format string, args ...any) {
	w.notes = append(w.notes, Note{At: w.now.Sub(w.start), Text: fmt.Sprintf(format, args...)})
}

func (w *world) noteOnce(format string, args ...any) {
	text := fmt.Sprintf(format, args...)
	if !w.told[text] {
		w.told[text] = true
		w.note("%s", text)
	}
}

// fault reports what keeps the case from being judged, once.
func (w *world) fault(at dsl.Place, fix, format string, args ...any) {
	d := at.Diagnostic("rehearsal", fix, format, args...)
	if !w.told[d.Message] {
		w.told[d.Message] = true
		w.found = append(w.found, d)
	}
}

// device gives a device, which comes into being when it is first named.
func (w *world) device(id string) *deviceops.Device {
	if w.devices[id] == nil {
		d := deviceops.Device{ID: id, Serial: id, Account: deviceops.RootAccount, State: deviceops.Active}
		d.Session.Connectivity = deviceops.Online
		w.devices[id] = &d
	}
	return w.devices[id]
}

// heartbeat gives the policy of the profile that the case gives a device.
func (w *world) heartbeat(device string) deviceops.HeartbeatPolicy {
	if d := w.devices[device]; d != nil && w.suite.profiles[d.Profile] != nil {
		return w.suite.profiles[d.Profile].Heartbeat
	}
	return deviceops.HeartbeatPolicy{}
}

// facts gives what conditions of automations see of a device; nil when the case
// says nothing of it.
func (w *world) facts(id string) map[string]any {
	if !w.described[id] {
		return nil
	}
	return dsl.DeviceFacts(w.devices[id])
}

// enter brings a run into being that is about to start. Devices among its inputs
// are of the profiles that the inputs ask for.
func (w *world) enter(r deviceops.Run) {
	own := r
	w.runs = append(w.runs, &own)
	w.byID[r.ID] = &own
	d := w.suite.workflow(r.Workflow, r.Version)
	if d == nil {
		return
	}
	for _, in := range d.Inputs {
		id, given := r.Inputs[in.Name].(string)
		if !given && in.Name == "device" {
			id = r.Device
		}
		if in.Type.Kind == dsl.TypeDevice && id != "" && w.device(id).Profile == "" {
			w.device(id).Profile = in.Type.Profile
		}
	}
}

// save stores a run and rows of its timeline, as the store does.
func (w *world) save(r *deviceops.Run) {
	if r == nil || w.frozen {
		return
	}
	stored := w.byID[r.ID]
	if stored == nil {
		w.enter(*r)
		stored = w.byID[r.ID]
		stored.Steps = nil
	}
	rows := stored.Steps
	for _, row := range r.Steps {
		at := slices.IndexFunc(rows, func(old deviceops.RunStep) bool { return old.Index == row.Index })
		if at < 0 {
			rows = append(rows, row)
			continue
		}
		rows[at] = row
	}
	slices.SortFunc(rows, func(a, b deviceops.RunStep) int { return a.Index - b.Index })
	*stored = *r
	stored.Steps = rows
}

// saveApproval stores an approval.
func (w *world) saveApproval(a deviceops.Approval) {
	for _, known := range w.approvals {
		if known.ID == a.ID {
			*known = a
			return
		}
	}
	w.approvals = append(w.approvals, &a)
}

// reply is what an activity gives, and when.
type reply struct {
	value  any
	err    error
	after  time.Duration
	silent bool
}

func gives(value any, err error) reply { return reply{value: value, err: err} }

// mock gives the answer to the next call of a command or action. False: the case
// says nothing of it.
func (w *world) mock(name string) (dsl.MockAnswer, bool) {
	if w.frozen {
		return dsl.MockAnswer{Silent: true}, true
	}
	w.calls[name]++
	m, ok := w.story.Mocks[name]
	if !ok {
		return dsl.MockAnswer{}, false
	}
	return m.Call(w.calls[name]), true
}

func (w *world) pin(r deviceops.Run) reply {
	w.save(&r)
	d := w.suite.workflow(r.Workflow, r.Version)
	if d == nil {
		return gives(nil, activities.Failure(deviceops.Errorf(deviceops.ENOTFOUND, "there is no workflow %s in these files", reference(r.Workflow, r.Version))))
	}
	// Without a word on the engine each action is an activity of its own, which a
	// mock may answer late, or never.
	return gives(activities.PinOutput{Version: d.version, Hash: d.Hash, Source: d.Source}, nil)
}

// command answers for a device.
func (w *world) command(in activities.CommandInput) reply {
	w.save(in.Run)
	if err := w.admit(in); err != nil {
		return gives(nil, activities.Failure(err))
	}
	answer, ok := w.mock(in.Name)
	if !ok && in.Name == deviceops.CommandConfigure {
		ok = true // a device takes its configuration unless the case says something else
	}
	if !ok {
		w.fault(w.story.Place, fmt.Sprintf("add mock: { %s: { output: {} } }", in.Name), "device %s is sent %s, and the case does not say what it answers", in.Device, in.Name)
		answer.Error = &dsl.Failure{Code: "no_mock", Message: "the test does not say what " + in.Name + " answers"}
	}
	return reply{after: answer.After, silent: answer.Silent}.with(commandResult(in, answer))
}

func (r reply) with(value any, err error) reply {
	r.value, r.err = value, err
	return r
}

// admit checks a command against its device and profile, as it is checked before
// it is sent.
func (w *world) admit(in activities.CommandInput) error {
	d := w.device(in.Device)
	if d.State == deviceops.Quarantined || d.State == deviceops.Retired {
		return deviceops.Errorf(deviceops.ECONFLICT, "device %s is %s and gets no commands", d.ID, d.State)
	}
	spec, err := w.spec(in.Device, in.Name)
	if err == nil && spec.Prepare != nil && !in.Prepared {
		_, err = spec.Prepare(in.Args)
	}
	return err
}

// spec gives what the device's profile says of a command; nothing if the profile
// is not known.
func (w *world) spec(device, name string) (deviceops.CommandSpec, error) {
	profile := w.suite.profiles[w.device(device).Profile]
	if profile == nil {
		return deviceops.CommandSpec{}, nil
	}
	return profile.Command(name)
}

func (w *world) timeout(in activities.CommandTimeoutInput) reply {
	spec, err := w.spec(in.Device, in.Name)
	if err == nil && spec.Timeout == 0 {
		spec.Timeout = deviceops.DefaultCommandTimeout
	}
	return gives(spec.Timeout, activities.Failure(err))
}

// commandResult gives what the device's answer means to the run.
func commandResult(in activities.CommandInput, answer dsl.MockAnswer) (activities.CommandOutput, error) {
	c := deviceops.Command{ID: in.ID, Attempt: in.Attempt, Status: deviceops.CommandSucceeded}
	c.Output, _ = answer.Output.(map[string]any)
	if answer.Error != nil {
		c.Status = deviceops.CommandFailed
		if answer.Rejected {
			c.Status = deviceops.CommandRejected
		}
		c.Error = &deviceops.CommandError{Code: answer.Error.Code, Message: answer.Error.Message, Retryable: answer.Error.Retryable}
	}
	return activities.CommandResult(c)
}

// closed ends a command that nobody waits for any longer.
func closed(in activities.CloseInput) reply {
	code := deviceops.ECANCELED
	if in.Status == deviceops.CommandExpired {
		code = deviceops.ETIMEOUT
	}
	return gives(activities.CommandResult(deviceops.Command{
		ID: in.ID, Status: in.Status, Error: &deviceops.CommandError{Code: code, Message: in.Reason},
	}))
}

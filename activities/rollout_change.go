package activities

import (
	"context"
	"fmt"
	"strconv"
	"strings"

	"github.com/deviceops/deviceops"
)

// plan is what a rollout's change means to one device.
type plan struct {
	end   deviceops.RolloutDeviceStatus // how its row ends without a message; "": it is sent one
	cause *deviceops.CommandError       // of end

	name      string // of the command
	args      map[string]any
	exclusive bool
	from      deviceops.Origin
	desired   *deviceops.Desired // to be stored with the lease; nil: it stays
	run       *deviceops.Run     // in place of a command
}

// changer works out plans. What it reads for them is read once.
type changer struct {
	deps    Deps
	rollout deviceops.Rollout
	spec    *deviceops.RolloutSpec

	releases map[string]*deviceops.Release // by reference; nil: there is none
	distrust map[string]error              // why a release is not installed any more
	history  []deviceops.Release           // of the project, newest first
	workflow *deviceops.Document
	profiles map[profileKey]*deviceops.Profile // nil: there is none that can be used
	unknown  map[profileKey]bool               // profiles to be looked up
}

type profileKey struct{ account, name string }

func newChanger(d Deps, r deviceops.Rollout, spec *deviceops.RolloutSpec) *changer {
	return &changer{
		deps: d, rollout: r, spec: spec, releases: map[string]*deviceops.Release{}, distrust: map[string]error{},
		profiles: map[profileKey]*deviceops.Profile{}, unknown: map[profileKey]bool{},
	}
}

// codeIrreversible is the error code of a device that cannot be taken back.
const codeIrreversible = "irreversible"

// codeChangedSince is that of a device that something else was brought to after
// what is taken back.
const codeChangedSince = "changed_since"

// historyMost bounds the releases among which the one is looked for that a device
// runs.
const historyMost = 200

// load reads what plans for candidates need, within their transaction.
func (c *changer) load(ctx context.Context, tx deviceops.Tx, found []deviceops.Candidate) error {
	if err := c.lockDesired(ctx, tx, found); err != nil {
		return err
	}
	switch c.spec.Change.Kind {
	case deviceops.ChangeRelease:
		return c.loadReleases(ctx, tx, found)
	case deviceops.ChangeWorkflow:
		return c.loadWorkflow(ctx, tx)
	default:
		return nil
	}
}

// lockDesired reads desired twins anew under the lock of their devices where the
// change alters them: nobody else's alteration may be lost.
func (c *changer) lockDesired(ctx context.Context, tx deviceops.Tx, found []deviceops.Candidate) error {
	if kind := c.spec.Change.Kind; kind != deviceops.ChangeConfig && kind != deviceops.ChangeRelease {
		return nil
	}
	ids := make([]string, len(found))
	for i := range found {
		ids[i] = found[i].Row.Device
	}
	locked, err := tx.LockDevices(ctx, ids)
	for i := range found {
		if d := locked[ids[i]]; d != nil {
			found[i].Device.Twin = d.Twin
		}
	}
	return err
}

func (c *changer) loadWorkflow(ctx context.Context, tx deviceops.Tx) error {
	if c.workflow != nil {
		return nil
	}
	name, number, pinned := strings.Cut(c.spec.Change.Workflow, "@")
	version := 0
	if pinned {
		var err error
		if version, err = strconv.Atoi(number); err != nil {
			return deviceops.Errorf(deviceops.EINVALID, "workflow %q: write name@version, such as checkup@3", c.spec.Change.Workflow)
		}
	}
	d, err := tx.FindDocument(ctx, c.rollout.Account, deviceops.KindWorkflow, name, version)
	c.workflow = &d
	return err
}

// learn looks profiles up that plans asked for in vain. It must not be called
// within a transaction: a catalog may need a connection of its own.
func (c *changer) learn(ctx context.Context) (learned bool, err error) {
	for key := range c.unknown {
		profile, err := c.deps.Catalog.Profile(ctx, key.account, key.name)
		switch deviceops.ErrorCode(err) {
		case "":
			c.profiles[key] = profile
		case deviceops.ENOTFOUND, deviceops.EINVALID:
			c.profiles[key] = nil
		default:
			return learned, err
		}
		delete(c.unknown, key)
		learned = true
	}
	return learned, nil
}

// exclusive reports whether a plan may be an exclusive command. Of profiles that
// are not learned yet no device gets a plan.
func (c *changer) exclusive() bool {
	switch c.spec.Change.Kind {
	case deviceops.ChangeWorkflow:
		return false
	case deviceops.ChangeCommand:
		for _, profile := range c.profiles {
			if profile == nil {
				continue
			}
			if spec, err := profile.Command(c.spec.Change.Command); err == nil && spec.Exclusive {
				return true
			}
		}
		return false
	default:
		return true
	}
}

// plan works out what the change means to a device; known is false if something
// has to be learned first.
func (c *changer) plan(candidate *deviceops.Candidate) (p plan, known bool) {
	d := &candidate.Device
	switch {
	case c.spec.Change.Kind == deviceops.ChangeWorkflow:
		return c.planRun(candidate), true
	case c.spec.Change.Kind == deviceops.ChangeCommand:
		return c.planCommand(d)
	case c.spec.Change.Revert:
		p = c.planRevert(d, candidate.Row.From)
	case c.spec.Change.Kind == deviceops.ChangeConfig:
		p = c.planConfig(d)
	default:
		p = c.planRelease(d)
	}
	if taken, known := c.takes(d, p.name); !known || taken.end != "" {
		return taken, known
	}
	if from := candidate.Row.From; from.Release != "" || from.Software != nil || from.Configuration != nil {
		p.from = from // of its first attempt: what it was before anything was changed
	}
	return p, true
}

func ended(status deviceops.RolloutDeviceStatus, code, format string, args ...any) plan {
	return plan{end: status, cause: &deviceops.CommandError{Code: code, Message: fmt.Sprintf(format, args...)}}
}

func configurationOf(d *deviceops.Device) map[string]any {
	if d.Twin.Desired.Configuration == nil {
		return map[string]any{}
	}
	return d.Twin.Desired.Configuration
}

func (c *changer) planConfig(d *deviceops.Device) plan {
	p := c.configure(d, configureChange{Configuration: c.spec.Change.Config}.apply(d.Twin.Desired))
	p.from = deviceops.Origin{Configuration: configurationOf(d)}
	return p
}

// configure brings a device to what is desired of it, unless it says that it is
// there.
func (c *changer) configure(d *deviceops.Device, desired deviceops.Desired) plan {
	if desired.Version == d.Twin.Desired.Version && d.Twin.Reported.ConfigVersion >= desired.Version {
		return plan{end: deviceops.DeviceSucceeded}
	}
	return plan{name: deviceops.CommandConfigure, args: configureArgs(desired), exclusive: true, desired: &desired}
}

// profile gives the profile of a device, nil if it is not published or cannot be used;
// known is false if that has to be learned first.
func (c *changer) profile(d *deviceops.Device) (profile *deviceops.Profile, known bool) {
	key := profileKey{d.Account, d.Profile}
	if profile, known = c.profiles[key]; !known {
		c.unknown[key] = true
	}
	return profile, known
}

// takes excuses a device that does not understand a reserved command; no end: it does.
func (c *changer) takes(d *deviceops.Device, command string) (p plan, known bool) {
	if command == "" {
		return plan{}, true
	}
	profile, known := c.profile(d)
	if known && profile != nil && !profile.Takes(command) {
		p = ended(deviceops.DeviceExcused, "command", "devices of profile %s have topics of their own, and it does not say how they are told %s", d.Profile, command)
	}
	return p, known
}

func (c *changer) planCommand(d *deviceops.Device) (plan, bool) {
	profile, known := c.profile(d)
	if !known {
		return plan{}, false
	}
	if profile == nil {
		return ended(deviceops.DeviceExcused, "profile", "its profile %q is not published, or cannot be used", d.Profile), true
	}
	spec, err := profile.Command(c.spec.Change.Command)
	if err != nil {
		return ended(deviceops.DeviceExcused, "command", "%s", deviceops.ErrorMessage(err)), true
	}
	args := c.spec.Change.Args
	if spec.Prepare != nil {
		if args, err = spec.Prepare(args); err != nil {
			return ended(deviceops.DeviceExcused, "arguments", "%s", deviceops.ErrorMessage(err)), true
		}
	}
	return plan{name: spec.Name, args: args, exclusive: spec.Exclusive}, true
}

func rolloutRunID(rollout, device string, attempt int) string {
	id := deviceops.RolloutCommandID(rollout, device)
	if attempt > 1 {
		id += "." + strconv.Itoa(attempt)
	}
	return id
}

// planRun asks for a run. Its id follows from rollout, device and attempt, so that
// asking twice starts one.
func (c *changer) planRun(candidate *deviceops.Candidate) plan {
	candidate.Attempt = candidate.Row.Attempt + 1 // who is due again has ended the one before
	id := rolloutRunID(c.rollout.ID, candidate.Row.Device, candidate.Attempt)
	return plan{run: &deviceops.Run{
		ID: id, Account: c.rollout.Account, Workflow: c.workflow.Name, Version: c.workflow.Version, Hash: c.workflow.Hash,
		Device: candidate.Row.Device, Inputs: c.spec.Change.Inputs, Status: deviceops.RunPending,
		StartedBy: "rollout:" + c.rollout.ID, Reason: c.rollout.Reason, StartedAt: c.deps.now(),
	}}
}

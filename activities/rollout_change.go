package activities

import (
	"context"
	"fmt"
	"maps"
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
	history  []deviceops.Release           // of the project, newest first
	workflow *deviceops.Document
	profiles map[profileKey]*deviceops.Profile // nil: there is none that can be used
	unknown  map[profileKey]bool               // profiles to be looked up
}

type profileKey struct{ account, name string }

func newChanger(d Deps, r deviceops.Rollout, spec *deviceops.RolloutSpec) *changer {
	return &changer{
		deps: d, rollout: r, spec: spec, releases: map[string]*deviceops.Release{},
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

func (c *changer) loadReleases(ctx context.Context, tx deviceops.Tx, found []deviceops.Candidate) error {
	wanted := []string{c.spec.Change.Release}
	if c.spec.Change.Revert {
		for i := range found {
			wanted = append(wanted, found[i].Row.From.Release)
		}
	}
	for _, text := range wanted {
		if _, known := c.releases[text]; known || text == "" {
			continue
		}
		ref, err := deviceops.ParseReleaseRef(text)
		if err != nil {
			return err
		}
		release, err := tx.FindRelease(ctx, c.rollout.Account, ref)
		switch {
		case err == nil:
			c.releases[text] = &release
		case deviceops.ErrorCode(err) == deviceops.ENOTFOUND:
			c.releases[text] = nil
		default:
			return err
		}
	}
	if c.history != nil || c.spec.Change.Revert {
		return nil
	}
	ref, err := deviceops.ParseReleaseRef(c.spec.Change.Release)
	if err != nil {
		return err
	}
	c.history, err = tx.ListReleases(ctx, deviceops.ReleaseFilter{Account: c.rollout.Account, Project: ref.Project, Limit: historyMost})
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
	if from := candidate.Row.From; from.Release != "" || from.Software != nil || from.Configuration != nil {
		p.from = from // of its first attempt: what it was before anything was changed
	}
	return p, true
}

func ended(status deviceops.RolloutDeviceStatus, code, format string, args ...any) plan {
	return plan{end: status, cause: &deviceops.CommandError{Code: code, Message: fmt.Sprintf(format, args...)}}
}

func (c *changer) planRelease(d *deviceops.Device) plan {
	release := c.releases[c.spec.Change.Release]
	if release == nil {
		return ended(deviceops.DeviceFailed, deviceops.ENOTFOUND, "there is no release %s", c.spec.Change.Release)
	}
	p := c.install(d, release)
	if len(release.Configuration) > 0 {
		p = c.withConfiguration(p, d, configureChange{Configuration: release.Configuration}.apply(d.Twin.Desired))
	}
	p.from = deviceops.Origin{Release: c.runs(d), Software: map[string]string{}}
	for _, component := range release.Components {
		if version, ok := d.Twin.Reported.Software[component.Name]; ok {
			p.from.Software[component.Name] = version
		}
	}
	if len(release.Configuration) > 0 {
		p.from.Configuration = configurationOf(d)
	}
	return p
}

// withConfiguration has a configuration come with the software that p installs, or
// alone if there is none to be installed.
func (c *changer) withConfiguration(p plan, d *deviceops.Device, desired deviceops.Desired) plan {
	configure := c.configure(d, desired)
	switch {
	case p.end == deviceops.DeviceSucceeded:
		return configure
	case p.end != "" || configure.end != "":
		return p
	}
	p.desired.Configuration, p.desired.Version, p.desired.Heartbeat = desired.Configuration, desired.Version, desired.Heartbeat
	p.args[deviceops.ArgConfigure] = configure.args
	return p
}

// install has a device install a release, unless it runs that or does not fit. A
// release without components is there already.
func (c *changer) install(d *deviceops.Device, release *deviceops.Release) plan {
	switch fit := release.Fits(d); {
	case fit.Outcome == deviceops.FitRefused:
		return ended(deviceops.DeviceExcused, fit.Code, "%s", fit.Text)
	case fit.Outcome == deviceops.FitAlready, len(release.Components) == 0:
		return plan{end: deviceops.DeviceSucceeded}
	}
	desired := d.Twin.Desired
	desired.Software = maps.Clone(desired.Software)
	if desired.Software == nil {
		desired.Software = map[string]string{}
	}
	maps.Copy(desired.Software, release.Versions())
	return plan{name: deviceops.CommandInstall, args: release.InstallArgs(d.Twin.Reported.Software), exclusive: true, desired: &desired}
}

// runs names the release of the project that a device runs; "" if it is none that
// is known.
func (c *changer) runs(d *deviceops.Device) string {
	for i := range c.history {
		if c.history[i].Fits(d).Outcome == deviceops.FitAlready {
			return c.history[i].Ref().String()
		}
	}
	return ""
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

// planRevert takes a device back to what it was.
func (c *changer) planRevert(d *deviceops.Device, from deviceops.Origin) plan {
	desired := d.Twin.Desired
	if before := c.configurationBefore(desired.Configuration, from); !sameConfiguration(before, desired.Configuration) {
		desired.Configuration = before
		desired.Version++
	}
	if c.spec.Change.Kind == deviceops.ChangeConfig || c.bringsNoSoftware() {
		return c.configure(d, desired)
	}
	release := c.releases[from.Release]
	if release == nil {
		return ended(deviceops.DeviceFailed, codeIrreversible, "no release is known that is what it ran before")
	}
	if version, since := c.changedSince(d, from); since {
		return ended(deviceops.DeviceExcused, codeChangedSince, "it runs %s now, which it got after %s: it is left alone", version, c.spec.Change.Release)
	}
	before := *release
	before.Downgrade, before.Requires, before.From = true, nil, ""
	p := c.install(d, &before)
	if from.Configuration != nil {
		p = c.withConfiguration(p, d, desired)
	}
	return p
}

// bringsNoSoftware reports whether the change is a release of a configuration alone.
func (c *changer) bringsNoSoftware() bool {
	release := c.releases[c.spec.Change.Release]
	return release != nil && len(release.Components) == 0
}

// changedSince gives what a device runs if that is neither what the change brought
// nor what it ran before: something else came since, and is not taken back.
func (c *changer) changedSince(d *deviceops.Device, from deviceops.Origin) (version string, since bool) {
	brought := c.releases[c.spec.Change.Release]
	if brought == nil {
		return "", false
	}
	for _, component := range brought.Components {
		runs, known := d.Twin.Reported.Software[component.Name]
		if known && runs != component.Version && runs != from.Software[component.Name] {
			return component.Name + " " + runs, true
		}
	}
	return "", false
}

// configurationBefore gives a configuration without what the change made of it.
// Settings that were changed since keep their values.
func (c *changer) configurationBefore(now map[string]any, from deviceops.Origin) map[string]any {
	if from.Configuration == nil {
		return now
	}
	changed := c.spec.Change.Config
	if brought := c.releases[c.spec.Change.Release]; brought != nil {
		changed = brought.Configuration
	}
	before := map[string]any{}
	maps.Copy(before, now)
	for key, value := range changed {
		if is, set := now[key]; set != (value != nil) || set && !sameConfiguration(map[string]any{key: is}, map[string]any{key: value}) {
			continue
		}
		delete(before, key)
		if was, set := from.Configuration[key]; set {
			before[key] = was
		}
	}
	return before
}

func (c *changer) planCommand(d *deviceops.Device) (plan, bool) {
	key := profileKey{d.Account, d.Profile}
	profile, known := c.profiles[key]
	if !known {
		c.unknown[key] = true
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

package activities

import (
	"context"
	"maps"

	"github.com/deviceops/deviceops"
)

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
	if err := c.checkKeys(ctx, tx); err != nil {
		return err
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

// checkKeys looks anew whether the keys that signed releases are still registered: what
// is not trusted any more is sent to nobody from then on.
func (c *changer) checkKeys(ctx context.Context, tx deviceops.Tx) error {
	for text, release := range c.releases {
		if release == nil || release.Signature == "" {
			continue
		}
		keys, err := tx.ListReleaseKeys(ctx, release.Account)
		if err != nil {
			return err
		}
		c.distrust[text] = release.Trusted(keys)
	}
	return nil
}

func (c *changer) planRelease(d *deviceops.Device) plan {
	release := c.releases[c.spec.Change.Release]
	if release == nil {
		return ended(deviceops.DeviceFailed, deviceops.ENOTFOUND, "there is no release %s", c.spec.Change.Release)
	}
	if err := c.distrust[c.spec.Change.Release]; err != nil {
		return ended(deviceops.DeviceFailed, deviceops.ErrorCode(err), "%s", deviceops.ErrorMessage(err))
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
	if err := c.distrust[from.Release]; err != nil {
		return ended(deviceops.DeviceFailed, deviceops.ErrorCode(err), "%s", deviceops.ErrorMessage(err))
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

package dsl

import (
	"slices"
	"time"

	"go.yaml.in/yaml/v4"

	"github.com/deviceops/deviceops"
)

// crossCheck reports what is wrong between parts of a manifest.
func (m *manifest) crossCheck() {
	m.checkTimes()
	m.checkWindow()
	m.checkWayBack()
	m.checkCommand()
	m.checkRest()
	m.checkGates()
}

func (m *manifest) checkTimes() {
	spec := m.spec
	if !spec.Deadline.IsZero() && !spec.Start.IsZero() && !spec.Start.Before(spec.Deadline) {
		m.report(m.o.get("deadline"), "bad-order", "write a time after start", "the deadline is over when the rollout starts")
	}
}

// checkWindow reports a window in which nothing can be done, since it is shorter
// than what has to fit inside.
func (m *manifest) checkWindow() {
	w, takes := m.spec.Window, m.spec.Takes()
	if w == nil || m.doc.hasErrors() {
		return
	}
	length := openFor(*w)
	if length >= takes {
		return
	}
	phases := m.spec.Phases
	fix := "open it for longer, or write phases: { install: { timeout: " + FormatDuration(length) + " } }, or window: any there"
	if !phases.Download.AnyWindow && m.spec.Change.Kind == deviceops.ChangeRelease {
		fix = "let devices download outside of it: phases: { download: { window: any }, install: { timeout: " +
			FormatDuration(min(length, phases.Install.Timeout)) + " } }"
	}
	m.report(m.o.get("window"), "window-too-short", fix,
		"the window is open for %s and the change may take %s, so none could begin", FormatDuration(length), FormatDuration(takes))
}

// openFor gives how long a window is open at a time, a week at most. Changes of
// the clock, which make it longer or shorter once a year, do not count.
func openFor(w deviceops.MaintenanceWindow) time.Duration {
	w.Zone = "UTC"
	monday := time.Date(2026, time.January, 5, 0, 0, 0, 0, time.UTC)
	opens := w.Next(monday, 0, "")
	return w.Closes(opens, "").Sub(opens)
}

// checkWayBack reports rollbacks of what cannot be taken back.
func (m *manifest) checkWayBack() {
	spec, n := m.spec, m.o.get("on_fail")
	back := spec.OnFail == deviceops.FailRollback || spec.OnFail == deviceops.FailRollbackAll
	const fix = "write on_fail: pause or on_fail: stop"
	switch kind := spec.Change.Kind; kind {
	case deviceops.ChangeCommand, deviceops.ChangeWorkflow:
		if back {
			m.report(n, "irreversible", fix, "a %s cannot be taken back", kind)
		}
	case deviceops.ChangeRelease:
		if !m.reversible() && back {
			m.report(n, "irreversible", fix, "the release %s says that devices cannot go back from it", spec.Change.Release)
		}
	}
}

// reversible reports whether devices can go back from the release that is rolled
// out, as far as anything is known of it. One that does not exist is reported.
func (m *manifest) reversible() bool {
	ref, err := deviceops.ParseReleaseRef(m.spec.Change.Release)
	if err != nil {
		return true
	}
	if own := m.opts.releases[ref.String()]; own != nil {
		return !own.Irreversible
	}
	if m.opts.Release == nil {
		return true
	}
	r := m.opts.Release(ref)
	if r == nil {
		m.report(valueOf(m.o.get("change"), "release"), "unknown-name", "create it, or put it into this file", "there is no release %s", ref)
		return true
	}
	if m.opts.Trusted != nil {
		if err := m.opts.Trusted(r); err != nil {
			m.report(valueOf(m.o.get("change"), "release"), "untrusted", "sign it by a key of the account, as a new version, or register its key again: deviceops release keys add",
				"%s", deviceops.ErrorMessage(err))
		}
	}
	return r.Reversible
}

// reservedBy are the reserved commands by which changes reach devices.
var reservedBy = map[deviceops.ChangeKind]string{
	deviceops.ChangeRelease: deviceops.CommandInstall, deviceops.ChangeConfig: deviceops.CommandConfigure,
}

// checkCommand compares a command with the profile of the targets. Devices with topics
// of their own understand no reserved command that their profile does not translate.
func (m *manifest) checkCommand() {
	change := m.spec.Change
	if command := reservedBy[change.Kind]; command != "" && m.profile != nil && !m.profile.Takes(command) {
		m.report(valueOf(m.o.get("change"), string(change.Kind)), "unknown-command", "declare the command "+command+" in the profile, with send: and reply:",
			"devices of profile %s have topics of their own, and it does not say how they are told %s", m.profile.Name, command)
		return
	}
	if change.Kind != deviceops.ChangeCommand || change.Command == "" || m.profile == nil {
		return
	}
	n := valueOf(m.o.get("change"), "command")
	spec := m.commandSpec(valueOf(n, "name"), m.profile, change.Command)
	if spec != nil {
		m.checkArguments(givenTo{spec, valueOf(n, "name"), valueOf(n, "args"), "args", Literal(change.Args)})
	}
}

// valueOf gives the value of a key of a map, nil if it is not given.
func valueOf(n *yaml.Node, key string) *yaml.Node {
	for i := 0; i+1 < len(n.Content); i += 2 {
		if n.Content[i].Value == key {
			return n.Content[i+1]
		}
	}
	return nil
}

// checkRest says so when devices are left that no ring takes.
func (m *manifest) checkRest() {
	rings := m.spec.Rings
	percent := 0.0
	for _, r := range rings {
		percent += r.Percent
	}
	open := slices.ContainsFunc(rings, func(r deviceops.RingSpec) bool { return r.Rest() })
	if n := m.o.get("rings"); n != nil && !open && percent < 100 {
		m.warn(n.Content[len(n.Content)-1], "no-rest", "add - name: everyone", "devices that fit into no ring do not get the change: no ring takes the rest")
	}
}

package dsl

import (
	"context"

	"github.com/deviceops/deviceops"
)

// Published finds what documents name among what is published, as seen from an
// account. What is not found is for the checker to report.
type Published struct {
	Catalog deviceops.Catalog
	Store   PublishedStore
	Account string
	Actions []deviceops.ActionSpec // none: they are not checked

	// Given are documents that are published in the same act: they come first.
	Given []Compiled

	failed error
}

// PublishedStore is where documents and releases are kept.
type PublishedStore interface {
	deviceops.Documents
	FindRelease(ctx context.Context, account string, ref deviceops.ReleaseRef) (deviceops.Release, error)
	ListReleaseKeys(ctx context.Context, account string) ([]deviceops.ReleaseKey, error)
}

// Options gives the options by which documents are checked.
func (p *Published) Options(ctx context.Context) Options {
	return Options{
		Actions:  p.Actions,
		Profile:  func(name string) *deviceops.Profile { return p.profile(ctx, name) },
		Release:  func(ref deviceops.ReleaseRef) *deviceops.Release { return p.release(ctx, ref) },
		Trusted:  func(r *deviceops.Release) error { return p.trusted(ctx, r) },
		Workflow: func(name string, version int) *Program { return p.workflow(ctx, name, version) },
		Calendar: func(name string) *deviceops.Calendar { return p.calendar(ctx, name) },
		Channel:  func(name string) *Channel { return p.channel(ctx, name) },
	}
}

// Failed says why something could not be looked up: what was checked then says
// nothing. Nil: everything could.
func (p *Published) Failed() error { return p.failed }

// missed reports whether err means that there is nothing to be had.
func (p *Published) missed(err error) bool {
	switch deviceops.ErrorCode(err) {
	case "":
		return false
	case deviceops.ENOTFOUND, deviceops.EINVALID:
	default:
		p.failed = err
	}
	return true
}

// given finds a document among those that are published in the same act.
func (p *Published) given(name string, is func(Compiled) bool) *Compiled {
	for i, d := range p.Given {
		if d.Name == name && is(d) {
			return &p.Given[i]
		}
	}
	return nil
}

func (p *Published) profile(ctx context.Context, name string) *deviceops.Profile {
	if d := p.given(name, func(d Compiled) bool { return d.Profile != nil }); d != nil {
		return d.Profile
	}
	found, err := p.Catalog.Profile(ctx, p.Account, name)
	if p.missed(err) {
		return nil
	}
	return found
}

func (p *Published) release(ctx context.Context, ref deviceops.ReleaseRef) *deviceops.Release {
	if d := p.given(ref.String(), func(d Compiled) bool { return d.Release != nil }); d != nil {
		return &deviceops.Release{Project: ref.Project, Version: ref.Version, Reversible: !d.Release.Irreversible}
	}
	found, err := p.Store.FindRelease(ctx, p.Account, ref)
	if p.missed(err) {
		return nil
	}
	return &found
}

func (p *Published) trusted(ctx context.Context, r *deviceops.Release) error {
	keys, err := p.Store.ListReleaseKeys(ctx, r.Account)
	if err != nil {
		p.failed = err
		return nil
	}
	return r.Trusted(keys)
}

func (p *Published) calendar(ctx context.Context, name string) *deviceops.Calendar {
	if d := p.given(name, func(d Compiled) bool { return d.Calendar != nil }); d != nil {
		return d.Calendar
	}
	found, err := p.Catalog.Calendar(ctx, p.Account, name)
	if p.missed(err) {
		return nil
	}
	return found
}

func (p *Published) channel(ctx context.Context, name string) *Channel {
	if d := p.given(name, func(d Compiled) bool { return d.Channel != nil }); d != nil {
		return d.Channel
	}
	found, err := p.Store.FindDocument(ctx, p.Account, deviceops.KindChannel, name, 0)
	if p.missed(err) {
		return nil
	}
	channel, _ := CompileChannel(found.Source)
	return channel
}

func (p *Published) workflow(ctx context.Context, name string, version int) *Program {
	if given := newestProgram(p.Given, name, version); given != nil {
		return given
	}
	found, err := p.Store.FindDocument(ctx, p.Account, deviceops.KindWorkflow, name, version)
	if p.missed(err) {
		return p.unnumbered(name)
	}
	program, _ := Compile(found.Source)
	return program
}

// unnumbered finds a workflow that is to be numbered when it is published: it may
// get the version that is asked for.
func (p *Published) unnumbered(name string) *Program {
	d := p.given(name, func(d Compiled) bool { return d.Program != nil && d.Version == 0 })
	if d == nil {
		return nil
	}
	return d.Program
}

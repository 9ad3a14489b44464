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

	failed error
}

// PublishedStore is where documents and releases are kept.
type PublishedStore interface {
	deviceops.Documents
	FindRelease(ctx context.Context, account string, ref deviceops.ReleaseRef) (deviceops.Release, error)
}

// Options gives the options by which documents are checked.
func (p *Published) Options(ctx context.Context) Options {
	return Options{
		Actions:  p.Actions,
		Profile:  func(name string) *deviceops.Profile { return p.profile(ctx, name) },
		Release:  func(ref deviceops.ReleaseRef) *deviceops.Release { return p.release(ctx, ref) },
		Workflow: func(name string, version int) *Program { return p.workflow(ctx, name, version) },
		Calendar: func(name string) *deviceops.Calendar { return p.calendar(ctx, name) },
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

func (p *Published) profile(ctx context.Context, name string) *deviceops.Profile {
	found, err := p.Catalog.Profile(ctx, p.Account, name)
	if p.missed(err) {
		return nil
	}
	return found
}

func (p *Published) release(ctx context.Context, ref deviceops.ReleaseRef) *deviceops.Release {
	found, err := p.Store.FindRelease(ctx, p.Account, ref)
	if p.missed(err) {
		return nil
	}
	return &found
}

func (p *Published) calendar(ctx context.Context, name string) *deviceops.Calendar {
	found, err := p.Catalog.Calendar(ctx, p.Account, name)
	if p.missed(err) {
		return nil
	}
	return found
}

func (p *Published) workflow(ctx context.Context, name string, version int) *Program {
	found, err := p.Store.FindDocument(ctx, p.Account, deviceops.KindWorkflow, name, version)
	if p.missed(err) {
		return nil
	}
	program, _ := Compile(found.Source)
	return program
}

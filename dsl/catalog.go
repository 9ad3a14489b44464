package dsl

import (
	"context"
	"sync"

	"github.com/deviceops/deviceops"
)

// Catalog gives compiled documents. Looking up the document is a read of the
// store each time, since a newer version may have been published; compiling is
// done once per content.
//
// It is safe for concurrent use.
type Catalog struct {
	Documents deviceops.Documents

	mu       sync.Mutex
	profiles map[string]*deviceops.Profile // by hash
	programs map[string]*Program           // by hash
}

var _ deviceops.Catalog = (*Catalog)(nil)

// maxCached bounds each of the two caches; a full one is emptied.
const maxCached = 1000

// NewCatalog gives a catalog over documents.
func NewCatalog(documents deviceops.Documents) *Catalog {
	return &Catalog{Documents: documents, profiles: map[string]*deviceops.Profile{}, programs: map[string]*Program{}}
}

// Profile gives the newest version of a profile as seen from account. ENOTFOUND
// if there is none, EINVALID if this version of the engine cannot compile it.
func (c *Catalog) Profile(ctx context.Context, account, name string) (*deviceops.Profile, error) {
	d, err := c.Documents.FindDocument(ctx, account, deviceops.KindProfile, name, 0)
	if err != nil {
		return nil, err
	}
	compiled, err := cached(c, c.profiles, d, CompileProfile)
	if err != nil {
		return nil, err
	}
	p := *compiled // accounts may hold equal documents under their own versions
	p.Account, p.Version = d.Account, d.Version
	return &p, nil
}

// Program gives a version of a workflow as seen from account; version 0 means
// the newest. Errors are those of Profile.
func (c *Catalog) Program(ctx context.Context, account, name string, version int) (*Program, error) {
	d, err := c.Documents.FindDocument(ctx, account, deviceops.KindWorkflow, name, version)
	if err != nil {
		return nil, err
	}
	compiled, err := cached(c, c.programs, d, Compile)
	if err != nil {
		return nil, err
	}
	p := *compiled
	p.Version = d.Version
	return &p, nil
}

// cached gives what a document compiles to, from cache if it was compiled
// before.
func cached[T any](c *Catalog, cache map[string]*T, d deviceops.Document, compile func(string) (*T, Diagnostics)) (*T, error) {
	c.mu.Lock()
	found := cache[d.Hash]
	c.mu.Unlock()
	if found != nil {
		return found, nil
	}
	compiled, diagnostics := compile(d.Source)
	if err := diagnostics.Err(); err != nil {
		return nil, deviceops.Errorf(deviceops.EINVALID, "the %s %s@%d cannot be used by this version of the engine: %w", d.Kind, d.Name, d.Version, err)
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	if len(cache) >= maxCached {
		clear(cache)
	}
	cache[d.Hash] = compiled
	return compiled, nil
}

package ingest

import (
	"context"
	"sync"
	"time"

	"github.com/deviceops/deviceops"
)

// profileFor is how long a profile, or its absence, is remembered.
const profileFor = 30 * time.Second

// profiles remembers compiled profiles. One that is missing, or can't be had at
// the moment, never stops a message: it is taken without the profile's checks.
type profiles struct {
	catalog deviceops.Catalog
	now     func() time.Time

	mu    sync.Mutex
	known map[profileKey]profileEntry
}

type profileKey struct{ account, name string }

type profileEntry struct {
	profile *deviceops.Profile
	until   time.Time
}

func newProfiles(c deviceops.Catalog, now func() time.Time) *profiles {
	return &profiles{catalog: c, now: now, known: map[profileKey]profileEntry{}}
}

func (p *profiles) find(ctx context.Context, account, name string) *deviceops.Profile {
	p.mu.Lock()
	defer p.mu.Unlock()
	key, now := profileKey{account, name}, p.now()
	if e, ok := p.known[key]; ok && now.Before(e.until) {
		return e.profile
	}
	profile, err := p.catalog.Profile(ctx, account, name)
	if err != nil {
		profile = nil
	}
	p.forget(now)
	p.known[key] = profileEntry{profile: profile, until: now.Add(profileFor)}
	return profile
}

// refresh has all profiles read again.
func (p *profiles) refresh() {
	p.mu.Lock()
	defer p.mu.Unlock()
	clear(p.known)
}

// forget bounds the memory by what is in use: discovered devices may name any
// profile.
func (p *profiles) forget(now time.Time) {
	const most = 1000
	if len(p.known) < most {
		return
	}
	for key, e := range p.known {
		if !now.Before(e.until) {
			delete(p.known, key)
		}
	}
	if len(p.known) >= most {
		clear(p.known)
	}
}

package vault

import (
	"sync"
	"time"
)

// maxCached bounds the secrets in memory.
const maxCached = 1024

// cache keeps secrets for a short time. All are kept equally long, so the oldest
// is also the first to end.
type cache struct {
	keepFor time.Duration
	now     func() time.Time

	mu      sync.Mutex
	entries map[place]entry
	order   []kept // oldest first; may name what was replaced since
}

type entry struct {
	fields map[string]any
	until  time.Time
}

type kept struct {
	place place
	until time.Time
}

func newCache(keepFor time.Duration) *cache {
	return &cache{keepFor: keepFor, now: time.Now, entries: map[place]entry{}}
}

func (c *cache) get(p place) (map[string]any, bool) {
	c.mu.Lock()
	defer c.mu.Unlock()
	e, ok := c.entries[p]
	if !ok || !c.now().Before(e.until) {
		return nil, false
	}
	return e.fields, true
}

func (c *cache) put(p place, fields map[string]any) {
	c.mu.Lock()
	defer c.mu.Unlock()
	until := c.now().Add(c.keepFor)
	c.entries[p] = entry{fields, until}
	c.order = append(c.order, kept{p, until})
	for len(c.order) > 0 && (len(c.order) > maxCached || !c.now().Before(c.order[0].until)) {
		c.drop(c.order[0])
		c.order = c.order[1:]
	}
}

// drop forgets an entry unless it was replaced by a newer one.
func (c *cache) drop(k kept) {
	if e, ok := c.entries[k.place]; ok && e.until.Equal(k.until) {
		delete(c.entries, k.place)
	}
}

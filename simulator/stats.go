package simulator

import (
	"maps"
	"sync"
)

// Stats are counts since the start, but for Connected, Welcomed, States and
// Unacked, which are of now.
type Stats struct {
	Devices   int `json:"devices"`
	Connected int `json:"connected"` // have a connection
	Welcomed  int `json:"welcomed"`  // have a connection on which the engine answered their hello
	Unacked   int `json:"unacked"`   // numbered messages that are not acknowledged

	Hellos     int `json:"hellos"`
	Published  int `json:"published"` // messages
	Received   int `json:"received"`  // messages
	Commands   int `json:"commands"`  // deliveries of commands
	Effects    int `json:"effects"`   // of commands
	Repeated   int `json:"repeated"`  // deliveries answered out of the journal
	Stale      int `json:"stale"`     // deliveries of a lower attempt, ignored
	Cancels    int `json:"cancels"`
	Reboots    int `json:"reboots"`     // asked for
	PowerLost  int `json:"power_lost"`  // not asked for
	LostLinks  int `json:"lost_links"`  // connections that ended unasked
	BadInbound int `json:"bad_inbound"` // messages of the engine that could not be read

	Downloaded int64 `json:"downloaded"` // bytes of components
	Ranges     int   `json:"ranges"`     // requests for them

	Results map[string]int `json:"results"` // by status
	States  map[string]int `json:"states"`  // devices by the state in their last welcome
}

// counter guards Stats.
type counter struct {
	mu    sync.Mutex
	stats Stats
}

// count changes the stats under the lock.
func (c *counter) count(change func(*Stats)) {
	c.mu.Lock()
	defer c.mu.Unlock()
	change(&c.stats)
}

func (c *counter) snapshot() Stats {
	c.mu.Lock()
	defer c.mu.Unlock()
	s := c.stats
	s.Results, s.States = maps.Clone(s.Results), maps.Clone(s.States)
	return s
}

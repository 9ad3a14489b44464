package simulator

import (
	"encoding/json"
	"errors"
	"io/fs"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"time"

	"github.com/deviceops/deviceops"
	"github.com/deviceops/deviceops/protocol"
)

// journalSize is how many command ids a device remembers.
const journalSize = 64

// memory is what a device keeps over power loss.
type memory struct {
	Software      map[string]string         `json:"software"`
	ConfigVersion int64                     `json:"config_version"`
	Configuration protocol.Object           `json:"configuration,omitempty"`
	Heartbeat     *protocol.HeartbeatPolicy `json:"heartbeat,omitempty"`
	Crashes       int64                     `json:"crashes"`
	// Active says that a welcome has called the device active: it needs its
	// claim no longer.
	Active bool `json:"active"`
	// Digest is of the last full hello.
	Digest  string   `json:"digest,omitempty"`
	Journal []*entry `json:"journal,omitempty"`
	Outbox  []*kept  `json:"outbox,omitempty"`
}

// entry is what the journal holds of a command.
type entry struct {
	ID      string `json:"id"`
	Attempt int    `json:"attempt"` // 0: only a cancel has come so far
	// Planned is the answer that waits for a restart that the command asked
	// for; without it, a restart interrupted the command.
	Planned *protocol.Result `json:"planned,omitempty"`
	// Answer is the last word; nil while the command is under way.
	Answer *protocol.Result `json:"answer,omitempty"`
}

// kept is a numbered message that the engine has not acknowledged.
type kept struct {
	Leaf    protocol.Leaf   `json:"leaf"`
	Boot    string          `json:"boot"`
	Seq     int64           `json:"seq"`
	Command string          `json:"command,omitempty"` // the command that it answers for good
	Payload json.RawMessage `json:"payload"`

	sent time.Time // on the present connection; zero: not yet
}

func (m *memory) find(id string) *entry {
	for _, e := range m.Journal {
		if e.ID == id {
			return e
		}
	}
	return nil
}

// note adds an entry and forgets the oldest beyond the journal's size that are
// not under way.
func (m *memory) note(e *entry) {
	m.Journal = append(m.Journal, e)
	for len(m.Journal) > journalSize {
		oldest := slices.IndexFunc(m.Journal, func(e *entry) bool { return e.Answer != nil || e.Attempt == 0 })
		if oldest < 0 {
			return
		}
		m.Journal = slices.Delete(m.Journal, oldest, oldest+1)
	}
}

// trim drops what the engine has acknowledged and reports whether there was
// any.
func (m *memory) trim(boot string, seq int64) bool {
	before := len(m.Outbox)
	m.Outbox = slices.DeleteFunc(m.Outbox, func(k *kept) bool { return k.Boot == boot && k.Seq <= seq })
	return len(m.Outbox) < before
}

// oldest gives the lowest seq of boot that is still held, or next if none is.
func (m *memory) oldest(boot string, next int64) int64 {
	for _, k := range m.Outbox {
		if k.Boot == boot {
			return k.Seq
		}
	}
	return next
}

// loadMemory reads the memory of a device that was switched on before, or gives that
// of a new one.
func loadMemory(dir, id string, software map[string]string) (*memory, error) {
	fresh := &memory{Software: maps.Clone(software)}
	if dir == "" {
		return fresh, nil
	}
	raw, err := os.ReadFile(statePath(dir, id))
	if errors.Is(err, fs.ErrNotExist) {
		return fresh, nil
	}
	if err != nil {
		return nil, deviceops.Errorf(deviceops.EUNAVAILABLE, "cannot read the state of device %s: %w", id, err)
	}
	var m memory
	if err := json.Unmarshal(raw, &m); err != nil {
		return nil, deviceops.Errorf(deviceops.EINVALID, "state of device %s is not readable, remove its file to start afresh: %w", id, err)
	}
	return &m, nil
}

// save writes the memory so that a reader finds either the old or the new one.
func (m *memory) save(dir, id string) error {
	if dir == "" {
		return nil
	}
	raw, err := json.Marshal(m)
	if err != nil {
		return err
	}
	path := statePath(dir, id)
	if err := os.WriteFile(path+".new", raw, 0o600); err != nil {
		return deviceops.Errorf(deviceops.EUNAVAILABLE, "cannot keep the state of device %s: %w", id, err)
	}
	return os.Rename(path+".new", path)
}

// statePath gives the file of a device. Ids are safe as file names but for the
// colon, which some file systems refuse; a fleet's prefix decides about that.
func statePath(dir, id string) string { return filepath.Join(dir, id+".json") }

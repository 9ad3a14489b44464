package simulator

import (
	"bufio"
	"bytes"
	"cmp"
	"encoding/json"
	"errors"
	"io"
	"os"
	"slices"
	"sync"
	"time"

	"github.com/deviceops/deviceops"
)

// Effect is one attempt of one command whose effect a device executed, and how
// often it did so. Count above 1 is a broken promise.
type Effect struct {
	Device  string `json:"device"`
	Command string `json:"command"`
	Attempt int    `json:"attempt"`
	Name    string `json:"name,omitempty"` // of the command
	// At is when it began, the first time if it happened more than once.
	At    time.Time `json:"at,omitzero"`
	Count int       `json:"-"`
}

type effectKey struct {
	device, command string
	attempt         int
}

// Ledger counts effects. It is safe for concurrent use. The zero value is ready
// and in memory alone.
type Ledger struct {
	mu      sync.Mutex
	effects map[effectKey]Effect
	file    *os.File
}

// OpenLedger gives the ledger in the file at path, with what it holds already;
// new effects are appended. Returns EINVALID for a file that is no ledger.
func OpenLedger(path string) (*Ledger, error) {
	file, err := os.OpenFile(path, os.O_CREATE|os.O_RDWR|os.O_APPEND, 0o644)
	if err != nil {
		return nil, deviceops.Errorf(deviceops.EUNAVAILABLE, "cannot open the ledger: %w", err)
	}
	l := &Ledger{file: file}
	size, err := l.load(file)
	if err == nil {
		err = file.Truncate(size)
	}
	if err != nil {
		_ = file.Close()
		return nil, err
	}
	return l, nil
}

// ReadLedger gives what the file at path holds: one JSON object per line, with
// device, command, attempt, name and at. Returns EINVALID for a file that is no
// ledger.
func ReadLedger(path string) (*Ledger, error) {
	file, err := os.Open(path)
	if err != nil {
		return nil, deviceops.Errorf(deviceops.EUNAVAILABLE, "cannot read the ledger: %w", err)
	}
	defer file.Close()
	l := &Ledger{}
	_, err = l.load(file)
	return l, err
}

// load counts the lines of r and gives the number of bytes in them. A last line
// without its end was cut by a kill, before its effect could happen: it doesn't
// count.
func (l *Ledger) load(r io.Reader) (size int64, err error) {
	lines := bufio.NewReader(r)
	for n := 1; ; n++ {
		line, err := lines.ReadBytes('\n')
		if errors.Is(err, io.EOF) {
			return size, nil
		}
		if err != nil {
			return size, deviceops.Errorf(deviceops.EUNAVAILABLE, "cannot read the ledger: %w", err)
		}
		var e Effect
		if err := json.Unmarshal(line, &e); err != nil {
			return size, deviceops.Errorf(deviceops.EINVALID, "line %d of the ledger is not an effect: %w", n, err)
		}
		l.count(e)
		size += int64(len(line))
	}
}

// Record puts an effect down that is about to happen. When it returns, the
// operating system has the line: it survives the end of this process.
func (l *Ledger) Record(e Effect) error {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.file != nil {
		var line bytes.Buffer
		if err := json.NewEncoder(&line).Encode(e); err != nil {
			return err
		}
		if _, err := l.file.Write(line.Bytes()); err != nil {
			return deviceops.Errorf(deviceops.EUNAVAILABLE, "cannot write the ledger: %w", err)
		}
	}
	l.count(e)
	return nil
}

func (l *Ledger) count(e Effect) {
	if l.effects == nil {
		l.effects = make(map[effectKey]Effect)
	}
	key := effectKey{e.Device, e.Command, e.Attempt}
	if first, known := l.effects[key]; known {
		e = first
	}
	e.Count++
	l.effects[key] = e
}

// Effects gives all effects, by device, command and attempt.
func (l *Ledger) Effects() []Effect { return l.atLeast(1) }

// Repeats gives the effects that happened more than once. It should be empty.
func (l *Ledger) Repeats() []Effect { return l.atLeast(2) }

func (l *Ledger) atLeast(least int) []Effect {
	l.mu.Lock()
	defer l.mu.Unlock()
	var found []Effect
	for _, e := range l.effects {
		if e.Count >= least {
			found = append(found, e)
		}
	}
	slices.SortFunc(found, func(a, b Effect) int {
		return cmp.Or(cmp.Compare(a.Device, b.Device), cmp.Compare(a.Command, b.Command), cmp.Compare(a.Attempt, b.Attempt))
	})
	return found
}

// Close closes the file, if there is one.
func (l *Ledger) Close() error {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.file == nil {
		return nil
	}
	file := l.file
	l.file = nil
	return file.Close()
}

package deviceops

import (
	"fmt"
	"slices"
	"strings"
	"time"
)

// Limit is the brake of an automation: at most N runs are started per Per. Beyond
// it the automation stops and waits for a person, since a storm of starts is
// more likely a wrong condition than a wish. N 0: no limit.
type Limit struct {
	N   int           `json:"n,omitempty"`
	Per time.Duration `json:"per,omitempty"`
}

// LimitState is what the brake of one automation remembers.
type LimitState struct {
	Starts  []time.Time `json:"starts,omitempty"`  // at most N, oldest first
	Stopped time.Time   `json:"stopped,omitzero"`  // since when the automation waits for a person
	Refused int         `json:"refused,omitempty"` // starts that did not happen since
}

// Take asks for a start at a time. Refused, the automation is stopped until
// Resume.
func (l Limit) Take(s LimitState, at time.Time) (LimitState, bool) {
	if l.N <= 0 {
		return s, true
	}
	s.Starts = slices.Clone(s.Starts)
	s.Starts = slices.DeleteFunc(s.Starts, func(t time.Time) bool { return !t.After(at.Add(-l.Per)) })
	if s.Stopped.IsZero() && len(s.Starts) >= l.N {
		s.Stopped = at
	}
	if !s.Stopped.IsZero() {
		s.Refused++
		return s, false
	}
	i, _ := slices.BinarySearchFunc(s.Starts, at, time.Time.Compare)
	s.Starts = slices.Insert(s.Starts, i, at)
	return s, true
}

// Resume lets a stopped automation go on: somebody looked at it, so that it
// counts anew.
func (l Limit) Resume() LimitState { return LimitState{} }

// exceeded says in words what was too much.
func (l Limit) exceeded() string {
	per := l.Per.String()
	for _, zero := range []string{"m0s", "h0m"} { // 10m0s → 10m, 1h0m → 1h
		if strings.HasSuffix(per, zero) {
			per = per[:len(per)-2]
		}
	}
	return fmt.Sprintf("more starts than %d per %s were asked for", l.N, per)
}

// Concurrency says what happens when an automation fires for a key whose run
// from before is still going on.
type Concurrency string

// Concurrencies. The empty one is ConcurrencySkip.
const (
	ConcurrencySkip     Concurrency = "skip"           // nothing
	ConcurrencyQueue    Concurrency = "queue"          // one run after the other
	ConcurrencyCancel   Concurrency = "cancel-running" // the old run is canceled; the new one starts when it has ended
	ConcurrencyParallel Concurrency = "parallel"       // both run
)

// Concurrencies gives all of them, the default first.
func Concurrencies() []Concurrency {
	return []Concurrency{ConcurrencySkip, ConcurrencyQueue, ConcurrencyCancel, ConcurrencyParallel}
}

// MaxQueued is how many firings may wait for one key; further ones are skipped.
const MaxQueued = 100

// ConcurrencyState is what an automation remembers of one key: the runs that go
// on and the firings that wait for them.
type ConcurrencyState struct {
	Running []string   `json:"running,omitempty"` // ids of runs, in the order of start
	Queue   [][]Sample `json:"queue,omitempty"`
}

// Admission is what becomes of a firing.
type Admission string

// Admissions.
const (
	AdmitStart  Admission = "start"
	AdmitSkip   Admission = "skip"
	AdmitQueue  Admission = "queue"
	AdmitCancel Admission = "cancel" // Running is to be canceled; the firing waits for their end
)

// Admit decides about a firing. With AdmitStart the caller starts a run and tells
// Started.
func (c Concurrency) Admit(s ConcurrencyState, samples []Sample) (ConcurrencyState, Admission) {
	switch {
	case len(s.Running) == 0 || c == ConcurrencyParallel:
		return s, AdmitStart
	case c == ConcurrencyQueue && len(s.Queue) < MaxQueued:
		s.Queue = append(slices.Clone(s.Queue), samples)
		return s, AdmitQueue
	case c == ConcurrencyCancel:
		s.Queue = [][]Sample{samples} // a newer firing replaces one that still waits
		return s, AdmitCancel
	}
	return s, AdmitSkip
}

// Started enters a run.
func (s ConcurrencyState) Started(run string) ConcurrencyState {
	s.Running = append(slices.Clone(s.Running), run)
	return s
}

// Ended takes a run out. The samples of the firing that is to start now are
// given; nil: none.
func (s ConcurrencyState) Ended(run string) (ConcurrencyState, []Sample) {
	s.Running = slices.DeleteFunc(slices.Clone(s.Running), func(id string) bool { return id == run })
	if len(s.Running) > 0 || len(s.Queue) == 0 {
		return s, nil
	}
	next := s.Queue[0]
	s.Queue = slices.Clone(s.Queue[1:])
	return s, next
}

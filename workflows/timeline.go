package workflows

import (
	"cmp"
	"slices"
	"time"

	"github.com/deviceops/deviceops"
	"github.com/deviceops/deviceops/dsl"
)

// openRow begins a row of the timeline and gives its index. Label tells the
// items of a foreach apart.
func (s *state) openRow(step *dsl.Step, label string, now time.Time) int {
	i := s.Next
	s.Next++
	s.Rows = append(s.Rows, deviceops.RunStep{
		Index: i, Step: step.ID + label, Verb: step.Verb, Status: deviceops.RunRunning, StartedAt: now,
	})
	s.touch(i)
	return i
}

// row gives a row that is not ended, or has not been dropped.
func (s *state) row(i int) *deviceops.RunStep {
	at, found := slices.BinarySearchFunc(s.Rows, i, func(r deviceops.RunStep, i int) int { return cmp.Compare(r.Index, i) })
	if !found {
		return &deviceops.RunStep{Index: i}
	}
	return &s.Rows[at]
}

// closeRow ends a row.
func (s *state) closeRow(i int, status deviceops.RunStatus, now time.Time, output any, failure *dsl.Failure) {
	row := s.row(i)
	row.Status, row.FinishedAt, row.WaitsFor = status, now, ""
	row.Output, row.Error = output, failure
	s.touch(i)
}

// waiting says what a row waits for; "" that it goes on.
func (s *state) waiting(i int, waitsFor string) {
	row := s.row(i)
	row.Status, row.WaitsFor = deviceops.RunWaiting, waitsFor
	if waitsFor == "" {
		row.Status = deviceops.RunRunning
	}
	s.touch(i)
}

// touch notes that a row has to be saved.
func (s *state) touch(i int) {
	if at, found := slices.BinarySearch(s.Dirty, i); !found {
		s.Dirty = slices.Insert(s.Dirty, at, i)
	}
}

// take gives the rows to save and counts them as saved. They come back with
// untake when they were not.
func (s *state) take() (rows []deviceops.RunStep, taken []int) {
	taken = s.Dirty
	for _, i := range taken {
		rows = append(rows, *s.row(i))
	}
	s.Dirty = nil
	return rows, taken
}

func (s *state) untake(taken []int) {
	for _, i := range taken {
		s.touch(i)
	}
}

// dropEnded forgets the rows that have ended and are saved, so that a state to
// be carried over does not grow with the run.
func (s *state) dropEnded() {
	s.Rows = slices.DeleteFunc(s.Rows, func(r deviceops.RunStep) bool {
		_, dirty := slices.BinarySearch(s.Dirty, r.Index)
		return r.Status.Ended() && !dirty
	})
}

// cancelOpen ends the rows of all steps that are going on.
func (s *state) cancelOpen(now time.Time, cause *dsl.Failure) {
	for i := range s.Rows {
		if !s.Rows[i].Status.Ended() {
			s.closeRow(s.Rows[i].Index, deviceops.RunCanceled, now, nil, cause)
		}
	}
}

// status gives the status of the run for the store: waiting when its innermost
// step does.
func (s *state) status() deviceops.RunStatus {
	switch {
	case s.End != nil:
		return s.End.Status
	case s.Hold.Paused != nil:
		return deviceops.RunPaused
	}
	for i := len(s.Rows) - 1; i >= 0; i-- {
		if s.Rows[i].Status == deviceops.RunWaiting {
			return deviceops.RunWaiting
		}
	}
	return deviceops.RunRunning
}

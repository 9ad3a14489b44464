package workflows

import (
	"slices"
	"time"

	"github.com/deviceops/deviceops"
	"github.com/deviceops/deviceops/dsl"
)

// openRow begins a row of the timeline and gives its index.
func (s *state) openRow(step *dsl.Step, now time.Time) int {
	s.Rows = append(s.Rows, deviceops.RunStep{
		Index: len(s.Rows), Step: step.ID, Verb: step.Verb, Status: deviceops.RunRunning, StartedAt: now,
	})
	s.touch(len(s.Rows) - 1)
	return len(s.Rows) - 1
}

// closeRow ends a row.
func (s *state) closeRow(i int, status deviceops.RunStatus, now time.Time, output any, failure *dsl.Failure) {
	row := &s.Rows[i]
	row.Status, row.FinishedAt, row.WaitsFor = status, now, ""
	row.Output, row.Error = output, failure
	s.touch(i)
}

// waiting says what a row waits for; "" that it goes on.
func (s *state) waiting(i int, waitsFor string) {
	row := &s.Rows[i]
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
		rows = append(rows, s.Rows[i])
	}
	s.Dirty = nil
	return rows, taken
}

func (s *state) untake(taken []int) {
	for _, i := range taken {
		s.touch(i)
	}
}

// cancelOpen ends the rows of all steps that are going on.
func (s *state) cancelOpen(now time.Time, cause *dsl.Failure) {
	for i := range s.Rows {
		if !s.Rows[i].Status.Ended() {
			s.closeRow(i, deviceops.RunCanceled, now, nil, cause)
		}
	}
}

// status gives the status of the run for the store: waiting when its innermost
// step does.
func (s *state) status() deviceops.RunStatus {
	if s.End != nil {
		return s.End.Status
	}
	for i := len(s.Rows) - 1; i >= 0; i-- {
		if s.Rows[i].Status == deviceops.RunWaiting {
			return deviceops.RunWaiting
		}
	}
	return deviceops.RunRunning
}

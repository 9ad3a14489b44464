package workflows

import (
	"time"

	"github.com/deviceops/deviceops"
	"github.com/deviceops/deviceops/dsl"
)

// engine is the version of the interpreter. It rises when the same program and
// answers would give another history.
const engine = 1

// state is all that a run knows beside its program: everything is data, so that
// it can be carried over to a new execution.
type state struct {
	Engine   int                       `json:"engine"`
	Inputs   dsl.Object                `json:"inputs"`
	Vars     dsl.Object                `json:"vars"`
	Results  map[string]dsl.StepResult `json:"results"` // by id of step, of those with names
	Rounds   map[string]int            `json:"rounds"`  // how often a step was begun, by id
	Frames   []frame                   `json:"frames"`  // the position; the last one is on top
	Settling *settlement               `json:"settling,omitempty"`
	Rows     []deviceops.RunStep       `json:"rows"`  // the timeline
	Dirty    []int                     `json:"dirty"` // indexes of rows that are not saved, in order
	End      *ending                   `json:"end,omitempty"`
}

// frame is a block that is being executed. The root frame has no owner.
type frame struct {
	Block    string       `json:"block"` // path in the program
	Next     int          `json:"next"`  // index of the step to begin or that is going on
	Deadline time.Time    `json:"deadline"`
	Owner    *call        `json:"owner,omitempty"` // the step that the block belongs to
	Error    *dsl.Failure `json:"error,omitempty"` // what a catch block was entered for
	Catching bool         `json:"catching,omitempty"`
}

// call is a step that was begun.
type call struct {
	Step     string    `json:"step"` // id
	Row      int       `json:"row"`
	Round    int       `json:"round"`    // how often the step was begun before
	Tries    int       `json:"tries"`    // the present one included
	Deadline time.Time `json:"deadline"` // of all tries; zero: none
	Delivery *delivery `json:"delivery,omitempty"`
}

// settlement is a step whose try has ended.
type settlement struct {
	Call   call         `json:"call"`
	Output any          `json:"output,omitempty"`
	Error  *dsl.Failure `json:"error,omitempty"`
}

// ending is how the run ended.
type ending struct {
	Status  deviceops.RunStatus `json:"status"`
	Outputs map[string]any      `json:"outputs,omitempty"`
	Error   *dsl.Failure        `json:"error,omitempty"`
}

// top gives the frame that is executed.
func (s *state) top() *frame { return &s.Frames[len(s.Frames)-1] }

func (s *state) pop() frame {
	f := s.Frames[len(s.Frames)-1]
	s.Frames = s.Frames[:len(s.Frames)-1]
	return f
}

// caught gives the error that expressions see: that of the innermost catch
// block.
func (s *state) caught() *dsl.Failure {
	for i := len(s.Frames) - 1; i >= 0; i-- {
		if s.Frames[i].Error != nil {
			return s.Frames[i].Error
		}
	}
	return nil
}

// earliest gives the earlier of two deadlines, of which zero is none.
func earliest(a, b time.Time) time.Time {
	if a.IsZero() || !b.IsZero() && b.Before(a) {
		return b
	}
	return a
}

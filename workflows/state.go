package workflows

import (
	"encoding/json"
	"time"

	"github.com/deviceops/deviceops"
	"github.com/deviceops/deviceops/activities"
	"github.com/deviceops/deviceops/dsl"
)

// engine is the version of the interpreter. It rises when the same program and
// answers would give another history; a run keeps the one that it began with.
//
//   - 1: of runs of TypeRun.
//   - 2: what is large goes past the history; rows tell the variables that were set.
//   - 3: the first activity writes the version down; quick actions are performed
//     in the workflow task that is open.
const engine = 3

// lastUntold is the last version that is not written in histories of named runs.
const lastUntold = 2

// state is all that a run knows beside its program: everything is data, so that
// it can be carried over to a new execution.
type state struct {
	Engine    int                 `json:"engine"`
	Inputs    dsl.Object          `json:"inputs"`
	Vars      dsl.Object          `json:"vars"`               // of all branches
	Assigned  []string            `json:"assigned,omitempty"` // variables that were set since the last step of the run's own list was done
	Root      branch              `json:"root"`               // the position: a tree
	Completed int                 `json:"completed"`
	Rows      []deviceops.RunStep `json:"rows"`  // the timeline since this execution began, by index
	Next      int                 `json:"next"`  // index of the next row
	Dirty     []int               `json:"dirty"` // indexes of rows that are not saved, in order
	Hold      hold                `json:"hold,omitzero"`
	End       *ending             `json:"end,omitempty"`
}

// branch is the position of one line of execution: the run itself, a branch of a
// parallel, one item of a foreach. The branches below it are in its frames.
type branch struct {
	Key     string                    `json:"key,omitempty"`   // tells its effects from those of other branches; "": the run itself
	Label   string                    `json:"label,omitempty"` // of the items it works on, for the timeline: "[3]"
	Index   int                       `json:"index"`           // its place among its siblings
	Scope   bool                      `json:"scope,omitempty"` // a failure undoes here what the branch completed
	Locals  dsl.Object                `json:"locals,omitempty"`
	Results map[string]dsl.StepResult `json:"results"` // by id of step, of those with names
	Rounds  map[string]int            `json:"rounds"`  // how often a step was begun, by id
	Frames  []frame                   `json:"frames"`  // the last one is on top

	Settling *settlement `json:"settling,omitempty"` // a try that has ended
	Parked   *call       `json:"parked,omitempty"`   // a try that goes on in the next execution
	Undo     []undoable  `json:"undo,omitempty"`     // in the order of completion
	Output   datum       `json:"output"`             // of the last step of the lowest frame
	Exit     *exit       `json:"exit,omitempty"`     // how the branch ended
}

// phase is what a frame that belongs to a try, or to the run, is doing.
type phase string

// Phases, in their order.
const (
	inBody    phase = ""
	inUndo    phase = "undo"
	inCatch   phase = "catch"
	inFinally phase = "finally"
)

// frame is a block that is being executed. The lowest frame of a branch has no
// owner.
type frame struct {
	Block    string       `json:"block"` // path in the program
	Next     int          `json:"next"`  // index of the step to begin or that is going on
	Deadline time.Time    `json:"deadline"`
	Owner    *call        `json:"owner,omitempty"` // the step that the block belongs to
	Phase    phase        `json:"phase,omitempty"`
	Exit     exit         `json:"exit"`            // how the phase before was left
	Error    *dsl.Failure `json:"error,omitempty"` // what expressions see as error
	Base     int          `json:"base,omitempty"`  // what is on the undo stack from here on was completed inside
	Undoing  *undoable    `json:"undoing,omitempty"`
	Rounds   int          `json:"rounds,omitempty"` // of a while, the present one included
	Fork     *fork        `json:"fork,omitempty"`   // of a parallel or foreach
}

// exit is how control leaves a block. The zero value says that its last step is
// done.
type exit struct {
	Error    *dsl.Failure `json:"error,omitempty"`
	Canceled bool         `json:"canceled,omitempty"`
	Return   *ending      `json:"return,omitempty"`
}

// bad reports whether what was completed has to be undone.
func (e exit) bad() bool { return e.Error != nil || e.Canceled }

// undoable is a step that was completed and can be taken back. What its undo
// sees is kept as it was then.
type undoable struct {
	Step    string                    `json:"step"` // id
	At      int                       `json:"at"`   // order of completion in the run
	Locals  dsl.Object                `json:"locals,omitempty"`
	Results map[string]dsl.StepResult `json:"results,omitempty"`
}

// call is a step that was begun.
type call struct {
	Step     string    `json:"step"` // id
	Row      int       `json:"row"`
	Round    int       `json:"round"`           // how often the step was begun before
	Tries    int       `json:"tries"`           // the present one included
	Before   int       `json:"before"`          // tries of earlier rounds of until
	Deadline time.Time `json:"deadline"`        // of all tries; zero: none
	Until    time.Time `json:"until,omitzero"`  // end of a pause that is going on
	Since    time.Time `json:"since,omitzero"`  // when a wait for an event began
	Cursor   *cursor   `json:"cursor,omitzero"` // what a wait for an event has seen
	Delivery *delivery `json:"delivery,omitempty"`

	// Action is what an action gave whose command is on its way.
	Action *activities.ActionOutput `json:"action,omitempty"`
}

// cursor tells the events that a wait has looked at from those to come.
type cursor struct {
	After int64   `json:"after"`          // all up to this id
	Seen  []int64 `json:"seen,omitempty"` // and these above it
}

// settlement is a step whose try has ended.
type settlement struct {
	Call   call         `json:"call"`
	Output datum        `json:"output"`
	Error  *dsl.Failure `json:"error,omitempty"`
	Again  time.Time    `json:"again,omitzero"` // when the next try begins, once that is decided
}

// ending is how the run ended.
type ending struct {
	Status  deviceops.RunStatus `json:"status"`
	Outputs map[string]any      `json:"outputs,omitempty"`
	Error   *dsl.Failure        `json:"error,omitempty"`
}

// datum is a canonical value. It keeps its whole numbers on the way through JSON.
type datum struct{ value any }

// MarshalJSON implements json.Marshaler.
func (d datum) MarshalJSON() ([]byte, error) { return json.Marshal(d.value) }

// UnmarshalJSON implements json.Unmarshaler.
func (d *datum) UnmarshalJSON(data []byte) (err error) {
	d.value, err = dsl.DecodeJSON(data)
	return err
}

// values gives what is in a list of data.
func values(list []datum) []any {
	out := make([]any, len(list))
	for i, d := range list {
		out[i] = d.value
	}
	return out
}

// top gives the frame that is executed.
func (b *branch) top() *frame { return &b.Frames[len(b.Frames)-1] }

func (b *branch) push(f frame) { b.Frames = append(b.Frames, f) }

func (b *branch) pop() frame {
	f := b.Frames[len(b.Frames)-1]
	b.Frames = b.Frames[:len(b.Frames)-1]
	return f
}

// caught gives the error that expressions see here: that of the innermost catch
// or undo.
func (b *branch) caught() *dsl.Failure {
	for i := len(b.Frames) - 1; i >= 0; i-- {
		if b.Frames[i].Error != nil {
			return b.Frames[i].Error
		}
	}
	return nil
}

// shielded reports whether the branch cleans up, which a cancel does not stop.
func (b *branch) shielded() bool {
	for i := range b.Frames {
		if p := b.Frames[i].Phase; p == inUndo || p == inFinally {
			return true
		}
	}
	return false
}

// earliest gives the earlier of two deadlines, of which zero is none.
func earliest(a, b time.Time) time.Time {
	if a.IsZero() || !b.IsZero() && b.Before(a) {
		return b
	}
	return a
}

package dsl

import "time"

// Program is a compiled workflow. It is immutable and safe for concurrent use.
type Program struct {
	Name    string
	Version int    // as written; 0 when the document leaves the number to the server
	Hash    string // hex SHA-256 of Source
	Source  string // canonical source: LF line ends, no blank edges; Compile(Source) gives this program again

	Description string
	Inputs      []Input  // in the order of the document
	Outputs     []Output // in the order of the document
	Device      *Value   // the default device of every step; nil when there is none
	DeviceReads []string // the inputs that it follows from, sorted
	Root        *Block   // the steps
	Catch       *Block   // runs when a step failed, with error set; nil: the run fails
	Finally     *Block   // runs last, however the steps ended, also on cancel; nil: nothing does
	Limits      Limits
	Uses        Uses

	blocks map[string]*Block
	steps  map[string]*Step
}

// Block finds a block of the program by its path. The interpreter keeps paths
// in its frames, since a pointer cannot be carried over a continue-as-new.
func (p *Program) Block(path string) (*Block, bool) {
	b, ok := p.blocks[path]
	return b, ok
}

// Step finds a step of the program by its id.
func (p *Program) Step(id string) (*Step, bool) {
	s, ok := p.steps[id]
	return s, ok
}

// Limits bound what one run of a program may take.
type Limits struct {
	Timeout time.Duration // the whole run; 0 means none
	Steps   int           // number of steps in the document
	Depth   int           // deepest nesting of blocks
}

// Uses says what a run has to have at hand before its first expression is
// evaluated.
type Uses struct {
	Device bool // some expression reads facts of the device (device.state, device.tags ...)
}

// Input is a declared input of a workflow.
type Input struct {
	Name        string
	Type        Type
	Default     any // canonical; nil when Required
	Required    bool
	Description string
}

// Output is a declared output of a workflow, evaluated when its steps are done.
type Output struct {
	Name  string
	Value *Value
}

// Block is an ordered list of steps that run one after the other.
type Block struct {
	Path  string // "steps", "steps[2].try", "steps[2].catch", "steps[2].undo", "catch", "finally"
	Steps []*Step
}

// Step is one step of a program: exactly one verb and its modifiers.
type Step struct {
	ID    string   // as written, else made from verb and path; unique in the program
	Named bool     // the id is written in the document, so expressions can refer to it
	Path  string   // "steps[2].try[0]"
	Verb  string   // "command", "action", ...
	Line  int      // line of the step in Source, from 1
	Op    Op       // what the verb does: *Command, *Action, ...
	Reads []string // the inputs that its expressions name, and those of the steps in it, sorted

	If             *Expression // nil: always; false makes the step skipped
	Device         *Value      // own, else of an enclosing step, else the program's; nil when there is none
	Timeout        *Value      // the whole step with all re-tries, a duration; nil: the engine's default
	AttemptTimeout *Value      // one attempt, a duration; nil: the engine's default
	Retry          *Retry      // nil: no re-tries

	Until       *Expression   // over output; the step is repeated until it is true; nil: done once
	Every       time.Duration // pause between two rounds of Until
	Undo        *Block        // compensation; nil: none
	FailOffline bool          // a command fails at once when its device is not online, instead of waiting for it
}

// Op is what a verb does. The set of implementations is closed: one per verb,
// each in the file of its verb (*Command in verb_command.go).
type Op interface{ op() }

// Retry says how often and when a failed step is tried again.
type Retry struct {
	Times int           // re-tries, so a step has Times+1 attempts
	Min   time.Duration // pause before the first re-try
	Max   time.Duration // longest pause; the pause doubles from Min up to it
	If    *Expression   // over `error`; nil: whenever error.retryable is true
}

// Delay gives the pause before re-try n, from 1.
func (r *Retry) Delay(n int) time.Duration {
	delay := r.Min
	for ; n > 1 && delay < r.Max; n-- {
		delay *= 2
	}
	return min(delay, r.Max)
}

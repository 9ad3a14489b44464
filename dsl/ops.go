package dsl

import "time"

// Command sends a command to a device and waits for its result.
// The step's output is the output of the command.
type Command struct {
	Name string
	Args *Value // a map; nil: none
}

// Action performs a side effect of the engine, such as device.transition.
// The step's output is what the action gives.
type Action struct {
	Name string
	Args *Value // a map; nil: none
}

// Set assigns variables, in order; each sees those before it.
type Set struct {
	Vars []Assignment
}

// Assignment gives vars.Name a value.
type Assignment struct {
	Name  string
	Value *Value
}

// Wait pauses the run.
type Wait struct {
	For *Value // a duration
}

// Approve pauses the run until a person decides. Approved, the step's output is
// {decision, by, at, comment}; rejected, expired and canceled fail the step with
// the codes approval.rejected, approval.expired, approval.canceled.
type Approve struct {
	Title   *Value        // what is asked, one line of text
	Show    *Value        // evidence, frozen when the approval opens; nil: none
	By      []string      // "role:operator", "user:maria"; any of them may decide
	Expires time.Duration // 0: never
}

// Run runs another workflow and waits for it. The step's output is the outputs
// of that run.
type Run struct {
	Workflow string
	Version  int    // 0: the newest when the step starts
	Inputs   *Value // a map; nil: none
}

// Return ends the run successfully. Value replaces the declared outputs.
type Return struct {
	Value *Value // nil: the declared outputs
}

// Fail ends the run, or the enclosing try, with an error. Use FailureOf on what
// Error gives.
type Fail struct {
	Error *Value // text, a map {code, message, retryable, data}, or an error as caught
}

// Try runs Body; when a step of it fails, Catch runs with `error` set. A failure
// in Catch fails the step.
type Try struct {
	Body  *Block
	Catch *Block
}

func (*Command) op() {}
func (*Action) op()  {}
func (*Set) op()     {}
func (*Wait) op()    {}
func (*Approve) op() {}
func (*Run) op()     {}
func (*Return) op()  {}
func (*Fail) op()    {}
func (*Try) op()     {}

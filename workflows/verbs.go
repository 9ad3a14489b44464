package workflows

import (
	"go.temporal.io/sdk/workflow"

	"github.com/deviceops/deviceops/dsl"
)

// verb is how the interpreter executes one kind of step.
type verb struct {
	// try makes one try of the step. It may block.
	try func(x *execution, ctx workflow.Context, step *dsl.Step, c *call) outcome
	// giveUp, if set, is asked when a try failed and none will follow. What it
	// gives replaces the outcome of the last try.
	giveUp func(x *execution, ctx workflow.Context, step *dsl.Step, c *call, failure *dsl.Failure) outcome
}

// verbs holds the verbs by name. Each file verb_NAME.go adds its own.
var verbs = map[string]verb{}

func addVerb(name string, v verb) bool {
	verbs[name] = v
	return true
}

// outcome is what a try of a step gave: an output or a failure, or blocks that
// are to be executed first, or the end of the run.
type outcome struct {
	output  any
	failure *dsl.Failure
	enter   *frame
	end     *ending
	parked  bool // it goes on in the next execution of the run
}

// entering gives the outcome of a step whose block comes first.
func entering(block *dsl.Block) outcome { return outcome{enter: &frame{Block: block.Path}} }

func gave(output any) outcome { return outcome{output: dsl.Canonical(output)} }

func failed(failure *dsl.Failure) outcome { return outcome{failure: failure} }

// faulty makes a failure of an expression or value that could not be evaluated.
func faulty(err error) outcome { return failed(failureOf(err)) }

// Package workflows makes every decision, deterministically: how a device is
// provisioned, and how the program of a YAML workflow is executed step by step.
// Effects are performed by package activities.
//
// # Runs
//
// The interpreter keeps its position as data: a tree of branches, each a stack of
// frames. A frame is a block of the program and the index of the step that is
// next; that of a parallel or foreach holds the branches below it instead. Each
// branch is executed by a coroutine of its own, whose loop looks at the top frame
// and begins a step, settles one that has ended, or leaves a block that is done.
// Leaving a block goes through phases: undo what was completed in it, catch,
// finally. Nothing of this lives on the Go stack. A verb is one file, verb_NAME.go,
// which adds itself to the table of verbs.
//
// # Relays
//
// A run whose history has grown long goes on in a new execution. Each branch
// stops at its next boundary: between two steps, or while it waits for a time, an
// event, a person or a device, which the new execution goes on to wait for under
// the same id and until the same time. A run that waits for another run stays
// where it is until that has ended, and one that was called off ends where it is.
//
// # History
//
// Workflows are made to be cheap: what only touches the database is a local
// activity in the workflow task that is open anyway, quick actions of runs
// included; the rows of a run's timeline ride with the next activity; a device is waited for in one activity
// that holds no worker slot.
//
// Every state carries the version of the engine that began it. Code that would
// give another history for the same input has to branch on it.
package workflows

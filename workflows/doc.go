// Package workflows makes every decision, deterministically: how a device is
// provisioned, and how the program of a YAML workflow is executed step by step.
// Effects are performed by package activities.
//
// # Runs
//
// The interpreter keeps its position as data: a stack of frames, each a block of
// the program and the index of the step that is next. One loop looks at the top
// frame and begins a step, settles one that has ended, or leaves a block that is
// done. Nothing of it lives on the Go stack, so that a run can be carried over to
// a new execution. A verb is one file, verb_NAME.go, which adds itself to the
// table of verbs.
//
// # History
//
// Workflows are made to be cheap: what only touches the database is a local
// activity in the workflow task that is open anyway; the rows of a run's
// timeline ride with the next activity; a device is waited for in one activity
// that holds no worker slot.
//
// Every state carries the version of the engine that began it. Code that would
// give another history for the same input has to branch on it.
package workflows

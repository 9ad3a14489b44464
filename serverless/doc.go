// Package serverless translates workflows of the Serverless Workflow DSL 1.0 (a
// specification of the CNCF) into workflows of this engine.
//
// # Pipeline
//
//	read       YAML or JSON → tasks with their places (read.go, import.go)
//	flow       the order of tasks, with then and switch → sequences, cases and,
//	           where tasks jump about, a loop over the next task (flow.go, machine.go)
//	translate  each task → steps (task.go, task_*.go)
//	jq         each runtime expression → an expression of the language (jq_*.go)
//	emit       steps → YAML, which the checker of package dsl has to accept
//
// # Data
//
// Each task of the specification turns an input into an output, which is the
// input of the next. Here a variable, data, holds what flows; a variable,
// context, holds what tasks export. Branches that run beside one another have a
// variable each. A run takes the input of the workflow as the input `input` and
// gives its output as the output `output`.
//
// # Honesty
//
// A workflow is translated whole, or not at all: what has no counterpart is
// reported with its place and what to do instead. What becomes nearly the same
// is a warning, and a comment in the translation. A translated expression gives
// what jq gives, or fails; tests compare it with an implementation of jq.
package serverless

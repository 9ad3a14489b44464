// Package dsl turns YAML documents into programs that the engine can execute.
//
// The pipeline has three stages, and every stage reports all that it finds:
//
//	parse    text → documents → nodes with positions; the traps of YAML are
//	         found here, each with what to write instead
//	check    nodes → steps, inputs, profiles; names, types and expressions are
//	         verified against what is known at that point of the document
//	compile  checked parts → Program and deviceops.Profile: ordered, immutable,
//	         safe to share between runs
//
// CheckFile runs the pipeline over a file of one or more documents and is what
// validation uses. Compile runs it over the source of one published workflow;
// it is pure and deterministic, so that the interpreter may call it inside a
// durable workflow with source that the run's history has pinned.
//
// # Programs
//
// A Program is a tree of blocks: the root block holds the steps of the
// workflow, and a step such as try holds further blocks. Each block has a path
// ("steps", "steps[2].try"), so that a run can keep its position as data. A
// step carries its verb as an Op; the interpreter switches over its type.
//
// # Verbs
//
// A verb is one file, verb_NAME.go: its key, how it is parsed and checked, its
// JSON Schema, and its Op. Registering it in that file is all that the parser,
// the checker, the messages and Schema need.
//
// # Values and expressions
//
// Fields that hold conditions are bare expressions (Expression); all others are
// a Value: literals, ${{ }} templates, and lists and maps of them. Evaluation
// sees an Env and nothing else: no clock, no randomness, no map order. Numbers
// are canonical throughout: whole numbers are int64, all others float64, so
// that a value is the same before and after a trip through JSON.
package dsl

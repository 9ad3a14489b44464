// Package activities performs every side effect of a workflow: it reads and
// writes the store, publishes commands, opens approvals. It decides nothing
// that a workflow could decide; where a decision has to be made together with
// what it is based on (may this device be admitted?), it is a pure function
// here, and its outcome goes back to the workflow.
//
// Every activity may run more than once for one call: a worker can die after
// the effect and before the answer. Each is therefore harmless when repeated,
// by keys that come from the workflow (command ids, approval ids, the state of
// the device).
//
// Errors cross Temporal as Failure makes them and come back through Cause.
package activities

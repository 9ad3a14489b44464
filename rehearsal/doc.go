// Package rehearsal runs test documents: what would happen, offline and in
// milliseconds, if these events came, devices answered so, and people decided so.
//
// A case runs on a virtual clock with the production interpreter: package
// workflows is registered as a worker does it, approvals are decided through its
// update handlers with their validators, and automations fire by the windows of
// the root package. Only the activities are replaced: an interceptor answers them
// from the case, in the goroutine of the workflow, so that two rehearsals of one
// case are alike to the last step.
//
// Nothing here reaches a device, a store or a network.
package rehearsal

// Package deviceops is the vocabulary of DeviceOps, a workflow orchestration
// engine for the life of connected devices.
//
// It holds the entities (Device, Profile, Command, Event, Run, Approval ...),
// the rules that are pure (the state machine, how a command's status advances,
// which clock to believe, what a device waits for) and the ports through which
// the rest of the system is reached (Store, Gateway, Inbox, Secrets,
// Orchestrator, Catalog). It uses the standard library alone and performs no
// I/O, reads no clock and starts no goroutine: time always comes in as an
// argument, so that every rule here can be tested by table and used inside a
// durable workflow.
//
// Every other package depends on this one. The packages that speak to a
// technology (postgres, gateway, starter ...) implement the ports and never
// import one another.
package deviceops

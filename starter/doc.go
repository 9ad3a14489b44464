// Package starter reaches durable workflows from outside: it starts, signals,
// updates, queries and cancels them and ends the activities that wait for
// devices. It implements deviceops.Orchestrator over a Temporal client.
package starter

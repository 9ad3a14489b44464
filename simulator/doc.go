// Package simulator is a fleet of virtual devices that follow
// docs/device-protocol.md over a real MQTT broker.
//
//	fleet, err := simulator.New(simulator.Config{Broker: "tcp://127.0.0.1:1883", Devices: 200, Profile: "kiosk"})
//	err = fleet.Run(ctx) // until ctx ends
//
// Everything a device does by chance (how long it takes to answer, whether it
// fails, when it sleeps) derives from Config.Seed and the device's id, so a run
// can be repeated. Only the ids of boots and connections are drawn anew, since
// they must never come twice.
//
// A device is an actor: whatever happens to it (a message, a timer, a lost
// connection) is put into its mailbox, and the mailbox is worked off by one
// worker at a time. Devices have no goroutine of their own, so thousands of
// them are cheap.
//
// What would be flash memory in a real device (its journal of commands, what
// the engine has not acknowledged, software, configuration) survives simulated
// reboots and power loss, and with Config.StateDir the end of the process.
// Every effect of a command is put down in a Ledger before it happens, by which
// tests count effects that were repeated.
package simulator

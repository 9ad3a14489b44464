// Package gateway speaks MQTT with the broker that devices connect to.
//
// Publisher implements deviceops.Gateway: it publishes commands, cancels,
// welcomes and acks and waits until the broker has taken them. Lanes receives
// what devices publish and hands it, in batches, to a deviceops.Inbox.
//
// # Lanes
//
// The engine reads by one shared subscription with a fixed number of members,
// the lanes. Each has a fixed client id and a persistent session, so the broker
// keeps what a lane has not acknowledged, and goes on collecting for it, while
// nobody is connected. Which process connects as which lane is decided by
// leases in the store: a process that dies or is scaled away leaves no session
// behind that nobody reads. The number of lanes of an installation should only
// be lowered while the broker holds nothing for the ones that go.
//
// A message is acknowledged to the broker only after Inbox.Deliver took it. When
// the inbox fails, the same batch is delivered again until it succeeds; nothing
// is acknowledged meanwhile, the queue of the lane fills up to its bound and
// the broker holds the rest. Messages of one device may go over any lane, so
// they can overtake one another; the protocol is made for that.
//
// # Connections
//
// The package keeps connections up by itself instead of letting the MQTT client
// reconnect: what was under way when a connection broke then fails at once and
// is never published later by surprise, and an acknowledgement can't reach a
// connection other than the one its message came by. A broker that is away at
// start or later is no error but a state, told by Ready.
package gateway

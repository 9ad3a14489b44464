// Package ingest takes in what devices say and sweeps up after what was lost.
//
// # Inbox
//
// Inbox implements deviceops.Inbox. A batch is decoded, judged and applied in
// one transaction with a fixed number of statements, however many messages it
// holds: lock the devices that may change, enter the sequence numbers, lock the
// commands that are answered, apply every message in memory by rules that perform
// no I/O, and write what changed. What cannot be taken is kept as rejected, with a code and
// a reason, and never stops the rest. A batch that the store refuses because of
// its data is halved until the message at fault stands alone; that one is
// rejected too.
//
// # Effects
//
// What follows from a batch happens after its commit: welcomes, acks,
// publication of commands, starts of workflows, completion of activities. Each
// is an attempt only, because each is repeated by somebody if it is lost: starts
// lie in an outbox and commands in their table, both swept by Sweeper; an
// activity whose completion was lost reads its command's row when its lease
// ends; a device without its welcome or ack repeats itself. Publications hold
// the lane up when the broker is slow, which is the back-pressure that is
// wanted; starts and completions never do: when their queue is full they are
// left to the sweeper and the leases.
//
// # Presence
//
// Messages of one device can overtake one another by a few seconds, since they
// travel over several lanes. Hence these rules:
//
//   - hello and status online make a device online at once; status offline only
//     if it names the connection that said hello, so that the will of an old
//     connection changes nothing; status sleeping until its promised wake.
//   - Any other message is a sign of life. It brings a device that is offline,
//     unreachable or asleep back online if it came in more than five seconds
//     after that change; an earlier one may have been sent before it. A device
//     that was wrongly taken for lost is thus online again at its next
//     heartbeat, without a new hello.
//   - A device whose gateway is lost becomes unreachable, without an event of
//     its own: the gateway's event counts its children.
package ingest

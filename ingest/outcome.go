package ingest

import (
	"github.com/deviceops/deviceops"
)

// outcome is what follows from a committed batch.
type outcome struct {
	welcomes []deviceops.Welcome
	acks     []deviceops.SeqKey
	hello    deviceops.ClaimQuery // of devices that said hello; none without devices
	ready    deviceops.ClaimQuery // of devices that came online or ended a command
	starts   []deviceops.Start
	ended    []deviceops.Command // that an activity waits for
	later    []owed
	nudges   map[string]bool // rollouts with news, and whether they are urgent
}

// claimLimit bounds the commands that one batch publishes; more are for the
// sweeper.
const claimLimit = 1000

func (t *transaction) outcome() outcome {
	l := t.ledger
	o := outcome{acks: t.acks, later: t.later, starts: l.starts, nudges: l.nudges()}
	o.hello = deviceops.ClaimQuery{Now: l.now, Again: true, Limit: claimLimit}
	o.ready = deviceops.ClaimQuery{Now: l.now, Limit: claimLimit}
	for _, id := range sortedKeys(l.greeted) {
		g := l.greeted[id]
		if !g.own {
			o.welcomes = append(o.welcomes, l.welcome(id, g))
		}
		if mayWork(l.devices[id]) {
			o.hello.Devices = append(o.hello.Devices, id)
			o.hello.Except = append(o.hello.Except, g.running...)
		}
	}
	for _, id := range l.readyDevices() {
		if _, greeted := l.greeted[id]; !greeted && mayWork(l.devices[id]) {
			o.ready.Devices = append(o.ready.Devices, id)
		}
	}
	for _, id := range l.ended {
		if c := l.commands[id]; c.Waiter != nil {
			o.ended = append(o.ended, *c)
		}
	}
	return o
}

// mayWork reports whether commands are published to a device.
func mayWork(d *deviceops.Device) bool {
	return d != nil && d.State != deviceops.Quarantined && d.State != deviceops.Retired && d.State != deviceops.Discovered
}

// welcome answers a hello. A device in quarantine learns its state and nothing
// else; one that is not known is asked for its full hello.
func (l *ledger) welcome(id string, g greeting) deviceops.Welcome {
	d := l.devices[id]
	if d == nil {
		return deviceops.Welcome{Device: id, NeedHello: true}
	}
	w := deviceops.Welcome{Device: id, Route: d.Route(), State: d.State, NeedHello: g.needFull}
	if !g.child {
		w.Route.Via = ""
		w.Boot, w.Seq = d.Session.Boot, d.Session.Seq
	}
	if d.State != deviceops.Quarantined {
		w.Desired, w.Pending = d.Twin.Desired, l.waiting(id)
	}
	return w
}

package ingest

import (
	"context"
	"errors"
	"maps"
	"slices"
	"time"

	"github.com/deviceops/deviceops"
	"github.com/deviceops/deviceops/protocol"
)

// errLean ends a transaction in which a device changed of which only the session
// was read.
var errLean = errors.New("a device changed of which only the session was read")

// lock reads the devices that the items are about, and locks those that may
// change.
//
// Most of what devices say is numbered events, telemetry and answers to commands,
// said while they are online. It changes nothing of them but when they were last
// seen, and that is written with their next ack. Reading all of them would cost as
// much as storing what they said; locking them would write to a row for each
// message and make lanes wait for one another, since the messages of a device come
// over all lanes. So only their sessions are read, unless all are to be locked;
// should one change after all, guard ends the transaction, and it is done again with
// locks.
//
// Whether an install is done that is said to be depends on what its device reports:
// from before the command is locked, that stays as it is.
func (t *transaction) lock(ctx context.Context) error {
	busy, others := t.busy()
	hold := maps.Clone(busy)
	if len(others) > 0 {
		read, err := t.tx.ReadSessions(ctx, slices.Sorted(maps.Keys(others)))
		if err != nil {
			return err
		}
		for id, d := range read {
			if t.stays(d, others[id]) {
				t.ledger.devices[id], t.lean[id] = d, true
			} else {
				busy[id] = true
			}
			if busy[id] || others[id].succeeded {
				hold[id] = true
			}
		}
	}
	if err := t.tx.HoldDevices(ctx, slices.Sorted(maps.Keys(hold))); err != nil {
		return err
	}
	return t.read(ctx, busy)
}

// read reads all of devices that were locked.
func (t *transaction) read(ctx context.Context, ids map[string]bool) error {
	found, err := t.tx.ReadDevices(ctx, slices.Sorted(maps.Keys(ids)))
	for id, d := range found {
		t.ledger.devices[id] = d
		delete(t.lean, id)
	}
	return err
}

// sayings are what a device said in a batch, all of it harmless.
type sayings struct {
	nameless  bool // something named no boot: if the session has none, it is never acknowledged
	measured  bool
	succeeded bool // a command
	told      bool // more than answers to commands
}

// busy gives the devices that may change by what was said of them, and what the
// others said.
func (t *transaction) busy() (busy map[string]bool, others map[string]sayings) {
	busy, others = map[string]bool{}, map[string]sayings{}
	for _, i := range t.items {
		if t.lockAll || !i.harmless() {
			busy[i.origin], busy[i.subject] = true, true
		}
	}
	for _, i := range t.items {
		if !busy[i.origin] {
			said := others[i.origin]
			said.nameless = said.nameless || i.message.Head().Boot == ""
			said.measured = said.measured || i.message.Leaf() == protocol.LeafTelemetry
			result, answers := i.message.(*protocol.Result)
			said.succeeded = said.succeeded || answers && result.Status == protocol.ResultSucceeded
			said.told = said.told || !answers
			others[i.origin] = said
		}
	}
	return busy, others
}

// harmless reports whether a message changes no more of an online device than
// when it was last seen, and is acknowledged some time. Telemetry that says where
// it is may.
func (i item) harmless() bool {
	switch m := i.message.(type) {
	case *protocol.Event, *protocol.Result:
		return i.own == nil && i.origin == i.subject && i.sequenced()
	case *protocol.Telemetry:
		return i.own == nil && i.origin == i.subject && i.sequenced() && m.Metrics["latitude"] == nil
	default:
		return false
	}
}

// stays reports whether what was said leaves a device as it is until its next
// ack.
func (t *transaction) stays(d *deviceops.Device, said sayings) bool {
	switch {
	case d.Session.Connectivity != deviceops.Online, !mayPutOff(d, d.Session.LastSeen, t.ackAt(d, said.told)):
		return false
	case said.nameless && d.Session.Boot == "":
		return false
	default:
		return !said.measured || !examines(d, t.ledger.profile(d))
	}
}

// mayPutOff reports whether nobody can take a device for silent that was seen
// at seen before its ack, which is due at due and may take its time, tells better.
func mayPutOff(d *deviceops.Device, seen, due time.Time) bool {
	return seen.Add(silenceOf(d)).After(due.Add(ackEvery))
}

func (t *transaction) lockMore(ctx context.Context, ids []string) error {
	if len(ids) == 0 {
		return nil
	}
	locked, err := t.tx.LockDevices(ctx, ids)
	maps.Copy(t.ledger.devices, locked)
	return err
}

// guard gives errLean if a device is to be written of which only the session was
// read.
func (t *transaction) guard(context.Context) error {
	l := t.ledger
	for id := range t.lean {
		_, glimpsed := l.glimpsed[id]
		if glimpsed || l.sessions[id] || l.reported[id] || l.examined[id] || l.placed[id] {
			return errLean
		}
	}
	return nil
}

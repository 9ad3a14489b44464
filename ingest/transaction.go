package ingest

import (
	"cmp"
	"context"
	"maps"
	"slices"
	"strings"
	"time"

	"github.com/deviceops/deviceops"
	"github.com/deviceops/deviceops/protocol"
)

// journal names the numbered messages of one boot of a device.
type journal struct{ device, boot string }

// transaction is one run of a batch through the store.
type transaction struct {
	*Inbox
	tx     deviceops.Tx
	ledger *ledger
	items  []item
	again  []replayed // what the items come from, if they are taken in again

	lockAll bool            // every device, whatever is said of it
	lean    map[string]bool // devices of which only the session was read: nothing of them is saved

	touched    map[journal]bool // journals that something was committed of, and whether that was more than answers
	duplicates int
	acks       []deviceops.SeqKey
	later      []owed // to be acknowledged when it is their turn, or because nothing else is written of them
}

// run applies items within tx. Everything that it does besides writing to tx
// is in the fields that it leaves behind.
func (t *transaction) run(ctx context.Context) error {
	steps := []func(context.Context) error{
		t.retake, t.lock, t.discover, t.deduplicate, t.admit, t.resolveReplies, t.lockCommands, t.apply, t.strand, t.acknowledge, t.guard, t.save,
	}
	for _, step := range steps {
		if err := step(ctx); err != nil {
			return err
		}
	}
	return nil
}

// discover keeps devices that nobody registered and that said their full
// hello. Then they are locked like any other: another process may have been
// faster.
func (t *transaction) discover(ctx context.Context) error {
	found := map[string]deviceops.Device{}
	for _, i := range t.items {
		hello, ok := i.message.(*protocol.Hello)
		if ok && !hello.Short() && i.origin == i.subject && t.ledger.devices[i.origin] == nil {
			found[i.origin] = discovered(i.origin, hello, t.ledger.now)
		}
	}
	if len(found) == 0 {
		return nil
	}
	ids := slices.Sorted(maps.Keys(found))
	devices := make([]deviceops.Device, len(ids))
	for n, id := range ids {
		devices[n] = found[id]
	}
	if _, err := t.tx.AddDiscovered(ctx, devices, t.config.MaxDiscovered); err != nil {
		return err
	}
	return t.lockMore(ctx, ids)
}

func discovered(id string, h *protocol.Hello, now time.Time) deviceops.Device {
	return deviceops.Device{
		ID: id, Account: deviceops.RootAccount, Serial: h.Serial, Profile: h.Profile, State: deviceops.Discovered,
		StateSince: now, StateReason: "said hello without being registered", CreatedAt: now, UpdatedAt: now,
		Session: deviceops.Session{Connectivity: deviceops.Never},
	}
}

// admit sorts out what may not be said.
func (t *transaction) admit(context.Context) error {
	t.items = slices.DeleteFunc(slices.Clone(t.items), func(i item) bool {
		code, reason := t.ledger.admit(i)
		if code != "" {
			t.ledger.reject(i, code, reason)
		}
		return code != ""
	})
	return nil
}

// deduplicate enters the numbers of messages and drops those that are known.
// A number without boot belongs to the boot of the session, or of the last
// hello before it in this batch; a device that never said hello has none, and
// its messages can't be told from repetitions. What is rejected later has its
// number entered all the same, or the device would send it for ever.
func (t *transaction) deduplicate(ctx context.Context) error {
	var keys []deviceops.SeqKey
	var numbered []int // indexes of items, by key
	boots := map[string]string{}
	for n, i := range t.items {
		d := t.ledger.devices[i.origin]
		if !t.ledger.counts(d) || i.numbered {
			continue
		}
		if hello, ok := i.message.(*protocol.Hello); ok && i.origin == i.subject {
			boots[i.origin] = hello.Boot
		}
		boot := t.boot(i, boots)
		own, seq := i.numbers(boot)
		if own {
			keys = append(keys, deviceops.SeqKey{Device: i.origin, Boot: ownDedupe, Seq: i.own.dedupe, Account: d.Account})
			numbered = append(numbered, n)
		}
		if seq {
			keys = append(keys, deviceops.SeqKey{Device: i.origin, Boot: boot, Seq: i.message.Head().Seq, Account: d.Account})
			numbered = append(numbered, n)
			j := journal{i.origin, boot}
			t.touched[j] = t.touched[j] || i.message.Leaf() != protocol.LeafResult
		}
	}
	if len(keys) == 0 {
		return nil
	}
	fresh, err := t.tx.ClaimSeqs(ctx, keys, t.ledger.now)
	if err != nil {
		return err
	}
	t.dropKnown(numbered, fresh)
	return nil
}

func (t *transaction) boot(i item, said map[string]string) string {
	if boot := i.message.Head().Boot; boot != "" {
		return boot
	}
	if boot := said[i.origin]; boot != "" {
		return boot
	}
	return t.ledger.devices[i.origin].Session.Boot
}

func (t *transaction) dropKnown(numbered []int, fresh []bool) {
	known := map[int]bool{}
	for k, n := range numbered {
		if !fresh[k] {
			known[n] = true
		}
	}
	if len(known) == 0 {
		return
	}
	var kept []item
	for n, i := range t.items {
		if !known[n] {
			kept = append(kept, i)
		} else if code, _ := t.ledger.admit(i); code == "" {
			t.ledger.seen(i, "repetition")
		}
	}
	t.items, t.duplicates = kept, t.duplicates+len(known)
}

// lockCommands locks the commands that are answered, and those in flight that
// a report could confirm.
func (t *transaction) lockCommands(ctx context.Context) error {
	ids, reporting := map[string]bool{}, map[string]bool{}
	for _, i := range t.items {
		switch m := i.message.(type) {
		case *protocol.Result:
			ids[m.ID] = true
		case *protocol.Hello, *protocol.Reported:
			reporting[i.subject] = true
		}
	}
	if len(reporting) > 0 {
		open, err := t.tx.OpenCommands(ctx, slices.Sorted(maps.Keys(reporting)))
		if err != nil {
			return err
		}
		t.ledger.open = open
		for _, commands := range open {
			addConfirmable(ids, commands)
		}
	}
	if len(ids) == 0 {
		return nil
	}
	locked, err := t.tx.LockCommands(ctx, slices.Sorted(maps.Keys(ids)))
	t.ledger.commands = locked
	if err != nil {
		return err
	}
	return t.readInstalled(ctx)
}

// readInstalled reads what is reported by devices that say they have installed
// something.
func (t *transaction) readInstalled(ctx context.Context) error {
	installed := map[string]bool{}
	for _, i := range t.items {
		m, ok := i.message.(*protocol.Result)
		if ok && t.lean[i.subject] && claimsInstall(t.ledger.commands[m.ID], m) {
			installed[i.subject] = true
		}
	}
	return t.read(ctx, installed)
}

func addConfirmable(ids map[string]bool, commands []deviceops.Command) {
	for _, c := range commands {
		if confirmable(c) {
			ids[c.ID] = true
		}
	}
}

func (t *transaction) apply(context.Context) error {
	for _, i := range t.items {
		t.ledger.apply(i)
	}
	return nil
}

// strand finds the children of the gateways that were lost.
func (t *transaction) strand(ctx context.Context) error {
	return strandChildren(ctx, t.tx, t.ledger)
}

func strandChildren(ctx context.Context, tx deviceops.Tx, l *ledger) error {
	if len(l.lost) == 0 {
		return nil
	}
	children, err := tx.ChildrenOf(ctx, slices.Sorted(maps.Keys(l.lost)))
	if err != nil || len(children) == 0 {
		return err
	}
	slices.Sort(children)
	unlocked := slices.DeleteFunc(slices.Clone(children), func(id string) bool { return l.devices[id] != nil })
	if len(unlocked) > 0 {
		locked, err := tx.LockDevices(ctx, unlocked)
		if err != nil {
			return err
		}
		maps.Copy(l.devices, locked)
	}
	l.strand(children)
	return nil
}

// acknowledge counts what is committed of the journals that were touched, for
// devices that said hello or whose ack is due. The others are for the acker, and so
// are those that are not written otherwise. The present boot's count goes on from
// the stored one.
func (t *transaction) acknowledge(ctx context.Context) error {
	for device, g := range t.ledger.greeted {
		if d := t.ledger.devices[device]; d != nil && !g.child {
			t.touched[journal{device, d.Session.Boot}] = true
		}
	}
	rounds := map[string][]journal{} // by device
	for _, j := range sortedJournals(t.touched) {
		if !t.ledger.counts(t.ledger.devices[j.device]) {
			continue
		}
		if at := t.acknowledgeAt(j); at.After(t.ledger.now) || t.lean[j.device] {
			t.later = append(t.later, owed{j, at, t.ledger.putOff(j.device, at)})
			continue
		}
		rounds[j.device] = append(rounds[j.device], j)
	}
	for len(rounds) > 0 {
		if err := t.count(ctx, rounds); err != nil {
			return err
		}
	}
	return nil
}

// acknowledgeAt gives when the ack of a journal is due.
func (t *transaction) acknowledgeAt(j journal) time.Time {
	_, greeted := t.ledger.greeted[j.device]
	switch {
	case greeted:
		return t.ledger.now
	default:
		return t.ackAt(t.ledger.devices[j.device], t.touched[j])
	}
}

// ackAt gives when the ack of a device is due that told something, or only answered
// commands: not before now.
func (t *transaction) ackAt(d *deviceops.Device, told bool) time.Time {
	at := d.Session.AckedAt.Add(ackEvery)
	switch {
	case !told:
		return t.ledger.now.Add(ackAnswers)
	case at.After(t.ledger.now):
		return nextTurn(d.ID, at)
	default:
		return t.ledger.now
	}
}

// count takes one journal of each device off rounds, since the store counts one
// boot per device at a time; more than one is rare.
func (t *transaction) count(ctx context.Context, rounds map[string][]journal) error {
	boots, from := map[string]string{}, map[string]int64{}
	for device, journals := range rounds {
		j := journals[0]
		boots[device] = j.boot
		if s := t.ledger.devices[device].Session; s.Boot == j.boot {
			from[device] = s.Seq
		}
		if rounds[device] = journals[1:]; len(journals) == 1 {
			delete(rounds, device)
		}
	}
	reached, err := t.tx.ContiguousSeqs(ctx, boots, from)
	if err != nil {
		return err
	}
	for _, device := range sortedKeys(boots) {
		t.reached(device, boots[device], max(from[device], reached[device]))
	}
	return nil
}

// reached notes what is committed of a journal. A hello's comes with its
// welcome.
func (t *transaction) reached(device, boot string, seq int64) {
	d := t.ledger.devices[device]
	current := d.Session.Boot == boot
	if current {
		d.Session.Seq = seq
	}
	d.Session.AckedAt = t.ledger.now
	t.ledger.sessions[device] = true
	_, greeted := t.ledger.greeted[device]
	if seq > 0 && (!greeted || !current) {
		t.acks = append(t.acks, deviceops.SeqKey{Device: device, Boot: boot, Seq: seq})
	}
}

func sortedJournals(set map[journal]bool) []journal {
	return slices.SortedFunc(maps.Keys(set), func(a, b journal) int {
		return cmp.Or(strings.Compare(a.device, b.device), strings.Compare(a.boot, b.boot))
	})
}

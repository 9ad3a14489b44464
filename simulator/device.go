package simulator

import (
	"time"

	"github.com/deviceops/deviceops/protocol"
)

// device is one virtual device. All fields but the mailbox are used by one
// worker at a time; see mailbox.
type device struct {
	Identity
	fleet  *Simulator
	box    mailbox
	chance chance
	traits traits
	memory *memory
	dirty  bool // memory must be stored before anything is said
	link   link

	// What follows is gone with the power.
	powered   int // counts power-ons and -offs; even is off. Timers of an earlier one are void
	boot      string
	bootedAt  time.Time
	seq       int64
	running   map[string]*execution
	deferrals map[string]int
	lost      map[string]bool // commands whose first delivery got lost
	ailing    bool
	stored    map[string]bool // what was downloaded and not installed so far: component@version

	// What follows is gone with the connection.
	wanted     bool // it wants to be connected
	conn       *conn
	connection string
	welcomed   bool
	hellos     int    // said on this connection, until it is welcomed
	state      string // in the last welcome
	beats      int    // which chain of heartbeats is valid
	out        []outgoing
}

// outgoing is a message on its way to the broker. Numbered ones may be
// duplicated and reordered by the network.
type outgoing struct {
	topic    string
	payload  []byte
	numbered bool
}

// traits are what makes devices of a fleet differ.
type traits struct {
	churns, sleeps, degrades, ails bool

	clock   time.Duration // how far the clock is off
	battery float64
}

func newDevice(s *Simulator, identity Identity) (*device, error) {
	m, err := loadMemory(s.cfg.StateDir, identity.ID, s.cfg.Software)
	if err != nil {
		return nil, err
	}
	d := &device{Identity: identity, fleet: s, memory: m, chance: chanceOf(s.cfg.Seed, identity.ID)}
	d.traits = drawTraits(d.chance, s.cfg.Behavior)
	s.stats.Unacked += len(m.Outbox)
	return d, nil
}

func drawTraits(c chance, b Behavior) traits {
	t := traits{churns: c.happens(b.Churn.Share), sleeps: c.happens(b.Sleep.Share),
		degrades: c.happens(b.Degrade.Share), battery: 40 + 60*c.Float64()}
	t.ails = c.happens(b.Ail.Share)
	if c.happens(b.WrongClocks) {
		year := 1970
		if c.happens(0.5) {
			year = 2099
		}
		t.clock = time.Until(time.Date(year, 1, 1, 0, 0, 0, 0, time.UTC))
	}
	return t
}

// after does do once wait has passed, unless the power goes before.
func (d *device) after(wait time.Duration, do func()) {
	powered := d.powered
	d.fleet.timers.after(wait, d, func() {
		if d.powered == powered {
			do()
		}
	})
}

// whileConnected does do once wait has passed, unless the connection ends
// before.
func (d *device) whileConnected(wait time.Duration, do func()) {
	c := d.connection
	d.after(wait, func() {
		if d.conn != nil && d.connection == c {
			do()
		}
	})
}

// now is the time by the device's clock.
func (d *device) now() protocol.Timestamp {
	return protocol.Timestamp{Time: time.Now().Add(d.traits.clock).UTC().Truncate(time.Millisecond)}
}

func (d *device) uptime() int64 { return int64(time.Since(d.bootedAt).Seconds()) }

func (d *device) backoff() time.Duration {
	most := d.fleet.cfg.Behavior.Reconnect
	return d.chance.between(most/10, most)
}

// powerOn boots the device. Commands that were under way when the power went
// are answered: as planned where they asked for the restart, else as
// interrupted.
func (d *device) powerOn() {
	d.powered++
	d.boot, d.bootedAt, d.seq = d.fleet.fresh("b"), time.Now(), 0
	d.running, d.deferrals = map[string]*execution{}, map[string]int{}
	d.lost, d.stored = map[string]bool{}, map[string]bool{}
	d.ailing = false
	d.ailLater()
	for _, e := range d.memory.Journal {
		if e.Answer == nil && e.Attempt > 0 {
			d.settle(e)
		}
	}
	d.connect()
}

func (d *device) settle(e *entry) {
	if e.Planned != nil {
		if e.Planned.Phase != "" {
			d.tell(e, &protocol.Result{Status: protocol.ResultProgress, Phase: e.Planned.Phase}, "")
		}
		d.answer(e, e.Planned)
		return
	}
	d.answer(e, &protocol.Result{Status: protocol.ResultFailed, Error: &protocol.DeviceError{
		Code: protocol.ErrorInterrupted, Message: "power was lost in the middle", Retryable: true}})
}

// powerOff switches off; the device boots again by itself.
func (d *device) powerOff(abrupt bool) {
	if !abrupt {
		d.say(d.statusOf(protocol.StatusOffline, 0))
		d.flush()
	}
	d.goOff(abrupt)
	d.powered++
	d.fleet.timers.after(d.chance.around(d.fleet.cfg.Behavior.Boot), d, d.powerOn)
}

// losePower is powerOff at the worst moment: what was not stored or sent is
// gone.
func (d *device) losePower() {
	d.fleet.count(func(s *Stats) { s.PowerLost++ })
	d.out = nil
	d.powerOff(true)
}

// say sends a message that isn't numbered, if there is a connection.
func (d *device) say(m protocol.Message) {
	payload, err := protocol.Encode(m)
	if err != nil {
		d.fleet.fail(err)
		return
	}
	d.send(m.Leaf(), payload, false)
}

func (d *device) send(leaf protocol.Leaf, payload []byte, numbered bool) {
	if d.conn != nil {
		d.out = append(d.out, outgoing{d.fleet.cfg.Topics.Up(d.ID, leaf), payload, numbered})
	}
}

// header gives the next number of this boot.
func (d *device) header() protocol.Header {
	d.seq++
	return protocol.Header{Boot: d.boot, Seq: d.seq, Time: d.now()}
}

// keep stores a numbered message until it is acknowledged, and sends it as soon
// as the device is welcome.
func (d *device) keep(m protocol.Message, command string) {
	payload, err := protocol.Encode(m)
	if err != nil {
		d.fleet.fail(err)
		return
	}
	h := m.Head()
	k := &kept{Leaf: m.Leaf(), Boot: h.Boot, Seq: h.Seq, Command: command, Payload: payload}
	d.memory.Outbox = append(d.memory.Outbox, k)
	d.dirty = true
	d.fleet.count(func(s *Stats) { s.Unacked++ })
	if d.welcomed {
		d.sendKept(k)
	}
}

func (d *device) sendKept(k *kept) {
	k.sent = time.Now()
	d.send(k.Leaf, k.Payload, true)
}

// flush stores what must be remembered and then says what there is to say.
func (d *device) flush() {
	if !d.save() {
		return
	}
	batch := d.out
	d.out = nil
	for _, o := range batch {
		d.transmit(o)
	}
}

// save reports whether the memory is safe.
func (d *device) save() bool {
	if !d.dirty {
		return true
	}
	if err := d.memory.save(d.fleet.cfg.StateDir, d.ID); err != nil {
		d.fleet.fail(err)
		return false
	}
	d.dirty = false
	return true
}

// transmit is the network: it may send a numbered message late, or twice.
func (d *device) transmit(o outgoing) {
	b := d.fleet.cfg.Behavior
	if o.numbered && d.chance.happens(b.Reordered) {
		o.numbered = false
		d.whileConnected(d.chance.between(10*time.Millisecond, 500*time.Millisecond), func() { d.out = append(d.out, o) })
		return
	}
	d.publish(o)
	if o.numbered && d.chance.happens(b.Duplicated) {
		d.publish(o)
	}
}

func (d *device) publish(o outgoing) {
	if d.conn == nil {
		return
	}
	d.conn.publish(o.topic, o.payload)
	d.fleet.count(func(s *Stats) { s.Published++ })
}

package simulator

import (
	"maps"
	"slices"
	"time"

	"github.com/deviceops/deviceops"
	"github.com/deviceops/deviceops/protocol"
)

func (d *device) connect() {
	d.wanted = true
	d.link.attach(d)
}

// connected begins a session: hello, then status, then a heartbeat. Numbered
// messages wait for the welcome, which tells what is known already.
func (d *device) connected(c *conn) {
	if !d.wanted || d.conn != nil {
		if d.conn != c && !c.shared {
			d.fleet.spawn(c.close)
		}
		return
	}
	d.conn, d.connection = c, c.id
	if c.shared {
		d.connection = d.fleet.fresh("c")
	}
	d.hellos = 1
	d.fleet.count(func(s *Stats) { s.Connected++ })
	for _, k := range d.memory.Outbox {
		k.sent = time.Time{}
	}
	d.hello()
	d.say(d.statusOf(protocol.StatusOnline, 0))
	d.beatEvery()
	d.leaveLater()
	d.whileConnected(d.fleet.cfg.Behavior.Resend, d.insist)
}

// disconnected follows a connection that ended unasked.
func (d *device) disconnected(c *conn) {
	if d.conn != c {
		return
	}
	d.fleet.count(func(s *Stats) { s.LostLinks++ })
	d.forgetConnection()
	if d.wanted {
		d.link.lost(d)
	}
}

// goOff leaves the connection and doesn't come back by itself.
func (d *device) goOff(abrupt bool) {
	d.wanted = false
	if d.conn != nil {
		d.link.detach(d, abrupt)
		d.forgetConnection()
	}
}

func (d *device) forgetConnection() {
	d.fleet.count(func(s *Stats) {
		s.Connected--
		if d.welcomed {
			s.Welcomed--
		}
	})
	d.conn, d.connection, d.welcomed, d.out = nil, "", false, nil
	d.beats++
}

// leaveLater lets devices that churn or sleep do so.
func (d *device) leaveLater() {
	b := d.fleet.cfg.Behavior
	if d.traits.churns {
		d.whileConnected(d.chance.around(b.Churn.Every), func() { d.leave(b.Churn, true) })
	}
	if d.traits.sleeps {
		d.whileConnected(d.chance.around(b.Sleep.Every), d.sleep)
	}
}

// sleep announces a sleep, unless a command is under way.
func (d *device) sleep() {
	b := d.fleet.cfg.Behavior
	if len(d.running) > 0 {
		d.whileConnected(d.chance.around(b.Sleep.Every/10), d.sleep)
		return
	}
	d.say(d.statusOf(protocol.StatusSleeping, b.Sleep.For))
	d.flush()
	d.leave(b.Sleep, false)
}

func (d *device) leave(c Cycle, abrupt bool) {
	d.goOff(abrupt)
	d.after(d.chance.between(c.For*8/10, c.For), d.connect)
}

// hello introduces the device: in short, if the engine needs no claim any more
// and was told all of it before.
func (d *device) hello() {
	d.fleet.count(func(s *Stats) { s.Hellos++ })
	h := d.describe()
	if d.memory.Active && d.memory.Digest == h.DescriptionDigest() {
		d.say(h.Abbreviate())
		return
	}
	d.memory.Digest, d.dirty = h.DescriptionDigest(), true
	d.say(h)
}

func (d *device) describe() *protocol.Hello {
	profile, claim := d.presented()
	if d.memory.Active {
		claim = ""
	}
	return &protocol.Hello{
		Header: protocol.Header{Boot: d.boot, Time: d.now()}, Connection: d.connection,
		Profile: profile, Serial: d.Serial, Claim: claim,
		Software: maps.Clone(d.memory.Software), ConfigVersion: d.memory.ConfigVersion,
		Running: slices.Sorted(maps.Keys(d.running)),
		Oldest:  d.memory.oldest(d.boot, d.seq+1),
	}
}

func (d *device) statusOf(status string, wake time.Duration) *protocol.Status {
	return &protocol.Status{Header: protocol.Header{Boot: d.boot, Time: d.now()}, Status: status,
		Connection: d.connection, WakeIn: protocol.SecondsOf(wake)}
}

// receive reads what the engine says. What comes while the device is off or
// asleep on a shared connection doesn't reach it.
func (d *device) receive(leaf protocol.Leaf, payload []byte) {
	if d.conn == nil {
		return
	}
	m, err := protocol.DecodeDown(leaf, payload)
	if err != nil {
		d.fleet.count(func(s *Stats) { s.BadInbound++ })
		return
	}
	d.fleet.count(func(s *Stats) { s.Received++ })
	switch m := m.(type) {
	case *protocol.Welcome:
		d.welcome(m)
	case *protocol.Command:
		d.command(m)
	case *protocol.Cancel:
		d.cancel(m)
	case *protocol.Ack:
		d.acked(m.Boot, m.Seq)
	}
}

func (d *device) welcome(m *protocol.Welcome) {
	d.acked(m.Boot, m.Seq)
	if m.Hello == protocol.HelloFull {
		d.memory.Digest, d.dirty = "", true
		d.hello()
		return
	}
	if m.Boot != "" && m.Boot != d.boot { // it heard an old hello after the last one
		d.hello()
		return
	}
	d.noteState(m.State)
	if m.Desired != nil && m.Desired.Heartbeat != nil {
		d.adopt(m.Desired.Heartbeat)
	}
	if !d.welcomed {
		d.welcomed = true
		d.fleet.count(func(s *Stats) { s.Welcomed++ })
		d.sampleLater()
	}
	for _, k := range d.memory.Outbox {
		if k.sent.IsZero() {
			d.sendKept(k)
		}
	}
}

func (d *device) noteState(state string) {
	before := d.state
	d.state = state
	d.fleet.count(func(s *Stats) {
		if before != "" {
			s.States[before]--
		}
		if state != "" {
			s.States[state]++
		}
	})
	if active := d.admitted(deviceops.State(state)); active != d.memory.Active {
		d.memory.Active, d.dirty = active, true
	}
}

// admitted reports whether the device needs no claim: it has been active, and
// is not to be admitted anew.
func (d *device) admitted(state deviceops.State) bool {
	switch state {
	case deviceops.Active:
		return true
	case deviceops.Escrow, deviceops.Discovered, deviceops.Provisioning:
		return false
	}
	return d.memory.Active
}

func (d *device) acked(boot string, seq int64) {
	before := len(d.memory.Outbox)
	if d.memory.trim(boot, seq) {
		d.dirty = true
		d.fleet.count(func(s *Stats) { s.Unacked -= before - len(d.memory.Outbox) })
	}
}

// insist repeats, again and again, what has found no answer: the hello, or
// messages that are not acknowledged.
func (d *device) insist() {
	patience := d.fleet.cfg.Behavior.Resend
	d.whileConnected(patience, d.insist)
	if !d.welcomed {
		d.insistOnWelcome()
		return
	}
	for _, k := range d.memory.Outbox {
		if time.Since(k.sent) >= patience {
			d.sendKept(k)
		}
	}
}

// insistOnWelcome says hello once more, and connects anew when that stays unanswered
// too: a broker may have lost what it subscribed to. A shared connection that others
// hear something on is kept.
func (d *device) insistOnWelcome() {
	if d.hellos++; d.hellos > 2 && !(d.conn.shared && d.conn.heard.Load()) {
		d.fleet.spawn(d.conn.close)
		return
	}
	d.hello()
}

// adopt follows a heartbeat policy.
func (d *device) adopt(p *protocol.HeartbeatPolicy) {
	if old := d.memory.Heartbeat; old != nil && *old == *p {
		return
	}
	d.memory.Heartbeat, d.dirty = p, true
	d.beats++
	d.whileConnected(d.chance.around(d.heartbeat()), d.beatOf(d.beats))
}

func (d *device) heartbeat() time.Duration {
	if p := d.memory.Heartbeat; p != nil {
		return p.Every.Duration()
	}
	return d.fleet.cfg.Behavior.Heartbeat
}

// beatEvery sends a heartbeat now and then by the policy.
func (d *device) beatEvery() {
	d.beats++
	d.beatOf(d.beats)()
}

func (d *device) beatOf(chain int) func() {
	return func() {
		if d.beats != chain {
			return
		}
		d.beat()
		d.whileConnected(d.heartbeat(), d.beatOf(chain))
	}
}

func (d *device) beat() {
	d.say(&protocol.Heartbeat{Header: protocol.Header{Boot: d.boot, Time: d.now()}, UptimeS: d.uptime()})
}

// ailLater fills the disk of a device that ails, and then has it cleaned, again and
// again.
func (d *device) ailLater() {
	b := d.fleet.cfg.Behavior.Ail
	if !d.traits.ails {
		return
	}
	wait := b.Every
	if d.ailing {
		wait = b.For
	}
	d.after(d.chance.around(wait), func() {
		d.ailing = !d.ailing
		d.ailLater()
	})
}

// backlog is how many unacknowledged messages stop a device from measuring: it
// would have to drop some.
const backlog = 1000

// crashing is how often a device measures that crashes: it says so when it is up
// again, which is soon.
const crashing = 3 * time.Second

func (d *device) sampleLater() {
	every := d.fleet.cfg.Behavior.Telemetry
	if d.degraded() {
		every = min(every, crashing)
	}
	if every > 0 {
		d.whileConnected(d.chance.around(every), d.sample)
	}
}

// degraded reports whether the device runs the version that makes it worse.
func (d *device) degraded() bool {
	g := d.fleet.cfg.Behavior.Degrade
	return d.traits.degrades && g.Version != "" && d.memory.Software[g.Component] == g.Version
}

func (d *device) sample() {
	d.sampleLater()
	if len(d.memory.Outbox) < backlog {
		d.keep(&protocol.Telemetry{Header: d.header(), Metrics: d.metrics()}, "")
	}
}

func (d *device) metrics() protocol.Object {
	d.traits.battery -= d.chance.Float64()
	if d.traits.battery < 20 {
		d.traits.battery = 100
	}
	if d.degraded() {
		d.memory.Crashes += 1 + d.chance.Int64N(3)
	}
	return protocol.Object{
		"battery_pct":   float64(int(d.traits.battery*10)) / 10,
		"crashes":       d.memory.Crashes,
		"in_use":        d.chance.happens(0.3),
		"disk_free_pct": d.freeDisk(),
		"cpu_pct":       float64(d.chance.IntN(1000)) / 10,
		"temp_c":        20 + float64(d.chance.IntN(300))/10,
	}
}

func (d *device) freeDisk() float64 {
	if d.ailing {
		return 3
	}
	return 60
}

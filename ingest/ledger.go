package ingest

import (
	"cmp"
	"errors"
	"strings"
	"time"

	"github.com/deviceops/deviceops"
	"github.com/deviceops/deviceops/protocol"
	"github.com/deviceops/deviceops/workflows"
)

// ledger applies what devices said to what is known about them, in memory, and
// holds everything that follows. It performs no I/O.
type ledger struct {
	now     time.Time
	profile func(d *deviceops.Device) *deviceops.Profile // nil when there is none

	devices  map[string]*deviceops.Device
	commands map[string]*deviceops.Command  // locked
	open     map[string][]deviceops.Command // not ended, of devices that said hello or reported

	sessions map[string]bool      // devices whose session changed
	glimpsed map[string]time.Time // devices of which nothing changed but when they were last seen, and when that was before
	reported map[string]bool      // devices whose reported twin changed
	answered map[string]bool      // commands that changed
	metrics  map[metricKey]deviceops.MetricValue
	samples  []deviceops.MetricSample
	events   []deviceops.Event
	rejected []deviceops.Rejected
	starts   []deviceops.Start

	greeted map[string]greeting // devices that said hello
	online  map[string]bool     // devices that came online without one
	freed   map[string]bool     // devices on which a command ended, and whether it kept others from beginning
	ended   []string            // commands that ended
	lost    map[string]int      // devices that went offline, and the index of their event

	swung    []swing                        // changes of connectivity that may be flapping
	examined map[string]bool                // devices that may be degraded, or not any more
	wellness map[string]deviceops.Wellness  // of devices whose wellness changed
	flaps    map[string]deviceops.FlapState // that changed
	placed   map[string]bool                // devices that are somewhere else

	moves []deviceops.RolloutMove // of rows of rollouts, as commands ended
	moved []deviceops.RolloutMove // those that took place
	// recalled are rollouts that go on and got devices back.
	recalled []string
}

type metricKey struct{ device, name string }

// greeting is what a hello asks for.
type greeting struct {
	running  []string
	needFull bool // the digest of its short form is not known
	child    bool
	own      bool // it knows only topics of its own: nobody would hear a welcome
}

func newLedger(now time.Time, profile func(d *deviceops.Device) *deviceops.Profile) *ledger {
	return &ledger{
		now: now, profile: profile, devices: map[string]*deviceops.Device{},
		sessions: map[string]bool{}, glimpsed: map[string]time.Time{}, reported: map[string]bool{}, answered: map[string]bool{},
		metrics: map[metricKey]deviceops.MetricValue{}, greeted: map[string]greeting{},
		online: map[string]bool{}, freed: map[string]bool{}, lost: map[string]int{},
		examined: map[string]bool{}, wellness: map[string]deviceops.Wellness{}, flaps: map[string]deviceops.FlapState{}, placed: map[string]bool{},
	}
}

// admit tells whether a device may say this at all.
func (l *ledger) admit(i item) (code, reason string) {
	origin, subject := l.devices[i.origin], l.devices[i.subject]
	switch {
	case origin == nil:
		return l.stranger(i)
	case subject == nil || i.subject != i.origin && subject.Parent != i.origin:
		return codeChild, "the child is not registered with this device as its gateway"
	case origin.State == deviceops.Retired || subject.State == deviceops.Retired:
		return codeRetired, "the device is retired: register it under a new id to use it again"
	default:
		return "", ""
	}
}

// stranger says why a device that is not known stays so. One that says its
// short hello is asked for the full one, by which it can be discovered.
func (l *ledger) stranger(i item) (code, reason string) {
	hello, ok := i.message.(*protocol.Hello)
	switch {
	case !ok || i.subject != i.origin:
		return codeUnknown, "the device is not registered: register it, or let it say hello first"
	case hello.Short():
		l.greeted[i.origin] = greeting{needFull: true}
		return codeUnknown, "the device is not registered and said only the short hello"
	default:
		return codeFull, "the device is not registered, and as many as may be wait to be: register or retire some"
	}
}

func (l *ledger) reject(i item, code, reason string) {
	r := i.reject(code, reason)
	r.Numbered = i.numbered || l.numbers(i)
	l.rejected = append(l.rejected, r)
}

// numbers reports whether an item has a number by which it is told from its
// repetitions.
func (l *ledger) numbers(i item) bool {
	d := l.devices[i.origin]
	if !l.counts(d) {
		return false
	}
	own, seq := i.numbers(cmp.Or(i.message.Head().Boot, d.Session.Boot))
	return own || seq
}

// counts reports whether the numbers of what a device says are entered.
func (l *ledger) counts(d *deviceops.Device) bool { return d != nil && d.State != deviceops.Retired }

// apply applies a message of a device that may say it.
func (l *ledger) apply(i item) {
	d := l.devices[i.subject]
	if invalid, ok := i.message.(*protocol.Invalid); ok {
		l.reject(i, invalidCode(invalid.Err), invalid.Err.Error())
		return
	}
	when := momentOf(i.message.Head(), i.at)
	l.clock(d, when, i.at)
	if gateway := l.devices[i.origin]; gateway != d {
		l.session(gateway, alive(gateway, gateway, i.at), "speaks for a child")
	}
	switch m := i.message.(type) {
	case *protocol.Hello:
		l.hello(i, d, m)
	case *protocol.Status:
		l.session(d, depart(d.Session, m, i.at), "status "+m.Status)
	case *protocol.Heartbeat:
		l.heartbeat(i, d, m)
	case *protocol.Telemetry:
		l.telemetry(i, d, m, when)
	case *protocol.Event:
		l.event(i, d, m, when)
	case *protocol.Result:
		l.result(i, d, m)
	case *protocol.Reported:
		l.report(i, d, m, when)
	}
}

func invalidCode(err error) string {
	var refused *unstorable
	if errors.As(err, &refused) {
		return codeUnstorable
	}
	return codeMalformed
}

// seen notes that a device gave a sign of life.
func (l *ledger) seen(i item, why string) {
	d := l.devices[i.subject]
	l.session(d, alive(d, l.devices[i.origin], i.at), why)
}

// session makes next the session of d, and tells of a change of connectivity.
func (l *ledger) session(d *deviceops.Device, next deviceops.Session, why string) {
	before := d.Session
	if next == before {
		return
	}
	d.Session = next
	if seen := before.LastSeen; onlySeen(before, next) {
		if first, ok := l.glimpsed[d.ID]; ok {
			seen = first
		}
		l.glimpsed[d.ID] = seen
		return
	}
	l.sessions[d.ID] = true
	if next.Connectivity == before.Connectivity {
		return
	}
	severity := "info"
	if next.Connectivity == deviceops.Offline {
		severity = "warning"
		l.lost[d.ID] = len(l.events)
	} else {
		delete(l.lost, d.ID)
	}
	l.online[d.ID] = next.Connectivity == deviceops.Online
	l.swings(d, before.Connectivity, len(l.events))
	l.emit(d, deviceops.EventDeviceConnectivity, severity, map[string]any{
		"from": string(before.Connectivity), "to": string(next.Connectivity), "because": why,
	})
}

// putOff leaves it to the ack of a device, which is due at at and writes its
// session anyway, to record when the device was last seen, if by then nobody can
// take it for silent. It gives when that was.
func (l *ledger) putOff(device string, at time.Time) time.Time {
	d := l.devices[device]
	if before, ok := l.glimpsed[device]; ok && mayPutOff(d, before, at) {
		delete(l.glimpsed, device)
	}
	return d.Session.LastSeen
}

// onlySeen reports whether nothing changed but when a device was last seen.
func onlySeen(before, next deviceops.Session) bool {
	before.LastSeen = next.LastSeen
	return before == next
}

func (l *ledger) emit(d *deviceops.Device, kind, severity string, data map[string]any) {
	l.events = append(l.events, deviceops.Event{
		Account: d.Account, Device: d.ID, Type: kind, Severity: severity, Data: data, At: l.now, ReceivedAt: l.now, Boot: d.Session.Boot,
	})
}

// clock flags a device whose clock is wrong, once, and unflags it when a time
// that it tells is believed again.
func (l *ledger) clock(d *deviceops.Device, when moment, received time.Time) {
	skewed := d.Session.ClockSkewed
	switch {
	case when.fixed && !skewed:
		l.emit(d, deviceops.EventClock, "warning", map[string]any{
			"claimed": when.claimed, "received": received.UTC().Format(time.RFC3339Nano),
		})
		skewed = true
	case when.told && !when.fixed:
		skewed = false
	}
	if skewed != d.Session.ClockSkewed {
		d.Session.ClockSkewed = skewed
		l.sessions[d.ID] = true
	}
}

func (l *ledger) hello(i item, d *deviceops.Device, m *protocol.Hello) {
	greeting := greeting{running: m.Running, needFull: m.Short() && !recognized(d, m.Digest), child: i.origin != i.subject, own: i.own != nil}
	boot := d.Session.Boot
	next, ok := greet(d.Session, d.ID, m, i.at)
	if ok {
		if next.Boot != boot {
			l.booted(d, boot, next.Boot)
		}
		l.session(d, next, "hello")
		if !m.Short() {
			l.setReported(d, describe(d.Twin.Reported, m, i.at))
		}
		l.confirm(d, true)
	}
	l.greeted[d.ID] = greeting
	delete(l.online, d.ID)
	if d.State == deviceops.Escrow && !greeting.needFull {
		l.starts = append(l.starts, workflows.ProvisionStart(workflows.ProvisionInput{Device: d.ID}))
	}
}

func (l *ledger) booted(d *deviceops.Device, before, boot string) {
	data := map[string]any{"boot": boot}
	if before != "" {
		data["previous"] = before
	}
	l.emit(d, deviceops.EventDeviceBooted, "info", data)
	l.events[len(l.events)-1].Boot = boot
}

func (l *ledger) heartbeat(i item, d *deviceops.Device, m *protocol.Heartbeat) {
	l.seen(i, "heartbeat")
	if i.at.Before(d.Session.LastHeartbeat) {
		return
	}
	d.Session.LastHeartbeat = i.at
	if i.own == nil || !i.own.implicit {
		d.Session.UptimeS = m.UptimeS
	}
	l.sessions[d.ID] = true
}

func (l *ledger) telemetry(i item, d *deviceops.Device, m *protocol.Telemetry, when moment) {
	l.seen(i, "telemetry")
	profile := l.profile(d)
	kept, latest, wrong := measure(profile, m.Metrics)
	if len(wrong) > 0 {
		l.reject(i.rest(m, kept), codeMetric, strings.Join(wrong, "; "))
	}
	if len(kept) == 0 {
		return
	}
	l.append(i, d, when, deviceops.EventTelemetry, "debug", kept)
	l.examine(d, profile)
	l.place(d, kept, when)
	for name, value := range latest {
		v := deviceops.MetricValue{Device: d.ID, Name: name, Value: value, At: when.at}
		l.measured(v)
		if sample, ok := deviceops.NewMetricSample(d.Account, v, i.at); ok {
			l.samples = append(l.samples, sample)
		}
	}
}

func (l *ledger) measured(v deviceops.MetricValue) {
	key := metricKey{v.Device, v.Name}
	if known, ok := l.metrics[key]; ok && v.At.Before(known.At) {
		return
	}
	l.metrics[key] = v
}

func (l *ledger) event(i item, d *deviceops.Device, m *protocol.Event, when moment) {
	l.seen(i, "event")
	if deviceops.SaidByEngine(m.Type) {
		l.reject(i, codeType, "only the engine writes events of type "+m.Type+": choose another")
		return
	}
	severity := m.Severity
	if severity == "" {
		severity = protocol.SeverityInfo
	}
	l.append(i, d, when, m.Type, severity, m.Data)
}

// append stores what a device said as an event.
func (l *ledger) append(i item, d *deviceops.Device, when moment, kind, severity string, data map[string]any) {
	head := i.message.Head()
	boot := head.Boot
	if boot == "" {
		boot = l.devices[i.origin].Session.Boot
	}
	l.events = append(l.events, deviceops.Event{
		Account: d.Account, Device: d.ID, Type: kind, Severity: severity, Data: data,
		At: when.at, ReceivedAt: i.at, ClockFixed: when.fixed, ClaimedAt: when.claimed, Boot: boot, Seq: head.Seq,
	})
}

func (l *ledger) result(i item, d *deviceops.Device, m *protocol.Result) {
	l.seen(i, "result")
	c := l.commands[m.ID]
	switch {
	case c == nil:
		l.reject(i, codeNoCommand, "no command has the id "+m.ID)
	case c.Device != d.ID:
		l.reject(i, codeNotItsOwn, "command "+m.ID+" was not given to this device")
	default:
		before := c.Status
		l.configured(i, d, c, m)
		if answer(c, m, d.Twin.Reported, l.now) {
			l.advanced(c, before)
		}
	}
}

// advanced notes that a command changed, and tells of a new status.
func (l *ledger) advanced(c *deviceops.Command, before deviceops.CommandStatus) {
	l.answered[c.ID] = true
	if c.Status == before {
		return
	}
	if !uneventful(c) {
		l.events = append(l.events, commandEvent(c, l.now))
	}
	if c.Status.Terminal() {
		l.ended = append(l.ended, c.ID)
		l.freed[c.Device] = l.freed[c.Device] || c.Exclusive
	}
}

func (l *ledger) report(i item, d *deviceops.Device, m *protocol.Reported, when moment) {
	l.seen(i, "reported")
	l.place(d, m.Attributes, when)
	l.setReported(d, merge(d.Twin.Reported, m, i.at))
	l.confirm(d, false)
}

func (l *ledger) setReported(d *deviceops.Device, next deviceops.Reported) {
	before := d.Twin.Reported
	d.Twin.Reported = next
	if !next.At.Equal(before.At) {
		l.reported[d.ID] = true
	}
	if sameReport(before, next) {
		return
	}
	l.reported[d.ID] = true
	l.examine(d, l.profile(d))
	l.emit(d, deviceops.EventDeviceReported, "info", map[string]any{
		"config_version": next.ConfigVersion, "software": next.Software, "attributes": next.Attributes,
	})
}

// confirm ends the commands of d that its report confirms.
func (l *ledger) confirm(d *deviceops.Device, byHello bool) {
	for _, known := range l.open[d.ID] {
		c := l.commands[known.ID]
		if c == nil || !confirmable(*c) {
			continue
		}
		before := c.Status
		if confirm(c, d, byHello, l.now) {
			l.advanced(c, before)
		}
	}
}

// strand marks the children of lost gateways unreachable and counts them on the
// gateway's event.
func (l *ledger) strand(children []string) {
	stranded := map[string]int{}
	for _, id := range children {
		child := l.devices[id]
		if child == nil {
			continue
		}
		next := strand(child.Session, l.now)
		if _, lost := l.lost[child.Parent]; !lost || next == child.Session {
			continue
		}
		child.Session = next
		l.sessions[id] = true
		delete(l.online, id)
		stranded[child.Parent]++
	}
	for gateway, n := range stranded {
		l.events[l.lost[gateway]].Data["children_unreachable"] = n
	}
}

// silenced marks a device offline whose heartbeats stopped.
func (l *ledger) silenced(d *deviceops.Device, outage deviceops.Outage) {
	if silent(d, outage, l.now) {
		l.session(d, become(d.Session, deviceops.Offline, l.now), "silence")
	}
}

// waiting gives the number of commands that wait for a device.
func (l *ledger) waiting(device string) (n int) {
	for _, c := range l.open[device] {
		if now := l.commands[c.ID]; now != nil {
			c = *now
		}
		switch c.Status {
		case deviceops.CommandPending, deviceops.CommandSent, deviceops.CommandDeferred:
			n++
		}
	}
	return n
}

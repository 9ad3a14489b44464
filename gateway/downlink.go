package gateway

import (
	"maps"
	"time"

	"github.com/deviceops/deviceops"
	"github.com/deviceops/deviceops/protocol"
)

// publication is one message, ready for the broker.
type publication struct {
	topic   string
	payload []byte
	retain  bool // the broker keeps it for those who subscribe later
	done    bool // it was published before and is not to be again
}

// encoder turns what the engine says into publications.
type encoder struct {
	topics protocol.Topics
}

// encode addresses m to target. An id that is not one never becomes part of a
// topic, whatever the store holds: it could name a wildcard or another device.
func (e encoder) encode(target string, m protocol.DownMessage, limit int) (publication, error) {
	if !deviceops.ValidID(target) {
		return publication{}, deviceops.Errorf(deviceops.EINVALID, "device id %q cannot be part of a topic", target)
	}
	payload, err := protocol.EncodeDown(m, limit)
	if err != nil {
		return publication{}, err
	}
	return publication{topic: e.topics.Down(target, m.Leaf()), payload: payload}, nil
}

// address gives whose topics reach a device, and the child to name there.
func address(device string, r deviceops.Route) (target, child string) {
	if r.Via == "" {
		return device, ""
	}
	return r.Via, device
}

// command says how long the device may still begin, and when to install, counted
// from now: its clock may be wrong. ETIMEOUT for a command whose time is over.
func (e encoder) command(c deviceops.Command, now time.Time) (publication, error) {
	var left time.Duration
	if !c.ExpiresAt.IsZero() {
		if left = c.ExpiresAt.Sub(now); left <= 0 {
			return publication{}, deviceops.Errorf(deviceops.ETIMEOUT, "command %s expired before it could be sent", c.ID)
		}
	}
	target, child := address(c.Device, c.Route)
	return e.encode(target, &protocol.Command{
		ID: c.ID, Name: c.Name, Args: relative(c.Args, now), Attempt: c.Attempt,
		ExpiresIn: min(protocol.SecondsOf(left), protocol.MaxSeconds), Child: child,
	}, c.Route.MaxPayload)
}

// relative gives arguments in which the times of an installation count from now.
// Where the last one is over, the device may still download: it then asks to be
// asked again.
func relative(args map[string]any, now time.Time) protocol.Object {
	after, hasAfter := timeArg(args, deviceops.ArgInstallAfter)
	before, hasBefore := timeArg(args, deviceops.ArgInstallBefore)
	if !hasAfter && !hasBefore {
		return args
	}
	out := maps.Clone(args)
	delete(out, deviceops.ArgInstallAfter)
	delete(out, deviceops.ArgInstallBefore)
	if in := after.Sub(now); hasAfter && in > 0 {
		out["install_in"] = in.Seconds()
	}
	if hasBefore {
		out["install_within"] = max(before.Sub(now), time.Millisecond).Seconds()
	}
	return out
}

func timeArg(args map[string]any, name string) (time.Time, bool) {
	text, _ := args[name].(string)
	at, err := time.Parse(time.RFC3339, text)
	return at, err == nil
}

// welcome leaves the desired configuration out for a device that could not take
// it: it is told for information, and comes as a command when it matters.
func (e encoder) welcome(w deviceops.Welcome, now time.Time) (publication, error) {
	target, m := welcomeMessage(w, now)
	p, err := e.encode(target, m, w.Route.MaxPayload)
	if deviceops.ErrorCode(err) == deviceops.EEXHAUSTED && m.Desired != nil {
		m.Desired.Configuration = nil
		return e.encode(target, m, w.Route.MaxPayload)
	}
	return p, err
}

func welcomeMessage(w deviceops.Welcome, now time.Time) (target string, m *protocol.Welcome) {
	target, child := address(w.Device, w.Route)
	m = &protocol.Welcome{
		Child: child, Time: protocol.Timestamp{Time: now.UTC().Truncate(time.Millisecond)},
		State: string(w.State), Pending: w.Pending, Boot: w.Boot, Seq: w.Seq,
	}
	if w.NeedHello {
		m.Hello = protocol.HelloFull
	}
	if w.State != deviceops.Quarantined && !w.NeedHello {
		m.Desired = desired(w.Desired)
	}
	return target, m
}

func desired(d deviceops.Desired) *protocol.Desired {
	out := &protocol.Desired{Version: d.Version, Configuration: protocol.Object(d.Configuration), Software: d.Software}
	if d.Heartbeat.Every > 0 {
		out.Heartbeat = &protocol.HeartbeatPolicy{Every: protocol.SecondsOf(d.Heartbeat.Every), OfflineAfter: d.Heartbeat.OfflineAfter}
	}
	return out
}

func (e encoder) ack(a deviceops.SeqKey) (publication, error) {
	return e.encode(a.Device, &protocol.Ack{Boot: a.Boot, Seq: a.Seq}, 0)
}

func (e encoder) cancel(device, id string, r deviceops.Route) (publication, error) {
	target, child := address(device, r)
	return e.encode(target, &protocol.Cancel{ID: id, Child: child}, 0)
}

package dev

import (
	"strings"
	"sync"
	"time"

	mqtt "github.com/mochi-mqtt/server/v2"
	"github.com/mochi-mqtt/server/v2/packets"
)

// gate makes publishers wait while the engine is behind. It is a hook of the
// broker that holds a publish back before it is confirmed, which stops reading
// from that connection: the device keeps the message and TCP slows it down.
//
// Only messages for shared subscriptions wait, and never those of their own
// members: the engine may publish an answer before it confirms a message, and
// would otherwise wait for itself.
type gate struct {
	mqtt.HookBase
	server *mqtt.Server
	limit  int

	mu      sync.Mutex
	room    *sync.Cond
	members map[string]map[string]bool // client id → its shared filters, without the $share/group/ before them
	passing map[*mqtt.Client]bool      // let in and not handed on yet; a connection publishes one at a time
	resumed map[string]*mqtt.Client    // members whose session is being handed to this new connection
	shut    bool
}

func newGate(server *mqtt.Server, limit int) *gate {
	g := &gate{
		server:  server,
		limit:   limit,
		members: map[string]map[string]bool{},
		passing: map[*mqtt.Client]bool{},
		resumed: map[string]*mqtt.Client{},
	}
	g.room = sync.NewCond(&g.mu)
	return g
}

// ID implements mqtt.Hook.
func (g *gate) ID() string { return "back-pressure" }

// Provides implements mqtt.Hook.
func (g *gate) Provides(b byte) bool {
	switch b {
	case mqtt.OnConnect, mqtt.OnSubscribed, mqtt.OnUnsubscribed, mqtt.OnPublish, mqtt.OnPublished,
		mqtt.OnQosComplete, mqtt.OnQosDropped, mqtt.OnSessionEstablish, mqtt.OnSessionEstablished, mqtt.OnDisconnect:
		return true
	}
	return false
}

// OnConnect takes away the flow control that MQTT 5 clients may ask for. The
// broker's code for it takes a read lock twice, and stops for ever when a
// publisher wants the write lock in between; MQTT 3.1.1 has none of it.
func (g *gate) OnConnect(cl *mqtt.Client, _ packets.Packet) error {
	cl.Properties.Props.ReceiveMaximum = 0
	cl.State.Inflight.ResetSendQuota(0)
	return nil
}

// OnSubscribed learns who the members are.
func (g *gate) OnSubscribed(cl *mqtt.Client, pk packets.Packet, _ []byte) {
	g.mu.Lock()
	defer g.mu.Unlock()
	for _, sub := range pk.Filters {
		if filter, ok := sharedFilter(sub.Filter); ok {
			if g.members[cl.ID] == nil {
				g.members[cl.ID] = map[string]bool{}
			}
			g.members[cl.ID][filter] = true
		}
	}
}

// OnUnsubscribed forgets what a member no longer takes.
func (g *gate) OnUnsubscribed(cl *mqtt.Client, pk packets.Packet) {
	g.mu.Lock()
	defer g.mu.Unlock()
	for _, sub := range pk.Filters {
		if filter, ok := sharedFilter(sub.Filter); ok {
			delete(g.members[cl.ID], filter)
		}
	}
	if len(g.members[cl.ID]) == 0 {
		delete(g.members, cl.ID)
	}
	g.room.Broadcast()
}

// OnPublish waits for room. A publisher that goes away meanwhile is turned
// down without an answer, so that it sends again.
func (g *gate) OnPublish(cl *mqtt.Client, pk packets.Packet) (packets.Packet, error) {
	g.mu.Lock()
	defer g.mu.Unlock()
	delete(g.passing, cl) // an earlier publish that failed on its way
	if !g.concerns(cl, pk.TopicName) {
		return pk, nil
	}
	for !cl.Closed() && !g.shut {
		if len(g.resumed) == 0 && g.queued()+len(g.passing) < g.limit {
			g.passing[cl] = true
			return pk, nil
		}
		g.room.Wait()
	}
	g.wake() // this one has no use for the room that woke it
	return pk, packets.ErrRejectPacket
}

// concerns tells whether a publish goes to a member and is not a member's own.
func (g *gate) concerns(cl *mqtt.Client, topic string) bool {
	if g.members[cl.ID] != nil {
		return false
	}
	for _, filters := range g.members {
		for filter := range filters {
			if matches(filter, topic) {
				return true
			}
		}
	}
	return false
}

// queued counts what members have not confirmed, those that are away included:
// their sessions wait for them.
func (g *gate) queued() int {
	n := 0
	for id := range g.members {
		if member, ok := g.server.Clients.Get(id); ok {
			n += member.State.Inflight.Len()
		}
	}
	return n
}

// OnPublished makes room after the message was handed on.
func (g *gate) OnPublished(cl *mqtt.Client, _ packets.Packet) { g.leave(cl) }

// OnQosComplete makes room when a member has confirmed a message.
func (g *gate) OnQosComplete(*mqtt.Client, packets.Packet) { g.signal() }

// OnQosDropped makes room when a session is given up.
func (g *gate) OnQosDropped(*mqtt.Client, packets.Packet) { g.signal() }

// OnSessionEstablish holds publishers back while a member's session moves to a
// new connection: the broker copies it and then throws away what the old one
// got meanwhile.
func (g *gate) OnSessionEstablish(cl *mqtt.Client, _ packets.Packet) {
	g.mu.Lock()
	defer g.mu.Unlock()
	if g.members[cl.ID] == nil {
		return
	}
	g.resumed[cl.ID] = cl
	for len(g.passing) > 0 {
		g.room.Wait()
	}
	go g.awaitEnd(cl)
}

// awaitEnd ends a hand-over whose new connection broke, of which no hook tells.
func (g *gate) awaitEnd(cl *mqtt.Client) {
	for g.resumes(cl) && !cl.Closed() {
		time.Sleep(10 * time.Millisecond)
	}
	g.endHandOver(cl)
}

func (g *gate) resumes(cl *mqtt.Client) bool {
	g.mu.Lock()
	defer g.mu.Unlock()
	return g.resumed[cl.ID] == cl
}

func (g *gate) endHandOver(cl *mqtt.Client) {
	g.mu.Lock()
	defer g.mu.Unlock()
	if g.resumed[cl.ID] == cl {
		delete(g.resumed, cl.ID)
	}
	g.room.Broadcast()
}

// OnSessionEstablished ends the hand-over, and wakes a publisher whose
// connection this one replaces.
func (g *gate) OnSessionEstablished(cl *mqtt.Client, _ packets.Packet) { g.endHandOver(cl) }

// OnDisconnect wakes all, as the session of a member may be gone.
func (g *gate) OnDisconnect(cl *mqtt.Client, _ error, _ bool) {
	g.mu.Lock()
	defer g.mu.Unlock()
	delete(g.passing, cl)
	g.room.Broadcast()
}

func (g *gate) leave(cl *mqtt.Client) {
	g.mu.Lock()
	defer g.mu.Unlock()
	if g.passing[cl] {
		delete(g.passing, cl)
		g.wake()
	}
}

func (g *gate) signal() {
	g.mu.Lock() // or the signal could fall between a publisher's look and its wait
	defer g.mu.Unlock()
	g.wake()
}

// wake is for one more place: it goes to one publisher, unless a hand-over may
// be among those who wait.
func (g *gate) wake() {
	if len(g.resumed) > 0 {
		g.room.Broadcast()
		return
	}
	g.room.Signal()
}

// close turns everybody down who waits, for the end.
func (g *gate) close() {
	g.mu.Lock()
	defer g.mu.Unlock()
	g.shut = true
	g.room.Broadcast()
}

// sharedFilter takes the filter out of $share/group/filter.
func sharedFilter(filter string) (string, bool) {
	rest, ok := strings.CutPrefix(filter, "$share/")
	if !ok {
		return "", false
	}
	_, filter, ok = strings.Cut(rest, "/")
	return filter, ok
}

// matches tells whether a topic filter takes a topic.
func matches(filter, topic string) bool {
	for filter != "" {
		level, filterRest, moreFilter := strings.Cut(filter, "/")
		if level == "#" {
			return true
		}
		name, topicRest, moreTopic := strings.Cut(topic, "/")
		if level != "+" && level != name {
			return false
		}
		if !moreTopic {
			return !moreFilter || filterRest == "#"
		}
		if !moreFilter {
			return false
		}
		filter, topic = filterRest, topicRest
	}
	return false
}

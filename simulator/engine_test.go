package simulator

import (
	"context"
	"encoding/json"
	"io"
	"log/slog"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	mqtt "github.com/mochi-mqtt/server/v2"
	"github.com/mochi-mqtt/server/v2/hooks/auth"
	"github.com/mochi-mqtt/server/v2/listeners"
	"github.com/mochi-mqtt/server/v2/packets"
	"github.com/stretchr/testify/require"

	"github.com/deviceops/deviceops/dev/mochi"
	"github.com/deviceops/deviceops/protocol"
)

// engine is a broker with just enough of an engine behind it: it keeps what
// devices say and answers hellos.
type engine struct {
	t      *testing.T
	server *mqtt.Server
	url    string
	topics protocol.Topics

	running atomic.Int32 // fleets

	mu      sync.Mutex
	changed chan struct{} // closed and replaced with every message
	said    map[string][]protocol.Message
	mute    bool                                   // no welcome
	welcome func(protocol.Hello) *protocol.Welcome // what to answer
}

func startEngine(t *testing.T) *engine {
	t.Helper()
	e := &engine{t: t, said: map[string][]protocol.Message{}, changed: make(chan struct{}),
		welcome: func(protocol.Hello) *protocol.Welcome { return &protocol.Welcome{State: "active"} }}
	capabilities := mqtt.NewDefaultServerCapabilities()
	capabilities.MaximumClientWritesPending = 1 << 16
	e.server = mqtt.New(&mqtt.Options{InlineClient: true, Capabilities: capabilities, Logger: slog.New(slog.NewTextHandler(io.Discard, nil))})
	require.NoError(t, e.server.AddHook(new(auth.AllowHook), nil))
	listener := listeners.NewTCP(listeners.Config{ID: "tcp", Address: "127.0.0.1:0"})
	require.NoError(t, e.server.AddListener(mochi.Closing(listener, e.server)))
	require.NoError(t, e.server.Subscribe(e.topics.UpFilter(), 1, e.receive))
	require.NoError(t, e.server.Serve())
	t.Cleanup(func() { _ = e.server.Close() })
	e.url = "tcp://" + listener.Address()
	return e
}

func (e *engine) receive(_ *mqtt.Client, _ packets.Subscription, p packets.Packet) {
	address, err := e.topics.Parse(p.TopicName)
	if err != nil {
		e.t.Errorf("topic %s: %v", p.TopicName, err)
		return
	}
	messages, err := protocol.Decode(address.Leaf, p.Payload)
	if err != nil {
		e.t.Errorf("payload %s: %v", p.Payload, err)
		return
	}
	for _, m := range messages {
		if bad, ok := m.(*protocol.Invalid); ok {
			e.t.Errorf("device %s said %s: %v", address.Device, bad.Raw, bad.Err)
		}
		e.keep(address.Device, m)
	}
}

func (e *engine) keep(device string, m protocol.Message) {
	e.mu.Lock()
	e.said[device] = append(e.said[device], m)
	close(e.changed)
	e.changed = make(chan struct{})
	hello, isHello := m.(*protocol.Hello)
	var answer *protocol.Welcome
	if isHello && !e.mute {
		answer = e.welcome(*hello)
	}
	e.mu.Unlock()
	if answer != nil {
		e.send(device, answer)
	}
}

// answers sets what hellos are answered with; nil means with silence.
func (e *engine) answers(welcome func(protocol.Hello) *protocol.Welcome) {
	e.mu.Lock()
	defer e.mu.Unlock()
	e.welcome = welcome
}

func (e *engine) send(device string, m protocol.DownMessage) {
	payload, err := protocol.EncodeDown(m, 0)
	if err != nil {
		e.t.Errorf("cannot send %+v: %v", m, err)
		return
	}
	if err := e.server.Publish(e.topics.Down(device, m.Leaf()), payload, false, 1); err != nil {
		e.t.Logf("cannot publish: %v", err)
	}
}

// await waits until what the engine heard satisfies done.
func (e *engine) await(what string, done func() bool) {
	e.t.Helper()
	deadline := time.After(time.Minute)
	for {
		e.mu.Lock()
		ok, changed := done(), e.changed
		e.mu.Unlock()
		if ok {
			return
		}
		select {
		case <-changed:
		case <-deadline:
			e.mu.Lock()
			heard, _ := json.Marshal(e.said)
			e.mu.Unlock()
			require.FailNow(e.t, "waited in vain for "+what, "heard %.4000s", heard)
		}
	}
}

// awaitCount waits for n messages of a device for which match holds, and gives
// them.
func awaitCount[M protocol.Message](e *engine, device string, n int, match func(M) bool) []M {
	e.t.Helper()
	var found []M
	e.await("messages of "+device, func() bool {
		found = heard(e.said[device], match)
		return len(found) >= n
	})
	return found
}

func heard[M protocol.Message](said []protocol.Message, match func(M) bool) []M {
	var found []M
	for _, s := range said {
		if m, ok := s.(M); ok && (match == nil || match(m)) {
			found = append(found, m)
		}
	}
	return found
}

// awaitResult waits for the nth result of a command with that status.
func (e *engine) awaitResult(device, id, status string, n int) *protocol.Result {
	e.t.Helper()
	all := awaitCount(e, device, n, func(r *protocol.Result) bool { return r.ID == id && r.Status == status })
	return all[n-1]
}

func (e *engine) leavesOf(device string) []protocol.Leaf {
	e.mu.Lock()
	defer e.mu.Unlock()
	var leaves []protocol.Leaf
	for _, m := range e.said[device] {
		leaves = append(leaves, m.Leaf())
	}
	return leaves
}

// config is a fleet of one quick device; change adapts it.
func (e *engine) config(change func(*Config)) Config {
	cfg := Config{Broker: e.url, Devices: 1, Seed: 7, Behavior: Behavior{
		Latency: Latency{Median: 5 * time.Millisecond, P99: 10 * time.Millisecond},
		Boot:    10 * time.Millisecond, Reconnect: 20 * time.Millisecond, Telemetry: -1,
	}}
	if change != nil {
		change(&cfg)
	}
	return cfg
}

const first = "sim-00001"

// run switches a fleet on until the test, or stop, ends it.
func (e *engine) run(cfg Config) (s *Simulator, stop func()) {
	e.t.Helper()
	s, err := New(cfg)
	require.NoError(e.t, err)
	ctx, cancel := context.WithCancel(context.Background())
	ended := make(chan error, 1)
	go func() { ended <- s.Run(ctx) }()
	e.running.Add(1)
	stop = sync.OnceFunc(func() {
		cancel()
		require.NoError(e.t, <-ended)
		if e.running.Add(-1) == 0 {
			e.awaitForgotten()
		}
	})
	e.t.Cleanup(stop)
	return s, stop
}

// awaitForgotten waits until the broker has forgotten all connections. Until then it
// takes a device that is switched on again for the one that left, and does not end
// when it is closed.
func (e *engine) awaitForgotten() {
	require.Eventually(e.t, func() bool {
		for _, c := range e.server.Clients.GetAll() {
			if !c.Net.Inline {
				return false
			}
		}
		return true
	}, time.Minute, time.Millisecond, "the broker was to forget the devices")
}

// online runs a fleet of one and waits until it is heard.
func (e *engine) online(change func(*Config)) *Simulator {
	e.t.Helper()
	s, _ := e.run(e.config(change))
	awaitCount[*protocol.Heartbeat](e, first, 1, nil)
	return s
}

// cutAll cuts every device's connection at the broker.
func (e *engine) cutAll() {
	for id, c := range e.server.Clients.GetAll() {
		if id != mqtt.InlineClientId {
			c.Stop(io.EOF)
		}
	}
}

package dev

import (
	"fmt"
	"net"
	"sync/atomic"
	"testing"
	"time"

	paho "github.com/eclipse/paho.mqtt.golang"
	"github.com/stretchr/testify/require"

	"github.com/deviceops/deviceops"
)

// patience is how long a test waits for what should come at once.
const patience = 20 * time.Second

func startBroker(t *testing.T) *Broker {
	t.Helper()
	b, err := StartBroker(t.Context(), BrokerConfig{})
	require.NoError(t, err)
	t.Cleanup(func() { b.Close() })
	return b
}

// connect connects a client. Clients named "lane..." have persistent sessions
// and confirm by hand, as the engine's do.
func connect(t *testing.T, b *Broker, id string, lane bool) paho.Client {
	t.Helper()
	c := paho.NewClient(paho.NewClientOptions().
		AddBroker(b.URL()).SetClientID(id).SetCleanSession(!lane).
		SetAutoAckDisabled(lane).SetOrderMatters(false).SetAutoReconnect(false).
		SetWriteTimeout(patience))
	await(t, c.Connect())
	t.Cleanup(func() { c.Disconnect(0) })
	return c
}

func await(t *testing.T, token paho.Token) {
	t.Helper()
	require.True(t, token.WaitTimeout(patience), "no answer from the broker")
	require.NoError(t, token.Error())
}

func TestBroker_Delivers(t *testing.T) {
	t.Parallel()
	b := startBroker(t)
	got := make(chan string, 1)
	await(t, connect(t, b, "a", false).Subscribe("deviceops/v1/+/up/hello", 1, func(_ paho.Client, m paho.Message) {
		got <- m.Topic() + " " + string(m.Payload())
	}))
	await(t, connect(t, b, "b", false).Publish("deviceops/v1/b/up/hello", 1, false, "hi"))
	select {
	case text := <-got:
		require.Equal(t, "deviceops/v1/b/up/hello hi", text)
	case <-time.After(patience):
		require.Fail(t, "nothing arrived")
	}
}

func TestBroker_EndsConnectionThatSendsTooMuch(t *testing.T) {
	t.Parallel()
	b := startBroker(t)
	lost := make(chan struct{})
	c := paho.NewClient(paho.NewClientOptions().AddBroker(b.URL()).SetClientID("big").SetAutoReconnect(false).
		SetConnectionLostHandler(func(paho.Client, error) { close(lost) }))
	await(t, c.Connect())
	c.Publish("deviceops/v1/big/up/event", 1, false, make([]byte, 1<<20))
	select {
	case <-lost:
	case <-time.After(patience):
		require.Fail(t, "the connection lives")
	}
	await(t, connect(t, b, "small", false).Publish("deviceops/v1/small/up/event", 1, false, make([]byte, 200<<10)))
}

// Publishers of more than the engine can hold wait, and nothing is lost, also
// when the engine is away in the middle.
func TestBroker_PublishersWaitForEngine(t *testing.T) {
	t.Parallel()
	const publishers, each = 8, 1000 // twice what fits
	b := startBroker(t)
	messages := make(chan paho.Message, publishers*each)
	take := func(_ paho.Client, m paho.Message) { messages <- m }
	lane := connect(t, b, "lane-1", true)
	await(t, lane.Subscribe("$share/engine/deviceops/v1/+/up/#", 1, take))

	var confirmed atomic.Int64
	for p := range publishers {
		c := connect(t, b, fmt.Sprint("device-", p), false)
		go func() {
			for n := range each {
				token := c.Publish(fmt.Sprintf("deviceops/v1/d%d/up/event", p), 1, false, fmt.Sprint(p, "/", n))
				if token.Wait(); token.Error() == nil {
					confirmed.Add(1)
				}
			}
		}()
	}
	require.Eventually(t, func() bool { return confirmed.Load() >= maxEngineQueued-publishers }, patience, time.Millisecond)
	require.LessOrEqual(t, confirmed.Load(), int64(maxEngineQueued), "the others wait")

	lane.Disconnect(0)
	lane = connect(t, b, "lane-1", true)
	lane.AddRoute("$share/engine/deviceops/v1/+/up/#", take)
	await(t, lane.Subscribe("$share/engine/deviceops/v1/+/up/#", 1, take))

	seen := map[string]bool{}
	for len(seen) < publishers*each {
		select {
		case m := <-messages:
			seen[string(m.Payload())] = true
			m.Ack()
		case <-time.After(patience):
			require.Failf(t, "messages are missing", "%d of %d arrived, %d dropped", len(seen), publishers*each, b.Dropped())
		}
	}
	require.Eventually(t, func() bool { return confirmed.Load() == publishers*each }, patience, time.Millisecond)
	require.Zero(t, b.Dropped())
}

func TestBroker_EngineNeverWaitsForItself(t *testing.T) {
	t.Parallel()
	b := startBroker(t)
	lane := connect(t, b, "lane-1", true)
	await(t, lane.Subscribe("$share/engine/deviceops/v1/+/up/#", 1, func(paho.Client, paho.Message) {}))
	b.gate.limit = 0 // full
	await(t, lane.Publish("deviceops/v1/d/up/event", 1, false, "own"))
	await(t, connect(t, b, "sender", false).Publish("deviceops/v1/d/down/command", 1, false, "downlink"))
}

func TestBroker_WaitingPublisherThatIsReplacedGoes(t *testing.T) {
	t.Parallel()
	b := startBroker(t)
	lane := connect(t, b, "lane-1", true)
	await(t, lane.Subscribe("$share/engine/deviceops/v1/+/up/#", 1, func(paho.Client, paho.Message) {}))
	b.gate.limit = 0
	token := connect(t, b, "device", false).Publish("deviceops/v1/d/up/event", 1, false, "x")

	connect(t, b, "device", false) // the same id: takes the session over
	require.True(t, token.WaitTimeout(patience))
	require.Error(t, token.Error())
	require.Empty(t, b.gate.passing)
}

func TestBroker_CloseTurnsWaitersAway(t *testing.T) {
	t.Parallel()
	b := startBroker(t)
	lane := connect(t, b, "lane-1", true)
	await(t, lane.Subscribe("$share/engine/deviceops/v1/+/up/#", 1, func(paho.Client, paho.Message) {}))
	b.gate.limit = 0
	token := connect(t, b, "device", false).Publish("deviceops/v1/d/up/event", 1, false, "x")
	require.NoError(t, b.Close())
	require.True(t, token.WaitTimeout(patience))
	require.Error(t, token.Error())
}

func TestBroker_PortTaken(t *testing.T) {
	t.Parallel()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	require.NoError(t, err)
	defer l.Close()
	_, err = StartBroker(t.Context(), BrokerConfig{Port: l.Addr().(*net.TCPAddr).Port})
	require.Equal(t, deviceops.ECONFLICT, deviceops.ErrorCode(err))
}

func TestMatches(t *testing.T) {
	t.Parallel()
	tests := []struct {
		filter, topic string
		want          bool
	}{
		{"a/b", "a/b", true},
		{"a/b", "a/c", false},
		{"a/b", "a", false},
		{"a", "a/b", false},
		{"a/+", "a/b", true},
		{"a/+", "a/", true},
		{"a/+", "a/b/c", false},
		{"+/b", "a/b", true},
		{"#", "a/b", true},
		{"a/#", "a/b/c", true},
		{"a/#", "a", true},
		{"a/#", "b", false},
		{"deviceops/v1/+/up/#", "deviceops/v1/d/up/event", true},
		{"deviceops/v1/+/up/#", "deviceops/v1/d/down/ack", false},
	}
	for _, tt := range tests {
		require.Equal(t, tt.want, matches(tt.filter, tt.topic), "%s %s", tt.filter, tt.topic)
	}
}

func TestSharedFilter(t *testing.T) {
	t.Parallel()
	filter, ok := sharedFilter("$share/engine/a/+/b")
	require.True(t, ok)
	require.Equal(t, "a/+/b", filter)
	for _, other := range []string{"a/b", "$share/engine", "$SYS/x"} {
		_, ok := sharedFilter(other)
		require.False(t, ok, other)
	}
}

func TestBroker_EndsConnectionsItself(t *testing.T) {
	t.Parallel()
	b := startBroker(t)
	c := connect(t, b, "a", false)
	l, found := b.server.Listeners.Get("tcp")
	require.True(t, found)
	l.Close(func(string) { t.Error("the server must not be asked to: it may stand still") })
	require.Eventually(t, func() bool { return !c.IsConnected() }, patience, time.Millisecond)
}

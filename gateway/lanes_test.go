package gateway_test

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/stretchr/testify/require"

	"github.com/deviceops/deviceops"
	"github.com/deviceops/deviceops/gateway"
	"github.com/deviceops/deviceops/postgres/postgrestest"
	"github.com/deviceops/deviceops/protocol"
)

// inbox records what is delivered, and may be told to refuse or to hang.
type inbox struct {
	mu      sync.Mutex
	payload map[string]int // how often each payload was taken
	refused int
	refuse  bool
	hang    chan struct{} // closed to let deliveries go on; nil: they don't wait
}

func newInbox() *inbox { return &inbox{payload: map[string]int{}} }

func (b *inbox) Deliver(ctx context.Context, batch []deviceops.Message) error {
	b.mu.Lock()
	hang := b.hang
	b.mu.Unlock()
	if hang != nil {
		select {
		case <-hang:
		case <-ctx.Done():
			return ctx.Err()
		}
	}
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.refuse {
		b.refused++
		return errors.New("no database")
	}
	for _, m := range batch {
		b.payload[string(m.Payload)]++
	}
	return nil
}

func (b *inbox) setRefuse(refuse bool) {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.refuse = refuse
}

func (b *inbox) taken() int {
	b.mu.Lock()
	defer b.mu.Unlock()
	return len(b.payload)
}

func (b *inbox) refusals() int {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.refused
}

// leases is a store's, which may be cut off.
type leases struct {
	deviceops.Lanes
	mu  sync.Mutex
	cut bool
}

func (l *leases) HoldLanes(ctx context.Context, holder string, total int, now time.Time, ttl time.Duration) ([]int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.cut {
		return nil, deviceops.Errorf(deviceops.EUNAVAILABLE, "the store is out of reach")
	}
	return l.Lanes.HoldLanes(ctx, holder, total, now, ttl)
}

func (l *leases) ReleaseLanes(ctx context.Context, holder string) error {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.cut {
		return deviceops.Errorf(deviceops.EUNAVAILABLE, "the store is out of reach")
	}
	return l.Lanes.ReleaseLanes(ctx, holder)
}

func (l *leases) cutOff() {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.cut = true
}

func newLanes(t testing.TB, url, holder string, store deviceops.Lanes, in deviceops.Inbox) *gateway.Lanes {
	t.Helper()
	l, err := gateway.NewLanes(gateway.LanesConfig{
		Config: gateway.Config{Broker: url, Log: quiet, Timeout: 2 * time.Second, Registerer: prometheus.NewRegistry()},
		Holder: holder, TTL: 3 * time.Second, Renew: 200 * time.Millisecond,
	}, store, in)
	require.NoError(t, err)
	return l
}

func holds(t testing.TB, l *gateway.Lanes, n int) {
	t.Helper()
	require.Eventually(t, func() bool { return l.Held() == n && l.Ready() == nil }, soon, tick)
}

func heartbeat(n int) string { return fmt.Sprintf(`{"uptime_s":%d}`, n) }

func TestLanesDeliverEverythingOnce(t *testing.T) {
	t.Parallel()
	for name, start := range brokers() {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			b, in := start(t), newInbox()
			l := newLanes(t, b.URL(), "a", postgrestest.New(t), in)
			run(t, l.Run)
			holds(t, l, gateway.DefaultLanes)
			d := connectDevice(t, b.URL(), "k1")
			for n := range 1000 {
				d.client.Publish(protocol.Topics{}.Up("k1", protocol.LeafHeartbeat), 1, false, heartbeat(n))
			}
			require.Eventually(t, func() bool { return in.taken() == 1000 }, soon, tick)
			for payload, times := range in.payload {
				require.Equal(t, 1, times, payload)
			}
		})
	}
}

func TestLanesTakeAPayloadOfOneMebibyte(t *testing.T) {
	t.Parallel()
	for name, start := range brokers() {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			b, in := start(t), newInbox()
			l := newLanes(t, b.URL(), "a", postgrestest.New(t), in)
			run(t, l.Run)
			holds(t, l, gateway.DefaultLanes)
			d := connectDevice(t, b.URL(), "k1")
			large := strings.Repeat("x", 1<<20)
			for n := range 40 { // more than a lane may hold in memory at once
				d.say(protocol.LeafEvent, fmt.Sprint(n)+large)
			}
			d.say(protocol.LeafHeartbeat, heartbeat(1))
			require.Eventually(t, func() bool { return in.taken() == 41 }, soon, tick)
		})
	}
}

func TestLanesAcknowledgeOnlyWhatWasDelivered(t *testing.T) {
	t.Parallel()
	for name, start := range brokers() {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			b, store := start(t), postgrestest.New(t)
			dying := newInbox()
			dying.hang = make(chan struct{}) // it never comes back from the batch that it got
			first := newLanes(t, b.URL(), "a", store, dying)
			stop := run(t, first.Run)
			holds(t, first, gateway.DefaultLanes)
			d := connectDevice(t, b.URL(), "k1")
			for n := range 100 {
				d.say(protocol.LeafHeartbeat, heartbeat(n))
			}
			dying.setRefuse(true)
			close(dying.hang)
			require.Eventually(t, func() bool { return dying.refusals() > 0 && first.Ready() != nil }, soon, tick)
			stop()
			require.Zero(t, dying.taken())

			in := newInbox()
			second := newLanes(t, b.URL(), "b", store, in)
			run(t, second.Run)
			require.Eventually(t, func() bool { return in.taken() == 100 }, soon, tick)
		})
	}
}

func TestLanesGoOnWhenTheInboxComesBack(t *testing.T) {
	t.Parallel()
	b, in := startMosquitto(t), newInbox()
	l := newLanes(t, b.URL(), "a", postgrestest.New(t), in)
	run(t, l.Run)
	holds(t, l, gateway.DefaultLanes)
	in.setRefuse(true)
	d := connectDevice(t, b.URL(), "k1")
	for n := range 50 {
		d.say(protocol.LeafHeartbeat, heartbeat(n))
	}
	require.Eventually(t, func() bool { return l.Ready() != nil }, soon, tick)
	in.setRefuse(false)
	require.Eventually(t, func() bool { return in.taken() == 50 && l.Ready() == nil }, soon, tick)
}

func TestLanesAreSharedAndTakenOver(t *testing.T) {
	t.Parallel()
	for name, start := range brokers() {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			b, in := start(t), newInbox()
			store := postgrestest.New(t)
			cut := &leases{Lanes: store}
			first, second := newLanes(t, b.URL(), "a", cut, in), newLanes(t, b.URL(), "b", store, in)
			run(t, first.Run)
			holds(t, first, 4)
			stop := run(t, second.Run)
			holds(t, first, 2)
			holds(t, second, 2)

			say := sayInBackground(t, b.URL())
			cut.cutOff() // its leases lapse; it disconnects by itself
			require.Eventually(t, func() bool { return first.Held() == 0 && first.Ready() != nil }, soon, tick)
			holds(t, second, 4)
			stop() // nobody reads: the broker keeps what comes
			third := newLanes(t, b.URL(), "c", store, in)
			run(t, third.Run)
			holds(t, third, 4)
			total := say()
			require.Positive(t, total, "the broker took everything that was said")
			if name == "mochi" {
				sayAgain(t, b.URL(), total)
			}
			require.Eventually(t, func() bool { return in.taken() == total }, soon, tick)
		})
	}
}

// sayAgain repeats what was said, as a device does that was sent no ack. mochi
// needs it: what it takes while one connection of a client id replaces another
// may be gone, and with it what it has acknowledged. Mosquitto keeps it.
func sayAgain(t testing.TB, url string, total int) {
	t.Helper()
	d := connectDevice(t, url, "talker-again")
	for n := range total {
		d.client.Publish(protocol.Topics{}.Up(d.id, protocol.LeafHeartbeat), 1, false, heartbeat(n))
	}
	d.say(protocol.LeafHeartbeat, heartbeat(0))
}

// sayInBackground publishes heartbeats until the returned function is called,
// which gives their number.
func sayInBackground(t testing.TB, url string) func() int {
	t.Helper()
	d := connectDevice(t, url, "talker")
	stop, count := make(chan struct{}), make(chan int)
	go func() {
		ticker := time.NewTicker(2 * time.Millisecond)
		defer ticker.Stop()
		for n := 0; ; n++ {
			select {
			case <-ticker.C:
				if token := d.client.Publish(protocol.Topics{}.Up(d.id, protocol.LeafHeartbeat), 1, false, heartbeat(n)); !token.WaitTimeout(soon) || token.Error() != nil {
					count <- -1
					return
				}
			case <-stop:
				count <- n
				return
			}
		}
	}()
	return func() int { close(stop); return <-count }
}

func TestLanesSurviveTheBroker(t *testing.T) {
	t.Parallel()
	b, in := startMosquitto(t), newInbox()
	l := newLanes(t, b.URL(), "a", postgrestest.New(t), in)
	run(t, l.Run)
	holds(t, l, 4)
	in.setRefuse(true)
	d := connectDevice(t, b.URL(), "k1")
	for n := range 100 {
		d.say(protocol.LeafHeartbeat, heartbeat(n))
	}
	b.stop()
	require.Eventually(t, func() bool { return l.Ready() != nil }, soon, tick)
	b.start()
	in.setRefuse(false)
	require.Eventually(t, func() bool { return in.taken() == 100 }, soon, tick)
	holds(t, l, 4)
}

func TestLanesWaitForABrokerThatIsAway(t *testing.T) {
	t.Parallel()
	b, in := startMosquitto(t), newInbox()
	b.stop()
	l := newLanes(t, b.URL(), "a", postgrestest.New(t), in)
	run(t, l.Run)
	require.Eventually(t, func() bool { return l.Held() == 4 }, soon, tick)
	require.Equal(t, deviceops.EUNAVAILABLE, deviceops.ErrorCode(l.Ready()))
	b.start()
	holds(t, l, 4)
}

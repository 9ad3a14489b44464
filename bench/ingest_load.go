package bench

import (
	"cmp"
	"context"
	"encoding/json"
	"fmt"
	"sync"
	"sync/atomic"
	"time"

	mqtt "github.com/eclipse/paho.mqtt.golang"
	"golang.org/x/sync/errgroup"

	"github.com/deviceops/deviceops"
	"github.com/deviceops/deviceops/gateway"
	"github.com/deviceops/deviceops/protocol"
)

const (
	talkers    = 4   // connections that publish
	unanswered = 200 // messages that one of them may have under way
	drainTopic = "bench/drain"
)

// load says events in the names of devices.
type load struct {
	broker  string
	devices []string
	types   int // of events

	next    atomic.Int64 // number of the next event
	mu      sync.Mutex
	matches map[int64]time.Time // when events that match were said, by number
}

func newLoad(broker string, devices []string, automations int) *load {
	return &load{broker: broker, devices: devices, types: automations / listeners, matches: map[int64]time.Time{}}
}

// said gives how many events were said.
func (l *load) said() int { return int(l.next.Load()) }

// takeMatches gives when events that match were said, and forgets them.
func (l *load) takeMatches() map[int64]time.Time {
	l.mu.Lock()
	defer l.mu.Unlock()
	taken := l.matches
	l.matches = map[int64]time.Time{}
	return taken
}

// boot is that of all devices.
const boot = "bench"

// greet publishes the hello of each device.
func (l *load) greet(ctx context.Context) error {
	return l.publish(ctx, len(l.devices), func(i int) (string, []byte, error) {
		payload, err := json.Marshal(protocol.Hello{
			Header: protocol.Header{Boot: boot}, Connection: boot, Profile: fleetProfile, Serial: serialOf(l.devices[i]),
		})
		return protocol.Topics{}.Up(l.devices[i], protocol.LeafHello), payload, err
	})
}

// say publishes n events, one a message, at a rate a second, or as fast as they
// are taken (0), and returns when the broker has taken all.
func (l *load) say(ctx context.Context, n int, rate float64) error {
	first, began := l.next.Load(), time.Now()
	return l.publish(ctx, n, func(i int) (string, []byte, error) {
		if rate > 0 {
			time.Sleep(time.Until(began.Add(time.Duration(float64(i) / rate * float64(time.Second)))))
		}
		return l.event(first + int64(i))
	})
}

// event makes the event of a number. One of matchEvery has the code for which an
// automation waits.
func (l *load) event(number int64) (topic string, payload []byte, err error) {
	l.next.Add(1)
	kind, code := int(number)%l.types, noMatch
	if number%matchEvery == 0 {
		kind = int(number/matchEvery) % l.types
		code = kind*listeners + int(number/matchEvery)%listeners
		l.mu.Lock()
		l.matches[number] = time.Now()
		l.mu.Unlock()
	}
	device := int(number) % len(l.devices)
	payload, err = json.Marshal(map[string]any{
		"type": eventType(kind * listeners), "data": map[string]any{"code": code, "n": number},
		"boot": boot, "seq": number/int64(len(l.devices)) + 1,
	})
	return protocol.Topics{}.Up(l.devices[device], protocol.LeafEvent), payload, err
}

// publish sends n messages over talkers connections with QoS 1.
func (l *load) publish(ctx context.Context, n int, message func(i int) (topic string, payload []byte, err error)) error {
	group, ctx := errgroup.WithContext(ctx)
	for t := range talkers {
		group.Go(func() error {
			c, err := l.connect(fmt.Sprintf("bench-talker-%d", t))
			if err != nil {
				return err
			}
			defer c.Disconnect(100)
			under, settled := make(chan mqtt.Token, unanswered), make(chan error, 1)
			go func() { settled <- settle(ctx, under) }()
			for i := t; i < n && ctx.Err() == nil; i += talkers {
				topic, payload, err := message(i)
				if err != nil {
					return err
				}
				under <- c.Publish(topic, 1, false, payload)
			}
			close(under)
			return <-settled
		})
	}
	return group.Wait()
}

// settle waits until the broker has taken what is under way, and gives the first
// error.
func settle(ctx context.Context, under <-chan mqtt.Token) (first error) {
	for token := range under {
		select {
		case <-token.Done():
			first = cmp.Or(first, token.Error())
		case <-ctx.Done():
			first = cmp.Or(first, ctx.Err())
		}
	}
	return first
}

func (l *load) connect(id string) (mqtt.Client, error) {
	c := mqtt.NewClient(mqtt.NewClientOptions().AddBroker(l.broker).SetClientID(id).SetOrderMatters(false))
	token := c.Connect()
	token.Wait()
	return c, token.Error()
}

// drain measures how long n messages like those of say take through the broker to
// as many members of a shared subscription as the engine has lanes.
func (l *load) drain(ctx context.Context, n int) (time.Duration, error) {
	var got atomic.Int64
	done := make(chan struct{})
	hear := func(mqtt.Client, mqtt.Message) {
		if got.Add(1) == int64(n) {
			close(done)
		}
	}
	for m := range gateway.DefaultLanes {
		c, err := l.connect(fmt.Sprintf("bench-drain-%d", m))
		if err != nil {
			return 0, err
		}
		defer c.Disconnect(100)
		if token := c.Subscribe("$share/bench/"+drainTopic+"/+", 1, hear); token.Wait() && token.Error() != nil {
			return 0, token.Error()
		}
	}
	began := time.Now()
	err := l.publish(ctx, n, func(i int) (string, []byte, error) {
		_, payload, err := (&load{devices: l.devices, types: l.types, matches: map[int64]time.Time{}}).event(int64(i))
		return fmt.Sprintf("%s/%d", drainTopic, i%len(l.devices)), payload, err
	})
	if err != nil {
		return 0, err
	}
	select {
	case <-done:
		return time.Since(began), nil
	case <-time.After(patience):
		return 0, deviceops.Errorf(deviceops.ETIMEOUT, "%d of %d messages were drained", got.Load(), n)
	case <-ctx.Done():
		return 0, ctx.Err()
	}
}

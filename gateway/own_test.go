package gateway_test

import (
	"context"
	"fmt"
	"sync"
	"testing"
	"time"

	mqtt "github.com/eclipse/paho.mqtt.golang"
	"github.com/stretchr/testify/require"

	"github.com/deviceops/deviceops"
	"github.com/deviceops/deviceops/gateway"
	"github.com/deviceops/deviceops/postgres/postgrestest"
)

// words translate for the profile sensor; a test chooses the topics.
type words struct {
	deviceops.Translation
	mu      sync.Mutex
	filters []string
	again   bool
	topic   string
}

func (w *words) own(context.Context) ([]string, error) {
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.filters, nil
}

func (w *words) set(filters ...string) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.filters = filters
}

func (w *words) Down(c deviceops.Command, _ time.Time) (deviceops.Outgoing, error) {
	return deviceops.Outgoing{Topic: w.topic, Payload: []byte("do " + c.Name), Again: w.again}, nil
}

// directory knows that one profile.
type directory struct {
	deviceops.Translations
	words *words
}

func (d directory) OfDevices(_ context.Context, topic string) (string, error) {
	if topic == d.words.topic {
		return "sensor", nil
	}
	return "", nil
}

func (d directory) Translating(_ context.Context, _, profile string) (*deviceops.Profile, error) {
	if profile != "sensor" {
		return nil, nil
	}
	return &deviceops.Profile{Translation: d.words}, nil
}

func TestLanesHearOwnTopicsAsTheyArePublished(t *testing.T) {
	t.Parallel()
	for name, start := range brokers() {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			b := start(t)
			in, w := newInbox(), &words{}
			lanes, err := gateway.NewLanes(gateway.LanesConfig{
				Config: gateway.Config{Broker: b.URL(), Log: quiet, Timeout: 2 * time.Second},
				Holder: "a", TTL: time.Hour, Own: w.own, // however rarely leases are renewed
			}, postgrestest.New(t), in)
			require.NoError(t, err)
			run(t, lanes.Run)
			holds(t, lanes, gateway.DefaultLanes)
			d := connectDevice(t, b.URL(), "s1")
			say := func(payload string) { d.must(d.client.Publish("acme/s1/data", 1, false, payload)) }
			heard := func(payload string) int {
				in.mu.Lock()
				defer in.mu.Unlock()
				return in.payload[payload]
			}
			say("too early")
			w.set("acme/+/data")
			require.Eventually(t, func() bool { say("now"); return heard("now") > 0 }, soon, 50*time.Millisecond)
			require.Zero(t, heard("too early"))
			for n := range 20 {
				say(fmt.Sprint(n))
			}
			require.Eventually(t, func() bool { return in.taken() == 21 }, soon, tick)
			for n := range 20 {
				require.Equal(t, 1, heard(fmt.Sprint(n)), "lanes share what they hear")
			}
			w.set()
			n := 0
			require.Eventually(t, func() bool { // what was said before the last one has arrived by now
				n++
				say(fmt.Sprintf("late %d", n))
				return n > 20 && heard(fmt.Sprintf("late %d", n-20)) == 0
			}, soon, 50*time.Millisecond, "the topic is no longer translated")
		})
	}
}

func TestCommandsReachDevicesOnTheirOwnTopics(t *testing.T) {
	t.Parallel()
	b := startMochi(t, "tcp", nil)
	w := &words{topic: "acme/s1/cmd"}
	p := readyPublisher(t, gateway.Config{Broker: b.URL()})
	p.Own = directory{words: w}
	require.Equal(t, deviceops.EFORBIDDEN, deviceops.ErrorCode(p.PublishMessage(t.Context(), w.topic, nil, false)), "in the name of a device")
	require.NoError(t, p.PublishMessage(t.Context(), "plant/news", nil, false))
	d := connectDevice(t, b.URL(), "s1")
	told := make(chan string, 10)
	d.must(d.client.Subscribe("acme/#", 1, func(_ mqtt.Client, m mqtt.Message) { told <- m.Topic() + " " + string(m.Payload()) }))
	own := func(change func(c *deviceops.Command)) deviceops.Command {
		c := command("c1", "s1")
		c.Route.Profile = "sensor"
		change(&c)
		return c
	}
	publish := func(c deviceops.Command) error {
		sent, err := p.PublishCommands(t.Context(), []deviceops.Command{c}, noon)
		require.Equal(t, err == nil, len(sent) == 1)
		return err
	}
	require.NoError(t, publish(own(func(*deviceops.Command) {})))
	require.Equal(t, "acme/s1/cmd do diagnostics", <-told)

	again := own(func(c *deviceops.Command) { c.Status = deviceops.CommandSent })
	require.NoError(t, publish(again), "it counts as sent")
	w.again = true
	require.NoError(t, publish(again))
	require.Equal(t, "acme/s1/cmd do diagnostics", <-told, "what is idempotent is asked again")
	require.Empty(t, told, "what is not was not asked again")

	require.Equal(t, deviceops.ETIMEOUT, deviceops.ErrorCode(publish(own(func(c *deviceops.Command) { c.ExpiresAt = noon }))))
	require.Equal(t, deviceops.EEXHAUSTED, deviceops.ErrorCode(publish(own(func(c *deviceops.Command) { c.Route.MaxPayload = 3 }))))
	for topic, code := range map[string]string{"acme/+": deviceops.EINVALID, "deviceops/v1/k1/down/command": deviceops.EFORBIDDEN} {
		w.topic = topic
		require.Equal(t, code, deviceops.ErrorCode(publish(own(func(*deviceops.Command) {}))), topic)
	}
}

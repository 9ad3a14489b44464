package gateway_test

import (
	"context"
	"strings"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/testutil"
	"github.com/stretchr/testify/require"

	"github.com/deviceops/deviceops"
	"github.com/deviceops/deviceops/gateway"
	"github.com/deviceops/deviceops/protocol"
)

var noon = time.Date(2026, 5, 1, 12, 0, 0, 0, time.UTC)

func startPublisher(t *testing.T, c gateway.Config) *gateway.Publisher {
	t.Helper()
	c.Log = quiet
	p, err := gateway.NewPublisher(c)
	require.NoError(t, err)
	run(t, p.Run)
	return p
}

func readyPublisher(t *testing.T, c gateway.Config) *gateway.Publisher {
	t.Helper()
	p := startPublisher(t, c)
	require.Eventually(t, func() bool { return p.Ready() == nil }, soon, tick)
	return p
}

func command(id, device string) deviceops.Command {
	return deviceops.Command{
		ID: id, Device: device, Name: "diagnostics", Args: map[string]any{"deep": true}, Attempt: 2,
		ExpiresAt: noon.Add(90 * time.Second), Route: deviceops.Route{Boot: "b7"},
	}
}

func TestPublisherReachesDevices(t *testing.T) {
	t.Parallel()
	for name, start := range brokers() {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			b := start(t)
			p := readyPublisher(t, gateway.Config{Broker: b.URL()})
			k1, g1 := connectDevice(t, b.URL(), "k1"), connectDevice(t, b.URL(), "g1")
			k1.listen()
			g1.listen()

			child := command("c2", "child")
			child.Route.Via = "g1"
			sent, err := p.PublishCommands(t.Context(), []deviceops.Command{command("c1", "k1"), child}, noon)
			require.NoError(t, err)
			require.Equal(t, []deviceops.Sent{{ID: "c1", Attempt: 2, Boot: "b7"}, {ID: "c2", Attempt: 2, Boot: "b7"}}, sent)
			_, m := k1.next()
			require.Equal(t, &protocol.Command{ID: "c1", Name: "diagnostics", Args: protocol.Object{"deep": true}, Attempt: 2, ExpiresIn: 90}, m)
			_, m = g1.next()
			require.Equal(t, "child", m.(*protocol.Command).Child)

			require.NoError(t, p.PublishCancel(t.Context(), "k1", "c1"))
			_, m = k1.next()
			require.Equal(t, &protocol.Cancel{ID: "c1"}, m)

			require.NoError(t, p.PublishAcks(t.Context(), []deviceops.SeqKey{{Device: "k1", Boot: "b7", Seq: 41}}))
			_, m = k1.next()
			require.Equal(t, &protocol.Ack{Boot: "b7", Seq: 41}, m)

			require.NoError(t, p.PublishWelcomes(t.Context(), []deviceops.Welcome{{Device: "k1", State: deviceops.Active, Pending: 1}}, noon))
			leaf, m := k1.next()
			require.Equal(t, protocol.LeafWelcome, leaf)
			require.Equal(t, "active", m.(*protocol.Welcome).State)
		})
	}
}

func TestPublisherCancelsByTheGatewayOfAChild(t *testing.T) {
	t.Parallel()
	b := startMochi(t, "tcp", nil)
	p := readyPublisher(t, gateway.Config{Broker: b.URL()})
	p.Route = func(context.Context, string) (deviceops.Route, error) { return deviceops.Route{Via: "g1"}, nil }
	g1 := connectDevice(t, b.URL(), "g1")
	g1.listen()
	require.NoError(t, p.PublishCancel(t.Context(), "child", "c1"))
	_, m := g1.next()
	require.Equal(t, &protocol.Cancel{ID: "c1", Child: "child"}, m)
}

func TestPublisherSendsWhatItCanOfABatch(t *testing.T) {
	t.Parallel()
	b := startMochi(t, "tcp", nil)
	registry := prometheus.NewRegistry()
	p := readyPublisher(t, gateway.Config{Broker: b.URL(), Registerer: registry})
	late, wild, large := command("late", "k1"), command("wild", "k1/+"), command("large", "k1")
	late.ExpiresAt = noon
	large.Args = map[string]any{"text": strings.Repeat("x", 2000)}
	large.Route.MaxPayload = 1024
	sent, err := p.PublishCommands(t.Context(), []deviceops.Command{late, command("good", "k1"), wild, large}, noon)
	require.Equal(t, []deviceops.Sent{{ID: "good", Attempt: 2, Boot: "b7"}}, sent)
	require.Equal(t, deviceops.ETIMEOUT, deviceops.ErrorCode(err))
	require.ErrorContains(t, err, `"k1/+" cannot be part of a topic`)
	require.ErrorContains(t, err, "the device takes 1024")
	require.NoError(t, testutil.GatherAndCompare(registry, strings.NewReader(`
# HELP deviceops_gateway_publications_total Messages published to devices, by outcome.
# TYPE deviceops_gateway_publications_total counter
deviceops_gateway_publications_total{outcome="failed"} 3
deviceops_gateway_publications_total{outcome="ok"} 1
`), "deviceops_gateway_publications_total"))
}

func TestPublisherGivesUpOnADeadBroker(t *testing.T) {
	t.Parallel()
	const timeout = 300 * time.Millisecond
	p := startPublisher(t, gateway.Config{Broker: "tcp://127.0.0.1:1", Timeout: timeout})
	begin := time.Now()
	sent, err := p.PublishCommands(t.Context(), []deviceops.Command{command("c1", "k1")}, noon)
	require.Equal(t, deviceops.EUNAVAILABLE, deviceops.ErrorCode(err))
	require.Empty(t, sent)
	require.Less(t, time.Since(begin), 10*timeout)
	require.Equal(t, deviceops.EUNAVAILABLE, deviceops.ErrorCode(p.Ready()))
}

func TestPublisherSurvivesTheBroker(t *testing.T) {
	t.Parallel()
	b := startMosquitto(t)
	p := readyPublisher(t, gateway.Config{Broker: b.URL(), Timeout: 2 * time.Second})
	b.stop()
	require.Eventually(t, func() bool { return p.Ready() != nil }, soon, tick)
	b.start()
	require.Eventually(t, func() bool { return p.Ready() == nil }, soon, tick)
	k1 := connectDevice(t, b.URL(), "k1")
	k1.listen()
	_, err := p.PublishCommands(t.Context(), []deviceops.Command{command("c1", "k1")}, noon)
	require.NoError(t, err)
	_, m := k1.next()
	require.Equal(t, "c1", m.(*protocol.Command).ID)
}

func TestPublisherTakesLargeBatches(t *testing.T) {
	t.Parallel()
	for name, start := range brokers() {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			p := readyPublisher(t, gateway.Config{Broker: start(t).URL()})
			commands := make([]deviceops.Command, 2000)
			for i := range commands {
				commands[i] = command("c", "k1")
			}
			sent, err := p.PublishCommands(t.Context(), commands, noon)
			require.NoError(t, err)
			require.Len(t, sent, len(commands))
		})
	}
}

//go:build kafka

package forward_test

import (
	"strings"
	"testing"

	"github.com/IBM/sarama"
	"github.com/stretchr/testify/require"

	"github.com/deviceops/deviceops/forward"
	"github.com/deviceops/deviceops/outbound"
)

// startKafka starts a broker that speaks as much of Kafka as a producer hears.
func startKafka(t *testing.T, answer sarama.KError) *sarama.MockBroker {
	broker := sarama.NewMockBroker(t, 1)
	t.Cleanup(broker.Close)
	broker.SetHandlerByMap(map[string]sarama.MockResponse{
		"ApiVersionsRequest": sarama.NewMockApiVersionsResponse(t),
		"MetadataRequest":    sarama.NewMockMetadataResponse(t).SetBroker(broker.Addr(), broker.BrokerID()).SetLeader("telemetry", 0, broker.BrokerID()),
		"ProduceRequest":     sarama.NewMockProduceResponse(t).SetVersion(7).SetError("telemetry", 0, answer),
	})
	return broker
}

// produced gives the requests that carried messages.
func produced(broker *sarama.MockBroker) (requests []*sarama.ProduceRequest) {
	for _, r := range broker.History() {
		if p, ok := r.Request.(*sarama.ProduceRequest); ok {
			requests = append(requests, p)
		}
	}
	return requests
}

func TestMessagesOverKafka(t *testing.T) {
	t.Parallel()
	r := newRig(t)
	broker := startKafka(t, sarama.ErrNoError)
	r.publish(head + `  - { name: bus, pubsub: { url: "kafka://` + broker.Addr() + `/telemetry" } }` + "\n")
	r.forward()
	r.say(0, 3)
	r.eventually(func() bool { return r.target("bus").Delivered == 3 }, "all were taken")
	require.Len(t, produced(broker), 3, "one after the other, in order")
	require.Equal(t, sarama.WaitForAll, produced(broker)[0].RequiredAcks)
}

func TestKafkaRefusesWhatIsTooLarge(t *testing.T) {
	t.Parallel()
	r := newRig(t)
	broker := startKafka(t, sarama.ErrMessageSizeTooLarge)
	r.publish(head + `  - { name: bus, pubsub: { url: "kafka://` + broker.Addr() + `/telemetry" } }` + "\n")
	r.forward()
	r.say(0, 1)
	r.eventually(func() bool { return r.target("bus").DeadLetters == 1 }, "it is about the event")
}

func TestKafkaIsOutOfReachInPrivateNetworks(t *testing.T) {
	t.Parallel()
	r := newRig(t)
	broker := startKafka(t, sarama.ErrNoError)
	r.publish(head + `  - { name: bus, pubsub: { url: "kafka://` + broker.Addr() + `/telemetry", auth: { bearer: "secret:x" } }, retry: { delay: 1ms } }` + "\n")
	r.forward(with(vault{}), func(c *forward.Config) { c.Guard = outbound.NewGuard(nil) })
	r.say(0, 1)
	r.eventually(func() bool { return r.target("bus").Failures > 0 }, "it fails")
	require.Contains(t, r.target("bus").Error, "asks for a user and a password")
	r.publish(head + `  - { name: bus, pubsub: { url: "kafka://` + broker.Addr() + `/telemetry" }, retry: { delay: 1ms } }` + "\n")
	r.eventually(func() bool { return strings.Contains(r.target("bus").Error, "private or reserved network") }, "it fails by the guard")
	require.Empty(t, broker.History())
}

//go:build kafka

package forward

import (
	"context"
	"errors"
	"net/url"
	"strings"

	"github.com/IBM/sarama"
	"gocloud.dev/pubsub/kafkapubsub"

	"github.com/deviceops/deviceops"
)

func init() { openers["kafka"], openers["kafka+tls"] = openKafka, openKafka }

// openKafka connects to the broker of an address, and to the others of its
// cluster, by the guard alone. The topic is the path. All replicas that are in
// sync have a message before it counts as sent; messages of a device are in one
// partition, in their order.
func openKafka(ctx context.Context, s *pubSubSink, address *url.URL) (*openTopic, error) {
	config := kafkapubsub.MinimalConfig()
	config.ClientID, config.Version = "deviceops", sarama.V2_1_0_0 // the oldest that brokers of version 4 speak
	config.Producer.RequiredAcks = sarama.WaitForAll
	config.Net.MaxOpenRequests = 1 // a re-try overtakes nothing
	config.Net.Proxy.Enable, config.Net.Proxy.Dialer = true, guardDialer{s.guard}
	config.Net.TLS.Enable = address.Scheme == "kafka+tls"
	config.Net.ReadTimeout, config.Net.WriteTimeout, config.Producer.Timeout = messageTimeout, messageTimeout, messageTimeout/2
	if s.Auth != nil {
		if s.Auth.Kind != "basic" {
			return nil, deviceops.Errorf(deviceops.EINVALID, "Kafka asks for a user and a password: write auth: { basic: { username: ..., password: secret:... } }")
		}
		secret, err := s.secrets.get(ctx, s.Auth.Secret)
		if err != nil {
			return nil, err
		}
		config.Net.SASL.Enable, config.Net.SASL.User, config.Net.SASL.Password = true, s.Auth.Name, secret
	}
	topic, err := kafkapubsub.OpenTopic([]string{address.Host}, config, strings.TrimPrefix(address.Path, "/"), &kafkapubsub.TopicOptions{KeyName: "device"})
	if err != nil {
		return nil, err
	}
	return &openTopic{Topic: topic, refuses: func(err error) bool {
		var several sarama.ProducerErrors
		return topic.ErrorAs(err, &several) && len(several) > 0 && tooLarge(several[0].Err)
	}}, nil
}

// tooLarge reports what the client, or the broker, says of a message that is larger
// than may be.
func tooLarge(err error) bool {
	var own sarama.ConfigurationError
	return errors.Is(err, sarama.ErrMessageSizeTooLarge) || errors.As(err, &own) && strings.Contains(string(own), "larger than")
}

package gateway

import (
	"context"
	"strings"

	"github.com/deviceops/deviceops"
	"github.com/deviceops/deviceops/protocol"
)

var _ deviceops.Broker = (*Publisher)(nil)

// maxTopic is the longest topic, in bytes, that MQTT has.
const maxTopic = 65535

// PublishMessage implements deviceops.Broker.
func (p *Publisher) PublishMessage(ctx context.Context, topic string, payload []byte, retain bool) error {
	if err := p.checkTopic(topic); err != nil {
		return err
	}
	if err := p.checkOwn(ctx, topic); err != nil {
		return err
	}
	if len(payload) > deviceops.MaxMessage {
		return deviceops.Errorf(deviceops.EEXHAUSTED, "the message has %d bytes; at most %d are allowed: publish a URL of what is larger", len(payload), deviceops.MaxMessage)
	}
	b := p.batch(1)
	b.add(publication{topic: topic, payload: payload, retain: retain}, nil)
	return joined(b.publish(ctx))
}

// checkTopic keeps messages away from what devices listen to and from what the
// broker keeps for itself. The prefix is compared without regard to case and to
// empty levels, since a broker may map topics.
func (p *Publisher) checkTopic(topic string) error {
	switch {
	case topic == "" || len(topic) > maxTopic || strings.ContainsAny(topic, "+#\x00"):
		return deviceops.Errorf(deviceops.EINVALID, "%q is no topic to publish to: it has a name, and neither + nor #", topic)
	case strings.HasPrefix(topic, "$"):
		return deviceops.Errorf(deviceops.EINVALID, "topics that begin with $ belong to the broker")
	case below(topic, p.encoder.topics.Prefix()), below(topic, protocol.DefaultPrefix):
		return deviceops.Errorf(deviceops.EFORBIDDEN, "%s is below %s, where devices are spoken to: send a command instead", topic, p.encoder.topics.Prefix())
	default:
		return nil
	}
}

// checkOwn keeps messages away from the topics of devices that know only topics of
// their own: who wrote there would speak in the name of a device, or to it.
func (p *Publisher) checkOwn(ctx context.Context, topic string) error {
	if p.Own == nil {
		return nil
	}
	profile, err := p.Own.OfDevices(ctx, topic)
	if err != nil || profile == "" {
		return err
	}
	return deviceops.Errorf(deviceops.EFORBIDDEN, "on %s devices of the profile %s speak or are spoken to: send a command instead", topic, profile)
}

func below(topic, prefix string) bool {
	topic, prefix = plainTopic(topic), plainTopic(prefix)
	return topic == prefix || strings.HasPrefix(topic, prefix+"/")
}

func plainTopic(topic string) string {
	levels := strings.FieldsFunc(strings.ToLower(topic), func(r rune) bool { return r == '/' })
	return strings.Join(levels, "/")
}

package channel

import (
	"context"
	"strings"

	"github.com/deviceops/deviceops"
	"github.com/deviceops/deviceops/dsl"
)

// Hear implements deviceops.Channels.
func (c *Channels) Hear(ctx context.Context, hook deviceops.ChannelHook) (deviceops.ChannelNews, error) {
	ch, err := c.config.Source.Channel(ctx, hook.Account, hook.Channel)
	if err != nil {
		return deviceops.ChannelNews{}, err
	}
	if ch.Webhook == nil {
		return deviceops.ChannelNews{}, deviceops.Errorf(deviceops.EINVALID, "the channel %s listens to nothing: it has no webhook", ch.Name)
	}
	if err := c.verify(ctx, ch, hook); err != nil {
		return deviceops.ChannelNews{}, err
	}
	json, _ := dsl.DecodeJSON(hook.Body) // what is none is a text to the expressions
	said, err := ch.Webhook.Read(lowered(hook.Header), json, strings.ToValidUTF8(string(hook.Body), "\ufffd"))
	if err != nil {
		return deviceops.ChannelNews{}, deviceops.Errorf(deviceops.EINVALID, "channel %s: what came cannot be read: %w", ch.Name, err)
	}
	return news(ch, hook, said), nil
}

// news puts together what a message says. Without a name of its own, a message
// is known by its body.
func news(ch *dsl.Channel, hook deviceops.ChannelHook, said map[string]string) deviceops.ChannelNews {
	if said["ticket"] == "" {
		return deviceops.ChannelNews{}
	}
	id := said["id"]
	if id == "" {
		id = string(hook.Body)
	}
	return deviceops.ChannelNews{
		ID:      "news-" + deviceops.ShortHash(12, ch.Account, ch.Name, id),
		Remote:  deviceops.RemoteTicket{ID: said["ticket"], Status: said["status"], State: ch.State(said["status"])},
		Comment: said["comment"], By: said["by"],
	}
}

// verify checks where a message comes from.
func (c *Channels) verify(ctx context.Context, ch *dsl.Channel, hook deviceops.ChannelHook) error {
	secret := func(reference string) (string, error) { return c.secret(ctx, ch, reference, &deviceops.Redactor{}) }
	return ch.Webhook.Verify.Verify("channel "+ch.Name, hook.Header, hook.Body, hook.At, secret)
}

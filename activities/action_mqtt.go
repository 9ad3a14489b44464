package activities

import (
	"context"
	"encoding/json"

	"github.com/deviceops/deviceops"
)

var _ = addAction(NewAction(About{
	Name: "mqtt.publish", Summary: "publishes a message on the broker for other systems",
	Description: "Topics of devices are out of reach: use `command`, `device.configure`. Wildcards and topics that begin with $ are refused. The payload has at most 128 KiB.",
	Example: `
- action: mqtt.publish
  with:
    topic: plant/alerts/${{ device.labels.site }}
    json: { device: "${{ device.id }}", alert: dark }`,
}, publishMessage))

type publishArgs struct {
	Topic   string          `json:"topic" required:"true" max:"1000" doc:"where to"`
	JSON    json.RawMessage `json:"json" doc:"the payload, sent as JSON"`
	Payload string          `json:"payload" max:"131072" doc:"the payload, sent as it is; instead of json"`
	Retain  bool            `json:"retain" doc:"the broker keeps it for those who subscribe later"`
}

type publishOutput struct {
	Bytes int `json:"bytes" doc:"the size of the payload"`
}

func publishMessage(ctx context.Context, c *Call, args publishArgs) (publishOutput, error) {
	payload := []byte(args.Payload)
	switch {
	case args.JSON != nil && args.Payload != "":
		return publishOutput{}, deviceops.Errorf(deviceops.EINVALID, "mqtt.publish takes json or payload, not both")
	case args.JSON != nil:
		payload = args.JSON
	}
	if c.deps.Broker == nil {
		return publishOutput{}, deviceops.Errorf(deviceops.EUNAVAILABLE, "this worker has no connection to a broker")
	}
	return publishOutput{Bytes: len(payload)}, c.deps.Broker.PublishMessage(ctx, args.Topic, payload, args.Retain)
}

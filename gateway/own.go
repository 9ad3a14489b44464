package gateway

import (
	"time"

	"github.com/deviceops/deviceops"
	"github.com/deviceops/deviceops/protocol"
)

// ownCommand gives what to publish for a command to a device that knows only
// topics of its own. What was sent counts as sent: whether the device did it
// is for its reply to tell.
func (p *Publisher) ownCommand(t deviceops.Translation, c deviceops.Command, now time.Time) (publication, error) {
	if !c.ExpiresAt.IsZero() && !c.ExpiresAt.After(now) {
		return publication{}, deviceops.Errorf(deviceops.ETIMEOUT, "command %s expired before it could be sent", c.ID)
	}
	out, err := t.Down(c, now)
	if err != nil {
		return publication{}, err
	}
	if c.Status.InFlight() && !out.Again {
		return publication{done: true}, nil
	}
	if err := p.checkTopic(out.Topic); err != nil {
		return publication{}, err
	}
	limit := protocol.MaxPayload
	if c.Route.MaxPayload > 0 {
		limit = min(limit, c.Route.MaxPayload)
	}
	if len(out.Payload) > limit {
		return publication{}, deviceops.Errorf(deviceops.EEXHAUSTED, "command %s has %d bytes, and its device takes %d", c.ID, len(out.Payload), limit)
	}
	return publication{topic: out.Topic, payload: out.Payload}, nil
}

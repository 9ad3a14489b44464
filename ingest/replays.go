package ingest

import (
	"context"
	"time"

	"github.com/deviceops/deviceops"
)

// replayEvery is how often an Inbox looks for rejected messages that somebody
// asked to take in again, and replayBatch how many it takes at once.
const (
	replayEvery = time.Second
	replayBatch = 100
)

// RunReplays takes rejected messages in again, as they are asked for, until ctx
// ends.
func (b *Inbox) RunReplays(ctx context.Context) error {
	ticker := time.NewTicker(replayEvery)
	defer ticker.Stop()
	for {
		select {
		case <-ticker.C:
		case <-ctx.Done():
			return nil
		}
		for {
			n, err := b.Replay(ctx)
			if err != nil && ctx.Err() == nil {
				b.config.Log.Warn("rejected messages cannot be taken in again yet", "error", err)
			}
			if n < replayBatch || err != nil {
				break
			}
		}
	}
}

// Replay takes in what was asked for and is due, as if it had just come, by the
// profiles as they are published now; it gives the number of messages. What is
// rejected again is a rejected message again. A crash between the two steps
// takes messages in twice, as a broker may.
func (b *Inbox) Replay(ctx context.Context) (int, error) {
	claimed, err := b.config.Store.ClaimReplays(ctx, b.config.Now(), replayBatch)
	if err != nil || len(claimed) == 0 {
		return 0, err
	}
	if b.config.Translations != nil {
		b.config.Translations.Refresh()
	}
	messages := make([]deviceops.Message, len(claimed))
	ids := make([]int64, len(claimed))
	for n, r := range claimed {
		messages[n] = deviceops.Message{Topic: r.Topic, Payload: r.Payload, ReceivedAt: r.ReceivedAt}
		ids[n] = r.ID
	}
	if err := b.Deliver(ctx, messages); err != nil {
		return 0, err
	}
	return len(claimed), b.config.Store.DeleteRejected(ctx, ids)
}

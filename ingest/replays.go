package ingest

import (
	"context"
	"slices"
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

// replayed is a rejected message that is taken in again, and what has become of
// it.
type replayed struct {
	row      deviceops.Rejected
	items    []item
	rejected []deviceops.Rejected // no more than one
}

// Replay takes in what was asked for and is due, as if it had just come, by the
// profiles as they are published now; it gives the number of messages. What is
// rejected again is a rejected message again. Messages are no rejected ones any
// more by the transaction that takes them in, so that none is taken in twice,
// whoever claims it again after a crash.
func (b *Inbox) Replay(ctx context.Context) (int, error) {
	claimed, err := b.config.Store.ClaimReplays(ctx, b.config.Now(), replayBatch)
	if err != nil || len(claimed) == 0 {
		return 0, err
	}
	b.profiles.refresh()
	if b.config.Translations != nil {
		b.config.Translations.Refresh()
	}
	var again []replayed
	size := 0
	for _, row := range claimed {
		r := replayed{row: row}
		r.items, r.rejected, err = b.read(ctx, []deviceops.Message{{Topic: row.Topic, Payload: row.Payload, ReceivedAt: row.ReceivedAt}})
		if err != nil {
			return 0, err
		}
		r.keepNumber()
		if size += len(r.items); size > maxItems {
			if err := b.takeAgain(ctx, again); err != nil {
				return 0, err
			}
			again, size = nil, len(r.items)
		}
		again = append(again, r)
	}
	return len(claimed), b.takeAgain(ctx, again)
}

// keepNumber has what is known of the number of the message said of what is read
// from it.
func (r *replayed) keepNumber() {
	for n := range r.items {
		r.items[n].numbered = r.row.Numbered
	}
	for n := range r.rejected {
		r.rejected[n].Numbered = r.row.Numbered
	}
}

// takeAgain commits messages that are replayed, each of them as a whole: a part
// that was committed by itself would be taken in with the rest again.
func (b *Inbox) takeAgain(ctx context.Context, again []replayed) error {
	return halve(ctx, b.metrics, again, b.commitReplayed, b.refuseReplayed)
}

func (b *Inbox) commitReplayed(ctx context.Context, again []replayed) error {
	var items []item
	for _, r := range again {
		items = append(items, r.items...)
	}
	return b.commitAll(ctx, items, again)
}

// refuseReplayed rejects a message again that the store refuses by itself.
func (b *Inbox) refuseReplayed(ctx context.Context, r replayed, cause error) error {
	b.config.Log.Error("a message cannot be stored and is rejected again", "topic", r.row.Topic, "error", cause)
	refused := r.row
	refused.Code, refused.Reason = codeUnstorable, storable((&unstorable{cause}).Error())
	return b.commitReplayed(ctx, []replayed{{row: r.row, rejected: []deviceops.Rejected{refused}}})
}

// retake deletes the rejected messages that the items come from. One that is gone
// was taken in meanwhile by somebody whose lease was over or whose answer was lost,
// and is dropped.
func (t *transaction) retake(ctx context.Context) error {
	if len(t.again) == 0 {
		return nil
	}
	ids := make([]int64, len(t.again))
	for n, r := range t.again {
		ids[n] = r.row.ID
	}
	deleted, err := t.tx.DeleteRejected(ctx, ids)
	if err != nil {
		return err
	}
	all := len(t.items)
	t.items = nil
	for _, r := range t.again {
		if slices.Contains(deleted, r.row.ID) {
			t.items = append(t.items, r.items...)
			t.ledger.rejected = append(t.ledger.rejected, r.rejected...)
		}
	}
	t.duplicates += all - len(t.items)
	return nil
}

package ingest

import (
	"context"
	"sync"
	"time"
)

// owed is an ack that a device is to get at due. It was last seen at seen, which
// may not be stored yet.
type owed struct {
	journal
	due, seen time.Time
}

// acker sends the acks that came too soon after the one before. It keeps them
// in memory only: a device that misses one repeats its messages at its next
// hello and is told then.
type acker struct {
	acknowledge func(ctx context.Context, due map[journal]time.Time) error // and when their devices were last seen
	now         func() time.Time

	mu   sync.Mutex
	owed map[journal]owed

	stop    context.CancelFunc
	stopped chan struct{}
}

// ackTick is how often the acker looks for acks that are due, and ackBatch how
// many devices it locks at once.
const (
	ackTick  = time.Second
	ackBatch = 500
)

func newAcker(acknowledge func(ctx context.Context, due map[journal]time.Time) error, now func() time.Time) *acker {
	ctx, stop := context.WithCancel(context.Background())
	a := &acker{acknowledge: acknowledge, now: now, owed: map[journal]owed{}, stop: stop, stopped: make(chan struct{})}
	go a.run(ctx)
	return a
}

func (a *acker) run(ctx context.Context) {
	defer close(a.stopped)
	ticker := time.NewTicker(ackTick)
	defer ticker.Stop()
	for {
		select {
		case <-ticker.C:
			a.flush(ctx)
		case <-ctx.Done():
			return
		}
	}
}

func (a *acker) add(put []owed) {
	a.mu.Lock()
	defer a.mu.Unlock()
	for _, o := range put {
		if known, ok := a.owed[o.journal]; ok {
			o.due, o.seen = known.due, later(known.seen, o.seen)
		}
		a.owed[o.journal] = o
	}
}

// flush sends what is due. What could not be counted is owed still.
func (a *acker) flush(ctx context.Context) {
	for {
		due := a.takeDue()
		if len(due) == 0 || ctx.Err() != nil {
			return
		}
		if err := a.acknowledge(ctx, due); err != nil {
			a.putBack(due)
			return
		}
	}
}

func (a *acker) takeDue() map[journal]time.Time {
	a.mu.Lock()
	defer a.mu.Unlock()
	due, now := map[journal]time.Time{}, a.now()
	for j, o := range a.owed {
		if len(due) == ackBatch {
			break
		}
		if !o.due.After(now) {
			due[j] = o.seen
			delete(a.owed, j)
		}
	}
	return due
}

func (a *acker) putBack(due map[journal]time.Time) {
	a.mu.Lock()
	defer a.mu.Unlock()
	for j, seen := range due {
		a.owed[j] = owed{j, a.now().Add(ackTick), later(seen, a.owed[j].seen)}
	}
}

func (a *acker) close() {
	a.stop()
	<-a.stopped
}

package ingest

import (
	"context"
	"sync"
	"time"
)

// owed is an ack that a device is to get at due.
type owed struct {
	journal
	due time.Time
}

// acker sends the acks that came too soon after the one before. It keeps them
// in memory only: a device that misses one repeats its messages at its next
// hello and is told then.
type acker struct {
	acknowledge func(ctx context.Context, due map[journal]bool) error
	now         func() time.Time

	mu   sync.Mutex
	owed map[journal]time.Time

	stop    context.CancelFunc
	stopped chan struct{}
}

// ackTick is how often the acker looks for acks that are due, and ackBatch how
// many devices it locks at once.
const (
	ackTick  = time.Second
	ackBatch = 500
)

func newAcker(acknowledge func(ctx context.Context, due map[journal]bool) error, now func() time.Time) *acker {
	ctx, stop := context.WithCancel(context.Background())
	a := &acker{acknowledge: acknowledge, now: now, owed: map[journal]time.Time{}, stop: stop, stopped: make(chan struct{})}
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

func (a *acker) add(later []owed) {
	a.mu.Lock()
	defer a.mu.Unlock()
	for _, o := range later {
		if _, known := a.owed[o.journal]; !known {
			a.owed[o.journal] = o.due
		}
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

func (a *acker) takeDue() map[journal]bool {
	a.mu.Lock()
	defer a.mu.Unlock()
	due, now := map[journal]bool{}, a.now()
	for j, at := range a.owed {
		if at.After(now) || len(due) == ackBatch {
			continue
		}
		due[j] = true
		delete(a.owed, j)
	}
	return due
}

func (a *acker) putBack(due map[journal]bool) {
	a.mu.Lock()
	defer a.mu.Unlock()
	for j := range due {
		a.owed[j] = a.now().Add(ackTick)
	}
}

func (a *acker) close() {
	a.stop()
	<-a.stopped
}

package ingest

import (
	"context"
	"sync"
	"time"
)

// nudger tells workflows of rollouts that their numbers have changed: at once
// when that is urgent, else together with what follows within nudgeEvery, and
// never twice within nudgeLeast. What is lost with this process costs nothing
// but time: workflows count by themselves as well.
type nudger struct {
	send func(ctx context.Context, rollout string)
	now  func() time.Time

	mu   sync.Mutex
	due  map[string]time.Time // rollouts that have to be told
	last map[string]time.Time // when they were

	stop    context.CancelFunc
	stopped chan struct{}
}

func newNudger(send func(ctx context.Context, rollout string), now func() time.Time) *nudger {
	ctx, stop := context.WithCancel(context.Background())
	n := &nudger{send: send, now: now, due: map[string]time.Time{}, last: map[string]time.Time{}, stop: stop, stopped: make(chan struct{})}
	go n.run(ctx)
	return n
}

func (n *nudger) run(ctx context.Context) {
	defer close(n.stopped)
	ticker := time.NewTicker(nudgeTick)
	defer ticker.Stop()
	for {
		select {
		case <-ticker.C:
			for _, rollout := range n.takeDue() {
				n.send(ctx, rollout)
			}
		case <-ctx.Done():
			return
		}
	}
}

// add notes news of rollouts, and whether they are urgent.
func (n *nudger) add(nudges map[string]bool) {
	n.mu.Lock()
	defer n.mu.Unlock()
	now := n.now()
	for rollout, urgent := range nudges {
		pause := nudgeEvery
		if urgent {
			pause = nudgeLeast
		}
		at := n.last[rollout].Add(pause)
		if at.Before(now) {
			at = now
			if !urgent {
				at = now.Add(nudgeEvery) // the first of a series waits for what follows
			}
		}
		if known, ok := n.due[rollout]; !ok || at.Before(known) {
			n.due[rollout] = at
		}
	}
}

// takeDue gives the rollouts that are to be told now, and forgets those that
// have been quiet for long.
func (n *nudger) takeDue() (due []string) {
	n.mu.Lock()
	defer n.mu.Unlock()
	now := n.now()
	for rollout, at := range n.due {
		if !at.After(now) {
			due = append(due, rollout)
			delete(n.due, rollout)
			n.last[rollout] = now
		}
	}
	for rollout, at := range n.last {
		if at.Add(nudgeEvery).Before(now) {
			delete(n.last, rollout)
		}
	}
	return due
}

func (n *nudger) close() {
	n.stop()
	<-n.stopped
}

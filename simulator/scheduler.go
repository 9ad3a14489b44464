package simulator

import (
	"container/heap"
	"context"
	"sync"
	"time"
)

// scheduler is one timer for the whole fleet: a heap of moments and what to
// put into which mailbox then.
type scheduler struct {
	mu    sync.Mutex
	queue alarms
	wake  chan struct{}
}

type alarm struct {
	at     time.Time
	device *device
	do     func()
}

func newScheduler() *scheduler { return &scheduler{wake: make(chan struct{}, 1)} }

// after posts do to the device's mailbox once d has passed.
func (s *scheduler) after(d time.Duration, to *device, do func()) {
	s.mu.Lock()
	a := &alarm{at: time.Now().Add(d), device: to, do: do}
	heap.Push(&s.queue, a)
	first := s.queue[0] == a
	s.mu.Unlock()
	if first {
		s.nudge()
	}
}

func (s *scheduler) nudge() {
	select {
	case s.wake <- struct{}{}:
	default:
	}
}

func (s *scheduler) run(ctx context.Context) {
	timer := time.NewTimer(0)
	defer timer.Stop()
	for {
		select {
		case <-ctx.Done():
			return
		case <-timer.C:
		case <-s.wake:
		}
		timer.Reset(s.fire(time.Now()))
	}
}

// fire posts what is due and gives the time until the next.
func (s *scheduler) fire(now time.Time) time.Duration {
	s.mu.Lock()
	defer s.mu.Unlock()
	for len(s.queue) > 0 {
		next := s.queue[0]
		if wait := next.at.Sub(now); wait > 0 {
			return wait
		}
		heap.Pop(&s.queue)
		next.device.post(next.do)
	}
	return time.Hour
}

// alarms implements heap.Interface.
type alarms []*alarm

func (a alarms) Len() int           { return len(a) }
func (a alarms) Less(i, j int) bool { return a[i].at.Before(a[j].at) }
func (a alarms) Swap(i, j int)      { a[i], a[j] = a[j], a[i] }
func (a *alarms) Push(x any)        { *a = append(*a, x.(*alarm)) }
func (a *alarms) Pop() any {
	old := *a
	last := old[len(old)-1]
	old[len(old)-1] = nil
	*a = old[:len(old)-1]
	return last
}

package gateway

import (
	"context"
	"sync"
	"time"

	mqtt "github.com/eclipse/paho.mqtt.golang"

	"github.com/deviceops/deviceops"
)

// arrival is a message and the way to acknowledge it.
type arrival struct {
	message deviceops.Message
	ack     func()
}

func arrive(m mqtt.Message, at time.Time) arrival {
	return arrival{message: deviceops.Message{Topic: m.Topic(), Payload: m.Payload(), ReceivedAt: at, Retained: m.Retained()}, ack: m.Ack}
}

// queue holds what came in and is not delivered, bounded in number and bytes.
// A full queue blocks push and so, in turn, the connection and the broker.
type queue struct {
	maxItems, maxBytes int

	mu     sync.Mutex
	space  *sync.Cond
	filled chan struct{} // signaled when something was pushed
	items  []arrival
	bytes  int
	closed bool
}

func newQueue(maxItems, maxBytes int) *queue {
	q := &queue{maxItems: maxItems, maxBytes: maxBytes, filled: make(chan struct{}, 1)}
	q.space = sync.NewCond(&q.mu)
	return q
}

// push waits for space. After close it drops, which leaves the message with the
// broker.
func (q *queue) push(a arrival) {
	q.mu.Lock()
	defer q.mu.Unlock()
	for !q.closed && len(q.items) > 0 && (len(q.items) >= q.maxItems || q.bytes+len(a.message.Payload) > q.maxBytes) {
		q.space.Wait()
	}
	if q.closed {
		return
	}
	q.items = append(q.items, a)
	q.bytes += len(a.message.Payload)
	q.signal()
}

func (q *queue) signal() {
	select {
	case q.filled <- struct{}{}:
	default:
	}
}

// take waits for the first message, then for more as long as some come within
// each linger, but not longer than longest in all, and gives up to most. Nothing
// when ctx ends first.
func (q *queue) take(ctx context.Context, most int, linger, longest time.Duration) []arrival {
	for q.len() == 0 {
		select {
		case <-q.filled:
		case <-ctx.Done():
			return nil
		}
	}
	begin, before := time.Now(), 0
	for n := q.len(); n > before && n < most && time.Since(begin) < longest; n = q.len() {
		before = n
		sleep(ctx, linger)
	}
	return q.pop(most)
}

func (q *queue) len() int {
	q.mu.Lock()
	defer q.mu.Unlock()
	return len(q.items)
}

func (q *queue) pop(most int) []arrival {
	q.mu.Lock()
	defer q.mu.Unlock()
	n := min(most, len(q.items))
	taken := append([]arrival(nil), q.items[:n]...)
	rest := copy(q.items, q.items[n:])
	clear(q.items[rest:])
	q.items = q.items[:rest]
	for _, a := range taken {
		q.bytes -= len(a.message.Payload)
	}
	q.space.Broadcast()
	return taken
}

func (q *queue) close() {
	q.mu.Lock()
	defer q.mu.Unlock()
	q.closed = true
	q.space.Broadcast()
}

package gateway

import (
	"context"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/deviceops/deviceops"
)

func arrivalOf(payload string) arrival {
	return arrival{message: deviceops.Message{Payload: []byte(payload)}}
}

// pushes pushes in the background and tells when it is done.
func pushes(q *queue, payload string) <-chan struct{} {
	done := make(chan struct{})
	go func() {
		defer close(done)
		q.push(arrivalOf(payload))
	}()
	return done
}

func TestQueueIsBounded(t *testing.T) {
	t.Parallel()
	for name, test := range map[string]struct {
		maxItems, maxBytes int
		payload            string
	}{
		"in number": {2, 1 << 20, "x"},
		"in bytes":  {100, 10, "xxxxx"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			q := newQueue(test.maxItems, test.maxBytes)
			<-pushes(q, test.payload)
			<-pushes(q, test.payload)
			third := pushes(q, test.payload)
			require.Len(t, q.take(t.Context(), 1, 0, 0), 1)
			<-third
			require.Len(t, q.take(t.Context(), 100, time.Millisecond, time.Hour), 2)
			require.Zero(t, q.bytes)
		})
	}
}

func TestQueueTakesOneThatIsLargerThanItsBound(t *testing.T) {
	t.Parallel()
	q := newQueue(10, 3)
	<-pushes(q, "larger")
	require.Len(t, q.take(t.Context(), 10, 0, 0), 1)
}

func TestQueueWaitsForMoreWhileMoreComes(t *testing.T) {
	t.Parallel()
	q := newQueue(1000, 1<<20)
	stop, stopped := make(chan struct{}), make(chan struct{})
	go func() {
		defer close(stopped)
		for often := time.NewTicker(time.Millisecond); ; {
			select {
			case <-stop:
				often.Stop()
				return
			case <-often.C:
				q.push(arrivalOf("a"))
			}
		}
	}()
	require.Len(t, q.take(t.Context(), 20, 100*time.Millisecond, time.Hour), 20, "as many as may be taken")
	begin := time.Now()
	require.NotEmpty(t, q.take(t.Context(), 1000, 50*time.Millisecond, 200*time.Millisecond))
	require.GreaterOrEqual(t, time.Since(begin), 200*time.Millisecond, "not for ever")
	close(stop)
	<-stopped
	q.push(arrivalOf("a"))
	require.NotEmpty(t, q.take(t.Context(), 1000, time.Millisecond, time.Hour), "and not for what does not come")
}

func TestQueueGivesUp(t *testing.T) {
	t.Parallel()
	q := newQueue(1, 100)
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	require.Empty(t, q.take(ctx, 10, time.Hour, time.Hour))
	<-pushes(q, "a")
	blocked := pushes(q, "b")
	q.close()
	<-blocked
	require.Equal(t, 1, q.len(), "what came after the end is left with the broker")
}

package gateway

import (
	"context"
	"fmt"
	"log/slog"
	"sync/atomic"
	"time"

	mqtt "github.com/eclipse/paho.mqtt.golang"

	"github.com/deviceops/deviceops"
)

// Bounds of what one lane holds in memory and delivers at once. A batch is a
// transaction, whose cost hardly depends on its size: where messages come fast,
// few large ones keep up with them and many small ones do not.
const (
	batchSize  = 1000
	linger     = 3 * time.Millisecond  // how long a batch waits for company
	longest    = 25 * time.Millisecond // and how long where that goes on coming
	queueItems = 2000
	queueBytes = 16 << 20
)

// Waits between deliveries of a batch that the inbox did not take.
const (
	firstRetry = 100 * time.Millisecond
	lastRetry  = 5 * time.Second
)

// stopGrace is how long a delivery that is under way may go on when its lane
// stops.
const stopGrace = 5 * time.Second

// lane is one member of the shared subscription, connected.
type lane struct {
	link    *link
	queue   *queue
	inbox   deviceops.Inbox
	log     *slog.Logger
	metrics *metrics
	failing atomic.Bool // the inbox refused the batch that is being delivered
	ears    *ears

	stop    context.CancelFunc
	stopped chan struct{}
}

// ClientID gives the fixed MQTT client id of lane n.
func ClientID(n int) string { return fmt.Sprintf("deviceops-lane-%d", n) }

// startLane connects lane n and delivers until stop is called.
func startLane(c Config, n int, f *filters, inbox deviceops.Inbox, m *metrics) (*lane, error) {
	options, err := c.options(ClientID(n), false)
	if err != nil {
		return nil, err
	}
	l := &lane{
		queue: newQueue(queueItems, queueBytes), inbox: inbox,
		log: c.Log.With("lane", n), metrics: m, stopped: make(chan struct{}),
	}
	options.SetAutoAckDisabled(true).SetDefaultPublishHandler(func(_ mqtt.Client, m mqtt.Message) {
		l.metrics.messages.Inc()
		l.queue.push(arrive(m, time.Now()))
	})
	l.ears = &ears{filters: f, timeout: c.Timeout, log: l.log}
	l.link = newLink(options, l.ears.open, c.Timeout, c.Log)
	ctx, cancel := context.WithCancel(context.Background())
	l.stop = cancel
	go l.run(ctx)
	return l, nil
}

// listen makes the lane hear what its filters say now, if it is connected; else
// it will when it is.
func (l *lane) listen() {
	if l.link.ready() == nil {
		go l.ears.listen(l.link.client)
	}
}

// run delivers until ctx ends. The connection is closed after the last batch,
// so that its acknowledgements still go out; if it is lost before that, most
// likely to the next holder of the lane, it is not renewed.
func (l *lane) run(ctx context.Context) {
	defer close(l.stopped)
	linkCtx, disconnect := context.WithCancel(context.Background())
	linked := make(chan struct{})
	go func() {
		defer close(linked)
		l.link.run(linkCtx)
	}()
	context.AfterFunc(ctx, func() { l.link.last.Store(true) })
	for ctx.Err() == nil {
		l.deliver(ctx, l.queue.take(ctx, batchSize, linger, longest))
	}
	l.queue.close()
	disconnect()
	<-linked
}

// deliver gives a batch to the inbox until it takes it, and only then
// acknowledges.
func (l *lane) deliver(ctx context.Context, arrivals []arrival) {
	if len(arrivals) == 0 {
		return
	}
	messages := make([]deviceops.Message, len(arrivals))
	for i, a := range arrivals {
		messages[i] = a.message
	}
	for wait := firstRetry; ; wait = min(2*wait, lastRetry) {
		err := l.try(ctx, messages)
		if l.tell(err); err == nil {
			break
		}
		if sleep(ctx, wait); ctx.Err() != nil {
			return // unacknowledged: the broker delivers it to whoever holds the lane next
		}
	}
	for _, a := range arrivals {
		a.ack()
	}
}

// try lets a delivery that has begun end even when the lane stops, since the
// broker would only send it all again.
func (l *lane) try(ctx context.Context, messages []deviceops.Message) error {
	work, cancel := context.WithCancel(context.WithoutCancel(ctx))
	defer cancel()
	defer context.AfterFunc(ctx, func() { sleep(work, stopGrace); cancel() })()
	begin := time.Now()
	err := l.inbox.Deliver(work, messages)
	l.metrics.delivered(err, time.Since(begin))
	return err
}

// tell logs the first failure of a batch and the success that ends it.
func (l *lane) tell(err error) {
	failing := err != nil
	if l.failing.Swap(failing) == failing {
		return
	}
	if failing {
		l.log.Error("the inbox takes no messages; the broker keeps them", "error", err)
	} else {
		l.log.Info("the inbox takes messages again")
	}
}

func (l *lane) ready() error {
	if l.failing.Load() {
		return deviceops.Errorf(deviceops.EUNAVAILABLE, "the inbox takes no messages")
	}
	return l.link.ready()
}

package ingest

import (
	"context"
	"hash/fnv"
	"slices"
	"sync"
	"time"

	"github.com/deviceops/deviceops"
)

// ackEvery is how often a device is told, at most, what is committed. One that
// gave nothing but answers to commands is told after ackAnswers: an ack has no
// news for it, and those of a fleet that was commanded all at once would compete
// with the commands. Devices repeat what is not acknowledged for 30 s.
const (
	ackEvery   = 10 * time.Second
	ackAnswers = 2 * ackEvery
)

// ackRound is how long it is from one turn of a device to the next: ackEvery, and
// by how much acks may be late without missing it.
const ackRound = ackEvery + 2*ackTick

// nextTurn gives the first turn of a device that is not before at. Devices have
// turns of their own, or a fleet that once spoke all at once would be acknowledged
// all at once for ever after, with nothing to do in between.
func nextTurn(device string, at time.Time) time.Time {
	hash := fnv.New64a()
	hash.Write([]byte(device))
	turn := at.Truncate(ackRound).Add(time.Duration(hash.Sum64() % uint64(ackRound)))
	if turn.Before(at) {
		turn = turn.Add(ackRound)
	}
	return turn
}

// owed is an ack that a device is to get at due. It was last seen at seen, which
// may not be stored yet.
type owed struct {
	journal
	due, seen time.Time
}

// acker sends the acks of devices of which nothing else had to be written. Those
// that came too soon after the one before wait here. It keeps them in memory only:
// a device that misses one repeats its messages at its next hello and is told then.
type acker struct {
	acknowledge func(ctx context.Context, due []deviceops.OwedAck) error
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

func newAcker(acknowledge func(ctx context.Context, due []deviceops.OwedAck) error, now func() time.Time) *acker {
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

// takeDue takes acks that are due, no more than one of each device.
func (a *acker) takeDue() (due []deviceops.OwedAck) {
	a.mu.Lock()
	defer a.mu.Unlock()
	now, taken := a.now(), map[string]bool{}
	for j, o := range a.owed {
		if len(due) == ackBatch {
			break
		}
		if !o.due.After(now) && !taken[j.device] {
			taken[j.device] = true
			due = append(due, deviceops.OwedAck{Device: j.device, Boot: j.boot, SeenAt: o.seen})
			delete(a.owed, j)
		}
	}
	return due
}

func (a *acker) putBack(due []deviceops.OwedAck) {
	a.mu.Lock()
	defer a.mu.Unlock()
	for _, o := range due {
		j := journal{o.Device, o.Boot}
		a.owed[j] = owed{j, a.now().Add(ackTick), later(o.SeenAt, a.owed[j].seen)}
	}
}

func (a *acker) close() {
	a.stop()
	<-a.stopped
}

// acknowledge counts what is committed for devices whose ack is due, and tells them.
func (b *Inbox) acknowledge(ctx context.Context, due []deviceops.OwedAck) error {
	reached, err := b.config.Store.Acknowledge(ctx, due, b.config.Now())
	if err != nil {
		return err
	}
	acks := slices.DeleteFunc(reached, func(k deviceops.SeqKey) bool { return k.Seq == 0 })
	b.effects.begin(ctx, outcome{acks: acks})
	return nil
}

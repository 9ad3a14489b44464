package forward

import (
	"context"
	"errors"
	"sync"
	"sync/atomic"
	"time"

	"github.com/deviceops/deviceops"
	"github.com/deviceops/deviceops/dsl"
)

// pageSize is how many events are read at once.
const pageSize = 1000

// noteEvery is how often a place is noted that moves over events that are not
// selected. Who takes over reads these again.
const noteEvery = 5 * time.Second

// runner forwards to one target while its process holds it.
type runner struct {
	*Forwarder
	key       deviceops.TargetKey
	version   *version
	target    *dsl.RouteTarget
	sink      sink
	replaying atomic.Int64 // dead letters whose replay was asked for, as of the last look at the lease

	stop  context.CancelFunc
	ended chan struct{}

	cursor atomic.Int64 // events up to this id are done
	noted  time.Time    // when the cursor was
	owed   outcome      // what is not noted yet

	mu sync.Mutex // guards trouble
	trouble
}

// outcome is what became of events.
type outcome struct {
	delivered int64
	dead      []deviceops.DeadLetter
}

func (o *outcome) nothing() bool { return o.delivered == 0 && len(o.dead) == 0 }

func (o *outcome) add(more outcome) {
	o.delivered += more.delivered
	o.dead = append(o.dead, more.dead...)
}

// trouble is how a target fails at the moment; the zero value: it does not.
type trouble struct {
	failures int
	since    time.Time
	message  string
	next     time.Time
}

func newRunner(f *Forwarder, row deviceops.RouteTarget, v *version, t *dsl.RouteTarget) *runner {
	r := &runner{
		Forwarder: f, key: row.TargetKey, version: v, target: t, ended: make(chan struct{}), stop: func() {},
		trouble: trouble{failures: row.Failures, since: row.FailingSince, message: row.Error},
	}
	r.cursor.Store(row.Cursor)
	r.replaying.Store(row.Replaying)
	r.sink = newSink(f.config, row.Account, t)
	return r
}

func (r *runner) start(ctx context.Context) {
	ctx, r.stop = context.WithCancel(ctx)
	go func() {
		defer close(r.ended)
		defer r.sink.close()
		var measuring sync.WaitGroup
		defer measuring.Wait()
		measuring.Go(func() { r.measure(ctx) })
		var pause time.Duration
		for ctx.Err() == nil {
			if err := r.step(ctx); err == nil {
				pause = 0
			} else if ctx.Err() == nil {
				pause = min(max(2*pause, r.config.Poll), 10*time.Second)
				r.config.Log.Warn("a route cannot read or note events", "route", r.key, "account", r.key.Account, "error", err)
				sleep(ctx, pause)
			}
		}
		r.leave(context.WithoutCancel(ctx))
	}()
}

// step does what there is to do, or waits for it a little. An error is one of the
// store.
func (r *runner) step(ctx context.Context) error {
	more, err := r.catchUp(ctx)
	if err != nil {
		return err
	}
	safe, changed := r.horizon.get()
	if safe <= r.cursor.Load() {
		select {
		case <-changed:
		case <-ctx.Done():
		case <-time.After(r.pause(more)):
		}
		return nil
	}
	selected := deviceops.EventSelection{Account: r.key.Account, Types: r.version.Types, After: r.cursor.Load(), UpTo: safe, Limit: pageSize}
	events, err := r.config.Store.RouteEvents(ctx, selected)
	if err != nil {
		return err
	}
	if wait := r.collect(events); wait > 0 {
		sleep(ctx, min(wait, r.pause(more)))
		return nil
	}
	if len(events) == 0 {
		return r.passOver(ctx, safe)
	}
	upTo := safe
	if len(events) == pageSize {
		upTo = events[len(events)-1].ID
	}
	return r.forward(ctx, events, upTo)
}

// catchUp notes what is owed and tries dead letters again, of which there may be
// more: then nothing is waited for.
func (r *runner) catchUp(ctx context.Context) (more bool, err error) {
	if !r.owed.nothing() {
		if err := r.note(ctx); err != nil {
			return false, err
		}
	}
	if r.replaying.Load() > 0 {
		return r.replay(ctx)
	}
	return false, nil
}

// pause is how long a step waits at most where it finds nothing to do.
func (r *runner) pause(more bool) time.Duration {
	if more {
		return 0
	}
	return r.config.Lease / 5
}

// collect says how long to wait until events fill a list.
func (r *runner) collect(events []deviceops.Event) time.Duration {
	if h := r.target.HTTP; h != nil && h.Per > 0 && len(events) > 0 && len(events) < h.Batch {
		return events[0].ReceivedAt.Add(h.Per).Sub(r.config.Now())
	}
	return 0
}

// passOver moves on where nothing was selected.
func (r *runner) passOver(ctx context.Context, upTo int64) error {
	r.cursor.Store(upTo)
	if r.config.Now().Before(r.noted.Add(noteEvery)) {
		return nil
	}
	return r.note(ctx)
}

// forward delivers events and notes how far that went: now and then while
// deliveries go on, at their end, and when they are cut short by the end of ctx.
func (r *runner) forward(ctx context.Context, events []deviceops.Event, upTo int64) error {
	p, err := r.shape(ctx, events)
	if err != nil {
		return err
	}
	from := r.cursor.Load()
	note := func(ctx context.Context) error {
		r.cursor.Store(p.place(from, upTo))
		r.owed.add(p.news())
		return r.note(ctx)
	}
	p.deliver(ctx, func() { _ = note(ctx) }) // what fails is owed
	if ctx.Err() != nil {
		return r.leaving(ctx, note)
	}
	return note(ctx)
}

// note writes down the cursor and what is owed with it. What could not be
// written stays owed, since the cursor may have moved beyond it.
func (r *runner) note(ctx context.Context) error {
	now := r.config.Now()
	err := r.config.Store.InTx(ctx, func(ctx context.Context, tx deviceops.Tx) error {
		if err := tx.AdvanceTarget(ctx, r.config.Holder, r.key, r.progress(r.owed.delivered, now)); err != nil {
			return err
		}
		return tx.SaveDeadLetters(ctx, r.owed.dead)
	})
	if deviceops.ErrorCode(err) == deviceops.ECONFLICT {
		r.stop() // somebody else goes on, from the last place that was noted
		return nil
	}
	if err != nil {
		return err
	}
	r.noted = now
	r.metrics.told(r.key, r.owed)
	r.owed = outcome{}
	return nil
}

func (r *runner) progress(delivered int64, now time.Time) deviceops.RouteProgress {
	r.mu.Lock()
	defer r.mu.Unlock()
	return deviceops.RouteProgress{
		Cursor: r.cursor.Load(), Delivered: delivered, At: now,
		Failures: r.failures, FailingSince: r.since, Error: r.message, NextTry: r.next,
	}
}

// leave notes the place of a runner that ends.
func (r *runner) leave(ctx context.Context) {
	if err := r.leaving(ctx, r.note); err != nil {
		r.config.Log.Warn("the place of a route could not be noted; some events are delivered again", "route", r.key, "error", err)
	}
}

// leaving gives what a runner does at its end a moment, whatever ended it.
func (r *runner) leaving(ctx context.Context, do func(context.Context) error) error {
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), 2*time.Second)
	defer cancel()
	return do(ctx)
}

// failed notes that a delivery failed and gives the pause before the next try.
func (r *runner) failed(ctx context.Context, err error, try int) time.Duration {
	pause := jitter(r.target.Retry.Delay(try))
	var busy *unavailable
	if errors.As(err, &busy) {
		pause = max(pause, min(busy.after, maxRetryAfter))
	}
	now := r.config.Now()
	r.mu.Lock()
	if r.failures++; r.since.IsZero() {
		r.since = now
	}
	r.message, r.next = deviceops.ErrorMessage(err), now.Add(pause)
	first := r.failures == 1
	r.mu.Unlock()
	if first {
		r.config.Log.Warn("a target of a route fails", "route", r.key, "account", r.key.Account, "error", deviceops.ErrorMessage(err))
	}
	r.metrics.failed(r.key)
	_ = r.config.Store.AdvanceTarget(ctx, r.config.Holder, r.key, r.progressAt(now)) // the next failure tells it again
	return pause
}

// progressAt tells trouble and no new place, since deliveries are under way.
func (r *runner) progressAt(now time.Time) deviceops.RouteProgress {
	p := r.progress(0, now)
	p.Cursor = 0
	return p
}

// took notes that the target takes deliveries.
func (r *runner) took() {
	r.mu.Lock()
	was := r.failures
	r.trouble = trouble{}
	r.mu.Unlock()
	if was > 0 {
		r.config.Log.Info("a target of a route works again", "route", r.key, "account", r.key.Account, "failures", was)
	}
}

// sleep waits for d or the end of ctx.
func sleep(ctx context.Context, d time.Duration) {
	select {
	case <-time.After(d):
	case <-ctx.Done():
	}
}

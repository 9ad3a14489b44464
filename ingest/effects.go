package ingest

import (
	"context"
	"errors"
	"log/slog"
	"slices"
	"sync"

	"github.com/deviceops/deviceops"
)

// Sizes of the pools that carry out effects.
const (
	publishers     = 4    // batches that are published at once
	publishQueue   = 64   // batches that wait for that; the next holds its lane up
	followers      = 8    // starts and completions at once
	followQueue    = 4096 // that wait; more are left to the sweeper and the leases
	startsPerChunk = 20   // starts that one follower does in a row, then marks done at once
)

// effects carries out what follows from committed batches. See the package
// comment for what becomes of those that fail.
type effects struct {
	config  Config
	starts  deviceops.Starts // the outbox
	metrics *metrics
	publish *pool
	follow  *pool
}

func newEffects(c Config, m *metrics) *effects {
	return &effects{config: c, starts: c.Store, metrics: m, publish: newPool(publishers, publishQueue), follow: newPool(followers, followQueue)}
}

func (e *effects) close(ctx context.Context) error {
	return errors.Join(e.publish.close(ctx), e.follow.close(ctx))
}

func (e *effects) begin(ctx context.Context, o outcome) {
	if o.publishes() {
		e.publish.push(ctx, func(ctx context.Context) { e.publishAll(ctx, o) })
	}
	e.offerStarts(o.starts)
	for _, c := range o.ended {
		e.offered("complete", e.follow.offerFirst(func(ctx context.Context) { e.complete(ctx, c) }))
	}
}

func (e *effects) offerStarts(starts []deviceops.Start) {
	for chunk := range slices.Chunk(starts, startsPerChunk) {
		e.offered("start", e.follow.offer(func(ctx context.Context) { e.start(ctx, chunk) }))
	}
}

// offered counts what the pool had no room for.
func (e *effects) offered(kind string, taken bool) {
	if !taken {
		e.metrics.dropped.WithLabelValues(kind).Inc()
	}
}

func (o outcome) publishes() bool {
	return len(o.welcomes)+len(o.acks)+len(o.hello.Devices)+len(o.ready.Devices) > 0
}

// publishAll welcomes before it commands: a welcome carries the time and what
// is committed.
func (e *effects) publishAll(ctx context.Context, o outcome) {
	if len(o.welcomes) > 0 {
		e.note("welcome", e.config.Gateway.PublishWelcomes(ctx, o.welcomes, e.config.Now()))
	}
	if len(o.acks) > 0 {
		e.note("ack", e.config.Gateway.PublishAcks(ctx, o.acks))
	}
	dispatcher := deviceops.Dispatcher{Store: e.config.Store, Gateway: e.config.Gateway}
	for _, q := range []deviceops.ClaimQuery{o.hello, o.ready} {
		if len(q.Devices) > 0 {
			q.Now = e.config.Now()
			_, err := dispatcher.Dispatch(ctx, q)
			e.note("dispatch", err)
		}
	}
}

func (e *effects) start(ctx context.Context, starts []deviceops.Start) {
	startAll(ctx, e.starts, e.config.Orchestrator, starts, func(err error) { e.note("start", err) })
}

// startAll starts workflows and takes those that run out of the outbox.
func startAll(ctx context.Context, store deviceops.Starts, o deviceops.Orchestrator, starts []deviceops.Start, note func(error)) int {
	var done []string
	for _, s := range starts {
		_, err := o.Start(ctx, s)
		if note(err); err == nil {
			done = append(done, s.WorkflowID)
		}
	}
	if len(done) > 0 {
		note(store.DoneStarts(ctx, done))
	}
	return len(done)
}

func (e *effects) complete(ctx context.Context, c deviceops.Command) {
	e.note("complete", e.config.Orchestrator.Complete(ctx, *c.Waiter, c))
}

// nudge is done again by whoever decides for the rollout: it counts every while.
func (e *effects) nudge(ctx context.Context, rollout string) {
	e.note("nudge", nudge(ctx, e.config.Orchestrator, rollout))
}

// note counts what failed. One line each would be many when a broker is away;
// the parts themselves log that.
func (e *effects) note(kind string, err error) {
	if err != nil {
		e.metrics.failures.WithLabelValues(kind).Inc()
		e.config.Log.LogAttrs(context.Background(), slog.LevelDebug, "an effect failed and will be repeated",
			slog.String("effect", kind), slog.Any("error", err))
	}
}

// pool is a fixed number of workers behind two bounded queues. What ends something
// goes before what begins something: where a whole fleet powers on, workflows under
// way do not wait, beyond their leases, for those that are to be started.
type pool struct {
	first   chan func(context.Context)
	jobs    chan func(context.Context)
	quit    chan struct{}
	cancel  context.CancelFunc
	workers sync.WaitGroup
}

func newPool(workers, queue int) *pool {
	ctx, cancel := context.WithCancel(context.Background())
	p := &pool{first: make(chan func(context.Context), queue), jobs: make(chan func(context.Context), queue), quit: make(chan struct{}), cancel: cancel}
	for range workers {
		p.workers.Add(1)
		go p.work(ctx)
	}
	return p
}

func (p *pool) work(ctx context.Context) {
	defer p.workers.Done()
	for job := p.next(); job != nil; job = p.next() {
		job(ctx)
	}
	p.drain(ctx)
}

// next waits for a job; nil: the pool closes.
func (p *pool) next() func(context.Context) {
	select {
	case job := <-p.first:
		return job
	default:
	}
	select {
	case job := <-p.first:
		return job
	case job := <-p.jobs:
		return job
	case <-p.quit:
		return nil
	}
}

func (p *pool) drain(ctx context.Context) {
	for {
		select {
		case job := <-p.first:
			job(ctx)
		case job := <-p.jobs:
			job(ctx)
		default:
			return
		}
	}
}

// offer queues a job if there is room.
func (p *pool) offer(job func(context.Context)) bool { return queued(p.jobs, job) }

// offerFirst queues a job before all that offer and push do, if there is room.
func (p *pool) offerFirst(job func(context.Context)) bool { return queued(p.first, job) }

func queued(queue chan<- func(context.Context), job func(context.Context)) bool {
	select {
	case queue <- job:
		return true
	default:
		return false
	}
}

// push queues a job and waits for room, until ctx or the pool ends.
func (p *pool) push(ctx context.Context, job func(context.Context)) {
	select {
	case p.jobs <- job:
	case <-p.quit:
	case <-ctx.Done():
	}
}

// close lets what is queued be done until ctx ends, and cuts the rest short.
func (p *pool) close(ctx context.Context) error {
	close(p.quit)
	defer p.cancel()
	done := make(chan struct{})
	go func() {
		defer close(done)
		p.workers.Wait()
	}()
	select {
	case <-done:
		return nil
	case <-ctx.Done():
		p.cancel()
		<-done
		return ctx.Err()
	}
}

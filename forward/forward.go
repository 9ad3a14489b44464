package forward

import (
	"cmp"
	"context"
	"crypto/rand"
	"log/slog"
	"sync"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/deviceops/deviceops"
	"github.com/deviceops/deviceops/dsl"
	"github.com/deviceops/deviceops/outbound"
)

// Config gives a Forwarder what it works with. Store and Guard are required; the
// other fields have defaults that serve.
type Config struct {
	Store   deviceops.Store
	Guard   *outbound.Guard   // by which everything leaves but what goes to Broker
	Broker  deviceops.Broker  // default: targets on MQTT fail
	Secrets deviceops.Secrets // default: targets that need any fail

	// Folder is where the files of routes lie, below their account's name.
	// Default: targets that are files fail.
	Folder string

	// Holder names this process. Default: a random name.
	Holder string

	// Lease is how long a process that died keeps its targets. It is renewed five
	// times in that time. Default 10 s.
	Lease time.Duration

	// Poll is how often it is looked for new events. Default 200 ms.
	Poll time.Duration

	// Now is the clock. Default time.Now.
	Now func() time.Time

	// Log receives the first failure of each target, and its end. Default
	// slog.Default.
	Log *slog.Logger

	// Registerer takes the metrics deviceops_routes_*. Default: none are kept.
	Registerer prometheus.Registerer
}

func (c Config) withDefaults() Config {
	c.Holder = cmp.Or(c.Holder, "forward-"+rand.Text())
	c.Lease = cmp.Or(c.Lease, 10*time.Second)
	c.Poll = cmp.Or(c.Poll, 200*time.Millisecond)
	c.Log = cmp.Or(c.Log, slog.Default())
	if c.Now == nil {
		c.Now = time.Now
	}
	return c
}

// Forwarder forwards to its share of all targets. Any number of them may run.
type Forwarder struct {
	config  Config
	metrics *metrics
	horizon horizon
	routes  library
	failing bool // the last look at the leases failed

	runners map[deviceops.TargetKey]*runner // those that have not ended
}

// New makes a Forwarder.
func New(c Config) *Forwarder {
	c = c.withDefaults()
	return &Forwarder{
		config: c, metrics: newMetrics(c.Registerer), horizon: horizon{changed: make(chan struct{})},
		routes: library{store: c.Store}, runners: map[deviceops.TargetKey]*runner{},
	}
}

// Run forwards until ctx ends, and gives its targets up then.
func (f *Forwarder) Run(ctx context.Context) error {
	var wg sync.WaitGroup
	wg.Go(func() { f.watch(ctx) })
	every(ctx, f.config.Lease/5, func() { f.hold(ctx) })
	for _, r := range f.runners {
		r.stop()
	}
	for _, r := range f.runners {
		<-r.ended
	}
	wg.Wait()
	closing, cancel := context.WithTimeout(context.WithoutCancel(ctx), time.Second)
	defer cancel()
	_ = f.config.Store.ReleaseTargets(closing, f.config.Holder) // or they lapse
	return nil
}

// every calls f at once and then again and again until ctx ends.
func every(ctx context.Context, pause time.Duration, f func()) {
	ticker := time.NewTicker(pause)
	defer ticker.Stop()
	for ctx.Err() == nil {
		f()
		select {
		case <-ticker.C:
		case <-ctx.Done():
		}
	}
}

// watch follows how far the stream of events is whole. A failure is told by hold,
// which needs the same store.
func (f *Forwarder) watch(ctx context.Context) {
	var seen deviceops.Horizon
	every(ctx, f.config.Poll, func() {
		if next, err := f.config.Store.EventHorizon(ctx, seen); err == nil {
			seen = next
			f.horizon.set(seen.Safe)
		}
	})
}

// hold renews the leases, and makes a runner run for each target that is held,
// wanted and not paused, by the newest version of its route.
func (f *Forwarder) hold(ctx context.Context) {
	f.reap()
	held, err := f.config.Store.HoldTargets(ctx, f.config.Holder, f.config.Now(), f.config.Lease)
	if err == nil {
		err = f.routes.refresh(ctx, held)
	}
	if ctx.Err() != nil {
		return
	}
	f.tell(err)
	if err != nil {
		return // what runs goes on; it cannot note anything under a lease that is gone
	}
	wanted := map[deviceops.TargetKey]bool{}
	for _, row := range held {
		version, target := f.routes.find(row.TargetKey)
		if row.Paused || target == nil {
			continue
		}
		wanted[row.TargetKey] = f.keep(ctx, row, version, target)
	}
	for key, r := range f.runners {
		if !wanted[key] {
			r.stop()
		}
	}
}

// keep reports whether the runner of a target is the right one; where none runs,
// it starts one.
func (f *Forwarder) keep(ctx context.Context, row deviceops.RouteTarget, version *version, target *dsl.RouteTarget) bool {
	if r := f.runners[row.TargetKey]; r != nil {
		r.replaying.Store(row.Replaying)
		return r.version.Version == version.Version
	}
	r := newRunner(f, row, version, target)
	f.runners[row.TargetKey] = r
	r.start(ctx)
	return true
}

// reap forgets runners that have ended; their places are noted.
func (f *Forwarder) reap() {
	for key, r := range f.runners {
		select {
		case <-r.ended:
			delete(f.runners, key)
			f.metrics.forget(key)
		default:
		}
	}
}

func (f *Forwarder) tell(err error) {
	switch {
	case err != nil && !f.failing:
		f.config.Log.Warn("routes cannot be looked after", "error", err)
	case err == nil && f.failing:
		f.config.Log.Info("routes are looked after again")
	}
	f.failing = err != nil
}

// horizon is how far the stream of events is whole, for all runners.
type horizon struct {
	mu      sync.Mutex
	safe    int64
	changed chan struct{} // closed at the next change
}

func (h *horizon) set(safe int64) {
	h.mu.Lock()
	defer h.mu.Unlock()
	if safe > h.safe {
		h.safe = safe
		close(h.changed)
		h.changed = make(chan struct{})
	}
}

func (h *horizon) get() (safe int64, changed <-chan struct{}) {
	h.mu.Lock()
	defer h.mu.Unlock()
	return h.safe, h.changed
}

package activities

import (
	"context"
	"math"
	"sync"
	"time"

	"go.temporal.io/sdk/activity"
)

const (
	// pulseEvery is how often an activity that takes long says that it is at it.
	pulseEvery = time.Second

	// pumpPatience is how long a pump may stand at one place, and bulkPatience how
	// long an activity that goes through many devices: longer than a statement of
	// the store takes. An action may for as long as it may take.
	pumpPatience   = 20 * time.Second
	bulkPatience   = time.Minute
	actionPatience = time.Duration(math.MaxInt64)
)

// pulse lets Temporal know that an activity is at work, so that a worker that died
// is noticed within seconds. It beats also while one statement of the store takes
// longer than that, and not any more when the activity stands still.
type pulse struct {
	mu      sync.Mutex
	felt    time.Time // when the activity went on last
	details []any
}

type pulseKey struct{}

// withPulse has an activity say that it is at work until stop is called, or it has
// not gone on for longer than patience. It does so with beat. What it is just saying
// it says to the end: stop waits for that. A local activity has none, since Temporal
// would not listen.
func withPulse(ctx context.Context, patience time.Duration) (_ context.Context, stop context.CancelFunc) {
	if activity.GetInfo(ctx).IsLocalActivity {
		return context.WithCancel(ctx)
	}
	p := &pulse{felt: time.Now()}
	at, cancel := context.WithCancel(ctx)
	var running sync.WaitGroup
	running.Go(func() { p.run(ctx, at.Done(), patience) })
	stop = func() {
		cancel()
		running.Wait()
	}
	return context.WithValue(at, pulseKey{}, p), stop
}

func (p *pulse) run(ctx context.Context, stopped <-chan struct{}, patience time.Duration) {
	ticker := time.NewTicker(pulseEvery)
	defer ticker.Stop()
	for {
		select {
		case <-stopped:
			return
		case <-ticker.C:
			if details, alive := p.feel(patience); alive {
				activity.RecordHeartbeat(ctx, details...)
			}
		}
	}
}

func (p *pulse) feel(patience time.Duration) (details []any, alive bool) {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.details, time.Since(p.felt) < patience
}

// beat says that the activity goes on, and what whoever takes its place needs to
// know. It does nothing where there is no pulse: in a local activity.
func beat(ctx context.Context, details ...any) {
	if p, ok := ctx.Value(pulseKey{}).(*pulse); ok {
		p.mu.Lock()
		defer p.mu.Unlock()
		p.felt, p.details = time.Now(), details
	}
}

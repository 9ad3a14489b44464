package ingest

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"log/slog"
	"maps"
	"slices"
	"sync"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/deviceops/deviceops"
)

// SweeperConfig gives a Sweeper what it works with. Store, Gateway, Orchestrator
// and Catalog are required; the other fields have defaults that serve.
type SweeperConfig struct {
	Store        deviceops.Store
	Gateway      deviceops.Gateway
	Orchestrator deviceops.Orchestrator
	Catalog      deviceops.Catalog

	// Automations are the windows whose time may have come. Default: there are
	// none.
	Automations *deviceops.AutomationStore

	// Every is the time between passes. Default 1 s.
	Every time.Duration

	// KeepEvents is how long events are kept. Default 30 days.
	KeepEvents time.Duration

	// KeepMetrics is how long the history of metrics is kept. Default
	// deviceops.DefaultMetricRetention.
	KeepMetrics deviceops.MetricRetention

	// Now is the clock by which things are due. Default time.Now.
	Now func() time.Time

	// Log receives the first of each kind of failure. Default slog.Default.
	Log *slog.Logger

	// Registerer takes the metrics deviceops_ingest_*. Default: none are kept.
	Registerer prometheus.Registerer
}

// Defaults and bounds of a Sweeper.
const (
	DefaultKeepEvents = 30 * 24 * time.Hour

	startGrace    = 2 * time.Second // how long a start is left to the process that asked for it
	maintainEvery = time.Hour
	rollUpEvery   = time.Minute
	settleEvery   = 30 * time.Second
	sweepLimit    = 500 // rows that one step takes at once
	sweepRounds   = 20  // how often a step may do so in one pass
	sweepStarters = 8   // starts at once
)

// Sweeper does what is due: starts that wait in the outbox, commands to be
// published (again), devices that fell silent, commands that expired, partitions
// of events, rollouts that nobody pumps or whose workflow is lost, runs that Temporal
// ended, windows and timetables of automations. Any number of them may run: each
// step locks or leases what it takes and checks under the lock that it is still due.
type Sweeper struct {
	config     SweeperConfig
	profiles   *profiles
	silences   *silenceWatch
	made       time.Time // before anybody is heard
	metrics    *metrics
	maintained time.Time
	rolledUp   time.Time
	began      time.Time       // the first pass, or the first since Temporal was away
	settled    time.Time       // timetables of automations
	nudged     time.Time       // rollouts that nobody pumps
	failing    map[string]bool // steps whose last attempt failed
}

// NewSweeper makes a Sweeper.
func NewSweeper(c SweeperConfig) *Sweeper {
	c.Every = cmp.Or(c.Every, time.Second)
	c.KeepEvents = cmp.Or(c.KeepEvents, DefaultKeepEvents)
	c.KeepMetrics = cmp.Or(c.KeepMetrics, deviceops.DefaultMetricRetention)
	c.Log = cmp.Or(c.Log, slog.Default())
	if c.Now == nil {
		c.Now = time.Now
	}
	return &Sweeper{config: c, profiles: newProfiles(c.Catalog, c.Now), silences: newSilenceWatch(), made: c.Now(), metrics: newMetrics(c.Registerer), failing: map[string]bool{}}
}

// Run sweeps until ctx ends.
func (s *Sweeper) Run(ctx context.Context) error {
	if err := s.silences.notice(ctx, s.config.Store, s.made); err != nil {
		s.config.Log.WarnContext(ctx, "it is not known for how long nobody listened; devices may be taken for silent", "error", err)
	}
	ticker := time.NewTicker(s.config.Every)
	defer ticker.Stop()
	for {
		_ = s.Sweep(ctx) // logged by step; the next pass tries again
		select {
		case <-ticker.C:
		case <-ctx.Done():
			return nil
		}
	}
}

// Sweep makes one pass. A step that fails does not keep the others from being
// done. It is not safe for concurrent use.
func (s *Sweeper) Sweep(ctx context.Context) error {
	steps := []struct {
		name string
		do   func(context.Context, time.Time) (int, error)
	}{
		{"maintain", s.maintain}, {"metrics", s.rollUp}, {"starts", s.starts}, {"silent", s.silent}, {"wellness", s.wellness}, {"expired", s.expired}, {"dispatch", s.dispatch},
		{"rollouts", s.rollouts}, {"lost", s.lost}, {"held", s.held}, {"runs", s.runs}, {"windows", s.windows}, {"cancels", s.cancels}, {"schedules", s.schedules},
	}
	var errs []error
	for _, step := range steps {
		err := s.rounds(ctx, step.name, step.do)
		if ctx.Err() != nil {
			return ctx.Err()
		}
		s.tell(step.name, err)
		if err != nil {
			errs = append(errs, fmt.Errorf("%s: %w", step.name, err))
		}
	}
	return errors.Join(errs...)
}

// rounds repeats a step while it finds as much as it can take.
func (s *Sweeper) rounds(ctx context.Context, name string, do func(context.Context, time.Time) (int, error)) error {
	for range sweepRounds {
		n, err := do(ctx, s.config.Now())
		s.metrics.swept.WithLabelValues(name).Add(float64(n))
		if err != nil || n < sweepLimit {
			return err
		}
	}
	return nil
}

// tell logs the first failure of a step, and its end.
func (s *Sweeper) tell(step string, err error) {
	if err != nil {
		s.metrics.sweepFails.WithLabelValues(step).Inc()
	}
	switch was := s.failing[step]; {
	case err != nil && !was:
		s.config.Log.Warn("sweeping fails", "step", step, "error", err)
	case err == nil && was:
		s.config.Log.Info("sweeping works again", "step", step)
	}
	s.failing[step] = err != nil
}

func (s *Sweeper) maintain(ctx context.Context, now time.Time) (int, error) {
	if now.Before(s.maintained.Add(maintainEvery)) {
		return 0, nil
	}
	if err := s.config.Store.MaintainEvents(ctx, now, s.config.KeepEvents); err != nil {
		return 0, err
	}
	if err := s.config.Store.MaintainMetrics(ctx, now, s.config.KeepMetrics); err != nil {
		return 0, err
	}
	if err := s.config.Store.PruneAutomations(ctx, now.Add(-deviceops.AutomationsKept), now.Add(-keysKept)); err != nil {
		return 0, err
	}
	s.maintained = now
	return 1, nil
}

// rollUp sums up the samples of the last minute. It counts as one thing done,
// however many there were.
func (s *Sweeper) rollUp(ctx context.Context, now time.Time) (int, error) {
	if now.Before(s.rolledUp.Add(rollUpEvery)) {
		return 0, nil
	}
	if _, err := s.config.Store.RollUpMetrics(ctx); err != nil {
		return 0, err
	}
	s.rolledUp = now
	return 1, nil
}

// starts carries out what was asked for by a process that did not get to it.
func (s *Sweeper) starts(ctx context.Context, now time.Time) (int, error) {
	pending, err := s.config.Store.PendingStarts(ctx, now.Add(-startGrace), now, sweepLimit)
	if err != nil {
		return 0, err
	}
	var mu sync.Mutex
	var first error
	done := 0
	note := func(err error) {
		mu.Lock()
		defer mu.Unlock()
		first = cmp.Or(first, err)
	}
	var wg sync.WaitGroup
	for chunk := range slices.Chunk(pending, max(1, (len(pending)+sweepStarters-1)/sweepStarters)) {
		wg.Go(func() {
			n := startAll(ctx, s.config.Store, s.config.Orchestrator, chunk, note)
			mu.Lock()
			defer mu.Unlock()
			done += n
		})
	}
	wg.Wait()
	return done, first
}

func (s *Sweeper) dispatch(ctx context.Context, now time.Time) (int, error) {
	d := deviceops.Dispatcher{Store: s.config.Store, Gateway: s.config.Gateway}
	return d.Dispatch(ctx, deviceops.ClaimQuery{Now: now, Limit: sweepLimit})
}

func (s *Sweeper) ledger(ctx context.Context, now time.Time) *ledger {
	return newLedger(now, func(d *deviceops.Device) *deviceops.Profile { return s.profiles.find(ctx, d.Account, d.Profile) })
}

// expired ends commands that nobody waits for and whose time is over.
func (s *Sweeper) expired(ctx context.Context, now time.Time) (int, error) {
	ids, err := s.config.Store.ExpiredCommands(ctx, now, sweepLimit)
	if err != nil || len(ids) == 0 {
		return 0, err
	}
	slices.Sort(ids)
	var l *ledger
	err = s.config.Store.InTx(ctx, func(ctx context.Context, tx deviceops.Tx) (err error) {
		l = s.ledger(ctx, now)
		if l.commands, err = tx.LockCommands(ctx, ids); err != nil {
			return err
		}
		for _, id := range ids {
			l.expire(l.commands[id])
		}
		return saveLedger(ctx, tx, s.config.Catalog, l)
	})
	if err != nil {
		return 0, err
	}
	return len(l.ended), errors.Join(s.complete(ctx, l), s.nudge(ctx, slices.Sorted(maps.Keys(l.nudges()))))
}

func (l *ledger) expire(c *deviceops.Command) {
	if c == nil || c.ExpiresAt.IsZero() || c.ExpiresAt.After(l.now) {
		return
	}
	before := c.Status
	cause := &deviceops.CommandError{Code: "expired", Message: "the device gave no final answer before the command expired"}
	if c.Finish(deviceops.CommandExpired, cause, l.now) {
		l.advanced(c, before)
	}
}

func (s *Sweeper) complete(ctx context.Context, l *ledger) error {
	var errs []error
	for _, id := range l.ended {
		if c := l.commands[id]; c.Waiter != nil {
			errs = append(errs, s.config.Orchestrator.Complete(ctx, *c.Waiter, *c))
		}
	}
	return errors.Join(errs...)
}

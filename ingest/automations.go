package ingest

import (
	"context"
	"errors"
	"log/slog"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/deviceops/deviceops"
	"github.com/deviceops/deviceops/workflows"
)

// NewAutomations makes a store in which automations hear what is stored, and what
// starts their runs. Every process that stores events works on such a store.
func NewAutomations(store deviceops.Store, catalog deviceops.Catalog, l *Launcher) deviceops.AutomationStore {
	return deviceops.AutomationStore{
		Store: store, Do: l.Do,
		Automations: &deviceops.Automations{Catalog: catalog, Start: workflows.RunStart, Now: l.config.Now},
	}
}

// LauncherConfig gives a Launcher what it works with. Store and Orchestrator are
// required.
type LauncherConfig struct {
	Store        deviceops.Starts
	Orchestrator deviceops.Orchestrator
	Now          func() time.Time // default: time.Now
	Log          *slog.Logger     // default: slog.Default
	Registerer   prometheus.Registerer
}

// Launcher starts the runs of automations, and cancels them, after the commit that
// decided it. What it does not get to is the sweeper's.
type Launcher struct {
	config  LauncherConfig
	effects *effects
}

// NewLauncher makes a Launcher; Close ends it.
func NewLauncher(c LauncherConfig) *Launcher {
	if c.Now == nil {
		c.Now = time.Now
	}
	if c.Log == nil {
		c.Log = slog.Default()
	}
	e := &effects{config: Config{Orchestrator: c.Orchestrator, Now: c.Now, Log: c.Log}, starts: c.Store, metrics: newMetrics(c.Registerer), follow: newPool(followers, followQueue)}
	return &Launcher{config: c, effects: e}
}

// Do begins what follows from a commit.
func (l *Launcher) Do(e deviceops.AutomationEffects) {
	l.effects.offerStarts(e.Starts)
	for _, run := range e.Cancels {
		l.effects.offered("cancel", l.effects.follow.offer(func(ctx context.Context) {
			l.effects.note("cancel", cancelRun(ctx, l.config.Orchestrator, run))
		}))
	}
}

// Close lets what waits be done until ctx ends.
func (l *Launcher) Close(ctx context.Context) error { return l.effects.follow.close(ctx) }

// cancelRun asks a run to end because a newer firing takes its place. One that has
// not begun, or has ended, is looked at again by the sweeper.
func cancelRun(ctx context.Context, o deviceops.Orchestrator, run string) error {
	err := o.Cancel(ctx, run, "a newer event takes its place")
	if deviceops.ErrorCode(err) == deviceops.ENOTFOUND {
		return nil
	}
	return err
}

const (
	cancelAgain = 30 * time.Second    // after which a run that is still there is canceled again
	keysKept    = 30 * 24 * time.Hour // for how long a key is remembered that nothing happens to
)

// windows lets the windows of automations decide whose time has come.
func (s *Sweeper) windows(ctx context.Context, _ time.Time) (int, error) {
	if s.config.Automations == nil {
		return 0, nil
	}
	return s.config.Automations.Tick(ctx, sweepLimit)
}

// cancels repeats cancellations of runs that have not ended.
func (s *Sweeper) cancels(ctx context.Context, now time.Time) (int, error) {
	runs, err := s.config.Store.CancelingAutomationRuns(ctx, now.Add(-cancelAgain), now, sweepLimit)
	if err != nil {
		return 0, err
	}
	var errs []error
	for _, run := range runs {
		errs = append(errs, cancelRun(ctx, s.config.Orchestrator, run))
	}
	return len(runs), errors.Join(errs...)
}

// schedules keeps Temporal's timetables as the published automations say. It counts
// as one thing done, however many there were.
func (s *Sweeper) schedules(ctx context.Context, now time.Time) (int, error) {
	if s.config.Automations == nil || now.Before(s.settled.Add(settleEvery)) {
		return 0, nil
	}
	s.settled = now // also where it fails: the others have work to do
	scheduler := deviceops.Scheduler{Store: s.config.Store, Catalog: s.config.Catalog, Orchestrator: s.config.Orchestrator, Start: workflows.TriggerStart}
	if _, err := scheduler.Reconcile(ctx); err != nil {
		return 0, err
	}
	return 1, nil
}

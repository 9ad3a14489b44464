// Package worker assembles a Temporal worker that executes all workflows and
// activities of an installation. It is a library: the role worker and the dev
// stack run one each.
package worker

import (
	"context"
	"slices"
	"time"

	"go.temporal.io/sdk/client"
	"go.temporal.io/sdk/worker"

	"github.com/deviceops/deviceops"
	"github.com/deviceops/deviceops/activities"
	"github.com/deviceops/deviceops/workflows"
)

// Options bound what one worker does at a time. Zero fields take the defaults,
// which suit two cores.
type Options struct {
	TaskQueue       string        // default: workflows.TaskQueue
	Activities      int           // executed at a time; default 64
	LocalActivities int           // executed at a time; keep it below the store's connections; default 12
	WorkflowTasks   int           // executed at a time; default 64
	Pollers         int           // at most, for each kind of task; default 16
	CachedWorkflows int           // kept in memory between their tasks, by all workers of the process; default 4096
	StopTimeout     time.Duration // what is under way may take at the end; default 8s

	// DecisionKey is that of the installation, with which the API signs what
	// people decide. Without it workflows believe whoever sends a decision.
	DecisionKey deviceops.SigningKey

	// Actions are more actions than every installation has. The API and the
	// command line have to know them too: see activities.ActionsWith.
	Actions []activities.Action
}

func (o Options) withDefaults() Options {
	if o.TaskQueue == "" {
		o.TaskQueue = workflows.TaskQueue
	}
	if o.StopTimeout <= 0 {
		o.StopTimeout = 8 * time.Second
	}
	for field, value := range map[*int]int{
		&o.Activities: 64, &o.LocalActivities: 12, &o.WorkflowTasks: 64, &o.Pollers: 16, &o.CachedWorkflows: 4096,
	} {
		if *field <= 0 {
			*field = value
		}
	}
	o.WorkflowTasks = max(o.WorkflowTasks, 2) // Temporal wants one for tasks that are new and one for cached ones
	return o
}

// Worker executes workflows and activities.
type Worker struct {
	worker worker.Worker
	fatal  chan error
}

// New makes a worker that speaks through c. It does nothing before Run.
func New(c client.Client, deps activities.Deps, o Options) *Worker {
	o = o.withDefaults()
	deps.Actions = append(slices.Clone(deps.Actions), o.Actions...)
	w := &Worker{fatal: make(chan error, 1)}
	worker.SetStickyWorkflowCacheSize(o.CachedWorkflows)
	w.worker = worker.New(c, o.TaskQueue, worker.Options{
		MaxConcurrentActivityExecutionSize:      o.Activities,
		MaxConcurrentLocalActivityExecutionSize: o.LocalActivities,
		MaxConcurrentWorkflowTaskExecutionSize:  o.WorkflowTasks,
		WorkflowTaskPollerBehavior:              polling(o.Pollers),
		ActivityTaskPollerBehavior:              polling(o.Pollers),
		WorkerStopTimeout:                       o.StopTimeout,
		MaxHeartbeatThrottleInterval:            workflows.HeartbeatEvery,
		OnFatalError:                            w.fail,
	})
	workflows.Register(w.worker, workflows.Trust(o.DecisionKey))
	activities.Register(w.worker, deps)
	return w
}

// polling lets the number of pollers follow the load.
func polling(most int) worker.PollerBehavior {
	return worker.NewPollerBehaviorAutoscaling(worker.PollerBehaviorAutoscalingOptions{
		InitialNumberOfPollers: min(4, most), MinimumNumberOfPollers: min(2, most), MaximumNumberOfPollers: most,
	})
}

// fail keeps the first error that ends the worker.
func (w *Worker) fail(err error) {
	select {
	case w.fatal <- err:
	default:
	}
}

// Run works until ctx is done, then lets what is under way finish. EUNAVAILABLE
// when Temporal can't be reached at the start, or refuses the worker later.
func (w *Worker) Run(ctx context.Context) error {
	if err := w.worker.Start(); err != nil {
		return deviceops.Errorf(deviceops.EUNAVAILABLE, "the worker cannot start: %w", err)
	}
	select {
	case <-ctx.Done():
		w.worker.Stop()
		return nil
	case err := <-w.fatal: // it has stopped by itself
		return deviceops.Errorf(deviceops.EUNAVAILABLE, "the worker was stopped: %w", err)
	}
}

package bench

import (
	"context"
	"fmt"
	"io"
	"sync/atomic"
	"time"

	"go.temporal.io/sdk/client"
	"go.temporal.io/sdk/worker"
	"go.temporal.io/sdk/workflow"
	"golang.org/x/sync/errgroup"

	"github.com/deviceops/deviceops"
	"github.com/deviceops/deviceops/dev"
	"github.com/deviceops/deviceops/workflows"

	api "github.com/deviceops/deviceops/client"
)

// RunsOptions size the bench runs.
type RunsOptions struct {
	Runs     int       // of each kind
	Parallel int       // starts at once
	Progress io.Writer // lines for people
}

// Workflows that never wait, as automations start them.
const (
	setterName = "bench-setter" // sets a variable
	loggerName = "bench-logger" // performs an action
)

const shortWorkflows = `workflow: ` + setterName + `
version: 1
inputs: { n: integer }
outputs: { n: "${{ vars.n }}" }
steps: [ { set: { n: "${{ inputs.n }}" } } ]
---
workflow: ` + loggerName + `
version: 1
inputs: { n: integer }
steps: [ { action: log, with: { message: "number ${{ inputs.n }}" } } ]
`

// Runs measures the processor time of runs that never wait, from their rows to
// their ends, against Go workflows that return at once.
func Runs(ctx context.Context, o RunsOptions) (Result, error) {
	if o.Runs < 1 || o.Parallel < 1 {
		return Result{}, deviceops.Errorf(deviceops.EINVALID, "measure a run, or more")
	}
	b := &running{options: o, say: func(format string, args ...any) { fmt.Fprintf(o.Progress, format+"\n", args...) }}
	b.say("starting a stack")
	stack, err := dev.Start(ctx, dev.Options{Out: o.Progress})
	if err != nil {
		return Result{}, err
	}
	defer func() { _ = stack.Close(context.WithoutCancel(ctx)) }()
	b.stack = stack
	if b.look, err = openDatabase(ctx, stack.DatabaseURL()); err != nil {
		return Result{}, err
	}
	defer b.look.close()
	return b.measure(ctx)
}

// running is one run of the bench.
type running struct {
	options RunsOptions
	say     func(string, ...any)
	stack   *dev.Stack
	look    *database
}

func (b *running) measure(ctx context.Context) (Result, error) {
	report, err := b.stack.Client().Apply(ctx, shortWorkflows, api.ApplyOptions{Reason: "bench"})
	if err == nil && report.Refused {
		err = deviceops.Errorf(deviceops.EINTERNAL, "the workflows of the bench are refused: %+v", report.Documents)
	}
	if err != nil {
		return Result{}, err
	}
	byHand, err := b.byHand(ctx)
	if err != nil {
		return Result{}, err
	}
	setter, err := b.runs(ctx, setterName)
	if err != nil {
		return Result{}, err
	}
	logger, err := b.runs(ctx, loggerName)
	if err != nil {
		return Result{}, err
	}
	n := b.options.Runs
	return Result{
		Bench:  "runs",
		Params: map[string]any{"runs": n, "parallel": b.options.Parallel},
		Figures: map[string]Figure{
			"cpu_per_set":             microseconds(setter.cpu.own, n),
			"cpu_per_set_postgres":    microseconds(setter.cpu.database, n),
			"cpu_per_action":          microseconds(logger.cpu.own, n),
			"cpu_per_action_postgres": microseconds(logger.cpu.database, n),
			"events_per_set":          {setter.events, "events"},
			"events_per_action":       {logger.events, "events"},
			"tasks_per_set":           {setter.tasks, "tasks"},
			"tasks_per_action":        {logger.tasks, "tasks"},
		},
		Yardsticks: map[string]Figure{"cpu_per_empty_workflow": microseconds(byHand.own, n)},
		Ratios: map[string]float64{
			"set_to_empty_workflow":    round(float64(setter.cpu.own) / float64(byHand.own)),
			"action_to_empty_workflow": round(float64(logger.cpu.own) / float64(byHand.own)),
		},
	}, nil
}

// runCost is what runs of a workflow cost.
type runCost struct {
	cpu           cpuTimes // of all
	events, tasks float64  // of the history of one
}

// runs measures runs of a workflow, after a few that warm up what all share.
func (b *running) runs(ctx context.Context, name string) (c runCost, err error) {
	document, err := b.stack.Client().Document(ctx, "", deviceops.KindWorkflow, name, 0)
	if err != nil {
		return c, err
	}
	if err := b.batch(ctx, document, "warm", b.options.Parallel); err != nil {
		return c, err
	}
	before, err := b.look.cpu(ctx)
	if err != nil {
		return c, err
	}
	if err := b.batch(ctx, document, "run", b.options.Runs); err != nil {
		return c, err
	}
	after, err := b.look.cpu(ctx)
	if err != nil {
		return c, err
	}
	c.cpu = after.since(before)
	b.say("%s: %.1f ms a run", name, c.cpu.own.Seconds()*1000/float64(b.options.Runs))
	c.events, c.tasks, err = countHistory(ctx, b.stack.Server.Temporal, fmt.Sprintf("%s-run-%d", name, b.options.Runs-1))
	return c, err
}

// batch starts n runs as events do, and waits until all have ended.
func (b *running) batch(ctx context.Context, d deviceops.Document, kind string, n int) error {
	runs := make([]deviceops.Run, n)
	for i := range runs {
		runs[i] = deviceops.Run{
			ID: fmt.Sprintf("%s-%s-%d", d.Name, kind, i), Account: d.Account, Workflow: d.Name, Version: d.Version, Hash: d.Hash,
			Inputs: map[string]any{"n": int64(i)}, Status: deviceops.RunRunning, StartedBy: "bench", StartedAt: time.Now().UTC().Truncate(time.Millisecond),
		}
	}
	server := b.stack.Server
	if err := server.Store.CreateRuns(ctx, runs); err != nil {
		return err
	}
	group, starting := errgroup.WithContext(ctx)
	group.SetLimit(b.options.Parallel)
	for _, r := range runs {
		group.Go(func() error {
			_, err := server.Orchestrator.Start(starting, workflows.RunStart(r))
			return err
		})
	}
	if err := group.Wait(); err != nil {
		return err
	}
	ids := fmt.Sprintf("%s-%s-%%", d.Name, kind)
	return ended(n).await(ctx, b.look.counting(`select count(*) from runs where id like $1 and status = 'succeeded'`, ids))
}

// ended is the goal that n of them are. To ask Temporal for each result would cost
// about as much as it costs to note one.
func ended(n int) goal { return goal{n: n, things: "have ended", every: 50 * time.Millisecond} }

// empties counts executions of the yardstick: a workflow that returns at once is
// the least that any costs on this server.
type empties struct{ ended atomic.Int64 }

func (e *empties) returnAtOnce(workflow.Context) error {
	e.ended.Add(1)
	return nil
}

const emptyQueue = "bench-empty"

func (b *running) byHand(ctx context.Context) (cpuTimes, error) {
	var e empties
	w := worker.New(b.stack.Server.Temporal, emptyQueue, worker.Options{})
	w.RegisterWorkflow(e.returnAtOnce)
	if err := w.Start(); err != nil {
		return cpuTimes{}, fmt.Errorf("start the worker of the yardstick: %w", err)
	}
	defer w.Stop()
	if err := b.empties(ctx, &e, "warm", b.options.Parallel); err != nil {
		return cpuTimes{}, err
	}
	before, err := b.look.cpu(ctx)
	if err == nil {
		err = b.empties(ctx, &e, "empty", b.options.Runs)
	}
	if err != nil {
		return cpuTimes{}, err
	}
	after, err := b.look.cpu(ctx)
	used := after.since(before)
	b.say("yardstick: %.1f ms an empty workflow", used.own.Seconds()*1000/float64(b.options.Runs))
	return used, err
}

func (b *running) empties(ctx context.Context, e *empties, kind string, n int) error {
	before := e.ended.Load()
	group, starting := errgroup.WithContext(ctx)
	group.SetLimit(b.options.Parallel)
	for i := range n {
		group.Go(func() error {
			o := client.StartWorkflowOptions{ID: fmt.Sprintf("bench-%s-%d", kind, i), TaskQueue: emptyQueue}
			_, err := b.stack.Server.Temporal.ExecuteWorkflow(starting, o, e.returnAtOnce)
			return err
		})
	}
	if err := group.Wait(); err != nil {
		return err
	}
	return ended(n).await(ctx, func(context.Context) (int, error) { return int(e.ended.Load() - before), nil })
}

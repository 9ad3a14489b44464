package bench

import (
	"context"
	"fmt"
	"io"
	"maps"
	"slices"
	"strings"
	"time"

	"go.temporal.io/sdk/client"
	"go.temporal.io/sdk/worker"
	"golang.org/x/sync/errgroup"

	"github.com/deviceops/deviceops"
	"github.com/deviceops/deviceops/activities"
	"github.com/deviceops/deviceops/dev"
	"github.com/deviceops/deviceops/dsl"
	"github.com/deviceops/deviceops/workflows"

	api "github.com/deviceops/deviceops/client"
)

// InterpreterOptions size the bench interpreter.
type InterpreterOptions struct {
	Actions  int       // of a run, at least 10
	Runs     int       // of each kind in a round
	Rounds   int       // in which the two kinds take turns
	Parallel int       // runs at once
	Progress io.Writer // lines for people
}

// leastActions are enough for what a run costs once not to hide what an action
// costs.
const leastActions = 10

// checkedSteps is the size of the file whose check is timed.
const checkedSteps = 1000

// Interpreter measures what it costs to write a workflow in YAML: runs of one
// that performs actions with variables and conditions between them, against runs
// of a hand-written Go workflow that calls the same activity as often with the
// same arguments, and of one that calls it as a local activity. All run on one
// worker.
func Interpreter(ctx context.Context, o InterpreterOptions) (Result, error) {
	if o.Actions < leastActions {
		return Result{}, deviceops.Errorf(deviceops.EINVALID, "%d actions are too few to tell: use %d or more", o.Actions, leastActions)
	}
	say := func(format string, args ...any) { fmt.Fprintf(o.Progress, format+"\n", args...) }
	checked, err := measureCheck()
	if err != nil {
		return Result{}, err
	}
	say("a file of %d steps is checked in %s", checkedSteps, checked.Round(time.Millisecond))

	say("starting a stack")
	stack, err := dev.Start(ctx, dev.Options{Out: o.Progress})
	if err != nil {
		return Result{}, err
	}
	defer func() { _ = stack.Close(context.WithoutCancel(ctx)) }()
	b := interpreting{client: stack.Server.Temporal, options: o, say: say}
	if err := b.publish(ctx, stack.Client()); err != nil {
		return Result{}, err
	}
	stop, err := b.work(stack.Server.Store)
	if err != nil {
		return Result{}, err
	}
	defer stop()
	if err := b.measure(ctx); err != nil {
		return Result{}, err
	}
	return b.result(ctx, checked)
}

// measureCheck gives the time in which a large file is checked: the shortest of
// several, since whatever else the machine does only adds to it.
func measureCheck() (time.Duration, error) {
	source := benchWorkflow(checkedSteps / stepsPerAction)
	var took []time.Duration
	for range 7 {
		began := time.Now()
		if _, found := dsl.CheckFile("bench.yaml", source, dsl.Options{Actions: activities.Actions()}); found.HasErrors() {
			return 0, found.Err()
		}
		took = append(took, time.Since(began))
	}
	return slices.Min(took), nil
}

const (
	interpreterQueue = "bench-interpreter"
	interpreterName  = "bench-interpreter"

	stepsPerAction = 2 // a set, and the action
)

// benchWorkflow writes a workflow that performs so many actions, each with a
// condition and a computed argument.
func benchWorkflow(actions int) string {
	var b strings.Builder
	b.WriteString("workflow: " + interpreterName + "\noutputs:\n  total: ${{ vars.n }}\nsteps:\n")
	for i := range actions {
		before := "vars.n"
		if i == 0 {
			before = "0"
		}
		fmt.Fprintf(&b, "  - set: { n: \"${{ %s + 1 }}\" }\n", before)
		fmt.Fprintf(&b, "  - id: act_%d\n    if: vars.n > %d\n    action: log\n    with: { message: \"action ${{ vars.n }} of %d\" }\n", i, i, actions)
	}
	return b.String()
}

// interpreting is one comparison.
type interpreting struct {
	client   client.Client
	options  InterpreterOptions
	say      func(string, ...any)
	document deviceops.Document
	yaml     series
	byHand   series
	local    series // by hand, too
}

// series is what was measured of one kind of workflow.
type series struct {
	walls  []time.Duration // of a round, for one run
	single []time.Duration // from start to end, of each run
	last   string          // workflow id
}

func (b *interpreting) publish(ctx context.Context, c *api.Client) error {
	report, err := c.Apply(ctx, benchWorkflow(b.options.Actions), api.ApplyOptions{Reason: "bench"})
	if err == nil && report.Refused {
		err = deviceops.Errorf(deviceops.EINTERNAL, "the workflow of the bench is refused: %+v", report.Documents)
	}
	if err != nil {
		return err
	}
	b.document, err = c.Document(ctx, "", deviceops.KindWorkflow, interpreterName, 0)
	return err
}

// work starts a worker for all kinds, so that none has an advantage of place.
func (b *interpreting) work(store deviceops.Store) (stop func(), err error) {
	w := worker.New(b.client, interpreterQueue, worker.Options{})
	workflows.Register(w)
	activities.Register(w, activities.Deps{Store: store})
	w.RegisterWorkflow(handWritten)
	if err := w.Start(); err != nil {
		return nil, fmt.Errorf("start the worker of the bench: %w", err)
	}
	return w.Stop, nil
}

// measure lets the kinds take turns, after a round that warms them up. Each begins
// as often as the others, since those that come later find a busier server.
func (b *interpreting) measure(ctx context.Context) error {
	for round := range b.options.Rounds + 1 {
		turns := []func() error{
			func() error { return b.round(ctx, round, "yaml", &b.yaml, b.startYAML) },
			func() error { return b.round(ctx, round, "hand", &b.byHand, b.startByHand(false)) },
			func() error { return b.round(ctx, round, "local", &b.local, b.startByHand(true)) },
		}
		for i := range turns {
			if err := turns[(round+i)%len(turns)](); err != nil {
				return err
			}
		}
		if round == 0 {
			b.yaml, b.byHand, b.local = series{}, series{}, series{}
			continue
		}
		last := func(s series) time.Duration { return s.walls[round-1].Round(10 * time.Microsecond) }
		b.say("round %d: %s a run in YAML, %s by hand, %s by hand with local activities", round, last(b.yaml), last(b.byHand), last(b.local))
	}
	return nil
}

// start starts one run.
type start func(ctx context.Context, id string) (client.WorkflowRun, error)

func (b *interpreting) round(ctx context.Context, round int, kind string, s *series, start start) error {
	took := make([]time.Duration, b.options.Runs)
	id := func(i int) string { return fmt.Sprintf("bench-%s-%d-%d", kind, round, i) }
	s.last = id(b.options.Runs - 1)
	group, ctx := errgroup.WithContext(ctx)
	group.SetLimit(b.options.Parallel)
	began := time.Now()
	for i := range b.options.Runs {
		group.Go(func() error {
			began := time.Now()
			run, err := start(ctx, id(i))
			if err == nil {
				err = run.Get(ctx, nil)
			}
			took[i] = time.Since(began)
			return err
		})
	}
	if err := group.Wait(); err != nil {
		return fmt.Errorf("round %d: %w", round, err)
	}
	s.walls = append(s.walls, time.Since(began)/time.Duration(b.options.Runs))
	s.single = append(s.single, took...)
	return nil
}

func (b *interpreting) startYAML(ctx context.Context, id string) (client.WorkflowRun, error) {
	d := b.document
	start := workflows.RunStart(deviceops.Run{
		ID: id, Account: d.Account, Workflow: d.Name, Version: d.Version, Hash: d.Hash, Status: deviceops.RunRunning,
		StartedBy: "bench", StartedAt: time.Now().UTC().Truncate(time.Millisecond),
	})
	return b.client.ExecuteWorkflow(ctx, startOptions(id), start.Type, start.Input)
}

func (b *interpreting) startByHand(local bool) start {
	return func(ctx context.Context, id string) (client.WorkflowRun, error) {
		in := handInput{Account: b.document.Account, Run: id, Actions: b.options.Actions, Local: local}
		return b.client.ExecuteWorkflow(ctx, startOptions(id), handWritten, in)
	}
}

func startOptions(id string) client.StartWorkflowOptions {
	return client.StartWorkflowOptions{ID: id, TaskQueue: interpreterQueue}
}

func (b *interpreting) result(ctx context.Context, checked time.Duration) (Result, error) {
	yaml, err := b.yaml.figures(ctx, b.client, "")
	if err != nil {
		return Result{}, err
	}
	yardsticks, err := b.byHand.figures(ctx, b.client, "handwritten_")
	if err != nil {
		return Result{}, err
	}
	local, err := b.local.figures(ctx, b.client, "handwritten_local_")
	if err != nil {
		return Result{}, err
	}
	maps.Copy(yardsticks, local)
	yaml["check_1000_steps"] = milliseconds(checked)
	events := yaml["events_per_run"].Value
	o := b.options
	return Result{
		Bench:      "interpreter",
		Params:     map[string]any{"actions": o.Actions, "runs": o.Runs, "rounds": o.Rounds, "parallel": o.Parallel},
		Figures:    yaml,
		Yardsticks: yardsticks,
		Ratios: map[string]float64{
			"wall_to_handwritten":         round(medianRatio(b.yaml.walls, b.byHand.walls)),
			"events_to_handwritten":       round(events / yardsticks["handwritten_events_per_run"].Value),
			"wall_to_handwritten_local":   round(medianRatio(b.yaml.walls, b.local.walls)),
			"events_to_handwritten_local": round(events / yardsticks["handwritten_local_events_per_run"].Value),
		},
	}, nil
}

// figures gives what a run of the series takes, under names with a prefix.
func (s *series) figures(ctx context.Context, c client.Client, prefix string) (map[string]Figure, error) {
	events, tasks, err := countHistory(ctx, c, s.last)
	return map[string]Figure{
		prefix + "wall_per_run":           milliseconds(percentile(s.walls, 50)),
		prefix + "start_to_end_p50":       milliseconds(percentile(s.single, 50)),
		prefix + "events_per_run":         {events, "events"},
		prefix + "workflow_tasks_per_run": {tasks, "tasks"},
	}, err
}

func milliseconds(d time.Duration) Figure {
	return Figure{Value: round(float64(d) / float64(time.Millisecond)), Unit: "ms"}
}

// medianRatio compares measurements that were made side by side, pair by pair:
// what slowed both down at a time cancels out.
func medianRatio(a, b []time.Duration) float64 {
	ratios := make([]float64, len(a))
	for i := range a {
		ratios[i] = a[i].Seconds() / b[i].Seconds()
	}
	slices.Sort(ratios)
	middle := len(ratios) / 2
	if len(ratios)%2 == 0 {
		return (ratios[middle-1] + ratios[middle]) / 2
	}
	return ratios[middle]
}

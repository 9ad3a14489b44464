package bench

import (
	"context"
	"fmt"
	"io"
	"strings"
	"time"

	"github.com/deviceops/deviceops"
	"github.com/deviceops/deviceops/dev"

	api "github.com/deviceops/deviceops/client"
)

// IngestOptions size the bench ingest.
type IngestOptions struct {
	Automations int           // that listen, ten to each type of event
	Events      int           // said as fast as they are taken
	Raw         int           // messages of the yardstick
	Devices     int           // that say them
	Half        time.Duration // how long to go on at half the rate
	Progress    io.Writer     // lines for people
}

const (
	listeners  = 10   // automations that hear one type of event
	matchEvery = 1000 // one event of so many starts a run
	noMatch    = -1
)

// Ingest measures how fast events that automations listen to are stored and
// matched, and how soon a run is accepted, against the rate at which the same
// client library drains the same broker without an engine. Publishers and
// consumers are in this process, for both.
func Ingest(ctx context.Context, o IngestOptions) (Result, error) {
	if o.Automations < listeners || o.Events < matchEvery || o.Devices < 1 {
		return Result{}, deviceops.Errorf(deviceops.EINVALID, "measure %d automations, %d events and a device, or more", listeners, matchEvery)
	}
	b := &ingesting{options: o, say: func(format string, args ...any) { fmt.Fprintf(o.Progress, format+"\n", args...) }}
	defer b.stop()
	for _, step := range []func(context.Context) error{b.start, b.rawDrain, b.fullLoad, b.halfLoad} {
		if err := step(ctx); err != nil {
			return Result{}, err
		}
	}
	return b.result(), nil
}

// ingesting is one run of the bench.
type ingesting struct {
	options IngestOptions
	say     func(string, ...any)
	stack   *dev.Stack
	look    *database
	load    *load
	greeted int // events that came of the hellos

	raw, stored Figure
	rawCPU      time.Duration // for a message of the yardstick, in this process
	cpu         cpuTimes      // of events as fast as they are taken
	bytes       float64       // of the database, for an event
	full, half  []time.Duration
	halfRate    float64
	firstHeap   uint64 // a fifth into the time at half load
	lastHeap    uint64 // at its end
}

func (b *ingesting) start(ctx context.Context) (err error) {
	b.say("starting a stack")
	if b.stack, err = dev.Start(ctx, dev.Options{Out: b.options.Progress}); err != nil {
		return err
	}
	if b.look, err = openDatabase(ctx, b.stack.DatabaseURL()); err != nil {
		return err
	}
	devices, err := b.look.register(ctx, b.stack.Server.Store, fleetPrefix, b.options.Devices)
	if err != nil {
		return err
	}
	b.load = newLoad(b.stack.BrokerURL(), devices, b.options.Automations)
	if err := b.listen(ctx); err != nil {
		return err
	}
	return b.greet(ctx)
}

// listen publishes the automations.
func (b *ingesting) listen(ctx context.Context) error {
	b.say("%d automations listen", b.options.Automations)
	for first := 0; first < b.options.Automations; first += automationsPerFile {
		source := ingestDocuments(first, min(first+automationsPerFile, b.options.Automations))
		report, err := b.stack.Client().Apply(ctx, source, api.ApplyOptions{Reason: "bench"})
		if err == nil && report.Refused {
			err = deviceops.Errorf(deviceops.EINTERNAL, "the automations of the bench are refused: %+v", report.Documents[0])
		}
		if err != nil {
			return err
		}
	}
	return nil
}

// greet has the devices say hello, which is done once at a connect and not at each
// event, and waits until they are online. The automations are read and compiled with
// what they say first, which is done when they change.
func (b *ingesting) greet(ctx context.Context) error {
	b.say("%d devices say hello", b.options.Devices)
	if err := b.load.greet(ctx); err != nil {
		return err
	}
	err := b.goal(b.options.Devices, "devices are online").await(ctx, b.look.counting(onlineSQL))
	if err != nil {
		return err
	}
	b.greeted, err = b.look.count(ctx, `select last_value from event_ids`)
	return err
}

// automationsPerFile keeps files as small as files have to be.
const automationsPerFile = 50

// ingestDocuments writes the automations from first to before end, each of which
// waits for another number, and the workflow that they run.
func ingestDocuments(first, end int) string {
	var b strings.Builder
	b.WriteString("workflow: bench-match\nversion: 1\ninputs: { n: integer }\noutputs: { n: \"${{ vars.n }}\" }\nsteps: [ { set: { n: \"${{ inputs.n }}\" } } ]\n")
	for i := first; i < end; i++ {
		fmt.Fprintf(&b, "---\nautomation: bench-%d\ntrigger: { event: %s, where: event.data.code == %d }\nconcurrency: parallel\nrun: bench-match@1\nwith: { n: \"${{ event.data.n }}\" }\n",
			i, eventType(i), i)
	}
	return b.String()
}

// eventType gives the type of event that an automation hears.
func eventType(automation int) string { return fmt.Sprintf("bench.type-%d", automation/listeners) }

func (b *ingesting) stop() {
	if b.look != nil {
		b.look.close()
	}
	if b.stack != nil {
		_ = b.stack.Close(context.Background())
	}
}

// rawDrain measures the yardstick.
func (b *ingesting) rawDrain(ctx context.Context) error {
	b.say("yardstick: %d messages drained without an engine", b.options.Raw)
	before, err := b.look.cpu(ctx)
	if err != nil {
		return err
	}
	took, err := b.load.drain(ctx, b.options.Raw)
	if err != nil {
		return err
	}
	after, err := b.look.cpu(ctx)
	b.rawCPU = after.since(before).own
	b.raw = perSecond(b.options.Raw, took, "messages")
	b.say("  %.0f messages/s", b.raw.Value)
	return err
}

// fullLoad measures events said as fast as they are taken.
func (b *ingesting) fullLoad(ctx context.Context) error {
	n := b.options.Events
	before, err := b.look.count(ctx, `select pg_database_size(current_database())`)
	if err != nil {
		return err
	}
	cpu, err := b.look.cpu(ctx)
	if err != nil {
		return err
	}
	b.say("%d events", n)
	began := time.Now()
	if err := b.load.say(ctx, n, 0); err != nil {
		return err
	}
	took, err := b.awaitStored(ctx, began)
	if err != nil {
		return err
	}
	after, err := b.look.count(ctx, `select pg_database_size(current_database())`)
	if err != nil {
		return err
	}
	cpuAfter, err := b.look.cpu(ctx)
	if err != nil {
		return err
	}
	b.cpu = cpuAfter.since(cpu)
	b.bytes = float64(after-before) / float64(n)
	b.stored = perSecond(n, took, "events")
	b.say("  %.0f events/s", b.stored.Value)
	b.full, err = b.accepted(ctx)
	return err
}

// storedSQL counts the messages that are stored, once there may be as many events as
// $1: counting often would take much of what is measured.
const storedSQL = `select case when last_value >= $1 then (select count(*) from message_seqs) else 0 end from event_ids`

// awaitStored waits until all that was said is stored, and gives the time since
// began at which it was.
func (b *ingesting) awaitStored(ctx context.Context, began time.Time) (time.Duration, error) {
	err := b.goal(b.load.said(), "events are stored").await(ctx, b.look.counting(storedSQL, b.greeted+b.load.said()))
	return time.Since(began), err
}

func (b *ingesting) goal(n int, things string) goal {
	return goal{n: n, things: things, every: 20 * time.Millisecond}
}

// halfLoad goes on at half the rate, looks at memory, and measures how soon runs
// are accepted.
func (b *ingesting) halfLoad(ctx context.Context) error {
	b.halfRate = b.stored.Value / 2
	n := int(b.halfRate * b.options.Half.Seconds())
	b.say("%.0f events/s for %s", b.halfRate, b.options.Half)
	heap := make(chan uint64, 1)
	timer := time.AfterFunc(b.options.Half/5, func() { heap <- liveHeap() })
	defer timer.Stop()
	began := time.Now()
	if err := b.load.say(ctx, n, b.halfRate); err != nil {
		return err
	}
	b.firstHeap, b.lastHeap = <-heap, liveHeap()
	if _, err := b.awaitStored(ctx, began); err != nil {
		return err
	}
	var err error
	b.half, err = b.accepted(ctx)
	return err
}

// accepted waits for the runs of all events that match and have not been asked
// for, and gives how long after each event was said Temporal had its run.
func (b *ingesting) accepted(ctx context.Context) (waits []time.Duration, err error) {
	said := b.load.takeMatches()
	all := goal{n: len(said), things: "runs were accepted", every: 200 * time.Millisecond}
	return waits, all.await(ctx, func(ctx context.Context) (int, error) {
		waits, err = b.waits(ctx, said)
		return len(waits), err
	})
}

// waits gives how long after each event that was said its run was accepted, of
// those that are.
func (b *ingesting) waits(ctx context.Context, said map[int64]time.Time) (waits []time.Duration, err error) {
	runs, err := b.stack.Server.Store.ListRuns(ctx, deviceops.RunFilter{Workflow: "bench-match", Limit: 100_000})
	if err != nil {
		return nil, err
	}
	for _, r := range runs {
		n, _ := r.Inputs["n"].(int64)
		at, ours := said[n]
		if !ours {
			continue
		}
		started, err := b.startOf(ctx, r.ID)
		if err != nil {
			return nil, err
		}
		if !started.IsZero() {
			waits = append(waits, started.Sub(at))
		}
	}
	return waits, nil
}

// startOf gives when Temporal accepted a run; zero: it has not.
func (b *ingesting) startOf(ctx context.Context, run string) (time.Time, error) {
	e, err := b.stack.Server.Orchestrator.Describe(ctx, run)
	if deviceops.ErrorCode(err) == deviceops.ENOTFOUND {
		return time.Time{}, nil
	}
	return e.StartedAt, err
}

func (b *ingesting) result() Result {
	o := b.options
	heap := float64(b.lastHeap)
	return Result{
		Bench: "ingest",
		Params: map[string]any{
			"automations": o.Automations, "events": o.Events, "devices": o.Devices, "raw_messages": o.Raw,
			"match_every": matchEvery, "listeners_per_type": listeners, "half_load_s": o.Half.Seconds(),
		},
		Figures: map[string]Figure{
			"events_per_second":      b.stored,
			"event_to_run_p50":       milliseconds(percentile(b.half, 50)),
			"event_to_run_p99":       milliseconds(percentile(b.half, 99)),
			"event_to_run_full_p50":  milliseconds(percentile(b.full, 50)),
			"event_to_run_full_p99":  milliseconds(percentile(b.full, 99)),
			"half_load":              {round(b.halfRate), "events/s"},
			"runs":                   {float64(len(b.full) + len(b.half)), "runs"},
			"bytes_per_event":        {round(b.bytes), "bytes"},
			"cpu_per_event":          microseconds(b.cpu.own, o.Events), // the publishers and the broker included
			"cpu_per_event_postgres": microseconds(b.cpu.database, o.Events),
			"live_heap_first":        {float64(b.firstHeap), "bytes"},
			"live_heap_last":         {heap, "bytes"},
		},
		Yardsticks: map[string]Figure{"raw_drain": b.raw, "cpu_per_raw_message": microseconds(b.rawCPU, o.Raw)},
		Ratios: map[string]float64{
			"events_to_raw_drain":     round(b.stored.Value / b.raw.Value),
			"live_heap_last_to_first": round(heap / float64(max(b.firstHeap, 1))),
		},
	}
}

package bench

import (
	"cmp"
	"context"
	"fmt"
	"strings"
	"sync"
	"time"

	mqtt "github.com/eclipse/paho.mqtt.golang"
	"go.temporal.io/sdk/client"
	"go.temporal.io/sdk/temporal"
	"go.temporal.io/sdk/worker"
	"go.temporal.io/sdk/workflow"

	"github.com/deviceops/deviceops"
	"github.com/deviceops/deviceops/activities"
	"github.com/deviceops/deviceops/dsl"
	"github.com/deviceops/deviceops/gateway"
)

// rawTopics is where devices of the yardstick speak: the engine does not listen.
const rawTopics = "bench/raw"

// rawDevices is how many devices of the yardstick there are at most: they take
// turns.
const rawDevices = 10_000

// rawRoundTrips measures commands of QoS 1 and their answers without an engine:
// as many at once as the rollout may have, to devices of the same kind.
func (b *rolling) rawRoundTrips(ctx context.Context) error {
	n := cmp.Or(b.options.RoundTrips, b.options.Devices)
	r := &roundTrips{bench: b, n: n, devices: min(n, rawDevices), hellos: map[string]bool{}, room: make(chan struct{}, inFlight), done: make(chan struct{})}
	r.greet = make(chan string, r.devices)
	b.say("yardstick: %d raw round trips", n)
	if err := b.devices(ctx, rawPrefix, r.devices, rawTopics); err != nil {
		return err
	}
	defer func() { // its devices must not share the machine with the rollout
		last := len(b.others) - 1
		b.others[last].end()
		b.others = b.others[:last]
	}()
	took, err := r.run(ctx)
	b.raw = perSecond(n, took, "round_trips")
	b.say("  %.0f round trips/s", b.raw.Value)
	return err
}

// roundTrips counts answers.
type roundTrips struct {
	bench   *rolling
	n       int           // commands
	devices int           // that they go to
	room    chan struct{} // one is held by each command that is not answered

	mu       sync.Mutex
	hellos   map[string]bool
	answered int
	done     chan struct{}
	greet    chan string // devices to be welcomed: none answers before
}

func (r *roundTrips) run(ctx context.Context) (time.Duration, error) {
	publisher, err := r.bench.publisher(ctx, rawTopics)
	if err != nil {
		return 0, err
	}
	options := mqtt.NewClientOptions().AddBroker(r.bench.stack.BrokerURL()).SetClientID("bench-raw").SetOrderMatters(false)
	c := mqtt.NewClient(options)
	if token := c.Connect(); token.Wait() && token.Error() != nil {
		return 0, token.Error()
	}
	defer c.Disconnect(100)
	if token := c.Subscribe(rawTopics+"/+/up/+", 1, r.hear); token.Wait() && token.Error() != nil {
		return 0, token.Error()
	}
	if err := r.welcome(ctx, publisher); err != nil {
		return 0, err
	}
	used, err := r.bench.partTimes(ctx)
	if err != nil {
		return 0, err
	}
	began := time.Now()
	if err := r.publish(ctx, publisher); err != nil {
		return 0, err
	}
	select {
	case <-r.done:
		took := time.Since(began)
		usedThen, err := r.bench.partTimes(ctx)
		r.bench.rawCPU = usedThen.since(used, r.n)
		return took, err
	case <-time.After(patience):
		return 0, deviceops.Errorf(deviceops.ETIMEOUT, "raw round trips do not end")
	case <-ctx.Done():
		return 0, ctx.Err()
	}
}

// welcome waits for the hellos of all devices and answers them.
func (r *roundTrips) welcome(ctx context.Context, publisher *gateway.Publisher) error {
	var welcomed int
	return r.bench.goal(r.devices, "devices of the yardstick are online").await(ctx, func(ctx context.Context) (int, error) {
		var welcomes []deviceops.Welcome
		for len(r.greet) > 0 {
			welcomes = append(welcomes, deviceops.Welcome{Device: <-r.greet, State: deviceops.Active})
		}
		if len(welcomes) > 0 {
			if err := publisher.PublishWelcomes(ctx, welcomes, time.Now()); err != nil {
				return welcomed, err
			}
		}
		welcomed += len(welcomes)
		return welcomed, nil
	})
}

func (r *roundTrips) publish(ctx context.Context, publisher *gateway.Publisher) error {
	const batch = 500
	for from := 0; from < r.n; from += batch {
		var commands []deviceops.Command
		for i := from; i < min(r.n, from+batch); i++ {
			r.room <- struct{}{}
			device := fmt.Sprintf("%s-%05d", rawPrefix, i%r.devices+1)
			commands = append(commands, deviceops.Command{ID: fmt.Sprintf("raw-%d.%s", i/r.devices, device), Device: device, Name: "diagnostics", Attempt: 1})
		}
		if _, err := publisher.PublishCommands(ctx, commands, time.Now()); err != nil {
			return err
		}
	}
	return nil
}

// hear counts hellos and results.
func (r *roundTrips) hear(_ mqtt.Client, m mqtt.Message) {
	parts := strings.Split(m.Topic(), "/")
	device, leaf := parts[len(parts)-3], parts[len(parts)-1]
	r.mu.Lock()
	defer r.mu.Unlock()
	switch leaf {
	case "hello":
		if !r.hellos[device] {
			r.hellos[device] = true
			r.greet <- device
		}
	case "result": // none is repeated before half a minute is over
		<-r.room
		if r.answered++; r.answered == r.n {
			close(r.done)
		}
	}
}

// publisher connects a publisher of its own to the broker.
func (b *rolling) publisher(ctx context.Context, prefix string) (*gateway.Publisher, error) {
	p, err := gateway.NewPublisher(gateway.Config{Broker: b.stack.BrokerURL(), Prefix: prefix})
	if err != nil {
		return nil, err
	}
	go func() { _ = p.Run(ctx) }()
	return p, b.goal(1, "connected").await(ctx, func(context.Context) (int, error) {
		if p.Ready() != nil {
			return 0, nil
		}
		return 1, nil
	})
}

const childQueue = "bench-children"

// childInput names the devices that get a child workflow each.
type childInput struct{ Devices []string }

// parentOfAll starts a child for each device and waits for all.
func parentOfAll(ctx workflow.Context, in childInput) error {
	futures := make([]workflow.Future, len(in.Devices))
	for i, device := range in.Devices {
		child := workflow.WithChildOptions(ctx, workflow.ChildWorkflowOptions{WorkflowID: "bench-child/" + device})
		futures[i] = workflow.ExecuteChildWorkflow(child, childOfOne, device)
	}
	for _, f := range futures {
		if err := f.Get(ctx, nil); err != nil {
			return err
		}
	}
	return nil
}

// childOfOne gives one device the command and waits for its answer.
func childOfOne(ctx workflow.Context, device string) error {
	ctx = workflow.WithActivityOptions(ctx, workflow.ActivityOptions{
		StartToCloseTimeout: time.Minute, ScheduleToCloseTimeout: 10 * time.Minute, RetryPolicy: &temporal.RetryPolicy{MaximumInterval: time.Second},
	})
	return workflow.ExecuteActivity(ctx, activities.NameExecuteCommand, activities.CommandInput{
		ID: "bench-child." + device, Account: deviceops.RootAccount, Device: device, Name: "diagnostics", Attempt: 1, By: "bench",
		ExpiresAt: workflow.Now(ctx).Add(10 * time.Minute),
	}).Get(ctx, nil)
}

// childWorkflows measures the same change by a child workflow per device.
func (b *rolling) childWorkflows(ctx context.Context) error {
	n := min(b.options.Children, b.options.Devices)
	b.say("yardstick: %d child workflows", n)
	publisher, err := b.publisher(ctx, "")
	if err != nil {
		return err
	}
	store := b.stack.Server.Store
	w := worker.New(b.stack.Server.Temporal, childQueue, worker.Options{})
	w.RegisterWorkflow(parentOfAll)
	w.RegisterWorkflow(childOfOne)
	activities.Register(w, activities.Deps{Store: store, Gateway: publisher, Catalog: &dsl.Catalog{Documents: store}})
	if err := w.Start(); err != nil {
		return fmt.Errorf("start the yardstick's worker: %w", err)
	}
	defer w.Stop()
	began := time.Now()
	run, err := b.stack.Server.Temporal.ExecuteWorkflow(ctx, client.StartWorkflowOptions{ID: "bench-children", TaskQueue: childQueue},
		parentOfAll, childInput{Devices: b.ids[:n]})
	if err == nil {
		err = run.Get(ctx, nil)
	}
	if err != nil {
		return fmt.Errorf("yardstick: %w", err)
	}
	b.child = perSecond(n, time.Since(began), "devices")
	b.say("  %.1f devices/s", b.child.Value)
	return nil
}

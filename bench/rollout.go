package bench

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"io"
	"os"
	"time"

	"github.com/deviceops/deviceops"
	"github.com/deviceops/deviceops/dev"
	"github.com/deviceops/deviceops/dsl"
	"github.com/deviceops/deviceops/examples"
	"github.com/deviceops/deviceops/workflows"

	api "github.com/deviceops/deviceops/client"
)

// RolloutOptions size the bench rollout.
type RolloutOptions struct {
	Devices     int       // of the fleet, all online
	Connections int       // MQTT connections that they share
	Children    int       // devices of the yardstick of child workflows
	Touched     int       // devices of a ring that is taken back
	RoundTrips  int       // raw ones, the yardstick; 0: as many as devices, since a machine keeps its highest speed for a moment only
	Program     string    // this program: it runs the broker and the devices
	Progress    io.Writer // lines for people
}

// inFlight is how many devices may be at the change, or at a raw round trip, at
// once.
const inFlight = 4000

// Rollout measures how fast a change reaches a fleet whose devices answer at
// once, and what each device costs. Its yardsticks are raw round trips of QoS 1
// through the same broker to devices of the same kind, and the same change by a
// child workflow per device. Broker and devices are processes of their own, so
// that the memory measured is the engine's.
func Rollout(ctx context.Context, o RolloutOptions) (Result, error) {
	b := &rolling{options: o, say: func(format string, args ...any) { fmt.Fprintf(o.Progress, format+"\n", args...) }}
	defer b.stop()
	// What is compared is measured one after the other: the speed of a machine that
	// others share changes within minutes.
	steps := []func(context.Context) error{b.start, b.connect, b.childWorkflows, b.rawRoundTrips, b.rollOut, b.revert, b.pause}
	for _, step := range steps {
		if err := step(ctx); err != nil {
			return Result{}, err
		}
	}
	return b.result(), nil
}

// rolling is one run of the bench.
type rolling struct {
	options RolloutOptions
	say     func(string, ...any)
	folder  string
	stack   *dev.Stack
	ids     []string
	others  []*process
	deploy  *database

	raw, child  Figure
	rawCPU      map[string]Figure
	rolled      rolled
	reverted    reverted
	stopLatency time.Duration
}

// rolled is what a rollout was measured at.
type rolled struct {
	rate     Figure
	p50, p99 time.Duration // from the beginning of a command's publication to its stored result
	events   float64       // of the workflow's history
	before   uint64        // bytes of live heap, the fleet being connected
	after    uint64
	cpu      map[string]Figure // per device, by part
}

func (b *rolling) start(ctx context.Context) (err error) {
	if b.folder, err = os.MkdirTemp("", "deviceops-bench-"); err != nil {
		return err
	}
	if err := os.Chmod(b.folder, 0o711); err != nil { // PostgreSQL's user passes through
		return err
	}
	b.say("starting a broker, and a stack")
	if err := b.spawn(ctx, "dev", "--data", b.folder, "--parts", dev.PartBroker); err != nil {
		return err
	}
	parts := []string{dev.PartTemporal, dev.PartPostgres, "api", "gateway", "worker"}
	b.stack, err = dev.Start(ctx, dev.Options{Data: b.folder, Parts: parts, Out: b.options.Progress})
	if err != nil {
		return err
	}
	if _, err := b.stack.Client().Apply(ctx, examples.Kiosk, api.ApplyOptions{Reason: "bench"}); err != nil {
		return err
	}
	b.deploy, err = openDatabase(ctx, b.stack.DatabaseURL())
	return err
}

// stop ends everything that was started.
func (b *rolling) stop() {
	for _, p := range b.others {
		p.end()
	}
	if b.deploy != nil {
		b.deploy.close()
	}
	if b.stack != nil {
		_ = b.stack.Close(context.Background())
	}
	if b.folder != "" {
		_ = os.RemoveAll(b.folder)
	}
}

// connect registers the fleet as active and waits until all of it is online.
func (b *rolling) connect(ctx context.Context) error {
	b.say("%d devices are registered", b.options.Devices)
	ids, err := b.deploy.register(ctx, b.stack.Server.Store, fleetPrefix, b.options.Devices)
	if err != nil {
		return err
	}
	b.ids = ids
	b.say("they connect, and say hello")
	if err := b.devices(ctx, fleetPrefix, b.options.Devices, ""); err != nil {
		return err
	}
	return b.goal(b.options.Devices, "devices are online").await(ctx, b.deploy.counting(onlineSQL))
}

// devices switches a fleet on in a process of its own.
func (b *rolling) devices(ctx context.Context, prefix string, n int, topics string) error {
	args := []string{
		"simulate", "--broker", b.stack.BrokerURL(), "--devices", fmt.Sprint(n), "--connections", fmt.Sprint(b.options.Connections),
		"--prefix", prefix, "--profile", fleetProfile, "--latency", "1ms", "--latency-p99", "2ms", "--telemetry", "-1s",
	}
	if topics != "" {
		args = append(args, "--topics", topics)
	}
	return b.spawn(ctx, args...)
}

// manifest is the change: a command to every device, in one ring.
func manifest(name string) string {
	return fmt.Sprintf(`rollout: %s
change: { command: { name: diagnostics } }
targets: device.profile == "kiosk"
rings:
  - name: all
in_flight: %d
`, name, inFlight)
}

// create stores a rollout and starts its workflow.
func (b *rolling) create(ctx context.Context, source string) (deviceops.Rollout, error) {
	spec, diagnostics := dsl.CompileRollout("bench.yaml", source, dsl.Options{})
	if err := diagnostics.Err(); err != nil {
		return deviceops.Rollout{}, err
	}
	now, hash := time.Now().UTC().Truncate(time.Millisecond), sha256.Sum256([]byte(source))
	r, _, err := b.stack.Server.Store.CreateRollout(ctx, spec.NewRollout(deviceops.RootAccount, source, hex.EncodeToString(hash[:]), "bench", "bench", now))
	if err != nil {
		return r, err
	}
	_, err = b.stack.Server.Orchestrator.Start(ctx, workflows.RolloutStart(workflows.RolloutInput{Rollout: r.ID}))
	return r, err
}

// rollOut takes the change to the whole fleet.
func (b *rolling) rollOut(ctx context.Context) error {
	b.say("a rollout to all of them")
	b.rolled.before = liveHeap()
	used, err := b.partTimes(ctx)
	if err != nil {
		return err
	}
	r, err := b.create(ctx, manifest("bench"))
	if err != nil {
		return err
	}
	done := b.deploy.counting(`select coalesce(sum(succeeded), 0) from rollout_rings where rollout = $1`, r.ID)
	err = b.goal(b.options.Devices, "devices are done").await(ctx, done)
	if err != nil {
		return err
	}
	usedThen, err := b.partTimes(ctx)
	if err != nil {
		return err
	}
	b.rolled.cpu = usedThen.since(used, b.options.Devices)
	b.rolled.after = liveHeap()
	times, err := b.deploy.times(ctx, r.ID)
	if err != nil {
		return err
	}
	b.rolled.p50, b.rolled.p99 = times.p50, times.p99
	b.rolled.rate = perSecond(b.options.Devices, times.last.Sub(times.first), "devices")
	if b.rolled.events, _, err = countHistory(ctx, b.stack.Server.Temporal, deviceops.RolloutWorkflowID(r.ID)); err != nil {
		return err
	}
	b.say("  %.0f devices/s", b.rolled.rate.Value)
	return nil
}

// pause measures how long after a pause the last command is recorded as sent.
func (b *rolling) pause(ctx context.Context) error {
	b.say("another one is paused")
	r, err := b.create(ctx, manifest("bench-pause"))
	if err != nil {
		return err
	}
	reached := b.deploy.counting(`select coalesce(sum(targeted - pending), 0) from rollout_rings where rollout = $1`, r.ID)
	err = b.goal(b.options.Devices/5, "devices were reached").await(ctx, reached)
	if err != nil {
		return err
	}
	store, now := b.stack.Server.Store, time.Now()
	err = store.InTx(ctx, func(ctx context.Context, tx deviceops.Tx) error {
		locked, err := tx.LockRollout(ctx, r.ID)
		if err != nil {
			return err
		}
		locked.Status, locked.Epoch = deviceops.RolloutPaused, locked.Epoch+1
		return tx.SaveRollout(ctx, locked)
	})
	if err != nil {
		return err
	}
	b.stopLatency, err = b.deploy.lastSent(ctx, r.ID, now)
	return err
}

func (b *rolling) goal(n int, things string) goal {
	return goal{n: n, things: things, every: 100 * time.Millisecond, say: b.say}
}

func (b *rolling) result() Result {
	perDevice := func(bytes uint64) float64 { return float64(bytes) / float64(b.options.Devices) }
	grown := float64(b.rolled.after) - float64(b.rolled.before)
	r := Result{
		Bench:  "rollout",
		Params: map[string]any{"devices": b.options.Devices, "connections": b.options.Connections, "in_flight": inFlight, "child_workflows": b.options.Children},
		Figures: map[string]Figure{
			"devices_per_second":        b.rolled.rate,
			"command_to_result_p50":     {round(b.rolled.p50.Seconds()), "s"},
			"command_to_result_p99":     {round(b.rolled.p99.Seconds()), "s"},
			"history_events_per_device": {round(b.rolled.events / float64(b.options.Devices)), "events"},
			"live_heap":                 {float64(b.rolled.after), "bytes"},
			"live_heap_per_device":      {round(perDevice(b.rolled.after)), "bytes"},
			"live_heap_grown":           {grown, "bytes"},
			"pause_to_last_sent":        {round(b.stopLatency.Seconds()), "s"},
			"devices_reverted":          {float64(b.reverted.devices), "devices"},
			"fail_to_reverted_p50":      {round(b.reverted.p50.Seconds()), "s"},
			"fail_to_reverted_p99":      {round(b.reverted.p99.Seconds()), "s"},
			"fail_to_last_reverted":     {round(b.reverted.last.Seconds()), "s"},
		},
		Yardsticks: map[string]Figure{"raw_round_trips": b.raw, "child_workflows": b.child},
		Ratios: map[string]float64{
			"devices_to_raw_round_trips": round(b.rolled.rate.Value / b.raw.Value),
			"to_child_workflow":          round(b.rolled.rate.Value / b.child.Value),
		},
	}
	for part, used := range b.rolled.cpu {
		r.Figures["cpu_per_device_"+part] = used
	}
	for part, used := range b.rawCPU {
		r.Yardsticks["cpu_per_round_trip_"+part] = used
	}
	return r
}

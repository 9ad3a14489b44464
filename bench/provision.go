package bench

import (
	"context"
	"fmt"
	"io"
	"math"
	"time"

	enumspb "go.temporal.io/api/enums/v1"
	"go.temporal.io/sdk/client"

	"github.com/deviceops/deviceops"
	"github.com/deviceops/deviceops/dev"
	"github.com/deviceops/deviceops/examples"
	"github.com/deviceops/deviceops/simulator"
	"github.com/deviceops/deviceops/workflows"

	api "github.com/deviceops/deviceops/client"
)

// ProvisionOptions size the bench provision.
type ProvisionOptions struct {
	Devices     int       // that power on at once
	Connections int       // MQTT connections that they share
	Workflows   int       // of the yardstick
	Progress    io.Writer // lines for people
}

// historySample is how many workflows' histories are counted.
const historySample = 50

// Provision measures how fast devices that power on at once become active, and
// what each of them costs in Temporal, against a Go workflow of three empty
// activities on the same server. Nothing has to be installed.
func Provision(ctx context.Context, o ProvisionOptions) (Result, error) {
	say := func(format string, args ...any) { fmt.Fprintf(o.Progress, format+"\n", args...) }
	say("starting a stack")
	stack, err := dev.Start(ctx, dev.Options{Out: o.Progress})
	if err != nil {
		return Result{}, err
	}
	defer func() { _ = stack.Close(context.WithoutCancel(ctx)) }()

	say("yardstick: %d workflows of three empty activities", o.Workflows)
	took, err := measureThreeActivities(ctx, stack.Server.Temporal, o.Workflows)
	if err != nil {
		return Result{}, err
	}
	yardstick := perSecond(o.Workflows, took, "workflows")
	say("  %.1f workflows/s", yardstick.Value)

	say("%d devices power on", o.Devices)
	p := provisioning{stack: stack, options: o, say: say}
	if err := p.run(ctx); err != nil {
		return Result{}, err
	}
	return p.result(ctx, yardstick)
}

// provisioning is one fleet that becomes active.
type provisioning struct {
	stack   *dev.Stack
	options ProvisionOptions
	say     func(string, ...any)
	devices []deviceops.Device
}

func (p *provisioning) run(ctx context.Context) error {
	c := p.stack.Client()
	if _, err := c.Apply(ctx, examples.Kiosk, api.ApplyOptions{Reason: "bench"}); err != nil {
		return err
	}
	fleet, err := dev.NewFleet(ctx, c, simulator.Config{
		Broker: p.stack.BrokerURL(), Devices: p.options.Devices, Connections: p.options.Connections,
		Prefix: "bench", Profile: fleetProfile, Seed: 1,
		Behavior: simulator.Behavior{Latency: simulator.Latency{Median: 5 * time.Millisecond, P99: 20 * time.Millisecond}},
	})
	if err != nil {
		return err
	}
	running, switchOff := context.WithCancel(ctx)
	ended := make(chan error, 1)
	go func() { ended <- fleet.Simulator.Run(running) }()
	err = p.await(ctx, c)
	switchOff()
	if fleetErr := <-ended; err == nil {
		err = fleetErr
	}
	if repeats := fleet.Simulator.Ledger().Repeats(); err == nil && len(repeats) > 0 {
		err = deviceops.Errorf(deviceops.EINTERNAL, "%d commands were executed more than once, the first is %+v", len(repeats), repeats[0])
	}
	if err != nil {
		return err
	}
	p.devices, err = p.stack.Server.Store.ListDevices(ctx, deviceops.DeviceFilter{Profile: fleetProfile, Limit: p.options.Devices})
	return err
}

// await returns when all devices are active.
func (p *provisioning) await(ctx context.Context, c *api.Client) error {
	all := goal{n: p.options.Devices, things: "active", every: 250 * time.Millisecond, say: p.say}
	return all.await(ctx, func(ctx context.Context) (int, error) {
		stats, err := c.FleetStats(ctx, deviceops.DeviceFilter{Profile: fleetProfile})
		return stats.ByState[deviceops.Active], err
	})
}

// result measures from what the devices and the histories say.
func (p *provisioning) result(ctx context.Context, yardstick Figure) (Result, error) {
	var waits []time.Duration
	first, last := p.devices[0].Session.HelloAt, p.devices[0].StateSince
	for _, d := range p.devices {
		waits = append(waits, d.StateSince.Sub(d.Session.HelloAt))
		if d.Session.HelloAt.Before(first) {
			first = d.Session.HelloAt
		}
		if d.StateSince.After(last) {
			last = d.StateSince
		}
	}
	events, tasks, err := p.cost(ctx)
	if err != nil {
		return Result{}, err
	}
	rate := perSecond(len(p.devices), last.Sub(first), "devices")
	return Result{
		Bench:  "provision",
		Params: map[string]any{"devices": p.options.Devices, "connections": p.options.Connections, "yardstick_workflows": p.options.Workflows},
		Figures: map[string]Figure{
			"rate":                      rate,
			"hello_to_active_p50":       {round(percentile(waits, 50).Seconds()), "s"},
			"hello_to_active_p99":       {round(percentile(waits, 99).Seconds()), "s"},
			"history_events_per_device": {round(events), "events"},
			"workflow_tasks_per_device": {round(tasks), "tasks"},
		},
		Yardsticks: map[string]Figure{"three_activities": yardstick},
		Ratios:     map[string]float64{"provision_to_three_activities": round(rate.Value / yardstick.Value)},
	}, nil
}

// cost gives the means of history events and of workflow tasks over a sample of
// the devices.
func (p *provisioning) cost(ctx context.Context) (events, tasks float64, err error) {
	step := max(1, len(p.devices)/historySample)
	sampled := 0.0
	for i := 0; i < len(p.devices); i += step {
		e, t, err := countHistory(ctx, p.stack.Server.Temporal, workflows.ProvisionID(p.devices[i].ID))
		if err != nil {
			return 0, 0, err
		}
		events, tasks, sampled = events+e, tasks+t, sampled+1
	}
	sampled = math.Max(sampled, 1)
	return events / sampled, tasks / sampled, nil
}

func countHistory(ctx context.Context, c client.Client, id string) (events, tasks float64, err error) {
	history := c.GetWorkflowHistory(ctx, id, "", false, enumspb.HISTORY_EVENT_FILTER_TYPE_ALL_EVENT)
	for history.HasNext() {
		event, err := history.Next()
		if err != nil {
			return 0, 0, fmt.Errorf("history of %s: %w", id, err)
		}
		events++
		if event.GetEventType() == enumspb.EVENT_TYPE_WORKFLOW_TASK_COMPLETED {
			tasks++
		}
	}
	return events, tasks, nil
}

package dev

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"os/exec"
	"slices"
	"strings"
	"time"

	"github.com/deviceops/deviceops"
	"github.com/deviceops/deviceops/serve"
	"github.com/deviceops/deviceops/simulator"
)

// RunOptions say what `deviceops dev` does with a stack.
type RunOptions struct {
	Options

	Demo  bool // show a fleet coming to life
	Exit  bool // end after the demo, with an error unless every device is where it should be
	Fleet int  // virtual devices; 0: none, or DemoFleet in a demo

	Terminal bool   // Out is a terminal: tables may move
	Program  string // how to call the command line, for what to try; default: deviceops

	// Engine makes the command of a process that runs EngineParts on a folder of
	// data and ends when its standard input does, so that a demo can kill it. Nil:
	// this process runs them, and the demo kills nothing.
	Engine func(data string) *exec.Cmd

	// Remember keeps the address and token for the command line; nil: not kept.
	Remember func(server, token string) error
}

// DemoFleet is how many devices a demo has unless told otherwise.
const DemoFleet = 200

// demoPatience is how long the fleet of a demo may take to settle.
const demoPatience = 5 * time.Minute

// Check gives EINVALID for options that make no sense.
func (o RunOptions) Check() error {
	if o.Fleet < 0 {
		return deviceops.Errorf(deviceops.EINVALID, "a fleet of %d devices can't be run", o.Fleet)
	}
	options := o.Options.withDefaults()
	if err := options.check(); err != nil {
		return err
	}
	if (o.Demo || o.Exit || o.Fleet > 0) && !options.runs(serve.RoleAPI) {
		return deviceops.Errorf(deviceops.EINVALID, "a fleet is registered by the API: run it in the process that has the part api")
	}
	return nil
}

// Run brings a stack up, says where everything is, and runs it until ctx ends
// or a part fails.
func Run(ctx context.Context, o RunOptions) (err error) {
	if err := o.Check(); err != nil {
		return err
	}
	began := time.Now()
	apart, err := o.partAway()
	if err != nil {
		return err
	}
	fmt.Fprintf(o.Out, "Starting %s ...\n", strings.Join(o.Options.withDefaults().Parts, ", "))
	stack, err := Start(ctx, o.Options)
	if err != nil {
		return err
	}
	defer func() {
		fmt.Fprintln(o.Out, "Stopping ...")
		apart.stop()
		err = errors.Join(err, stack.Close(context.WithoutCancel(ctx)))
	}()
	if err := apart.begin(ctx, o.Out); err != nil {
		return err
	}
	if o.Remember != nil && o.Options.withDefaults().runs(serve.RoleAPI) {
		if err := o.Remember(stack.APIURL(), stack.Token()); err != nil {
			return err
		}
	}
	fmt.Fprintf(o.Out, readyLine+" %.1f s.\n\n", time.Since(began).Seconds())
	o.addresses(stack)
	return o.serve(ctx, stack, apart)
}

// readyLine begins the line that says that everything is ready for use.
const readyLine = "Ready after"

// partAway takes the engine out of the parts of this process when a demo is to
// kill it, and gives its process; nil: it stays here.
func (o *RunOptions) partAway() (*engine, error) {
	if !o.Demo && !o.Exit || o.Engine == nil || len(o.Parts) > 0 || o.Broker != "" {
		return nil, nil
	}
	if o.Data == "" {
		dir, err := temporaryFolder()
		if err != nil {
			return nil, err
		}
		o.Data, o.Ephemeral = dir, true
	}
	o.Parts = slices.DeleteFunc(AllParts(), func(p string) bool { return slices.Contains(EngineParts(), p) })
	data := o.Data
	return &engine{command: func() *exec.Cmd { return o.Engine(data) }}, nil
}

func (o RunOptions) addresses(s *Stack) {
	for _, line := range [][2]string{
		{"API", s.APIURL()}, {"token", s.Token()}, {"MQTT", s.BrokerURL()}, {"Temporal", s.TemporalAddress()}, {"data", s.Dir()},
	} {
		if line[1] != "" {
			fmt.Fprintf(o.Out, "  %-9s  %s\n", line[0], line[1])
		}
	}
	fmt.Fprintln(o.Out)
}

// serve runs what was asked for on the stack until ctx ends.
func (o RunOptions) serve(ctx context.Context, stack *Stack, apart *engine) error {
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	idle := func() error { <-ctx.Done(); return nil }
	work := idle
	switch {
	case o.Demo || o.Exit:
		work = func() error { return o.demo(ctx, stack, apart) }
	case o.Fleet > 0:
		work = func() error { return o.fleet(ctx, stack) }
	}
	done := make(chan error, 1)
	go func() { done <- work() }()
	select {
	case err := <-done:
		return ended(ctx, err)
	case err := <-stack.Failed():
		return err
	case <-ctx.Done():
		cancel()
		return ended(ctx, <-done)
	}
}

// ended drops errors that only say that the end was asked for.
func ended(ctx context.Context, err error) error {
	if ctx.Err() != nil {
		return nil
	}
	return err
}

func (o RunOptions) demo(ctx context.Context, stack *Stack, apart *engine) error {
	d := &demo{
		stack: stack, client: stack.Client(), out: o.Out, terminal: o.Terminal, devices: o.Fleet, patience: demoPatience,
		program: cmp.Or(o.Program, "deviceops"), engine: apart,
	}
	if d.devices == 0 {
		d.devices = DemoFleet
	}
	wait, err := d.run(ctx)
	if err != nil || o.Exit {
		return err
	}
	d.invite()
	fmt.Fprintln(o.Out, "Ctrl-C ends it.")
	return wait()
}

// fleet runs virtual devices that behave, until ctx ends.
func (o RunOptions) fleet(ctx context.Context, stack *Stack) error {
	d := &demo{stack: stack, client: stack.Client(), out: o.Out, devices: o.Fleet}
	if err := d.publish(ctx); err != nil {
		return err
	}
	config := d.fleetConfig()
	config.Behavior = simulator.Behavior{}
	fleet, err := NewFleet(ctx, d.client, config)
	if err != nil {
		return err
	}
	fmt.Fprintf(o.Out, "%d virtual kiosks are switched on. Ctrl-C ends it.\n", o.Fleet)
	return fleet.Simulator.Run(ctx)
}

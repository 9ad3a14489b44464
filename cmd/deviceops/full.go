//go:build !lean

package main

import (
	"context"
	"io"
	"log/slog"
	"os"
	"os/exec"
	"strings"
	"time"

	"github.com/spf13/cobra"
	"golang.org/x/term"

	"github.com/deviceops/deviceops/artifact"
	"github.com/deviceops/deviceops/bench"
	"github.com/deviceops/deviceops/cli"
	"github.com/deviceops/deviceops/dev"
)

// fullCommands are the commands that carry the embedded servers, which a
// container image has no use for.
func fullCommands(config cli.Config) []*cobra.Command {
	return []*cobra.Command{devCommand(config), benchCommand()}
}

func devCommand(config cli.Config) *cobra.Command {
	var o dev.RunOptions
	var logLevel string
	var withParent bool
	cmd := &cobra.Command{
		Use: "dev", Short: "Run the whole product on this machine", Args: cobra.NoArgs,
		Long: `Runs Temporal, an MQTT broker, PostgreSQL and all roles in one process, on
loopback, and writes a context, so that the command line in a second terminal
works at once. Ctrl-C ends all of it.

With --data the state is kept and a restart carries on, also after a crash;
without it everything is gone at the end. With --parts a process runs some of
the parts, and others with the same --data run the rest.`,
		Example: `  deviceops dev --demo
  deviceops dev --data ~/.deviceops --fleet 50
  deviceops dev --data /tmp/x --parts postgres,temporal,broker
  deviceops dev --data /tmp/x --parts api,gateway,worker`,
		RunE: func(cmd *cobra.Command, _ []string) error {
			var level slog.Level
			if err := level.UnmarshalText([]byte(logLevel)); err != nil {
				return cli.Usage(err)
			}
			if err := o.Check(); err != nil {
				return cli.Usage(err)
			}
			letGarbagePile()
			o.Program = os.Args[0]
			o.Version, o.Out, o.Terminal = config.Version, cmd.OutOrStdout(), term.IsTerminal(int(os.Stdout.Fd()))
			o.Log = slog.New(slog.NewTextHandler(cmd.ErrOrStderr(), &slog.HandlerOptions{Level: level}))
			o.Remember = func(server, token string) error { return cli.SaveContext("dev", server, token) }
			o.Engine = func(data string) *exec.Cmd { return engineCommand(data, logLevel) }
			ctx := cmd.Context()
			if withParent {
				var cancel context.CancelFunc
				ctx, cancel = untilEOF(ctx, cmd.InOrStdin())
				defer cancel()
			}
			return dev.Run(ctx, o)
		},
	}
	flags := cmd.Flags()
	flags.BoolVar(&o.Demo, "demo", false, "show a fleet coming to life, a good release, a bad one and the death of the engine")
	flags.BoolVar(&o.Exit, "exit", false, "end after the demo; exit 0 only if every device is where it should be")
	flags.IntVar(&o.Fleet, "fleet", 0, "virtual devices to run (in a demo: 200)")
	flags.StringVar(&o.Data, "data", "", "folder that keeps the state (default: a temporary one)")
	flags.StringSliceVar(&o.Parts, "parts", nil, "parts to run: temporal,broker,postgres,gateway,worker,api (default: all)")
	flags.DurationVar(&o.ArtifactTTL, "artifact-ttl", artifact.DefaultTTL, "how long the URL in an install command lets a download begin")
	flags.StringVar(&o.Broker, "broker", "", "URL of an MQTT broker to use in place of the embedded one")
	flags.IntVar(&o.APIPort, "port", 0, "port to prefer for the API (default: 8080)")
	flags.StringSliceVar(&o.AllowNetworks, "allow-network", nil, "a private network that http.request may reach, such as 127.0.0.0/8; repeat for more")
	flags.StringVar(&logLevel, "log-level", "warn", "debug, info, warn or error")
	flags.BoolVar(&withParent, withParentFlag, false, "end when standard input does")
	_ = flags.MarkHidden(withParentFlag) // for processes that dev itself starts
	return cmd
}

const withParentFlag = "with-parent"

// engineCommand runs the engine of a demo in a process of its own.
func engineCommand(data, logLevel string) *exec.Cmd {
	program, err := os.Executable()
	if err != nil {
		program = os.Args[0]
	}
	cmd := exec.Command(program, "dev", "--data", data, "--parts", strings.Join(dev.EngineParts(), ","), "--log-level", logLevel, "--"+withParentFlag)
	cmd.Stderr = os.Stderr
	return cmd
}

// untilEOF gives a context that ends with the input. A parent that dies, however
// it does, closes the pipe.
func untilEOF(ctx context.Context, input io.Reader) (context.Context, context.CancelFunc) {
	ctx, cancel := context.WithCancel(ctx)
	go func() {
		_, _ = io.Copy(io.Discard, input)
		cancel()
	}()
	return ctx, cancel
}

func benchCommand() *cobra.Command {
	cmd := &cobra.Command{
		Use: "bench", Short: "Measure the whole stack against a yardstick of the same run",
		Long: `Every bench brings up a stack of its own, measures, and prints one JSON object:
figures, the yardsticks measured in the same run, and their ratios. Progress
goes to stderr.`,
	}
	var o bench.ProvisionOptions
	provision := &cobra.Command{
		Use: "provision", Short: "From hello to active, against workflows of three empty activities", Args: cobra.NoArgs,
		Example: "  deviceops bench provision --devices 1000",
		RunE: func(cmd *cobra.Command, _ []string) error {
			o.Progress = cmd.ErrOrStderr()
			result, err := bench.Provision(cmd.Context(), o)
			if err != nil {
				return err
			}
			return result.Print(cmd.OutOrStdout())
		},
	}
	provision.Flags().IntVar(&o.Devices, "devices", 1000, "devices that power on at once")
	provision.Flags().IntVar(&o.Connections, "connections", 16, "MQTT connections that they share")
	provision.Flags().IntVar(&o.Workflows, "yardstick", 500, "workflows of three empty activities to measure")
	cmd.AddCommand(provision, benchInterpreter(), benchRuns(), benchRollout(), benchIngest())
	return cmd
}

func benchRollout() *cobra.Command {
	var o bench.RolloutOptions
	cmd := &cobra.Command{
		Use: "rollout", Short: "A change to a whole fleet, against raw round trips and child workflows", Args: cobra.NoArgs,
		Example: `  deviceops bench rollout --devices 10000
  deviceops bench rollout --devices 100000 --yardstick 200`,
		RunE: func(cmd *cobra.Command, _ []string) (err error) {
			o.Progress = cmd.ErrOrStderr()
			letGarbagePile() // as serve and dev do
			if o.Program, err = os.Executable(); err != nil {
				return err
			}
			result, err := bench.Rollout(cmd.Context(), o)
			if err != nil {
				return err
			}
			return result.Print(cmd.OutOrStdout())
		},
	}
	cmd.Flags().IntVar(&o.Devices, "devices", 10000, "devices of the fleet, all online")
	cmd.Flags().IntVar(&o.Connections, "connections", 16, "MQTT connections that they share")
	cmd.Flags().IntVar(&o.Children, "yardstick", 1000, "child workflows to measure, one for each of so many devices")
	cmd.Flags().IntVar(&o.Touched, "touched", 2000, "devices of a ring that is taken back")
	cmd.Flags().IntVar(&o.RoundTrips, "round-trips", 0, "raw round trips to measure (default: as many as devices)")
	return cmd
}

func benchIngest() *cobra.Command {
	var o bench.IngestOptions
	var minutes float64
	cmd := &cobra.Command{
		Use: "ingest", Short: "Events that automations listen to, against draining the broker", Args: cobra.NoArgs,
		Example: `  deviceops bench ingest --automations 1000
  deviceops bench ingest --automations 1000 --minutes 5`,
		RunE: func(cmd *cobra.Command, _ []string) error {
			o.Progress, o.Half = cmd.ErrOrStderr(), time.Duration(minutes*float64(time.Minute))
			letGarbagePile() // as serve and dev do
			result, err := bench.Ingest(cmd.Context(), o)
			if err != nil {
				return err
			}
			return result.Print(cmd.OutOrStdout())
		},
	}
	cmd.Flags().IntVar(&o.Automations, "automations", 1000, "automations that listen, ten to a type of event")
	cmd.Flags().IntVar(&o.Events, "events", 200_000, "events said as fast as they are taken, one a message; one of 1,000 matches")
	cmd.Flags().IntVar(&o.Raw, "raw", 200_000, "messages drained without an engine, as a yardstick")
	cmd.Flags().IntVar(&o.Devices, "devices", 1000, "devices that say them")
	cmd.Flags().Float64Var(&minutes, "minutes", 1, "how long to go on at half the rate; memory is looked at after a fifth of it and at its end")
	return cmd
}

func benchRuns() *cobra.Command {
	var o bench.RunsOptions
	cmd := &cobra.Command{
		Use: "runs", Short: "Runs that never wait, against workflows that return at once", Args: cobra.NoArgs,
		Example: "  deviceops bench runs --runs 1000",
		RunE: func(cmd *cobra.Command, _ []string) error {
			o.Progress = cmd.ErrOrStderr()
			letGarbagePile() // as serve and dev do
			result, err := bench.Runs(cmd.Context(), o)
			if err != nil {
				return err
			}
			return result.Print(cmd.OutOrStdout())
		},
	}
	cmd.Flags().IntVar(&o.Runs, "runs", 1000, "runs of each kind")
	cmd.Flags().IntVar(&o.Parallel, "parallel", 8, "starts at once")
	return cmd
}

func benchInterpreter() *cobra.Command {
	var o bench.InterpreterOptions
	cmd := &cobra.Command{
		Use: "interpreter", Short: "A workflow in YAML, against the same written in Go", Args: cobra.NoArgs,
		Example: "  deviceops bench interpreter --actions 20",
		RunE: func(cmd *cobra.Command, _ []string) error {
			o.Progress = cmd.ErrOrStderr()
			result, err := bench.Interpreter(cmd.Context(), o)
			if err != nil {
				return err
			}
			return result.Print(cmd.OutOrStdout())
		},
	}
	cmd.Flags().IntVar(&o.Actions, "actions", 12, "actions of a run")
	cmd.Flags().IntVar(&o.Runs, "runs", 16, "runs of each kind in a round")
	cmd.Flags().IntVar(&o.Rounds, "rounds", 15, "rounds, in which the two kinds take turns")
	cmd.Flags().IntVar(&o.Parallel, "parallel", 4, "runs at once")
	return cmd
}

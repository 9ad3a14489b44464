package cli

import (
	"context"

	"github.com/spf13/cobra"

	"github.com/deviceops/deviceops"
	"github.com/deviceops/deviceops/client"
)

func (a *app) runsCancel() *cobra.Command {
	var reason string
	cmd := &cobra.Command{
		Use: "cancel RUN", Short: "Ask a run to end, with its clean-up", Args: args(1, 1),
		Long: `Calls off what the run is doing, takes back what it completed (undo) and cleans
up (finally). A paused run does so at once.`,
		Example: "  deviceops runs cancel run-0a1b2c --reason \"wrong site\"",
		RunE: a.remote(func(ctx context.Context, c *client.Client, args []string) error {
			run, err := c.CancelRun(ctx, args[0], reason)
			return a.steered(run, err, func(w *screen) { w.line("%s is asked to end: deviceops runs watch %s", run.ID, run.ID) })
		}),
	}
	reasonFlag(cmd, &reason)
	return cmd
}

func (a *app) runsPause() *cobra.Command {
	var reason string
	cmd := &cobra.Command{
		Use: "pause RUN", Short: "Have a run begin no more steps", Args: args(1, 1),
		Long: `Nothing begins in any branch of the run until it is resumed: no step, no further
try of one, no further round of a loop. What is under way goes on to its end and
is recorded. Clocks go on too: waits and timeouts end when they would have, and an
approval may be decided or expire; what follows from it waits.

A run that was started by this one is a run of its own and goes on. Canceling a
paused run cleans up at once.`,
		Example: "  deviceops runs pause run-0a1b2c --reason \"smoke in the shop\"",
		RunE: a.remote(func(ctx context.Context, c *client.Client, args []string) error {
			run, err := c.PauseRun(ctx, args[0], reason, "")
			return a.steered(run, err, func(w *screen) {
				w.line("%s is paused: no step begins until deviceops runs resume %s", run.ID, run.ID)
				for _, s := range run.Steps {
					if !s.Status.Ended() && s.WaitsFor != "" {
						w.line("Still under way: %s, which waits for %s", s.Step, w.waits(s))
					}
				}
			})
		}),
	}
	reasonFlag(cmd, &reason)
	return cmd
}

func (a *app) runsResume() *cobra.Command {
	var reason string
	cmd := &cobra.Command{
		Use: "resume RUN", Short: "Let a paused run go on", Args: args(1, 1),
		Long:    "What was held begins at once. A step whose time ran out meanwhile fails with timeout.",
		Example: "  deviceops runs resume run-0a1b2c --reason \"all clear\"",
		RunE: a.remote(func(ctx context.Context, c *client.Client, args []string) error {
			run, err := c.ResumeRun(ctx, args[0], reason, "")
			return a.steered(run, err, func(w *screen) { w.line("%s goes on: deviceops runs watch %s", run.ID, run.ID) })
		}),
	}
	reasonFlag(cmd, &reason)
	return cmd
}

// steered shows what a run was told, unless it was refused.
func (a *app) steered(run deviceops.Run, err error, table func(w *screen)) error {
	if err != nil {
		return err
	}
	return a.show(run, table)
}

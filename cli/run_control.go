package cli

import (
	"context"
	"fmt"

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

func (a *app) runsRerun() *cobra.Command {
	var r deviceops.RerunRequest
	var inputs []string
	var key string
	var wait bool
	cmd := &cobra.Command{
		Use: "rerun RUN", Short: "Run again from the step that failed", Args: args(1, 1),
		Long: `Starts a new run of the same definition with the same inputs. What the steps
before the failed one gave is copied: they are not executed again, and no device
is asked twice. The new run begins at the step that failed or was canceled; with
--from at another step of the workflow's own list, and then also when the run
succeeded. A failure inside a try, foreach, parallel, switch or while begins that
again as a whole. Steps that were taken back (undo) when the run ended are not
copied: the new run begins at the first of them.

An input may differ if no copied step read it. Another version may be executed if
its steps are the same up to where the new run begins; what people approved is
copied only if nothing differs. Whatever cannot be copied is refused with the
step at which to begin instead.`,
		Example: `  deviceops runs rerun run-0a1b2c --wait
  deviceops runs rerun run-0a1b2c --version latest --reason "fixed in version 4"
  deviceops runs rerun run-0a1b2c --from install -i ring=late`,
		RunE: a.remote(func(ctx context.Context, c *client.Client, args []string) error {
			given, err := pairs(inputs)
			if err != nil {
				return err
			}
			r.Inputs = anyMap(given)
			run, err := c.RerunRun(ctx, args[0], r, key)
			if err != nil {
				return err
			}
			if wait {
				return a.followRun(ctx, c, run.ID)
			}
			return a.show(run, func(w *screen) { w.rerun(run) })
		}),
	}
	flags := cmd.Flags()
	flags.StringVar(&r.From, "from", "", "the step to begin at")
	flags.StringArrayVarP(&inputs, "input", "i", nil, "an input key=value that differs; repeat for more")
	flags.StringVar(&r.Version, "version", "", "another version of the workflow: a number, or latest")
	flags.BoolVar(&wait, "wait", false, "wait for its end")
	flags.StringVar(&key, "key", "", "idempotency key: the same key starts one run")
	reasonFlag(cmd, &r.Reason)
	return cmd
}

func (w *screen) rerun(r deviceops.Run) {
	w.line("%s runs %s again as %s", r.ID, r.RerunOf.Run, workflowOf(r))
	copied := 0
	for _, s := range r.Steps {
		if s.Copied {
			copied++
		}
	}
	rows := fmt.Sprintf("%d rows of the steps before are copied", copied)
	if copied == 1 {
		rows = "1 row of the steps before is copied"
	}
	w.line("It begins at %s, since %s; %s.", r.RerunOf.Step, r.RerunOf.Because, rows)
	w.line("Follow it: deviceops runs watch %s", r.ID)
}

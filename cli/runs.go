package cli

import (
	"context"
	"fmt"
	"strings"

	"github.com/spf13/cobra"

	"github.com/deviceops/deviceops"
	"github.com/deviceops/deviceops/client"
)

func (a *app) runCommand() *cobra.Command {
	var r deviceops.RunRequest
	var inputs []string
	var wait bool
	var key string
	cmd := &cobra.Command{
		Use: "run WORKFLOW[@VERSION]", Short: "Run a workflow", Args: args(1, 1),
		Long: `Runs the newest version, or the one named. Inputs are given as text and get the
types that the workflow declares. With --wait it shows the run while it goes on
and exits with 1 unless it succeeds.`,
		Example: `  deviceops run reboot-with-approval --device kiosk-0001 -i battery=18 --wait
  deviceops run cleanup@3 -i site=berlin --reason "ticket 4711"`,
		RunE: a.remote(func(ctx context.Context, c *client.Client, args []string) error {
			given, err := pairs(inputs)
			if err != nil {
				return err
			}
			r.Workflow, r.Inputs = args[0], anyMap(given)
			run, err := c.StartRun(ctx, r, key)
			if err != nil {
				return err
			}
			if wait {
				return a.followRun(ctx, c, run.ID)
			}
			return a.show(run, func(w *screen) {
				w.line("%s runs %s@%d", run.ID, run.Workflow, run.Version)
				w.line("Follow it: deviceops runs watch %s", run.ID)
			})
		}),
	}
	flags := cmd.Flags()
	flags.StringArrayVarP(&inputs, "input", "i", nil, "an input key=value; repeat for more")
	flags.StringVar(&r.Device, "device", "", "the device that it runs on")
	flags.BoolVar(&wait, "wait", false, "wait for its end")
	flags.StringVar(&key, "key", "", "idempotency key: the same key starts one run")
	accountFlag(cmd, &r.Account)
	reasonFlag(cmd, &r.Reason)
	return cmd
}

func anyMap(texts map[string]string) map[string]any {
	out := make(map[string]any, len(texts))
	for key, text := range texts {
		out[key] = text
	}
	return out
}

func (a *app) runsCommand() *cobra.Command {
	show := &cobra.Command{
		Use: "show RUN", Short: "Show a run with its steps", Args: args(1, 1),
		RunE: a.remote(func(ctx context.Context, c *client.Client, args []string) error {
			run, err := c.Run(ctx, args[0])
			if err != nil {
				return err
			}
			return a.show(run, func(w *screen) { w.run(run) })
		}),
	}
	watch := &cobra.Command{
		Use: "watch RUN", Short: "Follow a run until it ends", Args: args(1, 1),
		Long: "Shows each step when it changes. Exits with 1 unless the run succeeds.",
		RunE: a.remote(func(ctx context.Context, c *client.Client, args []string) error { return a.followRun(ctx, c, args[0]) }),
	}
	return group("runs", "See and cancel runs of workflows", a.runsList(), show, watch, a.runsCancel())
}

func (a *app) runsList() *cobra.Command {
	var f deviceops.RunFilter
	var page listFlags
	var status string
	cmd := &cobra.Command{
		Use: "list", Short: "List runs, newest first", Args: args(0, 0),
		Example: "  deviceops runs list --status waiting\n  deviceops runs list --device kiosk-0001",
		RunE: a.remote(func(ctx context.Context, c *client.Client, _ []string) error {
			f.Limit, f.Status = page.limit, deviceops.RunStatus(status)
			runs, err := c.ListRuns(ctx, f, page.cursor)
			if err != nil {
				return err
			}
			defer a.more(len(runs.Items), runs.Next)
			return a.show(runs, func(w *screen) { w.runs(runs.Items) })
		}),
	}
	accountFlag(cmd, &f.Account)
	page.add(cmd)
	cmd.Flags().StringVar(&f.Workflow, "workflow", "", "runs of a workflow")
	cmd.Flags().StringVar(&f.Device, "device", "", "runs on a device")
	cmd.Flags().StringVar(&status, "status", "", "pending, running, waiting, succeeded, failed or canceled")
	return cmd
}

func (w *screen) runs(runs []deviceops.Run) {
	rows := make([][]string, len(runs))
	for i, r := range runs {
		rows[i] = []string{r.ID, workflowOf(r), dash(r.Device), string(r.Status), w.when(r.StartedAt), w.took(r.StartedAt, r.FinishedAt), r.StartedBy}
	}
	w.table([]string{"ID", "WORKFLOW", "DEVICE", "STATUS", "STARTED", "TOOK", "BY"}, rows)
}

func workflowOf(r deviceops.Run) string { return fmt.Sprintf("%s@%d", r.Workflow, r.Version) }

func (w *screen) run(r deviceops.Run) {
	w.fields(
		"run", r.ID, "workflow", workflowOf(r), "status", string(r.Status), "device", r.Device, "account", r.Account,
		"by", r.StartedBy, "reason", r.Reason, "inputs", compact(r.Inputs),
		"started", w.when(r.StartedAt), "took", w.took(r.StartedAt, r.FinishedAt), "outputs", compact(r.Outputs), "failure", runError(r.Error),
	)
	if len(r.Steps) == 0 {
		return
	}
	w.line("")
	rows := make([][]string, len(r.Steps))
	for i, s := range r.Steps {
		rows[i] = []string{s.Step, s.Verb, string(s.Status), fmt.Sprint(s.Attempts), w.took(s.StartedAt, s.FinishedAt), cut(stepNote(s), 80)}
	}
	w.table([]string{"STEP", "VERB", "STATUS", "ATTEMPTS", "TOOK", "NOTE"}, rows)
}

func runError(e *deviceops.RunError) string {
	if e == nil {
		return ""
	}
	at := ""
	if e.Step != "" {
		at = ", at step " + e.Step
	}
	return fmt.Sprintf("%s (%s%s)", strings.TrimSpace(e.Message), e.Code, at)
}

// stepNote says the most telling thing about a step.
func stepNote(s deviceops.RunStep) string {
	switch {
	case s.Error != nil:
		return runError(s.Error)
	case s.WaitsFor != "":
		return "waits for " + s.WaitsFor
	default:
		return compact(s.Output)
	}
}

func (a *app) runsCancel() *cobra.Command {
	var reason string
	cmd := &cobra.Command{
		Use: "cancel RUN", Short: "Ask a run to end, with its clean-up", Args: args(1, 1),
		Example: "  deviceops runs cancel run-0a1b2c --reason \"wrong site\"",
		RunE: a.remote(func(ctx context.Context, c *client.Client, args []string) error {
			run, err := c.CancelRun(ctx, args[0], reason)
			if err != nil {
				return err
			}
			return a.show(run, func(w *screen) { w.line("%s is asked to end: deviceops runs watch %s", run.ID, run.ID) })
		}),
	}
	reasonFlag(cmd, &reason)
	return cmd
}

// followRun shows a run until it ends and makes an error of a bad end. As JSON
// or YAML only its end is shown.
func (a *app) followRun(ctx context.Context, c *client.Client, id string) error {
	var last deviceops.Run
	seen := map[int]string{}
	for run, err := range c.FollowRun(ctx, id) {
		if err != nil {
			return err
		}
		last = run
		if a.output == outputTable {
			if err := a.show(run, func(w *screen) { w.newSteps(run, seen) }); err != nil {
				return err
			}
		}
	}
	if err := a.show(last, func(w *screen) { w.runEnd(last) }); err != nil {
		return err
	}
	switch {
	case last.Status == deviceops.RunSucceeded:
		return nil
	case last.Status.Ended():
		return failed("run %s %s: %s", id, last.Status, runError(last.Error))
	default:
		return deviceops.Errorf(deviceops.EUNAVAILABLE, "the server ended the stream before run %s did", id)
	}
}

// newSteps shows the steps that changed since seen.
func (w *screen) newSteps(r deviceops.Run, seen map[int]string) {
	for _, s := range r.Steps {
		note := cut(stepNote(s), 80)
		state := string(s.Status) + note
		if seen[s.Index] == state {
			continue
		}
		seen[s.Index] = state
		w.line("%s", strings.TrimRight(fmt.Sprintf("%s  %-20s  %s  %s", w.now.Format("15:04:05"), s.Step, w.paint(string(s.Status)), note), " "))
	}
}

func (w *screen) runEnd(r deviceops.Run) {
	w.line("%s %s after %s", workflowOf(r), w.paint(string(r.Status)), w.took(r.StartedAt, r.FinishedAt))
	if outputs := compact(r.Outputs); outputs != "" {
		w.line("outputs  %s", outputs)
	}
}

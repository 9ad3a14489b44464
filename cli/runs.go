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
	watch := &cobra.Command{
		Use: "watch RUN", Short: "Follow a run until it ends", Args: args(1, 1),
		Long: `Shows each step when it changes: what it waits for, how far the device is, until
when. Exits with 1 unless the run succeeds.`,
		RunE: a.remote(func(ctx context.Context, c *client.Client, args []string) error { return a.followRun(ctx, c, args[0]) }),
	}
	return group("runs", "See and steer runs of workflows", a.runsList(), a.runsShow(), watch, a.runsCancel(), a.runsPause(), a.runsResume(), a.runsRerun())
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
	cmd.Flags().StringVar(&status, "status", "", "pending, running, waiting, paused, succeeded, failed or canceled")
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

// followRun shows a run until it ends and makes an error of a bad end. As JSON
// or YAML only its end is shown.
func (a *app) followRun(ctx context.Context, c *client.Client, id string) error {
	var last deviceops.Run
	seen := seenRun{steps: map[int]seenStep{}}
	for run, err := range c.FollowRun(ctx, id) {
		if err != nil {
			return err
		}
		last = run
		if a.output == outputTable {
			if err := a.show(run, func(w *screen) { w.news(run, &seen) }); err != nil {
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

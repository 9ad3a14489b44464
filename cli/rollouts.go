package cli

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"strings"
	"sync"
	"time"

	"github.com/spf13/cobra"

	"github.com/deviceops/deviceops"
	"github.com/deviceops/deviceops/client"
)

const aboutRollouts = `A rollout takes a change (a release, a configuration, a command or a workflow) to
many devices, ring by ring. Each ring has a gate: a bad change stops where it is
and, if the manifest says so, is taken back.

  deviceops rollout preview FILE      what would happen, before anything does
  deviceops rollout simulate FILE     how long it takes, and how far a bad change gets
  deviceops rollout create FILE       begin
  deviceops rollout watch NAME        see rings, rates, errors and gates live
  deviceops rollout devices NAME      who got it, who waits, and for what
  deviceops explain rollout NAME DEVICE

Rollouts are named by their name or id.`

func (a *app) rolloutCommand() *cobra.Command {
	cmd := group("rollout", "Take a change to many devices, ring by ring",
		a.rolloutCreate(), a.rolloutPreview(), a.rolloutSimulate(), a.rolloutList(), a.rolloutShow(), a.rolloutDevices(), a.rolloutWatch(),
		a.rolloutPause(), a.rolloutResume(), a.rolloutCancel(), a.rolloutSkip(), a.rolloutRetry(), a.rolloutSet(), a.rolloutRollback())
	cmd.Long, cmd.Aliases = aboutRollouts, []string{"rollouts"}
	return cmd
}

// rolloutFlags are those of create and preview.
type rolloutFlags struct{ request deviceops.RolloutRequest }

func (f *rolloutFlags) add(cmd *cobra.Command) {
	accountFlag(cmd, &f.request.Account)
	reasonFlag(cmd, &f.request.Reason)
}

// manifest reads the file that is to be created or previewed; - is standard
// input.
func (a *app) manifest(path string) (name, source string, err error) {
	if path == "-" {
		data, err := io.ReadAll(a.In)
		return "stdin", string(data), err
	}
	data, err := os.ReadFile(path)
	if err != nil {
		return "", "", deviceops.Errorf(deviceops.EINVALID, "cannot read the manifest: %w", err)
	}
	return path, string(data), nil
}

func (a *app) rolloutCreate() *cobra.Command {
	var f rolloutFlags
	var wait, watch bool
	cmd := &cobra.Command{
		Use: "create FILE", Short: "Create a rollout and begin", Args: args(1, 1),
		Long: `Checks the manifest against what is published, stores it and begins. What the
manifest asks people about waits for them: deviceops approvals list.

The name makes it one rollout: creating it again with the same content changes
nothing, which suits a CI job; other content under a name that is taken is
refused. With --wait it exits when the rollout has ended, with 1 unless it
succeeded; --watch shows it meanwhile.`,
		Example: "  deviceops rollout create kiosk-2.4.0.yaml --reason \"ticket 4711\"\n  deviceops rollout create kiosk-2.4.0.yaml --watch",
		RunE: a.remote(func(ctx context.Context, c *client.Client, args []string) (err error) {
			if f.request.File, f.request.Source, err = a.manifest(args[0]); err != nil {
				return err
			}
			created, err := c.CreateRollout(ctx, f.request)
			if err != nil {
				return err
			}
			if created.Refused || !wait && !watch {
				return a.showCreated(created)
			}
			a.findings(created.Diagnostics)
			return a.followRollout(ctx, c, created.Rollout.ID, watch)
		}),
	}
	f.add(cmd)
	cmd.Flags().BoolVar(&wait, "wait", false, "wait for its end")
	cmd.Flags().BoolVar(&watch, "watch", false, "watch it until its end")
	return cmd
}

func (a *app) showCreated(created deviceops.RolloutCreated) error {
	err := a.show(created, func(w *screen) {
		a.findings(created.Diagnostics)
		if r := created.Rollout; r != nil {
			w.line("%s (%s) is %s%s", r.Name, r.ID, r.Status, map[bool]string{true: "", false: ": it was created before, with this content"}[created.Created])
			w.line("Watch it: deviceops rollout watch %s", r.Name)
		}
	})
	if err == nil && created.Refused {
		return refused("nothing begins")
	}
	return err
}

// refused ends a command whose manifest has errors, which were shown.
func refused(so string) error {
	return deviceops.Errorf(deviceops.EINVALID, "the manifest is refused: %s", so)
}

// findings shows diagnostics to the person at the terminal.
func (a *app) findings(found []deviceops.DiagnosticText) {
	for _, d := range found {
		fmt.Fprintln(a.Err, d.Text)
	}
}

func (a *app) rolloutPreview() *cobra.Command {
	var f rolloutFlags
	cmd := &cobra.Command{
		Use: "preview FILE", Short: "Tell what a rollout would do", Args: args(1, 1),
		Long: `Shows the rings with the devices that they would take now, who is left out and
why, and when it would end if all goes well. Nothing is stored and nothing begins.`,
		Example: "  deviceops rollout preview kiosk-2.4.0.yaml",
		RunE: a.remote(func(ctx context.Context, c *client.Client, args []string) (err error) {
			if f.request.File, f.request.Source, err = a.manifest(args[0]); err != nil {
				return err
			}
			told, err := c.PreviewRollout(ctx, f.request)
			if err != nil {
				return err
			}
			err = a.show(told, func(w *screen) {
				a.findings(told.Diagnostics)
				if told.Preview != nil {
					w.rolloutPreview(*told.Preview)
				}
			})
			if err == nil && told.Refused {
				return refused("it could not be created")
			}
			return err
		}),
	}
	accountFlag(cmd, &f.request.Account)
	return cmd
}

func (a *app) rolloutList() *cobra.Command {
	var f deviceops.RolloutFilter
	var page listFlags
	var status string
	cmd := &cobra.Command{
		Use: "list", Short: "List rollouts, newest first", Args: args(0, 0),
		Example: "  deviceops rollout list --open\n  deviceops rollout list --status paused",
		RunE: a.remote(func(ctx context.Context, c *client.Client, _ []string) error {
			f.Limit, f.Status = page.limit, deviceops.RolloutStatus(status)
			rollouts, err := c.ListRollouts(ctx, f, page.cursor)
			if err != nil {
				return err
			}
			defer a.more(len(rollouts.Items), rollouts.Next)
			return a.show(rollouts, func(w *screen) { w.rollouts(rollouts.Items) })
		}),
	}
	accountFlag(cmd, &f.Account)
	page.add(cmd)
	cmd.Flags().BoolVar(&f.Open, "open", false, "only those that have not ended")
	cmd.Flags().StringVar(&status, "status", "", "planning, waiting, running, paused, reverting, succeeded, failed, canceled or reverted")
	return cmd
}

func (a *app) rolloutShow() *cobra.Command {
	return &cobra.Command{
		Use: "show ROLLOUT", Short: "Show a rollout with its rings, gates and errors", Args: args(1, 1),
		RunE: a.remote(func(ctx context.Context, c *client.Client, args []string) error {
			report, err := c.Rollout(ctx, args[0])
			if err != nil {
				return err
			}
			return a.show(report, func(w *screen) { w.rollout(report) })
		}),
	}
}

func (a *app) rolloutDevices() *cobra.Command {
	var f deviceops.RolloutDeviceFilter
	var page listFlags
	var ring, status, wait string
	cmd := &cobra.Command{
		Use: "devices ROLLOUT", Short: "List the devices of a rollout, with what they wait for", Args: args(1, 1),
		Example: `  deviceops rollout devices kiosk-2.4.0 --status failed
  deviceops rollout devices kiosk-2.4.0 --ring canary --wait window`,
		RunE: a.remote(func(ctx context.Context, c *client.Client, args []string) error {
			f.Limit, f.Status, f.Wait = page.limit, deviceops.RolloutDeviceStatus(status), deviceops.WaitKind(wait)
			rows, err := c.RolloutDevices(ctx, args[0], ring, f, page.cursor)
			if err != nil {
				return err
			}
			report, err := c.Rollout(ctx, args[0])
			if err != nil {
				return err
			}
			defer a.more(len(rows.Items), rows.Next)
			return a.show(rows, func(w *screen) { w.rolloutDevices(rows.Items, report.Rollout.Rings) })
		}),
	}
	page.add(cmd)
	flags := cmd.Flags()
	flags.StringVar(&ring, "ring", "", "only of this ring, by name or number from 0")
	flags.StringVar(&status, "status", "", "pending, sent, accepted, deferred, succeeded, failed, rejected, timed_out, excused, canceled, reverting, reverted or revert_failed")
	flags.StringVar(&wait, "wait", "", "only those that wait for this: offline, sleep, window, budget, ready, lock, conflict, family, retry or deferred")
	return cmd
}

func (a *app) rolloutWatch() *cobra.Command {
	return &cobra.Command{
		Use: "watch ROLLOUT", Short: "Follow a rollout until it ends", Args: args(1, 1),
		Long: `On a terminal it shows the rings with their progress, how fast it goes, errors by
code and the gates with their values beside their thresholds, and keeps that up to
date. Elsewhere it writes a line for each change. Exits with 1 unless the rollout
succeeds.`,
		RunE: a.remote(func(ctx context.Context, c *client.Client, args []string) error {
			return a.followRollout(ctx, c, args[0], true)
		}),
	}
}

// followRollout shows a rollout until it ends, and makes an error of a bad end.
// As JSON or YAML only its end is shown.
func (a *app) followRollout(ctx context.Context, c *client.Client, name string, watch bool) error {
	var last deviceops.RolloutReport
	view := a.rolloutView(watch && a.output == outputTable)
	stop := sync.OnceFunc(view.keepUp(time.Second))
	defer stop()
	for report, err := range c.FollowRollout(ctx, name) {
		if err != nil {
			stop()
			return errors.Join(view.close(), err)
		}
		last = report
		if err := view.update(report, a.Now()); err != nil {
			return err
		}
	}
	stop()
	if err := view.close(); err != nil {
		return err
	}
	if err := a.show(last, func(w *screen) { w.rolloutEnd(last) }); err != nil {
		return err
	}
	switch r := last.Rollout; {
	case r.Status == deviceops.RolloutSucceeded:
		return nil
	case r.Status.Ended():
		return failed("rollout %s %s: %s", r.Name, rolloutVerb(r.Status), cmp.Or(r.StatusReason, "no reason was given"))
	default:
		return deviceops.Errorf(deviceops.EUNAVAILABLE, "the server ended the stream before rollout %s did", name)
	}
}

func (a *app) freezeCommand() *cobra.Command {
	var r deviceops.FreezeRequest
	cmd := &cobra.Command{
		Use: "freeze", Short: "Let nothing leave for devices until thaw", Args: args(0, 0),
		Long: `No command and no rollout begins on any device of the account and those below it
until deviceops thaw. What devices are at goes on.`,
		Example: "  deviceops freeze --reason \"Black Friday\"\n  deviceops thaw --reason \"it is over\"",
		RunE: a.remote(func(ctx context.Context, c *client.Client, _ []string) error {
			frozen, err := c.Freeze(ctx, r)
			if err != nil {
				return err
			}
			return a.show(frozen, func(w *screen) {
				w.line("Nothing leaves %s until: deviceops thaw --account %s", frozen.Account, frozen.Account)
			})
		}),
	}
	accountFlag(cmd, &r.Account)
	reasonFlag(cmd, &r.Reason)
	return cmd
}

func (a *app) thawCommand() *cobra.Command {
	var account, reason string
	cmd := &cobra.Command{
		Use: "thaw", Short: "End a freeze", Args: args(0, 0),
		Example: "  deviceops thaw --reason \"the holidays are over\"",
		RunE: a.remote(func(ctx context.Context, c *client.Client, _ []string) error {
			thawed, err := c.Thaw(ctx, account, reason)
			if err != nil {
				return err
			}
			return a.show(thawed, func(w *screen) {
				w.line("%s was frozen for %s, by %s; what waited goes on.", thawed.Account, span(w.now.Sub(thawed.At)), thawed.By)
			})
		}),
	}
	accountFlag(cmd, &account)
	reasonFlag(cmd, &reason)
	return cmd
}

// perMinute shows a rate.
func perMinute(rate float64) string {
	if rate == 0 {
		return "no limit"
	}
	return fmt.Sprintf("%.4g/m", rate)
}

// rounded shows a duration without what nobody wants to read: 45s, 30m, 2h15m.
func rounded(d time.Duration) string {
	unit := time.Minute
	if d < time.Minute {
		unit = time.Second
	}
	text := d.Round(unit).String()
	if unit == time.Minute {
		text = strings.TrimSuffix(text, "0s")
	}
	if strings.HasSuffix(text, "h0m") {
		text = strings.TrimSuffix(text, "0m")
	}
	return text
}

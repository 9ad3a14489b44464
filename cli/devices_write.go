package cli

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
	"maps"
	"os"
	"slices"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/deviceops/deviceops"
	"github.com/deviceops/deviceops/client"
)

func (a *app) devicesRegister() *cobra.Command {
	var r deviceops.RegisterRequest
	var labels, attributes []string
	cmd := &cobra.Command{
		Use: "register DEVICE", Short: "Register a device, so that it is provisioned when it connects", Args: args(1, 1),
		Long: `The device waits in escrow for its first hello, at which it presents the claim.
Registering it again changes its tags, labels and attributes.`,
		Example: `  deviceops devices register kiosk-0001 --profile kiosk --claim s3cret
  deviceops devices register kiosk-0002 --profile kiosk --tag critical --label site=berlin --attribute ram_mb=4096`,
		RunE: a.remote(func(ctx context.Context, c *client.Client, args []string) error {
			r.ID = args[0]
			var err error
			if r.Labels, err = pairs(labels); err != nil {
				return err
			}
			if r.Attributes, err = values(attributes); err != nil {
				return err
			}
			report, err := c.RegisterDevice(ctx, r)
			if err != nil {
				return err
			}
			return a.show(report, func(w *screen) {
				w.line("%s %s: %s, %s", report.Device.ID, w.paint(string(report.Outcome)), report.Device.Profile, report.Device.State)
			})
		}),
	}
	flags := cmd.Flags()
	flags.StringVar(&r.Profile, "profile", "", "its profile (required)")
	flags.StringVar(&r.Serial, "serial", "", "serial number (default: the id)")
	flags.StringVar(&r.Claim, "claim", "", "secret that it presents at its first hello")
	flags.StringVar(&r.Parent, "parent", "", "gateway through which it is reached")
	flags.StringVar(&r.Zone, "zone", "", "time zone, such as Europe/Berlin")
	flags.StringArrayVar(&r.Tags, "tag", nil, "a tag; repeat for more")
	flags.StringArrayVar(&labels, "label", nil, "a label key=value; repeat for more")
	flags.StringArrayVar(&attributes, "attribute", nil, "an attribute key=value; repeat for more")
	accountFlag(cmd, &r.Account)
	reasonFlag(cmd, &r.Reason)
	return cmd
}

// values reads key=value arguments whose values are JSON or, if they are none,
// text: level=5 is a number, name=kiosk and level='"5"' are text.
func values(given []string) (map[string]any, error) {
	texts, err := pairs(given)
	if err != nil || texts == nil {
		return nil, err
	}
	out := make(map[string]any, len(texts))
	for key, text := range texts {
		var v any
		if json.Unmarshal([]byte(text), &v) != nil {
			v = text
		}
		out[key] = v
	}
	return out, nil
}

func (a *app) devicesImport() *cobra.Command {
	var format, kind, reason string
	cmd := &cobra.Command{
		Use: "import FILE", Short: "Register many devices out of a CSV or NDJSON file", Args: args(1, 1),
		Long: `Good rows are kept, bad ones are listed with their line; run it again after
correcting them: what is registered stays as it is. FILE - is standard input.

CSV columns: id (required), serial, profile, account, claim, parent, tags
(separated by ;), labels.NAME, attributes.NAME, zone, latitude, longitude.
NDJSON: one object per line with the same fields.`,
		Example: `  deviceops devices import fleet.csv --reason "delivery 4711"
  generate-fleet | deviceops devices import - --format ndjson`,
		PreRunE: func(_ *cobra.Command, args []string) error {
			var err error
			kind, err = importType(args[0], format)
			return err
		},
		RunE: a.remote(func(ctx context.Context, c *client.Client, args []string) error {
			rows, err := a.open(args[0])
			if err != nil {
				return err
			}
			defer rows.Close()
			report, err := c.ImportDevices(ctx, kind, rows, reason)
			if err != nil {
				return err
			}
			if err := a.show(report, func(w *screen) { w.importReport(report) }); err != nil || len(report.Bad) == 0 {
				return err
			}
			return failed("%d of %d rows were not taken", len(report.Bad), report.Total)
		}),
	}
	cmd.Flags().StringVar(&format, "format", "", "csv or ndjson (default: by the name of the file)")
	reasonFlag(cmd, &reason)
	return cmd
}

func importType(file, format string) (string, error) {
	if format == "" {
		_, format, _ = strings.Cut(strings.ToLower(file[strings.LastIndexAny(file, `/\`)+1:]), ".")
	}
	switch format {
	case "csv":
		return client.CSV, nil
	case "ndjson", "jsonl":
		return client.NDJSON, nil
	default:
		return "", Usage(fmt.Errorf("name the format of %s: --format csv or --format ndjson", file))
	}
}

// open gives a file, or standard input for "-".
func (a *app) open(file string) (io.ReadCloser, error) {
	if file == "-" {
		return io.NopCloser(a.In), nil
	}
	f, err := os.Open(file)
	if err != nil {
		return nil, deviceops.Errorf(deviceops.EINVALID, "cannot read %s: %w", file, err)
	}
	return f, nil
}

func (w *screen) importReport(r deviceops.ImportReport) {
	parts := []string{}
	for _, outcome := range slices.Sorted(maps.Keys(r.Outcomes)) {
		parts = append(parts, fmt.Sprintf("%d %s", r.Outcomes[outcome], outcome))
	}
	w.line("%d rows: %s", r.Total, strings.Join(append(parts, fmt.Sprintf("%d not taken", len(r.Bad))), ", "))
	if len(r.Bad) == 0 {
		return
	}
	w.line("")
	rows := make([][]string, len(r.Bad))
	for i, bad := range r.Bad {
		rows[i] = []string{fmt.Sprint(bad.Line), dash(bad.ID), bad.Reason}
	}
	w.table([]string{"LINE", "ID", "REASON"}, rows)
}

func (a *app) devicesTag() *cobra.Command {
	var r deviceops.TagRequest
	cmd := &cobra.Command{
		Use: "tag DEVICE", Short: "Add and remove tags", Args: args(1, 1),
		Example: "  deviceops devices tag kiosk-0001 --add critical --remove lab",
		RunE: a.remote(func(ctx context.Context, c *client.Client, args []string) error {
			d, err := c.TagDevice(ctx, args[0], r)
			if err != nil {
				return err
			}
			return a.show(d, func(w *screen) { w.line("%s has the tags: %s", d.ID, dash(strings.Join(d.Tags, ", "))) })
		}),
	}
	cmd.Flags().StringArrayVar(&r.Add, "add", nil, "a tag to add; repeat for more")
	cmd.Flags().StringArrayVar(&r.Remove, "remove", nil, "a tag to remove; repeat for more")
	reasonFlag(cmd, &r.Reason)
	return cmd
}

func (a *app) devicesTransition() *cobra.Command {
	var r deviceops.TransitionRequest
	cmd := &cobra.Command{
		Use: "transition DEVICE STATE", Short: "Move a device to another state", Args: args(2, 2),
		Long: `States: escrow, discovered, provisioning, active, maintenance, quarantined, retired.

Into provisioning admits a device by hand, without its claim. Into quarantined
or retired withdraws the commands that it has not answered.`,
		Example: `  deviceops devices transition kiosk-0001 maintenance --reason "screen is replaced"
  deviceops devices transition kiosk-0666 provisioning --reason "identity checked on site"`,
		RunE: a.remote(func(ctx context.Context, c *client.Client, args []string) error {
			r.To = deviceops.State(args[1])
			d, err := c.TransitionDevice(ctx, args[0], r)
			if err != nil {
				return err
			}
			return a.show(d, func(w *screen) { w.line("%s is %s", d.ID, w.paint(string(d.State))) })
		}),
	}
	reasonFlag(cmd, &r.Reason)
	return cmd
}

func (a *app) devicesCommandCommand() *cobra.Command {
	var r deviceops.CommandRequest
	var arguments []string
	var wait, timeout time.Duration
	var key string
	cmd := &cobra.Command{
		Use: "command DEVICE NAME", Short: "Send a command to a device and wait for the answer", Args: args(2, 2),
		Long: `The command is kept until the device is online. When it has not answered after
--wait, the command goes on; "deviceops explain device" tells where it stands.
Exits with 1 when the device failed or refused.`,
		Example: `  deviceops devices command kiosk-0001 diagnostics
  deviceops devices command kiosk-0001 reboot -a mode=soft --wait 1m --reason "frozen screen"`,
		RunE: a.remote(func(ctx context.Context, c *client.Client, args []string) error {
			r.Name, r.TimeoutS = args[1], timeout.Seconds()
			var err error
			if r.Args, err = values(arguments); err != nil {
				return err
			}
			command, err := c.SendCommand(ctx, args[0], r, wait, key)
			if err != nil {
				return err
			}
			if err := a.show(command, func(w *screen) { w.command(command) }); err != nil {
				return err
			}
			return commandResult(command)
		}),
	}
	flags := cmd.Flags()
	flags.StringArrayVarP(&arguments, "arg", "a", nil, "an argument key=value; repeat for more")
	flags.DurationVar(&wait, "wait", 30*time.Second, "how long to wait for the answer, at most 1m; 0 to return at once")
	flags.DurationVar(&timeout, "timeout", 0, "when the command expires (default: as the profile says)")
	flags.StringVar(&key, "key", "", "idempotency key: the same key sends one command")
	reasonFlag(cmd, &r.Reason)
	return cmd
}

// commandResult makes an error of a command that ended without success.
func commandResult(c deviceops.Command) error {
	if !c.Status.Terminal() || c.Status == deviceops.CommandSucceeded {
		return nil
	}
	if c.Error == nil {
		return failed("%s %s", c.Name, c.Status)
	}
	return failed("%s %s: %s (%s)", c.Name, c.Status, c.Error.Message, c.Error.Code)
}

func (w *screen) command(c deviceops.Command) {
	w.fields(
		"command", c.ID, "name", c.Name, "device", c.Device, "status", string(c.Status), "attempt", fmt.Sprint(c.Attempt), "phase", c.Phase,
		"took", w.took(c.CreatedAt, c.FinishedAt), "output", compact(c.Output),
	)
	if !c.Status.Terminal() {
		w.line("It has not ended yet: deviceops explain device %s", c.Device)
	}
}

func (a *app) explainCommand() *cobra.Command {
	device := &cobra.Command{
		Use: "device DEVICE", Short: "Tell what a device waits for and what to do", Args: args(1, 1),
		Example: "  deviceops explain device kiosk-0001",
		RunE: a.remote(func(ctx context.Context, c *client.Client, args []string) error {
			x, err := c.ExplainDevice(ctx, args[0])
			if err != nil {
				return err
			}
			return a.show(x, func(w *screen) { w.explanation(x) })
		}),
	}
	rollout := &cobra.Command{
		Use: "rollout ROLLOUT [device] DEVICE", Short: "Tell what a device waits for in a rollout, or what became of it", Args: args(2, 3),
		Long: `Says what the engine decided when it last looked at the device, since when that
holds, and when it looks again: its ring, an approval, a window, a budget, the
rate, its being ready, a lock, its sleep.`,
		Example: "  deviceops explain rollout kiosk-2.4.0 kiosk-00012",
		RunE: a.remote(func(ctx context.Context, c *client.Client, args []string) error {
			// People also write what the sentence says: rollout R device D.
			x, err := c.ExplainRollout(ctx, args[0], args[len(args)-1])
			if err != nil {
				return err
			}
			return a.show(x, func(w *screen) { w.explanation(x) })
		}),
	}
	return group("explain", "Tell in plain words what something waits for, or why nothing came of it", device, rollout, a.explainEvent())
}

func (w *screen) explanation(x deviceops.Explanation) {
	w.line("%s", x.Summary)
	for _, wait := range x.Waits {
		w.line("")
		w.line("%s: %s", wait.For, wait.Text)
		if !wait.Since.IsZero() {
			w.line("  since %s", w.when(wait.Since))
		}
		if !wait.Until.IsZero() {
			w.line("  until %s", w.when(wait.Until))
		}
		if wait.Do != "" {
			w.line("  → %s", wait.Do)
		}
	}
}

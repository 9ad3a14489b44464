package cli

import (
	"context"
	"fmt"
	"maps"
	"slices"
	"time"

	"github.com/spf13/cobra"

	"github.com/deviceops/deviceops"
	"github.com/deviceops/deviceops/client"
)

func (a *app) eventsCommand() *cobra.Command {
	return group("events", "See what devices and the engine said", a.eventsTail(), a.eventsRejected())
}

func (a *app) eventsTail() *cobra.Command {
	var f deviceops.EventFilter
	var followOn bool
	cmd := &cobra.Command{
		Use: "tail", Short: "Show the latest events, oldest first", Args: args(0, 0),
		Long: "With -f it goes on with new ones until Ctrl-C; as JSON it then writes one object a line.",
		Example: `  deviceops events tail -f --type device.
  deviceops events tail --device kiosk-0001 --limit 20 -o json`,
		RunE: a.remote(func(ctx context.Context, c *client.Client, _ []string) error {
			page, err := c.ListEvents(ctx, f, "")
			if err != nil {
				return err
			}
			slices.Reverse(page.Items)
			if !followOn {
				return a.show(page, func(w *screen) { w.events(page.Items) })
			}
			for _, e := range page.Items {
				if err := a.showEvent(e); err != nil {
					return err
				}
				f.After = max(f.After, e.ID)
			}
			return a.followEvents(ctx, c, f)
		}),
	}
	accountFlag(cmd, &f.Account)
	cmd.Flags().StringVar(&f.Device, "device", "", "events of a device")
	cmd.Flags().StringVar(&f.Type, "type", "", "a type, or a prefix that ends in a dot")
	cmd.Flags().IntVar(&f.Limit, "limit", 20, "how many of the latest, at most 1000")
	cmd.Flags().BoolVarP(&followOn, "follow", "f", false, "go on with new events")
	return cmd
}

func (a *app) followEvents(ctx context.Context, c *client.Client, f deviceops.EventFilter) error {
	for e, err := range c.FollowEvents(ctx, f) {
		switch {
		case deviceops.ErrorCode(err) == deviceops.ECANCELED:
			return nil
		case err != nil:
			return err
		}
		if err := a.showEvent(e); err != nil {
			return err
		}
	}
	return deviceops.Errorf(deviceops.EUNAVAILABLE, "the server ended the stream")
}

// showEvent shows one event of a stream: as JSON on one line.
func (a *app) showEvent(e deviceops.Event) error {
	if a.output == outputJSON {
		_, err := fmt.Fprintln(a.Out, compact(e))
		return err
	}
	return a.show(e, func(w *screen) { w.event(e) })
}

func (w *screen) event(e deviceops.Event) {
	w.line("%s  %-12s  %-28s  %-8s  %s", e.At.UTC().Format(time.DateTime), dash(e.Device), e.Type, e.Severity, cut(compact(e.Data), 120))
}

func (w *screen) events(events []deviceops.Event) {
	rows := make([][]string, len(events))
	for i, e := range events {
		rows[i] = []string{e.At.UTC().Format(time.DateTime), dash(e.Device), e.Type, e.Severity, cut(compact(e.Data), 120)}
	}
	w.table([]string{"UTC", "DEVICE", "TYPE", "SEVERITY", "DATA"}, rows)
}

func (a *app) eventsRejected() *cobra.Command {
	var limit int
	cmd := &cobra.Command{
		Use: "rejected", Short: "Show messages that were not taken, with the reason", Args: args(0, 0),
		Long:    "Messages that no device of the installation could have meant: malformed, too large, of unknown devices. They never stop the others.",
		Example: "  deviceops events rejected --limit 20",
		RunE: a.remote(func(ctx context.Context, c *client.Client, _ []string) error {
			report, err := c.ListRejected(ctx, limit)
			if err != nil {
				return err
			}
			return a.show(report, func(w *screen) { w.rejected(report) })
		}),
	}
	cmd.Flags().IntVar(&limit, "limit", 20, "how many of the latest, at most 1000")
	return cmd
}

func (w *screen) rejected(r deviceops.RejectedReport) {
	var counts [][]string
	for _, code := range slices.Sorted(maps.Keys(r.Counts)) {
		counts = append(counts, []string{code, fmt.Sprint(r.Counts[code])})
	}
	w.table([]string{"CODE", "COUNT"}, counts)
	if len(r.Items) == 0 {
		return
	}
	w.line("")
	rows := make([][]string, len(r.Items))
	for i, m := range r.Items {
		rows[i] = []string{w.when(m.ReceivedAt), dash(m.Device), m.Code, fmt.Sprint(m.Size), cut(m.Topic, 60), cut(m.Reason, 80)}
	}
	w.table([]string{"WHEN", "DEVICE", "CODE", "BYTES", "TOPIC", "REASON"}, rows)
}

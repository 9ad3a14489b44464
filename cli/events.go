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
		Long: `With -f it goes on with new ones until Ctrl-C; as JSON it then writes one object a
line. What automations made of an event is told by its id: deviceops explain event ID`,
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

// event writes a row of a table that goes on for as long as one looks.
func (w *screen) event(e deviceops.Event) {
	w.row(eventCells(e), folded([]int{8, len(time.DateTime), 12, 28, 8, eventDataWidth}, w.width), plainly)
}

// eventDataWidth is how much of the data of an event is shown, in characters.
const eventDataWidth = 120

func eventCells(e deviceops.Event) []string {
	return []string{fmt.Sprint(e.ID), e.At.UTC().Format(time.DateTime), dash(e.Device), e.Type, e.Severity, cut(compact(e.Data), eventDataWidth)}
}

func (w *screen) events(events []deviceops.Event) {
	rows := make([][]string, len(events))
	for i, e := range events {
		rows[i] = eventCells(e)
	}
	w.table([]string{"ID", "UTC", "DEVICE", "TYPE", "SEVERITY", "DATA"}, rows)
}

func (a *app) eventsRejected() *cobra.Command {
	var f deviceops.RejectedFilter
	var limit int
	cmd := &cobra.Command{
		Use: "rejected", Short: "Show messages that were not taken, with the reason", Args: args(0, 0),
		Long: `Messages that were not taken: malformed, too large, of unknown devices, not
understood by their profile. They never stop the others. With -o json they have their
payloads, as base64: what deviceops translate reads.`,
		Example: `  deviceops events rejected --limit 20
  deviceops events rejected --code untranslated --topic 'acme/+/telemetry'`,
		RunE: a.remote(func(ctx context.Context, c *client.Client, _ []string) error {
			report, err := c.ListRejected(ctx, f, limit)
			if err != nil {
				return err
			}
			return a.show(report, func(w *screen) { w.rejected(report, f) })
		}),
	}
	rejectedFlags(cmd, &f)
	cmd.Flags().IntVar(&limit, "limit", 20, "how many of the latest, at most 1000")
	cmd.AddCommand(a.rejectedReplay())
	return cmd
}

func (a *app) rejectedReplay() *cobra.Command {
	var r deviceops.RejectedReplay
	cmd := &cobra.Command{
		Use: "replay", Short: "Take rejected messages in again", Args: args(0, 0),
		Long: `Takes rejected messages in again, as if they had just come: by the profiles as
they are published now. That is what to do after a profile was mended whose
devices were not understood. It happens within seconds; what is rejected again
is listed anew. Messages that were not kept whole cannot be taken in again.`,
		Example: `  deviceops events rejected replay --code untranslated --topic 'acme/+/telemetry' --reason "field renamed"
  deviceops events rejected replay --device sensor-17`,
		RunE: a.remote(func(ctx context.Context, c *client.Client, _ []string) error {
			report, err := c.ReplayRejected(ctx, r)
			if err != nil {
				return err
			}
			return a.show(report, func(w *screen) { w.replay(report) })
		}),
	}
	rejectedFlags(cmd, &r.RejectedFilter)
	reasonFlag(cmd, &r.Reason)
	return cmd
}

func rejectedFlags(cmd *cobra.Command, f *deviceops.RejectedFilter) {
	cmd.Flags().StringVar(&f.Code, "code", "", "only those rejected with this code")
	cmd.Flags().StringVar(&f.Topic, "topic", "", "only those whose topic matches this MQTT filter")
	cmd.Flags().StringVar(&f.Device, "device", "", "only those of this device")
}

func (w *screen) replay(r deviceops.RejectedReplayReport) {
	if r.Requested == 0 && r.Cut == 0 {
		w.line("There is no such rejected message.")
		return
	}
	w.line("%s taken in again within seconds. See what is rejected still: deviceops events rejected", counted(r.Requested, "message"))
	if r.Cut > 0 {
		w.line("%s not kept whole and cannot be taken in again.", counted(r.Cut, "message"))
	}
}

// rejected shows messages and, where all are asked for, how many there ever were.
func (w *screen) rejected(r deviceops.RejectedReport, f deviceops.RejectedFilter) {
	all := f == (deviceops.RejectedFilter{})
	if all && len(r.Counts) > 0 {
		var counts [][]string
		for _, code := range slices.Sorted(maps.Keys(r.Counts)) {
			counts = append(counts, []string{code, fmt.Sprint(r.Counts[code])})
		}
		w.table([]string{"CODE", "EVER"}, counts)
		w.line("")
	}
	switch {
	case len(r.Items) > 0:
	case all:
		w.line("No rejected message is kept.")
		return
	default:
		w.line("There is no such rejected message.")
		return
	}
	rows := make([][]string, len(r.Items))
	for i, m := range r.Items {
		rows[i] = []string{w.when(m.ReceivedAt), dash(m.Device), m.Code, fmt.Sprint(m.Size), cut(m.Topic, 60), cut(m.Reason, 80)}
	}
	w.table([]string{"WHEN", "DEVICE", "CODE", "BYTES", "TOPIC", "REASON"}, rows)
}

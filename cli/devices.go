package cli

import (
	"context"
	"fmt"
	"maps"
	"slices"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/deviceops/deviceops"
	"github.com/deviceops/deviceops/client"
)

func (a *app) devicesCommand() *cobra.Command {
	return group("devices", "See and change devices",
		a.devicesList(), a.devicesShow(), a.devicesRegister(), a.devicesImport(), a.devicesTag(),
		a.devicesTransition(), a.devicesCommandCommand(), a.devicesTimeline(), a.devicesStats(), a.devicesHealth())
}

func (a *app) devicesList() *cobra.Command {
	var f deviceops.DeviceFilter
	var page listFlags
	var state, connectivity, wellness string
	cmd := &cobra.Command{
		Use: "list", Short: "List devices by id", Args: args(0, 0),
		Example: `  deviceops devices list --state active --tag critical
  deviceops devices list --wellness degraded --connectivity online
  deviceops devices list --search 0042 -o json`,
		RunE: a.remote(func(ctx context.Context, c *client.Client, _ []string) error {
			f.State, f.Connectivity, f.Limit = deviceops.State(state), deviceops.Connectivity(connectivity), page.limit
			f.Wellness = deviceops.WellnessStatus(wellness)
			devices, err := c.ListDevices(ctx, f, page.cursor)
			if err != nil {
				return err
			}
			defer a.more(len(devices.Items), devices.Next)
			return a.show(devices, func(w *screen) { w.devices(devices.Items) })
		}),
	}
	accountFlag(cmd, &f.Account)
	page.add(cmd)
	flags := cmd.Flags()
	flags.StringVar(&state, "state", "", "escrow, discovered, provisioning, active, maintenance, quarantined or retired")
	flags.StringVar(&connectivity, "connectivity", "", "never, online, offline, sleeping or unreachable")
	flags.StringVar(&wellness, "wellness", "", "well, degraded or flapping")
	flags.StringVar(&f.Profile, "profile", "", "devices of a profile")
	flags.StringVar(&f.Tag, "tag", "", "devices with a tag")
	flags.StringVar(&f.Parent, "parent", "", "devices behind a gateway")
	flags.StringVar(&f.Search, "search", "", "part of the id or serial")
	return cmd
}

func (w *screen) devices(devices []deviceops.Device) {
	rows := make([][]string, len(devices))
	for i, d := range devices {
		rows[i] = []string{
			d.ID, dash(d.Profile), string(d.State), string(d.Session.Connectivity), dash(string(d.Wellness.Status)), w.when(d.Session.LastSeen), d.Account, strings.Join(d.Tags, ","),
		}
	}
	w.table([]string{"ID", "PROFILE", "STATE", "CONNECTIVITY", "WELLNESS", "SEEN", "ACCOUNT", "TAGS"}, rows)
}

func (a *app) devicesShow() *cobra.Command {
	return &cobra.Command{
		Use: "show DEVICE", Short: "Show a device with its twin and latest metrics", Args: args(1, 1),
		Example: "  deviceops devices show kiosk-0001\n  deviceops devices show kiosk-0001 -o yaml",
		RunE: a.remote(func(ctx context.Context, c *client.Client, args []string) error {
			d, err := c.Device(ctx, args[0])
			if err != nil {
				return err
			}
			return a.show(d, func(w *screen) { w.device(d) })
		}),
	}
}

func (w *screen) device(d deviceops.Device) {
	w.fields(
		"id", d.ID, "account", d.Account, "serial", d.Serial, "profile", d.Profile, "parent", d.Parent,
		"state", string(d.State), "since", w.when(d.StateSince), "reason", d.StateReason,
		"connectivity", string(d.Session.Connectivity), "seen", w.when(d.Session.LastSeen), "wellness", wellness(d.Wellness, w.when), "clock", clockNote(d.Session),
		"tags", strings.Join(d.Tags, " "), "labels", assignments(d.Labels), "attributes", assignments(d.Attributes),
		"zone", d.Zone, "place", place(d.Place),
		"config", fmt.Sprintf("desired %d, reported %d", d.Twin.Desired.Version, d.Twin.Reported.ConfigVersion),
		"desired", assignments(d.Twin.Desired.Software), "software", assignments(d.Twin.Reported.Software), "metrics", assignments(d.Metrics),
		"created", w.when(d.CreatedAt),
	)
}

// wellness tells how a device does, if it is not well.
func wellness(w deviceops.Wellness, when func(time.Time) string) string {
	var parts []string
	if !w.DegradedSince.IsZero() {
		parts = append(parts, "degraded "+when(w.DegradedSince)+": "+strings.Join(w.Because, ", "))
	}
	if !w.FlappingSince.IsZero() {
		parts = append(parts, "flapping "+when(w.FlappingSince))
	}
	return strings.Join(parts, "; ")
}

func clockNote(s deviceops.Session) string {
	if s.ClockSkewed {
		return "wrong; times of this device are those of receipt"
	}
	return ""
}

func place(p *deviceops.Place) string {
	if p == nil {
		return ""
	}
	return fmt.Sprintf("%g, %g", p.Latitude, p.Longitude)
}

func (a *app) devicesTimeline() *cobra.Command {
	var limit int
	cmd := &cobra.Command{
		Use: "timeline DEVICE", Short: "Tell what happened to a device, newest first", Args: args(1, 1),
		Long:    "Events, commands, changes by people and approvals, in one list. Telemetry is left out.",
		Example: "  deviceops devices timeline kiosk-0001 --limit 20",
		RunE: a.remote(func(ctx context.Context, c *client.Client, args []string) error {
			entries, err := c.DeviceTimeline(ctx, args[0], limit)
			if err != nil {
				return err
			}
			return a.show(entries, func(w *screen) { w.timeline(entries.Items) })
		}),
	}
	cmd.Flags().IntVar(&limit, "limit", 50, "how many entries, at most 1000")
	return cmd
}

func (w *screen) timeline(entries []deviceops.TimelineEntry) {
	rows := make([][]string, len(entries))
	for i, e := range entries {
		rows[i] = []string{w.when(e.At), e.At.UTC().Format(time.DateTime), e.Kind, cut(e.Subject, 40), cut(e.Text, 110)}
	}
	w.table([]string{"WHEN", "UTC", "KIND", "SUBJECT", "WHAT"}, rows)
}

func (a *app) devicesStats() *cobra.Command {
	var f deviceops.DeviceFilter
	var watch bool
	cmd := &cobra.Command{
		Use: "stats", Short: "Count devices by state and connectivity", Args: args(0, 0),
		Example: "  deviceops devices stats --profile kiosk\n  deviceops devices stats --watch",
		RunE: a.remote(func(ctx context.Context, c *client.Client, _ []string) error {
			if watch {
				return a.watchStats(ctx, c, f)
			}
			stats, err := c.FleetStats(ctx, f)
			if err != nil {
				return err
			}
			return a.show(stats, func(w *screen) { w.stats(stats) })
		}),
	}
	accountFlag(cmd, &f.Account)
	cmd.Flags().StringVar(&f.Profile, "profile", "", "devices of a profile")
	cmd.Flags().StringVar(&f.Tag, "tag", "", "devices with a tag")
	cmd.Flags().BoolVarP(&watch, "watch", "w", false, "show the counts again whenever they change, until Ctrl-C")
	return cmd
}

func (a *app) watchStats(ctx context.Context, c *client.Client, f deviceops.DeviceFilter) error {
	for stats, err := range c.FollowFleetStats(ctx, f) {
		switch {
		case deviceops.ErrorCode(err) == deviceops.ECANCELED:
			return nil
		case err != nil:
			return err
		}
		if err := a.show(stats, func(w *screen) { w.statsLine(stats) }); err != nil {
			return err
		}
	}
	return nil
}

func (w *screen) stats(s deviceops.FleetStats) {
	var rows [][]string
	for _, state := range deviceops.States() {
		if n := s.ByState[state]; n > 0 {
			rows = append(rows, []string{string(state), fmt.Sprint(n)})
		}
	}
	w.table([]string{"STATE", "DEVICES"}, append(rows, []string{"total", fmt.Sprint(s.Total)}))
	w.line("")
	rows = nil
	for _, connectivity := range slices.Sorted(maps.Keys(s.ByConnectivity)) {
		rows = append(rows, []string{string(connectivity), fmt.Sprint(s.ByConnectivity[connectivity])})
	}
	w.table([]string{"CONNECTIVITY", "DEVICES"}, rows)
}

func (w *screen) statsLine(s deviceops.FleetStats) {
	parts := []string{w.now.Format(time.TimeOnly)}
	for _, state := range deviceops.States() {
		if n := s.ByState[state]; n > 0 {
			parts = append(parts, fmt.Sprintf("%s %d", w.paint(string(state)), n))
		}
	}
	w.line("%s", strings.Join(append(parts, fmt.Sprintf("online %d of %d", s.ByConnectivity[deviceops.Online], s.Total)), columnGap))
}

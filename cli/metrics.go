package cli

import (
	"context"
	"fmt"
	"math"
	"strconv"
	"time"

	"github.com/spf13/cobra"

	"github.com/deviceops/deviceops"
	"github.com/deviceops/deviceops/client"
	"github.com/deviceops/deviceops/dsl"
)

// metricFlags are what `metrics` takes besides its arguments.
type metricFlags struct {
	client.FleetQuery
	since, until, step string
}

func (a *app) metricsCommand() *cobra.Command {
	var f metricFlags
	cmd := &cobra.Command{
		Use: "metrics [DEVICE] METRIC", Short: "Draw what a device measured, or sum it up over the fleet", Args: args(1, 2),
		Long: `With a device, its metric is drawn over time: the line is the average of each
step, what stands out of it the least and the most, and where nothing came in
there is a gap. Flags count as 1 and 0.

Without a device, the latest values of all devices are summed up by group, with
the history of their average beside it.

Single samples are kept for 2 days, sums of five minutes for 30 days and sums of
hours for 400 days, unless the server was told otherwise. Times are UTC.`,
		Example: `  deviceops metrics kiosk-0001 battery_pct --since 24h
  deviceops metrics kiosk-0001 battery_pct --since 2026-05-01T00:00:00Z --until 2026-05-08T00:00:00Z --step 1h -o json
  deviceops metrics battery_pct --profile kiosk --by label:site
  deviceops metrics battery_pct --by place:0.5 --since 7d`,
		RunE: a.remote(func(ctx context.Context, c *client.Client, args []string) error {
			span, err := f.span(a.Now())
			if err != nil {
				return err
			}
			if len(args) == 1 {
				return a.fleetMetric(ctx, c, args[0], f.FleetQuery, span)
			}
			if f.FleetQuery != (client.FleetQuery{}) {
				return Usage(fmt.Errorf("--by, --account, --profile, --tag and --label choose devices: leave the device out"))
			}
			m, err := c.DeviceMetric(ctx, args[0], args[1], span)
			if err != nil {
				return err
			}
			return a.show(m, func(w *screen) { w.deviceMetric(m, a.columns()) })
		}),
	}
	fleetFlags(cmd, &f.FleetQuery)
	flags := cmd.Flags()
	flags.StringVar(&f.since, "since", "24h", "how long back, or a time such as 2026-05-01T08:00:00Z")
	flags.StringVar(&f.until, "until", "", "until then: a time, or how long ago (default: now)")
	flags.StringVar(&f.step, "step", "", "time that a point stands for (default: what is readable)")
	return cmd
}

func fleetFlags(cmd *cobra.Command, f *client.FleetQuery) {
	accountFlag(cmd, &f.Account)
	flags := cmd.Flags()
	flags.StringVar(&f.By, "by", "", "group by profile, account, tag, label:NAME, place or place:DEGREES")
	flags.StringVar(&f.Profile, "profile", "", "devices of a profile")
	flags.StringVar(&f.Tag, "tag", "", "devices with a tag")
	flags.StringVar(&f.Label, "label", "", "devices with a label NAME=VALUE")
}

func (f metricFlags) span(now time.Time) (s client.MetricSpan, err error) {
	if s.Until, err = moment("until", f.until, now); err != nil {
		return s, err
	}
	if s.Since, err = moment("since", f.since, now); err != nil {
		return s, err
	}
	if f.step != "" {
		if s.Step, err = dsl.ParseDuration(f.step); err != nil {
			return s, Usage(fmt.Errorf("--step %s: write a duration such as 15m", f.step))
		}
	}
	return s, nil
}

// moment reads a time, or a duration before now; "" is none.
func moment(flag, text string, now time.Time) (time.Time, error) {
	if text == "" {
		return time.Time{}, nil
	}
	if t, err := time.Parse(time.RFC3339, text); err == nil {
		return t, nil
	}
	ago, err := dsl.ParseDuration(text)
	if err != nil {
		return time.Time{}, Usage(fmt.Errorf("--%s %s: write a duration such as 24h or 7d, or a time such as 2026-05-01T08:00:00Z", flag, text))
	}
	return now.Add(-ago), nil
}

// columns gives the width to draw in.
func (a *app) columns() int {
	if n, err := strconv.Atoi(a.Getenv("COLUMNS")); err == nil && n >= minChartColumns {
		return min(n, 200)
	}
	return 80
}

func (w *screen) deviceMetric(m deviceops.DeviceMetric, columns int) {
	step := time.Duration(m.StepS) * time.Second
	w.line("%s of %s, a point for %s", m.Name, m.Device, dsl.FormatDuration(step))
	w.line("")
	if len(m.Points) == 0 {
		w.line("No samples from %s to %s.", m.Since.UTC().Format(time.DateTime), m.Until.UTC().Format(time.DateTime))
		return
	}
	for _, line := range newChart(m, columns).lines() {
		w.line("%s", line)
	}
	w.line("")
	w.line("min %s   avg %s   max %s   last %s   (samples: %d)",
		figure(m.All.Min), figure(m.All.Avg), figure(m.All.Max), figure(m.All.Last), m.All.Count)
}

func (a *app) fleetMetric(ctx context.Context, c *client.Client, name string, f client.FleetQuery, span client.MetricSpan) error {
	m, err := c.FleetMetric(ctx, name, f, span)
	if err != nil {
		return err
	}
	return a.show(m, func(w *screen) { w.fleetMetric(m) })
}

func (w *screen) fleetMetric(m deviceops.FleetMetric) {
	if len(m.Groups) == 0 {
		w.line("No device reported %s since %s.", m.Name, m.Since.UTC().Format(time.DateTime))
		return
	}
	rows := make([][]string, len(m.Groups))
	for i, g := range m.Groups {
		rows[i] = []string{
			groupName(g.Key, m.By), fmt.Sprint(g.Count), figure(g.Min), figure(g.Avg), figure(g.Max), figure(g.P50), figure(g.P95), sparkline(m, g.Points),
		}
	}
	defer w.moreGroups(m.More)
	w.table([]string{groupHeader(m.By), "DEVICES", "MIN", "AVG", "MAX", "P50", "P95", "AVERAGE SINCE " + m.Since.UTC().Format("01-02 15:04")}, rows)
}

// moreGroups tells of groups that are not shown.
func (w *screen) moreGroups(n int) {
	if n > 0 {
		w.line("\n%s not shown: choose devices by --profile, --account, --tag or --label", counted(n, "smaller group"))
	}
}

// figure shows a number with the digits that tell something.
func figure(v float64) string {
	if math.Abs(v) >= 1000 {
		return strconv.FormatFloat(v, 'f', 0, 64)
	}
	n, _ := strconv.ParseFloat(strconv.FormatFloat(v, 'g', 4, 64), 64)
	return strconv.FormatFloat(n, 'g', -1, 64)
}

package cli

import (
	"fmt"
	"math"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/deviceops/deviceops"
)

// curve gives a day in steps of 15 minutes.
func curve(value func(i int) (float64, bool)) deviceops.DeviceMetric {
	m := deviceops.DeviceMetric{Device: "k1", Name: "battery_pct", Since: now.Add(-24 * time.Hour), Until: now, StepS: 900}
	for i := range 96 {
		if v, ok := value(i); ok {
			m.Points = append(m.Points, deviceops.MetricPoint{At: m.Since.Add(time.Duration(i) * 15 * time.Minute), Count: 3, Min: v, Avg: v, Max: v, Last: v})
		}
	}
	m.All = deviceops.SumUp(m.Points)
	return m
}

func TestRenderMetric(t *testing.T) {
	t.Parallel()
	m := curve(func(i int) (float64, bool) {
		return math.Round(60 + 30*math.Cos(float64(i)/96*4*math.Pi)), i < 40 || i > 55
	})
	drawn(t, `
battery_pct of k1, a point for 15m

100 ┤
    │⠤⢄                                                  ⡠⠄
    │  ⠑⡄                                              ⢀⠎
 80 ┤   ⠘⢄                          ⢀                 ⢀⠎
    │     ⢣               ⡰          ⢣               ⡰⠁
    │      ⢇             ⡰⠁           ⢇             ⡰⠁
 60 ┤      ⠈⢆           ⢠⠃            ⠈⢆           ⢠⠃
    │       ⠈⢆         ⢠⠃              ⠈⢆         ⢠⠃
 40 ┤         ⠱⡀      ⡔⠁                 ⠱⡀      ⡔⠁
    │          ⠱⡀   ⢀⠜                    ⠱⡀   ⢀⠜
    │           ⠈⠒⠒⠒⠁                      ⠈⠒⠒⠒⠁
 20 ┤
    └┴────────────┴─────────────┴────────────┴─────────────
     12:00        18:00         00:00        06:00

min 30   avg 55.04   max 90   last 90   (samples: 240)
`, func(w *screen) { w.deviceMetric(m, 60) })
}

func TestRenderMetricWithoutSamples(t *testing.T) {
	t.Parallel()
	drawn(t, `
battery_pct of k1, a point for 15m

No samples from 2026-11-19 12:00:00 to 2026-11-20 12:00:00.
`, func(w *screen) { w.deviceMetric(curve(func(int) (float64, bool) { return 0, false }), 60) })
}

func TestAxis(t *testing.T) {
	t.Parallel()
	for _, c := range []struct{ low, high, from, to, tick float64 }{
		{30, 90, 20, 100, 20}, {0, 1, 0, 1, 0.5}, {7, 7, 6, 8, 0.5}, {0, 0, -1, 1, 0.5}, {-0.02, 0.013, -0.02, 0.02, 0.01}, {1e6, 9e6, 0, 1e7, 2e6},
	} {
		from, to, tick := axisOf(c.low, c.high)
		require.InDeltaSlice(t, []float64{c.from, c.to, c.tick}, []float64{from, to, tick}, 1e-9, fmt.Sprint(c))
	}
}

// Devices may report more rarely than steps are long: that makes no gap.
func TestGap(t *testing.T) {
	t.Parallel()
	every := func(d time.Duration, n int) (points []deviceops.MetricPoint) {
		for i := range n {
			points = append(points, deviceops.MetricPoint{At: now.Add(time.Duration(i) * d)})
		}
		return points
	}
	require.Equal(t, 90*time.Second, gapOf(nil, time.Minute)*3/2)
	require.Equal(t, 150*time.Second, gapOf(every(time.Minute, 9), time.Minute))
	require.Equal(t, 150*time.Second, gapOf(every(time.Minute, 9), 10*time.Second))
	require.Equal(t, 90*time.Minute, gapOf(every(time.Minute, 9), time.Hour))
}

func TestRenderFleetMetric(t *testing.T) {
	t.Parallel()
	points := func(values ...float64) (out []deviceops.MetricPoint) {
		for i, v := range values {
			if v >= 0 {
				out = append(out, deviceops.MetricPoint{At: now.Add(time.Duration(i-len(values)) * time.Hour), Avg: v})
			}
		}
		return out
	}
	m := deviceops.FleetMetric{Name: "battery_pct", By: "label:site", Since: now.Add(-6 * time.Hour), Until: now, StepS: 3600, Groups: []deviceops.MetricGroup{
		{Key: "berlin", Count: 12, Min: 3, Avg: 51.23456, Max: 100, P50: 55, P95: 99.5, Points: points(10, 20, -1, 40, 50, 80)},
		{Key: "", Count: 1, Min: 7, Avg: 7, Max: 7, P50: 7, P95: 7, Points: points(7, 7, 7, 7, 7, 7)},
	}}
	drawn(t, `
LABEL:SITE  DEVICES  MIN  AVG    MAX  P50  P95   AVERAGE SINCE 11-20 06:00
berlin      12       3    51.23  100  55   99.5  ▁▂ ▄▅█
(none)      1        7    7      7    7    7     ▅▅▅▅▅▅
`, func(w *screen) { w.fleetMetric(m) })
	m.More = 12
	m.Groups = m.Groups[1:]
	drawn(t, `
LABEL:SITE  DEVICES  MIN  AVG  MAX  P50  P95  AVERAGE SINCE 11-20 06:00
(none)      1        7    7    7    7    7    ▅▅▅▅▅▅

12 smaller groups not shown: choose devices by --profile, --account, --tag or --label
`, func(w *screen) { w.fleetMetric(m) })
	m.Groups = nil
	drawn(t, `
No device reported battery_pct since 2026-11-20 06:00:00.
`, func(w *screen) { w.fleetMetric(m) })
}

func TestFigure(t *testing.T) {
	t.Parallel()
	for want, v := range map[string]float64{
		"0": 0, "80": 80, "-3": -3, "1234567": 1234567, "123457": 123456.7, "0.1235": 0.123456, "99.5": 99.5, "1.2e-05": 0.000012,
	} {
		require.Equal(t, want, figure(v))
	}
}

func TestMoment(t *testing.T) {
	t.Parallel()
	for text, want := range map[string]time.Time{"": {}, "36h": ago(36 * time.Hour), "7d": ago(7 * 24 * time.Hour), "2026-05-01T08:00:00Z": time.Date(2026, 5, 1, 8, 0, 0, 0, time.UTC)} {
		at, err := moment("since", text, now)
		require.NoError(t, err)
		require.Equal(t, want, at)
	}
	_, err := moment("since", "yesterday", now)
	require.ErrorContains(t, err, "--since yesterday: write a duration")
}

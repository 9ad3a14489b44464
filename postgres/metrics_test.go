package postgres_test

import (
	"context"
	"fmt"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/deviceops/deviceops"
	"github.com/deviceops/deviceops/postgres/postgrestest"
)

// hour is the beginning of the hour in which tests happen.
var hour = noon.Truncate(time.Hour)

// sample makes a sample of battery_pct, received when it was measured.
func sample(device string, value float64, at time.Duration) deviceops.MetricSample {
	return deviceops.MetricSample{
		Account: "acme", Device: device, Name: "battery_pct", Value: value, At: hour.Add(at), ReceivedAt: hour.Add(at),
	}
}

func window(source deviceops.MetricSource, step time.Duration) deviceops.MetricWindow {
	return deviceops.MetricWindow{Since: hour.Add(-24 * time.Hour), Until: hour.Add(24 * time.Hour), Step: step, Source: source}
}

// point makes a point at a time after hour.
func point(at time.Duration, count int64, low, avg, high, last float64) deviceops.MetricPoint {
	return deviceops.MetricPoint{At: hour.Add(at), Count: count, Min: low, Avg: avg, Max: high, Last: last}
}

func history(t testing.TB, s deviceops.Tx, w deviceops.MetricWindow) []deviceops.MetricPoint {
	t.Helper()
	points, err := s.DeviceMetric(t.Context(), "k1", "battery_pct", w)
	require.NoError(t, err)
	return points
}

// rollUp sums up n samples. Transactions of other tests, in other databases of
// the cluster, may make it wait.
func rollUp(t testing.TB, s deviceops.Tx, n int) {
	t.Helper()
	done := 0
	require.Eventually(t, func() bool {
		more, err := s.RollUpMetrics(t.Context())
		require.NoError(t, err)
		done += more
		return done >= n
	}, time.Minute, 10*time.Millisecond)
	require.Equal(t, n, done)
}

func TestMetricHistory(t *testing.T) {
	t.Parallel()
	s := postgrestest.New(t)
	registered(t, s, "k1", "k2")
	require.NoError(t, s.AppendSamples(t.Context(), nil))
	require.NoError(t, s.AppendSamples(t.Context(), []deviceops.MetricSample{
		sample("k1", 80, time.Minute), sample("k1", 70, 4*time.Minute), sample("k1", 75, 2*time.Minute),
		sample("k1", 60, 20*time.Minute), sample("k2", 5, time.Minute),
	}))
	want := []deviceops.MetricPoint{point(0, 3, 70, 75, 80, 70), point(20*time.Minute, 1, 60, 60, 60, 60)}
	require.Equal(t, want, history(t, s, window(deviceops.MetricRaw, 5*time.Minute)))
	require.Empty(t, history(t, s, window(deviceops.MetricFives, 5*time.Minute)))

	rollUp(t, s, 5)
	rollUp(t, s, 0)
	require.Equal(t, want, history(t, s, window(deviceops.MetricFives, 5*time.Minute)))
	require.Equal(t, []deviceops.MetricPoint{point(0, 4, 60, 71.25, 80, 60)}, history(t, s, window(deviceops.MetricHours, time.Hour)))
	require.Equal(t, history(t, s, window(deviceops.MetricRaw, time.Hour)), history(t, s, window(deviceops.MetricHours, time.Hour)))
}

func TestMetricsThatComeLateCountWhereTheyBelong(t *testing.T) {
	t.Parallel()
	s := postgrestest.New(t)
	require.NoError(t, s.MaintainMetrics(t.Context(), noon, deviceops.DefaultMetricRetention))
	require.NoError(t, s.AppendSamples(t.Context(), []deviceops.MetricSample{sample("k1", 50, 14*time.Minute)}))
	rollUp(t, s, 1)
	late := sample("k1", 90, 11*time.Minute) // measured before what is known, and from days ago
	late.ReceivedAt = hour.Add(time.Hour)
	old := sample("k1", 20, -9*24*time.Hour)
	old.ReceivedAt = late.ReceivedAt
	require.NoError(t, s.AppendSamples(t.Context(), []deviceops.MetricSample{late, old}))
	rollUp(t, s, 2)
	require.Equal(t, []deviceops.MetricPoint{point(10*time.Minute, 2, 50, 70, 90, 50)}, history(t, s, window(deviceops.MetricFives, 5*time.Minute)))
	w := window(deviceops.MetricHours, time.Hour)
	w.Since = hour.Add(-10 * 24 * time.Hour)
	require.Equal(t, []deviceops.MetricPoint{point(-9*24*time.Hour, 1, 20, 20, 20, 20), point(0, 2, 50, 70, 90, 50)}, history(t, s, w))
}

// What an open transaction stored is summed up after its commit, though later
// ones were summed up before.
func TestRollUpWaitsForOpenTransactions(t *testing.T) {
	t.Parallel()
	s := postgrestest.New(t)
	stored, commit := make(chan struct{}), make(chan struct{})
	done := make(chan error, 1)
	go func() {
		done <- s.InTx(t.Context(), func(ctx context.Context, tx deviceops.Tx) error {
			err := tx.AppendSamples(ctx, []deviceops.MetricSample{sample("k1", 10, time.Minute)})
			close(stored)
			<-commit
			return err
		})
	}()
	<-stored
	require.NoError(t, s.AppendSamples(t.Context(), []deviceops.MetricSample{sample("k1", 30, 2*time.Minute)}))
	before, err := s.RollUpMetrics(t.Context())
	require.NoError(t, err)
	require.Zero(t, before, "the open transaction may still store what belongs before it")
	close(commit)
	require.NoError(t, <-done)
	rollUp(t, s, 2)
	require.Equal(t, []deviceops.MetricPoint{point(0, 2, 10, 20, 30, 30)}, history(t, s, window(deviceops.MetricFives, 5*time.Minute)))
}

func TestSeveralRollUpsCountEachSampleOnce(t *testing.T) {
	t.Parallel()
	s := postgrestest.New(t)
	const writers, each = 4, 25
	var wg sync.WaitGroup
	var done atomic.Int64
	for range writers {
		wg.Go(func() {
			for range each {
				require.NoError(t, s.AppendSamples(t.Context(), []deviceops.MetricSample{sample("k1", 1, time.Minute)}))
				n, err := s.RollUpMetrics(t.Context())
				require.NoError(t, err)
				done.Add(int64(n))
			}
		})
	}
	wg.Wait()
	rollUp(t, s, writers*each-int(done.Load()))
	require.Equal(t, []deviceops.MetricPoint{point(0, writers*each, 1, 1, 1, 1)}, history(t, s, window(deviceops.MetricFives, 5*time.Minute)))
}

// A database that was restored from a dump numbers its transactions anew.
func TestRollUpGoesOnAfterARestore(t *testing.T) {
	t.Parallel()
	s := postgrestest.New(t)
	require.NoError(t, s.AppendSamples(t.Context(), []deviceops.MetricSample{sample("k1", 1, time.Minute), sample("k1", 2, 2*time.Minute)}))
	query[int](t, s, "with a as (update metric_samples set tx = 5e12 - value returning 1), b as (insert into metric_rollup values ('root', 5e12 - 1)) select 1")
	require.NoError(t, s.AppendSamples(t.Context(), []deviceops.MetricSample{sample("k1", 3, 3*time.Minute)}))
	rollUp(t, s, 2) // the one that was not summed up before the dump, and the new one
	rollUp(t, s, 0)
	require.Equal(t, []deviceops.MetricPoint{point(0, 2, 1, 2, 3, 3)}, history(t, s, window(deviceops.MetricFives, 5*time.Minute)))
}

func TestMaintainMetricsKeepsSumsOfWhatItDrops(t *testing.T) {
	t.Parallel()
	s := postgrestest.New(t)
	keep := deviceops.DefaultMetricRetention
	const day = 24 * time.Hour
	require.NoError(t, s.MaintainMetrics(t.Context(), noon, keep))
	require.NoError(t, s.AppendSamples(t.Context(), []deviceops.MetricSample{sample("k1", 40, time.Minute)}))
	require.Equal(t, []string{"metric_samples_day_20260601"}, query[string](t, s, "select tableoid::regclass::text from metric_samples"))
	rollUp(t, s, 1)

	require.NoError(t, s.MaintainMetrics(t.Context(), noon.Add(4*day), keep))
	require.Empty(t, history(t, s, window(deviceops.MetricRaw, time.Minute)))
	require.Len(t, history(t, s, window(deviceops.MetricFives, 5*time.Minute)), 1)
	require.NoError(t, s.MaintainMetrics(t.Context(), noon.Add(32*day), keep))
	require.Empty(t, history(t, s, window(deviceops.MetricFives, 5*time.Minute)))
	require.Len(t, history(t, s, window(deviceops.MetricHours, time.Hour)), 1)
	require.NoError(t, s.MaintainMetrics(t.Context(), noon.Add(402*day), keep))
	require.Empty(t, history(t, s, window(deviceops.MetricHours, time.Hour)))
}

// The largest values that there can be are summed up, and larger latest values
// left out: what is beyond a float64 would be the end of all sums.
func TestTheLargestValuesAreSummedUp(t *testing.T) {
	t.Parallel()
	s := postgrestest.New(t)
	registered(t, s, "k1", "k2")
	var samples []deviceops.MetricSample
	for range 1000 {
		samples = append(samples, sample("k1", deviceops.MaxSample, 0), sample("k2", -deviceops.MaxSample, 0))
	}
	require.NoError(t, s.AppendSamples(t.Context(), samples))
	rollUp(t, s, len(samples))
	points := history(t, s, window(deviceops.MetricFives, time.Hour))
	require.Len(t, points, 1)
	require.InEpsilon(t, deviceops.MaxSample, points[0].Avg, 1e-9)

	require.NoError(t, s.SaveMetrics(t.Context(), []deviceops.MetricValue{
		{Device: "k1", Name: "battery_pct", Value: 1.7e308, At: hour}, {Device: "k2", Name: "battery_pct", Value: deviceops.MaxSample, At: hour},
	}))
	groups, _, err := s.GroupMetric(t.Context(), deviceops.MetricQuery{Name: "battery_pct", Window: window(deviceops.MetricFives, time.Hour)})
	require.NoError(t, err)
	require.EqualValues(t, 1, groups[0].Count)
}

func TestGroupMetric(t *testing.T) {
	t.Parallel()
	s := postgrestest.New(t)
	at := func(lat, lon float64) *deviceops.Place { return &deviceops.Place{Latitude: lat, Longitude: lon} }
	_, err := s.RegisterDevices(t.Context(), []deviceops.Registration{
		{ID: "k1", Account: "acme/emea", Serial: "1", Profile: "kiosk", Tags: []string{"a", "b"}, Labels: map[string]string{"site": "x"}, Place: at(48.1, 11.6)},
		{ID: "k2", Account: "acme/emea", Serial: "2", Profile: "kiosk", Tags: []string{"a"}, Labels: map[string]string{"site": "y"}, Place: at(48.9, 11.2)},
		{ID: "m1", Account: "acme/apac", Serial: "3", Profile: "meter", Place: at(-33.9, 151.2)},
	}, noon)
	require.NoError(t, err)
	var latest []deviceops.MetricValue
	var samples []deviceops.MetricSample
	for device, value := range map[string]float64{"k1": 10, "k2": 20, "m1": 90} {
		latest = append(latest, deviceops.MetricValue{Device: device, Name: "battery_pct", Value: value, At: hour},
			deviceops.MetricValue{Device: device, Name: "in_use", Value: value > 50, At: hour})
		samples = append(samples, sample(device, value, 0))
	}
	require.NoError(t, s.SaveMetrics(t.Context(), latest))
	require.NoError(t, s.AppendSamples(t.Context(), samples))
	rollUp(t, s, len(samples))

	groups := func(name, by string, f deviceops.DeviceFilter) map[string][4]float64 {
		t.Helper()
		g, err := deviceops.ParseGrouping(by)
		require.NoError(t, err)
		found, more, err := s.GroupMetric(t.Context(), deviceops.MetricQuery{Name: name, By: g, Filter: f, Window: window(deviceops.MetricFives, time.Hour)})
		require.NoError(t, err)
		require.Zero(t, more)
		out := map[string][4]float64{}
		for _, g := range found {
			out[g.Key] = [4]float64{float64(g.Count), g.Min, g.P50, g.Max}
			if name == "battery_pct" {
				require.Len(t, g.Points, 1)
				require.Equal(t, deviceops.MetricPoint{At: hour, Count: g.Count, Min: g.Min, Avg: g.Avg, Max: g.Max, Last: g.Points[0].Last}, g.Points[0])
			}
		}
		return out
	}
	all, emea := deviceops.DeviceFilter{}, deviceops.DeviceFilter{Account: "acme/emea"}
	kiosks, meter := [4]float64{2, 10, 15, 20}, [4]float64{1, 90, 90, 90}
	require.Equal(t, map[string][4]float64{"": {3, 10, 20, 90}}, groups("battery_pct", "", all))
	require.Equal(t, map[string][4]float64{"kiosk": kiosks, "meter": meter}, groups("battery_pct", "profile", all))
	require.Equal(t, map[string][4]float64{"acme/emea": kiosks}, groups("battery_pct", "account", emea))
	require.Equal(t, map[string][4]float64{"a": kiosks, "b": {1, 10, 10, 10}}, groups("battery_pct", "tag", emea))
	require.Equal(t, map[string][4]float64{"x": {1, 10, 10, 10}, "y": {1, 20, 20, 20}, "": meter}, groups("battery_pct", "label:site", all))
	require.Equal(t, map[string][4]float64{"48,11": kiosks, "-34,151": meter}, groups("battery_pct", "place", all))
	require.Equal(t, map[string][4]float64{"48,11.5": {1, 10, 10, 10}, "48.5,11": {1, 20, 20, 20}, "-34,151": meter}, groups("battery_pct", "place:0.5", all))
	require.Equal(t, map[string][4]float64{"": {3, 0, 0, 1}}, groups("in_use", "", all))
	require.Empty(t, groups("battery_pct", "", deviceops.DeviceFilter{Profile: "pump"}))
}

// Of many groups the largest are given, and it is told how many are left out.
func TestGroupsThatAreLeftOutAreCounted(t *testing.T) {
	t.Parallel()
	s := postgrestest.New(t)
	rows := make([]deviceops.Registration, 105)
	latest := make([]deviceops.MetricValue, len(rows))
	for i := range rows {
		id := fmt.Sprintf("k%03d", i)
		rows[i] = deviceops.Registration{ID: id, Account: "acme", Serial: id, Profile: "kiosk", Labels: map[string]string{"site": fmt.Sprint(max(1, i))}}
		latest[i] = deviceops.MetricValue{Device: id, Name: "battery_pct", Value: 7, At: hour}
	}
	_, err := s.RegisterDevices(t.Context(), rows, noon)
	require.NoError(t, err)
	require.NoError(t, s.SaveMetrics(t.Context(), latest))
	by := deviceops.Grouping{Kind: deviceops.GroupLabel, Label: "site"}
	groups, more, err := s.GroupMetric(t.Context(), deviceops.MetricQuery{Name: "battery_pct", By: by, Window: window(deviceops.MetricFives, time.Hour)})
	require.NoError(t, err)
	require.Equal(t, []any{100, 4, "1", int64(2)}, []any{len(groups), more, groups[0].Key, groups[0].Count})
	health, err := s.FleetHealth(t.Context(), deviceops.FleetQuery{By: by})
	require.NoError(t, err)
	require.Equal(t, []any{100, 4, "1", 2}, []any{len(health.Groups), health.More, health.Groups[0].Key, health.Groups[0].Devices})
}

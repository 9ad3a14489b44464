package deviceops_test

import (
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/deviceops/deviceops"
)

func TestMetricWindow(t *testing.T) {
	t.Parallel()
	now := time.Date(2026, 6, 1, 12, 0, 0, 0, time.UTC)
	const day = 24 * time.Hour
	for name, c := range map[string]struct {
		ask    deviceops.MetricRequest
		since  time.Time
		step   time.Duration
		source deviceops.MetricSource
	}{
		"a day by default":          {deviceops.MetricRequest{}, now.Add(-day), 15 * time.Minute, deviceops.MetricRaw},
		"an hour":                   {deviceops.MetricRequest{Since: now.Add(-time.Hour)}, now.Add(-time.Hour), 30 * time.Second, deviceops.MetricRaw},
		"a step as asked for":       {deviceops.MetricRequest{Step: 7 * time.Minute}, now.Add(-day), 7 * time.Minute, deviceops.MetricRaw},
		"samples are gone":          {deviceops.MetricRequest{Since: now.Add(-3 * day)}, now.Add(-3 * day), time.Hour, deviceops.MetricFives},
		"no finer than the sums":    {deviceops.MetricRequest{Since: now.Add(-3 * day), Step: time.Minute}, now.Add(-3 * day), 5 * time.Minute, deviceops.MetricFives},
		"a multiple of the sums":    {deviceops.MetricRequest{Since: now.Add(-3 * day), Step: 7 * time.Minute}, now.Add(-3 * day), 10 * time.Minute, deviceops.MetricFives},
		"a year":                    {deviceops.MetricRequest{Since: now.Add(-365 * day)}, now.Add(-365 * day), 7 * day, deviceops.MetricHours},
		"before there is history":   {deviceops.MetricRequest{Since: now.Add(-4000 * day)}, now.Add(-400 * day), 7 * day, deviceops.MetricHours},
		"of a fleet by the hour":    {deviceops.MetricRequest{Points: 24, Fleet: true}, now.Add(-day), time.Hour, deviceops.MetricHours},
		"of a fleet by the minutes": {deviceops.MetricRequest{Since: now.Add(-time.Hour), Points: 24, Fleet: true}, now.Add(-time.Hour), 5 * time.Minute, deviceops.MetricFives},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			w, err := c.ask.Window(now, deviceops.DefaultMetricRetention)
			require.NoError(t, err)
			require.Equal(t, deviceops.MetricWindow{Since: c.since, Until: now, Step: c.step, Source: c.source}, w)
		})
	}
	for wrong, ask := range map[string]deviceops.MetricRequest{
		"is not before until": {Since: now, Until: now},
		"too short":           {Step: time.Millisecond},
		"86400 points":        {Step: time.Second},
		"kept for 400 days":   {Since: now.Add(-4000 * day), Until: now.Add(-3000 * day)},
	} {
		_, err := ask.Window(now, deviceops.DefaultMetricRetention)
		require.Equal(t, deviceops.EINVALID, deviceops.ErrorCode(err), wrong)
		require.ErrorContains(t, err, wrong)
	}
}

func TestSumUp(t *testing.T) {
	t.Parallel()
	at := time.Date(2026, 6, 1, 12, 0, 0, 0, time.UTC)
	require.Zero(t, deviceops.SumUp(nil))
	require.Equal(t, deviceops.MetricPoint{At: at, Count: 4, Min: 1, Avg: 5, Max: 9, Last: 2}, deviceops.SumUp([]deviceops.MetricPoint{
		{At: at, Count: 3, Min: 2, Avg: 6, Max: 9, Last: 9}, {At: at.Add(time.Hour), Count: 1, Min: 1, Avg: 2, Max: 3, Last: 2},
	}))
}

func TestNewMetricSample(t *testing.T) {
	t.Parallel()
	at := time.Date(2026, 6, 1, 12, 0, 0, 0, time.UTC)
	for value, want := range map[any]float64{int64(7): 7, 1.5: 1.5, true: 1, false: 0} {
		s, ok := deviceops.NewMetricSample("acme", deviceops.MetricValue{Device: "k1", Name: "m", Value: value, At: at}, at.Add(time.Second))
		require.True(t, ok)
		require.Equal(t, deviceops.MetricSample{Account: "acme", Device: "k1", Name: "m", Value: want, At: at, ReceivedAt: at.Add(time.Second)}, s)
	}
	for _, value := range []any{"full", 1.7e308, -1e251} {
		_, ok := deviceops.NewMetricSample("acme", deviceops.MetricValue{Value: value}, at)
		require.False(t, ok, value)
	}
}

func TestParseGrouping(t *testing.T) {
	t.Parallel()
	for text, want := range map[string]deviceops.Grouping{
		"": {}, "profile": {Kind: deviceops.GroupProfile}, "account": {Kind: deviceops.GroupAccount}, "tag": {Kind: deviceops.GroupTag},
		"label:site": {Kind: deviceops.GroupLabel, Label: "site"}, "label:a:b": {Kind: deviceops.GroupLabel, Label: "a:b"},
		"place": {Kind: deviceops.GroupPlace, Cell: 1}, "place:0.5": {Kind: deviceops.GroupPlace, Cell: 0.5},
	} {
		g, err := deviceops.ParseGrouping(text)
		require.NoError(t, err, text)
		require.Equal(t, want, g, text)
	}
	for _, text := range []string{"label", "label:", "colour", "place:0", "place:wide", "place:NaN", "profile:x", "tag:a"} {
		_, err := deviceops.ParseGrouping(text)
		require.Equal(t, deviceops.EINVALID, deviceops.ErrorCode(err), text)
	}
}

func TestMetricRetentionCheck(t *testing.T) {
	t.Parallel()
	const day = 24 * time.Hour
	require.NoError(t, deviceops.DefaultMetricRetention.Check())
	require.NoError(t, deviceops.MetricRetention{Raw: day, Fives: day, Hours: day}.Check())
	for want, keep := range map[string]deviceops.MetricRetention{
		"samples are kept for 0s: keep them for 1h0m0s or longer":                                                              {},
		"sums of five minutes are kept for 24h0m0s and samples for 48h0m0s: keep the sums for as long, or longer":              {Raw: 2 * day, Fives: day, Hours: 9 * day},
		"sums of hours are kept for 24h0m0s and those of five minutes for 72h0m0s: keep those of hours for as long, or longer": {Raw: day, Fives: 3 * day, Hours: day},
	} {
		err := keep.Check()
		require.Equal(t, deviceops.EINVALID, deviceops.ErrorCode(err))
		require.Equal(t, want, deviceops.ErrorMessage(err))
	}
}

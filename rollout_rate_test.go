package deviceops_test

import (
	"encoding/json"
	"errors"
	"fmt"
	"math"
	"math/rand/v2"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/deviceops/deviceops"
)

func TestRatesGrow(t *testing.T) {
	t.Parallel()
	grows := deviceops.RateSpec{Start: 60, Factor: 2, Every: 5 * time.Minute, Max: 6000}
	for name, c := range map[string]struct {
		rate    deviceops.RateSpec
		minutes float64
		want    float64
	}{
		"no limit":                     {deviceops.RateSpec{Factor: 2, Every: time.Minute, Max: 5}, 100, math.Inf(1)},
		"constant":                     {deviceops.RateSpec{Start: 60}, 100, 60},
		"constant: a factor of one":    {deviceops.RateSpec{Start: 60, Factor: 1, Every: time.Minute}, 100, 60},
		"constant: no period":          {deviceops.RateSpec{Start: 60, Factor: 2}, 100, 60},
		"at the start":                 {grows, 0, 60},
		"just before a period is over": {grows, 4.99, 60},
		"after a period":               {grows, 5, 120},
		"after four":                   {grows, 20, 960},
		"up to the bound":              {grows, 35, 6000},
		"for ever":                     {grows, 1e8, 6000},
		"without a bound":              {deviceops.RateSpec{Start: 60, Factor: 1.5, Every: time.Minute}, 2, 135},
		"before it began":              {grows, -30, 60},
		"a bound below the start":      {deviceops.RateSpec{Start: 60, Factor: 2, Every: time.Minute, Max: 30}, 10, 60},
		"less than one a minute":       {deviceops.RateSpec{Start: 0.5}, 10, 0.5},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			require.InDelta(t, c.want, c.rate.PerMinute(dawn, minute(c.minutes)), 1e-9)
		})
	}
}

func TestBuckets(t *testing.T) {
	t.Parallel()
	at := func(s float64) time.Time { return dawn.Add(time.Duration(s * float64(time.Second))) }
	for name, c := range map[string]struct {
		perMinute float64
		fills     []float64 // seconds; what may leave then leaves
		want      []int
	}{
		"begins empty, and goes on evenly":  {60, []float64{0, 1, 1.02, 2, 2.04, 3.06}, []int{0, 0, 1, 0, 1, 1}},
		"looked at late, it keeps the time": {60, []float64{0, 1.9, 2.04}, []int{0, 1, 1}},
		"slow":                              {1, []float64{0, 30, 61.1, 119, 122.1}, []int{0, 0, 1, 0, 1}},
		"slower than one a minute":          {0.5, []float64{0, 60, 122.1}, []int{0, 0, 1}},
		"a pause is not made up for":        {600, []float64{0, 1, 3600, 3601}, []int{0, 9, 11, 9}},
		"the clock goes back":               {60, []float64{10, 5, 10.5, 11.02}, []int{0, 0, 0, 1}},
		"no limit":                          {math.Inf(1), []float64{0}, []int{math.MaxInt}},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			var b deviceops.Bucket
			for i, s := range c.fills {
				var n int
				b, n = b.Fill(c.perMinute, at(s))
				require.Equal(t, c.want[i], n, "at %g s", s)
				b = carried(t, b.Take(n))
			}
		})
	}
}

// carried writes a bucket and reads it again, as a heartbeat does.
func carried(t *testing.T, b deviceops.Bucket) deviceops.Bucket {
	t.Helper()
	data, err := json.Marshal(b)
	require.NoError(t, err)
	var again deviceops.Bucket
	require.NoError(t, json.Unmarshal(data, &again))
	return again
}

func TestBucketsTellWhenTheNextMayLeave(t *testing.T) {
	t.Parallel()
	for seed := range uint64(200) {
		r := rand.New(rand.NewPCG(seed, 3))
		rate := math.Pow(10, 4*r.Float64()-1)
		b, _ := deviceops.Bucket{}.Fill(rate, dawn)
		now := dawn.Add(time.Duration(r.IntN(100_000)) * time.Millisecond)
		next := b.Next(rate, now)
		_, n := b.Fill(rate, next)
		require.Positive(t, n, "seed %d", seed)
		if next.After(now) {
			_, n = b.Fill(rate, next.Add(-time.Millisecond))
			require.Zero(t, n, "seed %d", seed)
		}
	}
	require.Equal(t, dawn, deviceops.Bucket{}.Next(math.Inf(1), dawn))
}

// TestBucketsKeepEveryMinute counts what leaves in every minute, over pauses,
// processes that begin anew, and rates that change.
func TestBucketsKeepEveryMinute(t *testing.T) {
	t.Parallel()
	for seed := range uint64(300) {
		r := rand.New(rand.NewPCG(seed, 7))
		rate := math.Ceil(math.Pow(10, 4*r.Float64()))
		var b deviceops.Bucket
		type left struct {
			at time.Time
			n  int
		}
		var all []left
		now := dawn
		for range 1500 {
			now = now.Add(time.Duration(r.IntN(1200)) * time.Millisecond)
			switch r.IntN(200) {
			case 0:
				b = deviceops.Bucket{}
			case 1:
				now = now.Add(time.Duration(r.IntN(300)) * time.Second)
			}
			var n int
			b, n = b.Fill(rate, now)
			n = min(n, r.IntN(n+1)+n/2)
			b = b.Take(n)
			all = append(all, left{now, n})
		}
		for i, sum, first := 0, 0, 0; i < len(all); i++ {
			sum += all[i].n
			for ; !all[first].at.After(all[i].at.Add(-time.Minute)); first++ {
				sum -= all[first].n
			}
			require.LessOrEqual(t, sum, int(rate), "seed %d: in the minute to %s", seed, all[i].at)
		}
	}
}

// TestBucketsAreNotMuchSlower holds what keeping every minute costs: less than
// two percent.
func TestBucketsAreNotMuchSlower(t *testing.T) {
	t.Parallel()
	for _, rate := range []float64{1, 7, 60, 61, 600, 6000, 100_000} {
		t.Run(fmt.Sprint(rate), func(t *testing.T) {
			t.Parallel()
			var b deviceops.Bucket
			sum := 0
			const minutes = 60
			for tick := range minutes * 60 * 2 { // twice a second
				var n int
				b, n = b.Fill(rate, dawn.Add(time.Duration(tick)*time.Second/2))
				b, sum = b.Take(n), sum+n
			}
			require.GreaterOrEqual(t, float64(sum), 0.98*rate*minutes-1)
			require.LessOrEqual(t, float64(sum), rate*minutes)
		})
	}
}

func TestRetries(t *testing.T) {
	t.Parallel()
	judge := func(v deviceops.Verdict, err error) func(deviceops.CommandError) (deviceops.Verdict, error) {
		return func(deviceops.CommandError) (deviceops.Verdict, error) { return v, err }
	}
	busy := deviceops.CommandError{Code: "busy", Retryable: true}
	broken := deviceops.CommandError{Code: "broken"}
	hour := func(times int) deviceops.RetrySpec {
		return deviceops.RetrySpec{Times: times, Min: time.Minute, Max: time.Hour}
	}
	iff := func(v deviceops.Verdict, err error) deviceops.RetrySpec {
		return deviceops.RetrySpec{Times: 3, Min: time.Minute, Max: time.Hour, If: judge(v, err)}
	}
	for name, c := range map[string]struct {
		retry     deviceops.RetrySpec
		failure   deviceops.CommandError
		attempt   int
		again     bool
		low, high time.Duration
	}{
		"none":                               {deviceops.RetrySpec{}, busy, 1, false, 0, 0},
		"the first":                          {hour(3), busy, 1, true, time.Minute, 2 * time.Minute},
		"the second":                         {hour(3), busy, 2, true, 2 * time.Minute, 4 * time.Minute},
		"the third, which is the last":       {hour(3), busy, 3, true, 4 * time.Minute, 8 * time.Minute},
		"none is left":                       {hour(3), busy, 4, false, 0, 0},
		"near the cap":                       {hour(9), busy, 6, true, 32 * time.Minute, time.Hour},
		"at the cap":                         {hour(9), busy, 7, true, 30 * time.Minute, time.Hour},
		"far beyond it":                      {hour(1000), busy, 999, true, 30 * time.Minute, time.Hour},
		"always the same delay":              {deviceops.RetrySpec{Times: 2, Min: time.Minute, Max: time.Minute}, busy, 2, true, time.Minute, time.Minute},
		"no cap is given":                    {deviceops.RetrySpec{Times: 2, Min: time.Minute}, busy, 2, true, time.Minute, time.Minute},
		"at once":                            {deviceops.RetrySpec{Times: 2}, busy, 2, true, 0, 0},
		"the device says that it is no use":  {hour(3), broken, 1, false, 0, 0},
		"if says yes, whatever the device":   {iff(deviceops.Yes, nil), broken, 1, true, time.Minute, 2 * time.Minute},
		"if says no, whatever the device":    {iff(deviceops.No, nil), busy, 1, false, 0, 0},
		"if does not know: the device does":  {iff(deviceops.Unknown, nil), busy, 1, true, time.Minute, 2 * time.Minute},
		"and when it says no":                {iff(deviceops.Unknown, nil), broken, 1, false, 0, 0},
		"if is at fault: as the device says": {iff(deviceops.Yes, errors.New("no")), broken, 1, false, 0, 0},
		"if says yes, but none is left":      {iff(deviceops.Yes, nil), busy, 4, false, 0, 0},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			for i := range 200 {
				device := fmt.Sprint("k", i)
				delay, again := c.retry.Next(c.failure, c.attempt, device)
				require.Equal(t, c.again, again)
				require.GreaterOrEqual(t, delay, c.low)
				require.LessOrEqual(t, delay, c.high)
				same, _ := c.retry.Next(c.failure, c.attempt, device)
				require.Equal(t, delay, same, "whoever asks")
			}
		})
	}
}

// TestRetriesSpread holds that devices which failed together come back evenly
// spread, each in its own time at every attempt.
func TestRetriesSpread(t *testing.T) {
	t.Parallel()
	r := deviceops.RetrySpec{Times: 2, Min: time.Minute, Max: time.Hour}
	const devices, slots = 10_000, 10
	var first [slots]int
	moved := 0
	for i := range devices {
		one, _ := r.Next(deviceops.CommandError{Retryable: true}, 1, fmt.Sprint("k", i))
		two, _ := r.Next(deviceops.CommandError{Retryable: true}, 2, fmt.Sprint("k", i))
		first[int(one-time.Minute)*slots/int(time.Minute)]++
		if math.Abs(float64(two-2*one)) > float64(time.Second) {
			moved++
		}
	}
	for slot, n := range first {
		require.InDelta(t, devices/slots, n, 150, "slot %d", slot)
	}
	require.Greater(t, moved, devices*9/10)
}

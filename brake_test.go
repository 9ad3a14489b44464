package deviceops_test

import (
	"encoding/json"
	"math/rand/v2"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/deviceops/deviceops"
)

func TestLimitStopsAndWaitsForAPerson(t *testing.T) {
	t.Parallel()
	l := deviceops.Limit{N: 2, Per: 10 * time.Minute}
	var s deviceops.LimitState
	for _, turn := range []struct {
		at float64
		ok bool
	}{{0, true}, {5, true}, {10, true}, {14.9, false}, {60, false}} {
		var ok bool
		s, ok = l.Take(s, minute(turn.at))
		require.Equal(t, turn.ok, ok, "at %g", turn.at)
	}
	require.Equal(t, minute(14.9), s.Stopped)
	require.Equal(t, 2, s.Refused)

	s, ok := l.Take(l.Resume(), minute(61))
	require.True(t, ok)
	require.Len(t, s.Starts, 1)
}

func TestNoLimitLetsEverythingThrough(t *testing.T) {
	t.Parallel()
	var s deviceops.LimitState
	for i := range 1000 {
		var ok bool
		s, ok = deviceops.Limit{}.Take(s, minute(float64(i)))
		require.True(t, ok)
	}
	require.Empty(t, s.Starts)
}

// TestLimitHoldsInEverySpan counts the starts of every span of time.
func TestLimitHoldsInEverySpan(t *testing.T) {
	t.Parallel()
	for seed := range uint64(500) {
		r := rand.New(rand.NewPCG(seed, 5))
		l := deviceops.Limit{N: 1 + r.IntN(5), Per: time.Duration(1+r.IntN(20)) * time.Minute}
		var s deviceops.LimitState
		var starts []time.Time
		at := dawn
		for range 100 {
			at = at.Add(time.Duration(r.IntN(600)) * time.Second)
			var ok bool
			if s, ok = l.Take(s, at); ok {
				starts = append(starts, at)
			} else {
				s = l.Resume()
				starts = nil
			}
			require.LessOrEqual(t, len(s.Starts), l.N)
		}
		for i := l.N; i < len(starts); i++ {
			require.GreaterOrEqual(t, starts[i].Sub(starts[i-l.N]), l.Per, "seed %d", seed)
		}
	}
}

func TestConcurrency(t *testing.T) {
	t.Parallel()
	first, second := []deviceops.Sample{yes(1)}, []deviceops.Sample{yes(2)}
	for name, c := range map[string]struct {
		concurrency deviceops.Concurrency
		admissions  []deviceops.Admission // of two firings while a run goes on
		next        []deviceops.Sample    // what starts when it has ended
	}{
		"skip":           {deviceops.ConcurrencySkip, []deviceops.Admission{deviceops.AdmitSkip, deviceops.AdmitSkip}, nil},
		"left out":       {"", []deviceops.Admission{deviceops.AdmitSkip, deviceops.AdmitSkip}, nil},
		"queue":          {deviceops.ConcurrencyQueue, []deviceops.Admission{deviceops.AdmitQueue, deviceops.AdmitQueue}, first},
		"cancel-running": {deviceops.ConcurrencyCancel, []deviceops.Admission{deviceops.AdmitCancel, deviceops.AdmitCancel}, second},
		"parallel":       {deviceops.ConcurrencyParallel, []deviceops.Admission{deviceops.AdmitStart, deviceops.AdmitStart}, nil},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			s, admission := c.concurrency.Admit(deviceops.ConcurrencyState{}, []deviceops.Sample{yes(0)})
			require.Equal(t, deviceops.AdmitStart, admission, "nothing goes on")
			s = s.Started("r1")
			for i, samples := range [][]deviceops.Sample{first, second} {
				s, admission = c.concurrency.Admit(s, samples)
				require.Equal(t, c.admissions[i], admission)
			}
			data, err := json.Marshal(s)
			require.NoError(t, err)
			var again deviceops.ConcurrencyState
			require.NoError(t, json.Unmarshal(data, &again))
			again, next := again.Ended("r1")
			require.Equal(t, c.next, next)
			require.Empty(t, again.Running)
		})
	}
}

func TestAQueueGoesOnOneByOneAndIsBounded(t *testing.T) {
	t.Parallel()
	s := deviceops.ConcurrencyState{}.Started("r0")
	for i := range deviceops.MaxQueued {
		var admission deviceops.Admission
		s, admission = deviceops.ConcurrencyQueue.Admit(s, []deviceops.Sample{yes(float64(i))})
		require.Equal(t, deviceops.AdmitQueue, admission)
	}
	_, admission := deviceops.ConcurrencyQueue.Admit(s, []deviceops.Sample{yes(999)})
	require.Equal(t, deviceops.AdmitSkip, admission)

	s, next := s.Ended("r0")
	require.Equal(t, "0", string(next[0].Event))
	s, next = s.Started("r1").Ended("another")
	require.Nil(t, next, "r1 goes on")
	_, next = s.Ended("r1")
	require.Equal(t, "1", string(next[0].Event))
}

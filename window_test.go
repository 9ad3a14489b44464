package deviceops_test

import (
	"encoding/json"
	"fmt"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/deviceops/deviceops"
)

var dawn = time.Date(2026, 1, 5, 6, 0, 0, 0, time.UTC)

// yes and no make samples at a number of minutes.
func yes(minutes float64) deviceops.Sample {
	return deviceops.Sample{At: minute(minutes), Holds: true, Event: json.RawMessage(fmt.Sprintf("%g", minutes))}
}

// arming makes a sample before which the condition did not hold.
func arming(s deviceops.Sample) deviceops.Sample {
	s.Arms = true
	return s
}

// beating makes a sample of a device that is to be heard of so often.
func beating(s deviceops.Sample, minutes float64) deviceops.Sample {
	s.Beat = time.Duration(minutes * float64(time.Minute))
	return s
}

func no(minutes float64) deviceops.Sample { return deviceops.Sample{At: minute(minutes)} }

func minute(n float64) time.Time { return dawn.Add(time.Duration(n * float64(time.Minute))) }

// clock is a turn of a story in which only the time goes on.
type clock float64

// late is a sample that comes in after it happened.
type late struct {
	deviceops.Sample
	in float64
}

// tell plays a story and gives what was decided: "10 fired 10", the minute, the
// outcome and the samples that fired. After every turn the state goes through
// JSON, as at a restart.
func tell(t *testing.T, w deviceops.Window, turns ...any) []string {
	t.Helper()
	var state deviceops.WindowState
	decided := []string{}
	for _, turn := range turns {
		var step deviceops.WindowStep
		switch turn := turn.(type) {
		case deviceops.Sample:
			step = w.Take(state, turn, turn.At)
		case late:
			step = w.Take(state, turn.Sample, minute(turn.in))
		case clock:
			step = w.Tick(state, minute(float64(turn)))
		}
		for _, d := range step.Decisions {
			decided = append(decided, line(d))
		}
		state = restarted(t, step.State)
	}
	return decided
}

func line(d deviceops.WindowDecision) string {
	words := []string{fmt.Sprintf("%g", d.At.Sub(dawn).Minutes()), string(d.Outcome)}
	for _, s := range d.Samples {
		words = append(words, string(s.Event))
	}
	return strings.Join(words, " ")
}

// restarted writes a state and reads it again.
func restarted(t *testing.T, s deviceops.WindowState) deviceops.WindowState {
	t.Helper()
	data, err := json.Marshal(s)
	require.NoError(t, err)
	var again deviceops.WindowState
	require.NoError(t, json.Unmarshal(data, &again))
	return again
}

func TestWindows(t *testing.T) {
	t.Parallel()
	const min = time.Minute
	tenMinutes := deviceops.Window{For: 10 * min}
	deduped := deviceops.Window{For: 10 * min, Dedupe: time.Hour}
	burst := deviceops.Window{Debounce: deviceops.Debounce{Quiet: 2 * min, Max: 5 * min}}
	three := deviceops.Window{Collect: deviceops.Collect{Within: 5 * min, AtLeast: 3}}
	for name, c := range map[string]struct {
		window deviceops.Window
		turns  []any
		want   []string
	}{
		"no window: every yes fires, whenever it comes": {
			deviceops.Window{}, []any{yes(5), no(6), yes(3)}, []string{"5 fired 5", "6 no", "3 fired 3"},
		},

		"once: the first that is armed fires, and no other": {
			deviceops.Window{Once: true}, []any{yes(0), arming(yes(1)), yes(2), no(3), yes(4), arming(no(5)), yes(6)},
			[]string{"0 no", "1 fired 1", "2 no", "3 no", "4 no", "5 no", "6 fired 6"},
		},
		"once, for: it stays armed while it holds": {
			deviceops.Window{Once: true, For: 10 * min, Gap: time.Hour}, []any{arming(yes(0)), yes(5), clock(10.5), yes(12), clock(40), arming(yes(41)), clock(60)},
			[]string{"0 holding", "5 holding", "10 fired 5", "12 no", "41 holding", "51 fired 41"},
		},
		"once, for: broken off before its end it needs no second arming": {
			deviceops.Window{Once: true, For: 10 * min, Gap: time.Hour}, []any{arming(yes(0)), no(5), yes(6), clock(17)},
			[]string{"0 holding", "5 broken", "6 holding", "16 fired 6"},
		},
		"once, dedupe: silence comes on top": {
			deviceops.Window{Once: true, Dedupe: 10 * min}, []any{arming(yes(0)), arming(yes(5)), yes(11)},
			[]string{"0 fired 0", "5 silenced", "11 fired 11"},
		},

		"for: fires at the first sample at or after its end": {
			tenMinutes, []any{yes(0), yes(9), yes(10)}, []string{"0 holding", "9 holding", "10 fired 10"},
		},
		"for: two samples are enough, however far apart": {
			tenMinutes, []any{yes(0), yes(10)}, []string{"0 holding", "10 fired 10"},
		},
		"for: a no breaks it off": {
			tenMinutes, []any{yes(0), no(5), yes(6), yes(12), yes(16)}, []string{"0 holding", "5 broken", "6 holding", "12 holding", "16 fired 16"},
		},
		"for: the clock fires 30 s after the end when samples keep coming": {
			tenMinutes, []any{yes(0), yes(4), yes(8), clock(10.4), clock(10.5)}, []string{"0 holding", "4 holding", "8 holding", "10 fired 8"},
		},
		"for: a no within the grace counts": {
			tenMinutes, []any{yes(0), yes(8), no(10.2), clock(10.5)}, []string{"0 holding", "8 holding", "10.2 broken"},
		},
		"for: when samples stopped nobody knows, and the hold lapses": {
			tenMinutes, []any{yes(0), yes(6.9), clock(10.5), yes(11), yes(21)}, []string{"0 holding", "6.9 holding", "10 lapsed", "11 holding", "21 fired 21"},
		},
		"for: gap is how long samples may stop": {
			deviceops.Window{For: 10 * min, Gap: 15 * min}, []any{yes(0), clock(10.5)}, []string{"0 holding", "10 fired 0"},
		},
		"for: a device that reports every five minutes is not silent between two reports": {
			tenMinutes, []any{beating(yes(1), 5), beating(yes(6), 5), clock(11.5)}, []string{"1 holding", "6 holding", "11 fired 6"},
		},
		"for: nor is one that beats fast and measures slowly": {
			tenMinutes, []any{beating(yes(0), 0.1), beating(yes(8), 0.1), clock(10.5)}, []string{"0 holding", "8 holding", "10 fired 8"},
		},
		"for: three heartbeats without a sample are silence": {
			tenMinutes, []any{beating(yes(0), 3), clock(10.5)}, []string{"0 holding", "10 lapsed"},
		},
		"for: a sample after a long silence begins anew, clock or not": {
			tenMinutes, []any{yes(0), yes(300)}, []string{"0 holding", "10 lapsed", "300 holding"},
		},
		"for: it fires once more when it holds as long again": {
			tenMinutes, []any{yes(0), yes(10), yes(15), yes(20)}, []string{"0 holding", "10 fired 10", "15 holding", "20 fired 20"},
		},
		"for: a sample older than the decision changes nothing": {
			tenMinutes, []any{yes(0), yes(10), late{no(9), 11}, yes(20)}, []string{"0 holding", "10 fired 10", "9 stale", "20 fired 20"},
		},
		"for: a backlog that was kept for an hour decides as if it had come in time": {
			tenMinutes, []any{late{yes(0), 60}, late{no(5), 60}, late{yes(6), 60}, late{yes(16), 60}},
			[]string{"0 holding", "5 broken", "6 holding", "16 fired 16"},
		},
		"for: of a backlog that ends within the hold the clock decides": {
			tenMinutes, []any{late{yes(0), 60}, late{yes(4), 60}, late{yes(8), 60}, clock(60.4), clock(60.5)},
			[]string{"0 holding", "4 holding", "8 holding", "10 fired 8"},
		},
		"for: a backlog has gaps like any samples": {
			tenMinutes, []any{late{yes(0), 60}, late{yes(2), 60}, yes(60)}, []string{"0 holding", "2 holding", "10 lapsed", "60 holding"},
		},
		"for: a backlog may come in pieces": {
			tenMinutes, []any{late{yes(0), 60}, late{no(3), 60.4}, late{yes(5), 60.8}, late{yes(15), 61}}, []string{"0 holding", "3 broken", "5 holding", "15 fired 15"},
		},
		"for: a late yes moves the beginning back, and may fire": {
			tenMinutes, []any{yes(4), late{yes(0), 5}, yes(10)}, []string{"4 holding", "0 holding", "10 fired 10"},
		},
		"for: a late no leaves only the newest yes": {
			tenMinutes, []any{yes(0), yes(6), late{no(3), 7}, yes(10), yes(16)}, []string{"0 holding", "6 holding", "3 no", "10 holding", "16 fired 16"},
		},
		"for: of two samples of one moment the no wins, in either order": {
			tenMinutes, []any{yes(0), no(0), no(1), yes(1), yes(11)}, []string{"0 holding", "0 broken", "1 no", "1 no", "11 holding"},
		},

		"for and dedupe: silence counts from the firing sample": {
			deduped, []any{yes(0), yes(10), yes(20), yes(69), yes(70)}, []string{"0 holding", "10 fired 10", "20 silenced", "69 silenced", "70 fired 70"},
		},
		"for and dedupe: when the clock fires, silence counts from the end of the hold": {
			deduped, []any{yes(0), yes(8), clock(10.5), yes(30), yes(69.9), yes(70)},
			[]string{"0 holding", "8 holding", "10 fired 8", "30 silenced", "69.9 silenced", "70 fired 70"},
		},
		"for: the clock fires once, and not again before another sample": {
			deviceops.Window{For: 10 * min, Gap: 1000 * min}, []any{yes(0), clock(10.5), clock(20.5), clock(500)}, []string{"0 holding", "10 fired 0"},
		},

		"dedupe: the first wins, then silence": {
			deviceops.Window{Dedupe: 60 * min}, []any{yes(0), no(1), yes(2), yes(59.9), yes(60)},
			[]string{"0 fired 0", "1 no", "2 silenced", "59.9 silenced", "60 fired 60"},
		},
		"dedupe: an older sample changes nothing": {
			deviceops.Window{Dedupe: 60 * min}, []any{yes(100), late{yes(10), 101}}, []string{"100 fired 100", "10 stale"},
		},

		"debounce: the last wins when it is quiet": {
			burst, []any{yes(0), yes(1), clock(2.9), clock(3)}, []string{"0 holding", "1 holding", "3 fired 1"},
		},
		"debounce: max ends a burst that does not": {
			burst, []any{yes(0), yes(1), yes(2), yes(3), yes(4), clock(5)}, []string{"0 holding", "1 holding", "2 holding", "3 holding", "4 holding", "5 fired 4"},
		},
		"debounce: a sample after the end begins another burst": {
			burst, []any{yes(0), yes(3), clock(5)}, []string{"0 holding", "2 fired 0", "3 holding", "5 fired 3"},
		},
		"debounce: a no is no sample": {
			burst, []any{yes(0), no(1), clock(2)}, []string{"0 holding", "1 no", "2 fired 0"},
		},
		"debounce and dedupe": {
			deviceops.Window{Debounce: deviceops.Debounce{Quiet: 2 * min}, Dedupe: 10 * min}, []any{yes(0), clock(2), yes(5), yes(10), clock(12)},
			[]string{"0 holding", "2 fired 0", "5 silenced", "10 holding", "12 fired 10"},
		},

		"collect: fires at the sample that makes it enough": {
			three, []any{yes(0), yes(1), yes(5), yes(6)}, []string{"0 holding", "1 holding", "5 fired 0 1 5", "6 holding"},
		},
		"collect: samples too far apart do not count": {
			three, []any{yes(0), yes(4), yes(5.1), yes(6)}, []string{"0 holding", "4 holding", "5.1 holding", "6 fired 4 5.1 6"},
		},
		"collect: a late sample counts at its time": {
			three, []any{yes(4), yes(5), late{yes(2), 6}}, []string{"4 holding", "5 holding", "5 fired 2 4 5"},
		},
		"collect and dedupe": {
			deviceops.Window{Collect: deviceops.Collect{Within: 5 * min, AtLeast: 2}, Dedupe: 10 * min}, []any{yes(0), yes(1), yes(2), yes(10.9), yes(11), yes(12)},
			[]string{"0 holding", "1 fired 0 1", "2 silenced", "10.9 silenced", "11 holding", "12 fired 11 12"},
		},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			require.Equal(t, c.want, tell(t, c.window, c.turns...))
		})
	}
}

func TestWindowDeadlines(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct {
		window deviceops.Window
		want   float64 // minutes; below zero: none
	}{
		"for":             {deviceops.Window{For: 10 * time.Minute}, 10.5},
		"debounce":        {deviceops.Window{Debounce: deviceops.Debounce{Quiet: 2 * time.Minute}}, 2},
		"debounce by max": {deviceops.Window{Debounce: deviceops.Debounce{Quiet: 2 * time.Minute, Max: time.Minute}}, 1},
		"collect":         {deviceops.Window{Collect: deviceops.Collect{Within: time.Minute, AtLeast: 2}}, -1},
		"dedupe":          {deviceops.Window{Dedupe: time.Hour}, -1},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			step := c.window.Take(deviceops.WindowState{}, yes(0), minute(0))
			if c.want < 0 {
				require.True(t, step.Deadline.IsZero())
				return
			}
			require.Equal(t, minute(c.want), step.Deadline)
			require.Empty(t, c.window.Tick(step.State, step.Deadline.Add(-time.Millisecond)).Decisions, "not before its deadline")
			require.NotEmpty(t, c.window.Tick(step.State, step.Deadline).Decisions)
		})
	}
}

// randomWindow gives one of the shapes of windows.
func randomWindow(r *rand.Rand) deviceops.Window {
	w := deviceops.Window{Dedupe: time.Duration(r.IntN(3)) * 7 * time.Minute}
	switch r.IntN(4) {
	case 0:
		w.For, w.Gap = time.Duration(1+r.IntN(20))*time.Minute, time.Duration(r.IntN(5))*time.Minute
	case 1:
		w.Debounce = deviceops.Debounce{Quiet: time.Duration(1+r.IntN(5)) * time.Minute, Max: time.Duration(r.IntN(10)) * time.Minute}
	case 2:
		w.Collect = deviceops.Collect{Within: time.Duration(1+r.IntN(10)) * time.Minute, AtLeast: 2 + r.IntN(3)}
	}
	return w
}

func randomSamples(r *rand.Rand, n int, chance float64) []deviceops.Sample {
	samples := make([]deviceops.Sample, n)
	at := 0.0
	for i := range samples {
		at += float64(1+r.IntN(240)) / 60
		samples[i] = yes(at)
		samples[i].Holds = r.Float64() < chance
	}
	return samples
}

// firings plays samples in the given order, each coming in when it happened or
// when the latest before it came in, and then lets the clock go on.
func firings(w deviceops.Window, samples []deviceops.Sample, between func(state deviceops.WindowState, now time.Time) deviceops.WindowStep) []string {
	var state deviceops.WindowState
	var now time.Time
	var fired []string
	take := func(step deviceops.WindowStep) {
		state = step.State
		for _, d := range step.Fired() {
			fired = append(fired, line(d))
		}
	}
	for _, s := range samples {
		if s.At.After(now) {
			now = s.At
		}
		take(between(state, now))
		take(w.Take(state, s, now))
	}
	for deadline := w.Tick(state, now).Deadline; !deadline.IsZero(); deadline = w.Tick(state, now).Deadline {
		now = deadline
		take(w.Tick(state, now))
		if len(fired) > 1000 {
			break
		}
	}
	return fired
}

func nothing(state deviceops.WindowState, _ time.Time) deviceops.WindowStep {
	return deviceops.WindowStep{State: state}
}

// TestTheClockMayBeLookedAtAnyTime holds that a window decides the same whether
// the engine looked at the clock all the time or, being down, not at all.
func TestTheClockMayBeLookedAtAnyTime(t *testing.T) {
	t.Parallel()
	for seed := range uint64(2000) {
		r := rand.New(rand.NewPCG(seed, 1))
		w, samples := randomWindow(r), randomSamples(r, 1+r.IntN(30), 0.8)
		watched := firings(w, samples, w.Tick)
		require.Equal(t, watched, firings(w, samples, nothing), "seed %d: %+v", seed, w)
	}
}

// TestSamplesThatSayYesMayComeInAnyOrder holds for what lies before the first
// decision.
func TestSamplesThatSayYesMayComeInAnyOrder(t *testing.T) {
	t.Parallel()
	for seed := range uint64(2000) {
		r := rand.New(rand.NewPCG(seed, 2))
		w := deviceops.Window{For: 20 * time.Minute, Gap: time.Hour}
		if seed%2 == 0 {
			w = deviceops.Window{Debounce: deviceops.Debounce{Quiet: 20 * time.Minute}}
		}
		samples := randomSamples(r, 1+r.IntN(8), 1)
		samples = slices.DeleteFunc(samples, func(s deviceops.Sample) bool { return s.At.Sub(samples[0].At) >= 20*time.Minute })
		want := state(w, samples)
		shuffled := slices.Clone(samples)
		r.Shuffle(len(shuffled), func(i, j int) { shuffled[i], shuffled[j] = shuffled[j], shuffled[i] })
		require.Equal(t, want, state(w, shuffled), "seed %d", seed)
	}
}

// state gives the state after samples that all came in at one moment.
func state(w deviceops.Window, samples []deviceops.Sample) deviceops.WindowState {
	var s deviceops.WindowState
	last := slices.MaxFunc(samples, func(a, b deviceops.Sample) int { return a.At.Compare(b.At) })
	for _, sample := range samples {
		s = w.Take(s, sample, last.At).State
	}
	return s
}

// TestALateNoNeverBringsAFiringForward compares the first firing of `for` in
// order with the one when a no changes places with the sample after it. Firings
// that were decided before the no came are its fate and no matter of this test.
func TestALateNoNeverBringsAFiringForward(t *testing.T) {
	t.Parallel()
	w := deviceops.Window{For: 10 * time.Minute, Gap: 24 * time.Hour}
	for seed := range uint64(3000) {
		r := rand.New(rand.NewPCG(seed, 3))
		samples := randomSamples(r, 2+r.IntN(12), 0.8)
		i := r.IntN(len(samples) - 1)
		samples[i].Holds = false
		late := slices.Clone(samples)
		late[i], late[i+1] = late[i+1], late[i]
		inOrder, _ := firstFiring(w, samples)
		outOfOrder, at := firstFiring(w, late)
		require.False(t, outOfOrder.Before(inOrder) && at > i, "seed %d: %s before %s", seed, outOfOrder, inOrder)
	}
}

// firstFiring gives the time of the first firing and the index of the sample with
// which it was decided.
func firstFiring(w deviceops.Window, samples []deviceops.Sample) (at time.Time, index int) {
	var s deviceops.WindowState
	now := time.Time{}
	for i, sample := range samples {
		if sample.At.After(now) {
			now = sample.At
		}
		step := w.Take(s, sample, now)
		if fired := step.Fired(); len(fired) > 0 {
			return fired[0].At, i
		}
		s = step.State
	}
	return dawn.Add(1000 * time.Hour), len(samples)
}

// TestDedupeHoldsItsSilence holds for every kind of window: no two firings lie
// closer together than dedupe.
func TestDedupeHoldsItsSilence(t *testing.T) {
	t.Parallel()
	for seed := range uint64(2000) {
		r := rand.New(rand.NewPCG(seed, 4))
		w := randomWindow(r)
		w.Dedupe = 15 * time.Minute
		var s deviceops.WindowState
		var last time.Time
		for _, sample := range randomSamples(r, 60, 0.9) {
			step := w.Take(s, sample, sample.At)
			for _, d := range step.Fired() {
				at := d.At
				if w.For == 0 {
					at = d.Samples[len(d.Samples)-1].At
				}
				require.False(t, !last.IsZero() && at.Sub(last) < w.Dedupe, "seed %d: %+v", seed, w)
				last = at
			}
			s = step.State
		}
	}
}

func TestAWindowDoesNotTouchTheStateItIsGiven(t *testing.T) {
	t.Parallel()
	w := deviceops.Window{Collect: deviceops.Collect{Within: time.Hour, AtLeast: 5}}
	first := w.Take(deviceops.WindowState{}, yes(10), minute(10)).State
	before, err := json.Marshal(first)
	require.NoError(t, err)
	w.Take(first, yes(1), minute(11))
	w.Take(first, yes(2), minute(11))
	after, err := json.Marshal(first)
	require.NoError(t, err)
	require.JSONEq(t, string(before), string(after))
}

// A hold that has fired holds nothing: what the clock has still to do about it
// concerns nobody.
func TestAKeyIsShownAsItIs(t *testing.T) {
	t.Parallel()
	w := deviceops.Window{For: 10 * time.Minute}
	key := func(turns ...deviceops.Sample) deviceops.AutomationKeyView {
		var k deviceops.AutomationKey
		for _, s := range turns {
			step := w.Take(k.Window, s, s.At)
			k.Window, k.Deadline = step.State, step.Deadline
		}
		return k.View("k1")
	}
	require.Equal(t, deviceops.AutomationKeyView{Key: "k1", Holding: minute(1), Due: minute(11.5)}, key(yes(1), yes(5)))
	require.Equal(t, deviceops.AutomationKeyView{Key: "k1"}, key(yes(1), yes(5), yes(11)))
	require.Equal(t, deviceops.AutomationKeyView{Key: "k1", Holding: minute(11), Due: minute(21.5)}, key(yes(1), yes(11), yes(12)))
}

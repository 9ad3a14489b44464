package deviceops_test

import (
	"encoding/json"
	"errors"
	"fmt"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/deviceops/deviceops"
)

var policy = deviceops.WellnessPolicy{
	For: 5 * time.Minute, Flap: deviceops.FlapPolicy{Changes: 3, Within: 10 * time.Minute, Quiet: 15 * time.Minute},
}

// story plays what happens to one device at minutes. After every turn what is
// remembered goes through JSON, as at a restart.
type story struct {
	t       *testing.T
	policy  deviceops.WellnessPolicy
	device  deviceops.Device
	flap    deviceops.FlapState
	told    []string // "7 device.degraded disk"
	damped  []float64
	minutes float64
}

func newStory(t *testing.T) *story {
	s := &story{t: t, policy: policy}
	s.device.Session.Connectivity, s.device.Session.Since = deviceops.Online, dawn
	return s
}

func (s *story) follow(step deviceops.WellnessStep, change string) {
	s.t.Helper()
	s.device.Wellness, s.flap = step.Wellness, step.Flap
	if change != "" && step.Damped {
		s.damped = append(s.damped, s.minutes)
	} else if change != "" {
		s.told = append(s.told, fmt.Sprintf("%g → %s", s.minutes, change))
	}
	for _, e := range step.Events {
		text := fmt.Sprintf("%g %s", e.At.Sub(dawn).Minutes(), e.Type)
		if names := (deviceops.Event{Type: e.Type, Data: e.Data}).Tell(); e.Type == deviceops.EventDeviceConnectivity || e.Type == deviceops.EventDegraded {
			text += " " + names
		}
		s.told = append(s.told, text)
	}
	raw, err := json.Marshal(s.flap)
	require.NoError(s.t, err)
	s.flap = deviceops.FlapState{}
	require.NoError(s.t, json.Unmarshal(raw, &s.flap))
}

// says judges the device at a minute; no reasons: it is well.
func (s *story) says(at float64, because ...string) *story {
	v := deviceops.No
	if len(because) > 0 {
		v = deviceops.Yes
	}
	s.minutes = at
	s.follow(s.policy.Take(s.device.Wellness, v, because, minute(at)), "")
	return s
}

func (s *story) unknown(at float64) *story {
	s.minutes = at
	s.follow(s.policy.Take(s.device.Wellness, deviceops.Unknown, nil, minute(at)), "")
	return s
}

// becomes changes the connectivity.
func (s *story) becomes(at float64, to deviceops.Connectivity) *story {
	s.minutes = at
	c := deviceops.ConnectivityChange{From: s.device.Session.Connectivity, To: to, At: minute(at)}
	s.device.Session.Connectivity, s.device.Session.Since = to, c.At
	step := s.policy.Change(s.device.Wellness, s.flap, c)
	s.follow(step, string(to))
	return s
}

// clock lets the clock decide what is due until a minute, as the sweeper would.
func (s *story) clock(until float64) *story {
	for range 100 {
		due := s.device.Wellness.DueAt
		if due.IsZero() || due.After(minute(until)) {
			return s
		}
		s.minutes = due.Sub(dawn).Minutes()
		s.follow(s.policy.Tick(s.device.Wellness, s.flap, s.device.Session, due), "")
	}
	require.Fail(s.t, "the clock decides for ever")
	return s
}

func (s *story) tells(told ...string) {
	s.t.Helper()
	require.Equal(s.t, told, s.told)
}

func TestDegradedAndRecovered(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct {
		play func(s *story)
		told []string
		end  deviceops.WellnessStatus
	}{
		"it holds long enough, by samples": {func(s *story) { s.says(0, "disk").says(3, "disk").says(6, "disk") },
			[]string{"6 device.degraded since 2026-01-05T06:00:00Z: disk"}, deviceops.Degraded},
		"it holds long enough, by the clock": {func(s *story) { s.says(0, "disk").clock(60) },
			[]string{"5 device.degraded since 2026-01-05T06:00:00Z: disk"}, deviceops.Degraded},
		"a moment is none": {func(s *story) { s.says(0, "disk").says(4).says(6, "disk").says(10).clock(60) },
			nil, deviceops.Well},
		"another reason takes over": {func(s *story) { s.says(0, "disk").says(4, "crashes").clock(60) },
			[]string{"5 device.degraded since 2026-01-05T06:00:00Z: crashes"}, deviceops.Degraded},
		"told once": {func(s *story) { s.says(0, "disk").clock(6).says(7, "disk", "crashes").says(20, "disk").clock(60) },
			[]string{"5 device.degraded since 2026-01-05T06:00:00Z: disk"}, deviceops.Degraded},
		"well again": {func(s *story) { s.says(0, "disk").clock(6).says(10).clock(60) },
			[]string{"5 device.degraded since 2026-01-05T06:00:00Z: disk", "15 device.recovered"}, deviceops.Well},
		"well for a moment is not well": {func(s *story) { s.says(0, "disk").clock(6).says(10).says(12, "disk").clock(60) },
			[]string{"5 device.degraded since 2026-01-05T06:00:00Z: disk"}, deviceops.Degraded},
		"what cannot be judged changes nothing": {func(s *story) { s.says(0, "disk").unknown(2).clock(60).unknown(61).clock(90) },
			[]string{"5 device.degraded since 2026-01-05T06:00:00Z: disk"}, deviceops.Degraded},
		"an offline device is not judged by the clock": {func(s *story) {
			s.says(0, "disk").becomes(2, deviceops.Offline).clock(60).becomes(69, deviceops.Online).says(70, "disk").clock(74).says(74)
		},
			[]string{"2 → offline", "69 → online"}, deviceops.Well},
		"nor does one recover that way": {func(s *story) { s.says(0, "disk").clock(6).says(7).becomes(8, deviceops.Offline).clock(60) },
			[]string{"5 device.degraded since 2026-01-05T06:00:00Z: disk", "8 → offline"}, deviceops.Degraded},
		"a sleeper is judged when it wakes": {func(s *story) { s.says(0, "disk").becomes(1, deviceops.Sleeping).clock(60).says(61, "disk") },
			[]string{"1 → sleeping", "61 device.degraded since 2026-01-05T06:00:00Z: disk"}, deviceops.Degraded},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			s := newStory(t)
			c.play(s)
			s.tells(c.told...)
			require.Equal(t, c.end, s.device.Wellness.Status)
			require.Empty(t, s.device.Wellness.DueAt, "nothing is left to decide")
		})
	}
}

func TestNoDamping(t *testing.T) {
	t.Parallel()
	s := newStory(t)
	s.policy.For = 0
	s.says(1, "disk").says(2)
	s.tells("1 device.degraded since 2026-01-05T06:01:00Z: disk", "2 device.recovered")
}

// flaps changes the connectivity each minute, to offline first.
func (s *story) flaps(from float64, times int) *story {
	for i := range times {
		to := deviceops.Offline
		if s.device.Session.Connectivity == deviceops.Offline {
			to = deviceops.Online
		}
		s.becomes(from+float64(i), to)
	}
	return s
}

func TestFlapping(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct {
		play   func(s *story)
		told   []string
		damped int
	}{
		"once or twice": {func(s *story) { s.flaps(0, 2).clock(60) }, []string{"0 → offline", "1 → online"}, 0},
		"too slow": {func(s *story) {
			s.becomes(0, deviceops.Offline).becomes(6, deviceops.Online).becomes(11, deviceops.Offline).clock(60)
		},
			[]string{"0 → offline", "6 → online", "11 → offline"}, 0},
		"told once, then silence": {func(s *story) { s.flaps(0, 40).clock(60) },
			[]string{"0 → offline", "1 → online", "2 device.flapping", "54 device.stable"}, 38},
		"it ends offline, which is told as of when it was": {func(s *story) { s.flaps(0, 41).clock(60) },
			[]string{"0 → offline", "1 → online", "2 device.flapping", "55 device.stable", "40 device.connectivity_changed online → offline: it is stable again"}, 39},
		"who waits for an offline device hears that it is back": {
			func(s *story) {
				s.device.Session.Connectivity = deviceops.Offline
				s.flaps(0, 10).clock(60)
			},
			[]string{"0 → online", "1 → offline", "2 → online", "2 device.flapping", "24 device.stable", "9 device.connectivity_changed online → offline: it is stable again"}, 7},
		"the quiet begins anew with each change": {func(s *story) { s.flaps(0, 3).clock(16).becomes(16, deviceops.Online).clock(30).clock(60) },
			[]string{"0 → offline", "1 → online", "2 device.flapping", "31 device.stable"}, 2},
		"and then it may flap again": {func(s *story) { s.flaps(0, 4).clock(20).flaps(20, 4).clock(60) },
			[]string{"0 → offline", "1 → online", "2 device.flapping", "18 device.stable", "20 → offline", "21 → online", "22 device.flapping", "38 device.stable"}, 4},
		"sleep is no flapping": {
			func(s *story) {
				for i := range 10 {
					s.becomes(float64(2*i), deviceops.Sleeping).becomes(float64(2*i+1), deviceops.Online)
				}
				s.told = s.told[:1]
			}, []string{"0 → sleeping"}, 0},
		"nor is a lost gateway": {
			func(s *story) {
				for i := range 10 {
					s.device.Session.Connectivity = deviceops.Unreachable
					s.becomes(float64(i), deviceops.Online)
				}
				s.told = s.told[:1]
			}, []string{"0 → online"}, 0},
		"a device that flaps may sleep": {func(s *story) { s.flaps(0, 4).becomes(5, deviceops.Sleeping).clock(60) },
			[]string{"0 → offline", "1 → online", "2 device.flapping", "5 → sleeping", "18 device.stable"}, 2},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			s := newStory(t)
			c.play(s)
			s.tells(c.told...)
			require.Len(t, s.damped, c.damped)
			require.Empty(t, s.device.Wellness.FlappingSince)
			require.LessOrEqual(t, len(s.flap.Changes), 3)
		})
	}
}

func TestFlappingIsShown(t *testing.T) {
	t.Parallel()
	s := newStory(t).flaps(0, 3)
	require.Equal(t, deviceops.Wellness{Status: deviceops.Flapping, FlappingSince: minute(2), StableAt: minute(17), DueAt: minute(17)}, s.device.Wellness)
	s.says(3, "disk").clock(16)
	require.Equal(t, deviceops.Flapping, s.device.Wellness.Status, "it is offline: nobody knows")
	s.becomes(16, deviceops.Online).says(17, "disk").clock(22)
	require.Equal(t, deviceops.Degraded, s.device.Wellness.Status, "that says more")
	s.clock(60)
	require.Empty(t, s.device.Wellness.FlappingSince)
	require.True(t, s.flap.Empty())
}

// TestAProfileMayStopDamping changes the policy of a device that flaps.
func TestAProfileMayStopDamping(t *testing.T) {
	t.Parallel()
	s := newStory(t).flaps(0, 4)
	s.policy.Flap = deviceops.FlapPolicy{}
	s.flaps(4, 1).clock(60).flaps(61, 20)
	require.Len(t, s.damped, 3)
	require.Len(t, s.told, 2+1+2+20, "two changes, flapping, stable and offline, and all that came then")
}

func TestJudgeDegraded(t *testing.T) {
	t.Parallel()
	says := func(name string, v deviceops.Verdict, err error) deviceops.DegradedReason {
		return deviceops.DegradedReason{Name: name, Holds: func(*deviceops.Device) (deviceops.Verdict, error) { return v, err }}
	}
	broken := errors.New("no")
	for name, c := range map[string]struct {
		reasons []deviceops.DegradedReason
		want    deviceops.Verdict
		because []string
	}{
		"none":                     {nil, deviceops.No, nil},
		"all hold":                 {[]deviceops.DegradedReason{says("a", deviceops.Yes, nil), says("b", deviceops.Yes, nil)}, deviceops.Yes, []string{"a", "b"}},
		"one holds":                {[]deviceops.DegradedReason{says("a", deviceops.Unknown, nil), says("b", deviceops.Yes, nil)}, deviceops.Yes, []string{"b"}},
		"one cannot be judged":     {[]deviceops.DegradedReason{says("a", deviceops.Unknown, nil), says("b", deviceops.No, nil)}, deviceops.Unknown, nil},
		"one fails":                {[]deviceops.DegradedReason{says("a", deviceops.No, nil), says("b", deviceops.Unknown, broken)}, deviceops.Unknown, nil},
		"none of them holds":       {[]deviceops.DegradedReason{says("a", deviceops.No, nil), says("b", deviceops.No, nil)}, deviceops.No, nil},
		"a failure hides no other": {[]deviceops.DegradedReason{says("a", deviceops.Unknown, broken), says("b", deviceops.Yes, nil)}, deviceops.Yes, []string{"b"}},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			v, because := deviceops.WellnessPolicy{Degraded: c.reasons}.Judge(&deviceops.Device{})
			require.Equal(t, c.want, v)
			require.Equal(t, c.because, because)
		})
	}
}

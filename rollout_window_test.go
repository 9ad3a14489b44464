package deviceops_test

import (
	"math/rand/v2"
	"slices"
	"testing"
	"time"
	_ "time/tzdata" // the tests do not depend on what the machine knows

	"github.com/stretchr/testify/require"

	"github.com/deviceops/deviceops"
)

const (
	berlin    = "Europe/Berlin"       // an hour, by night
	newYork   = "America/New_York"    // the same, on other days
	lordHowe  = "Australia/Lord_Howe" // half an hour
	kathmandu = "Asia/Kathmandu"      // a quarter past, never changed
	cairo     = "Africa/Cairo"        // leaves midnight out
)

var workdays = []time.Weekday{time.Monday, time.Tuesday, time.Wednesday, time.Thursday, time.Friday}

// clockTime reads "23:30" as the time since midnight.
func clockTime(t testing.TB, s string) time.Duration {
	t.Helper()
	if s == "24:00" {
		return 24 * time.Hour
	}
	at, err := time.Parse("15:04", s)
	require.NoError(t, err)
	return time.Duration(at.Hour())*time.Hour + time.Duration(at.Minute())*time.Minute
}

func maintenance(t testing.TB, from, to, zone string, days ...time.Weekday) deviceops.MaintenanceWindow {
	t.Helper()
	return deviceops.MaintenanceWindow{Days: days, From: clockTime(t, from), To: clockTime(t, to), Zone: zone}
}

// instant reads a time in UTC; "" is none.
func instant(t testing.TB, s string) time.Time {
	t.Helper()
	if s == "" {
		return time.Time{}
	}
	at, err := time.Parse("2006-01-02 15:04", s)
	require.NoError(t, err)
	return at
}

func TestMaintenanceWindows(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct {
		from, to, zone string
		days           []time.Weekday
		at             string // UTC
		need           time.Duration
		want           string // the next start, UTC; "" never
		device         string // zone of the device
	}{
		"before it opens":                   {"01:00", "05:00", berlin, nil, "2026-01-14 22:00", time.Hour, "2026-01-15 00:00", ""},
		"the moment it opens":               {"01:00", "05:00", berlin, nil, "2026-01-15 00:00", time.Hour, "2026-01-15 00:00", ""},
		"open, with room":                   {"01:00", "05:00", berlin, nil, "2026-01-15 02:59", time.Hour, "2026-01-15 02:59", ""},
		"open, with just enough room":       {"01:00", "05:00", berlin, nil, "2026-01-15 03:00", time.Hour, "2026-01-15 03:00", ""},
		"open, and could not finish":        {"01:00", "05:00", berlin, nil, "2026-01-15 03:01", time.Hour, "2026-01-16 00:00", ""},
		"the moment it closes":              {"01:00", "05:00", berlin, nil, "2026-01-15 04:00", 0, "2026-01-16 00:00", ""},
		"it is never that long":             {"01:00", "05:00", kathmandu, nil, "2026-01-15 00:00", 4*time.Hour + time.Second, "", ""},
		"the next day that it names":        {"01:00", "05:00", berlin, workdays, "2026-01-16 05:00", time.Hour, "2026-01-19 00:00", ""}, // a Friday
		"crosses midnight":                  {"22:00", "02:00", "UTC", nil, "2026-01-15 23:30", 2 * time.Hour, "2026-01-15 23:30", ""},
		"crosses midnight, after it":        {"22:00", "02:00", "UTC", nil, "2026-01-16 00:30", time.Hour, "2026-01-16 00:30", ""},
		"the day is that on which it opens": {"22:00", "02:00", "UTC", []time.Weekday{time.Friday}, "2026-01-17 01:00", time.Hour, "2026-01-17 01:00", ""}, // a Saturday
		"and not that on which it closes":   {"22:00", "02:00", "UTC", []time.Weekday{time.Saturday}, "2026-01-17 01:00", time.Hour, "2026-01-17 22:00", ""},
		"up to midnight":                    {"22:00", "24:00", "UTC", nil, "2026-01-15 23:00", time.Hour, "2026-01-15 23:00", ""},
		"all day":                           {"00:00", "00:00", "UTC", nil, "2026-01-15 23:59", 100 * time.Hour, "2026-01-15 23:59", ""},
		"all day, from six":                 {"06:00", "06:00", "UTC", []time.Weekday{time.Saturday}, "2026-01-18 05:00", time.Hour, "2026-01-18 05:00", ""},
		"two whole days are one time":       {"00:00", "24:00", "UTC", []time.Weekday{time.Saturday, time.Sunday}, "2026-01-17 12:00", 30 * time.Hour, "2026-01-17 12:00", ""},
		"and end on Monday":                 {"00:00", "24:00", "UTC", []time.Weekday{time.Saturday, time.Sunday}, "2026-01-17 12:00", 37 * time.Hour, "2026-01-24 00:00", ""},
		"the longest week that there is":    {"00:00", "24:00", "UTC", workdays, "2026-01-16 00:00", 120 * time.Hour, "2026-01-19 00:00", ""},
		"a quarter past":                    {"01:00", "05:00", kathmandu, nil, "2026-01-14 00:00", time.Hour, "2026-01-14 19:15", ""},

		"spring leaves an hour out of it":     {"01:00", "05:00", berlin, nil, "2026-03-29 00:00", 3 * time.Hour, "2026-03-29 00:00", ""},
		"so that less fits":                   {"01:00", "05:00", berlin, nil, "2026-03-29 00:00", 3*time.Hour + time.Minute, "2026-03-29 23:00", ""},
		"spring leaves its beginning out":     {"02:30", "05:00", berlin, nil, "2026-03-28 12:00", time.Hour, "2026-03-29 01:00", ""},
		"spring leaves its end out":           {"01:00", "02:30", berlin, nil, "2026-03-29 00:00", time.Hour, "2026-03-29 00:00", ""},
		"so that it ends when the hour would": {"01:00", "02:30", berlin, nil, "2026-03-29 00:01", time.Hour, "2026-03-29 23:00", ""},
		"spring leaves all of it out":         {"02:10", "02:50", berlin, nil, "2026-03-28 12:00", 0, "2026-03-30 00:10", ""},
		"another country's spring":            {"01:00", "05:00", newYork, nil, "2026-03-08 06:00", 3*time.Hour + time.Minute, "2026-03-09 05:00", ""},
		"half an hour's spring":               {"02:00", "03:00", lordHowe, nil, "2026-10-03 12:00", 30 * time.Minute, "2026-10-03 15:30", ""},
		"and less fits":                       {"02:00", "03:00", lordHowe, nil, "2026-10-03 12:00", 31 * time.Minute, "2026-10-04 15:00", ""},
		"midnight is left out":                {"00:00", "04:00", cairo, nil, "2026-04-23 12:00", time.Hour, "2026-04-23 22:00", ""},

		"in autumn it is longer":                 {"01:00", "05:00", berlin, nil, "2026-10-24 20:00", 5 * time.Hour, "2026-10-24 23:00", ""},
		"so it may be long enough once a year":   {"01:00", "05:00", berlin, nil, "2026-01-15 00:00", 5 * time.Hour, "2026-10-24 23:00", ""},
		"autumn repeats its beginning":           {"02:30", "05:00", berlin, nil, "2026-10-24 20:00", 3 * time.Hour, "2026-10-25 00:30", ""},
		"autumn repeats its end: the first ends": {"01:00", "02:30", berlin, nil, "2026-10-25 00:31", 0, "2026-10-26 00:00", ""},
		"autumn repeats all of it: the first":    {"02:10", "02:50", berlin, nil, "2026-10-25 00:20", 30 * time.Minute, "2026-10-25 00:20", ""},
		"and not once more":                      {"02:10", "02:50", berlin, nil, "2026-10-25 01:20", 0, "2026-10-26 01:10", ""},
		"another country's autumn":               {"01:30", "03:00", newYork, nil, "2026-11-01 00:00", 2*time.Hour + 30*time.Minute, "2026-11-01 05:30", ""},
		"half an hour's autumn":                  {"01:00", "02:00", lordHowe, nil, "2026-04-04 00:00", time.Hour, "2026-04-04 14:00", ""},

		"each device's own zone":      {"01:00", "05:00", deviceops.ZoneDevice, nil, "2026-01-15 12:00", time.Hour, "2026-01-15 19:15", kathmandu},
		"a device without a zone":     {"01:00", "05:00", deviceops.ZoneDevice, nil, "2026-01-15 12:00", time.Hour, "2026-01-16 01:00", ""},
		"a device whose zone is none": {"01:00", "05:00", deviceops.ZoneDevice, nil, "2026-01-15 12:00", time.Hour, "2026-01-16 01:00", "Mars/Base"},
		"a zone of its own":           {"01:00", "05:00", berlin, nil, "2026-01-15 12:00", time.Hour, "2026-01-16 00:00", kathmandu},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			w, at, want := maintenance(t, c.from, c.to, c.zone, c.days...), instant(t, c.at), instant(t, c.want)
			got := w.Next(at, c.need, c.device)
			require.True(t, want.Equal(got), "want %s, got %s", want, got.UTC())
			require.Equal(t, want.Equal(at), w.Open(at, c.need, c.device))
		})
	}
}

func TestWindowsClose(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct {
		window   deviceops.MaintenanceWindow
		at, want string
	}{
		"open":           {maintenance(t, "01:00", "05:00", berlin), "2026-01-15 02:00", "2026-01-15 04:00"},
		"closed":         {maintenance(t, "01:00", "05:00", berlin), "2026-01-15 04:00", ""},
		"a weekend":      {maintenance(t, "00:00", "24:00", "UTC", time.Saturday, time.Sunday), "2026-01-17 12:00", "2026-01-19 00:00"},
		"never, for all": {deviceops.MaintenanceWindow{}, "2026-01-15 02:00", "2026-01-23 00:00"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			require.True(t, instant(t, c.want).Equal(c.window.Closes(instant(t, c.at), "")), c.window.Closes(instant(t, c.at), ""))
		})
	}
}

// bruteWindow is a window told minute by minute, by what the clocks on the wall
// show.
type bruteWindow struct {
	minutes []time.Time
	open    []bool
}

func newBruteWindow(t *testing.T, w deviceops.MaintenanceWindow, from time.Time, days int) bruteWindow {
	loc, err := time.LoadLocation(w.Zone)
	require.NoError(t, err)
	var b bruteWindow
	var shown []time.Time
	for at := from; at.Before(from.AddDate(0, 0, days)); at = at.Add(time.Minute) {
		b.minutes = append(b.minutes, at)
		wall := at.In(loc)
		shown = append(shown, time.Date(wall.Year(), wall.Month(), wall.Day(), wall.Hour(), wall.Minute(), 0, 0, time.UTC))
	}
	b.open = make([]bool, len(shown))
	past := func(wall time.Time) int {
		return max(0, slices.IndexFunc(shown, func(s time.Time) bool { return !s.Before(wall) }))
	}
	for day := shown[0].Truncate(24 * time.Hour); day.Before(shown[len(shown)-1].AddDate(0, 0, -2)); day = day.AddDate(0, 0, 1) {
		if len(w.Days) > 0 && !slices.Contains(w.Days, day.Weekday()) {
			continue
		}
		to := w.To
		if to <= w.From {
			to += 24 * time.Hour
		}
		opens, closes := past(day.Add(w.From)), past(day.Add(to))
		for i := opens; i < closes; i++ {
			b.open[i] = true
		}
	}
	return b
}

// next is the index of the first minute from i on at which need fits; -1: none.
func (b bruteWindow) next(i int, need time.Duration) int {
	minutes := max(1, int(need/time.Minute))
	for run := 0; i < len(b.open); i++ {
		run++
		if !b.open[i] {
			run = 0
		}
		if run == minutes {
			return i - minutes + 1
		}
	}
	return -1
}

// TestNextIsTheFirstOpenMoment compares with a scan of every minute, around the
// days on which clocks change.
func TestNextIsTheFirstOpenMoment(t *testing.T) {
	t.Parallel()
	changes := map[string][]string{
		berlin:    {"2026-03-29 01:00", "2026-10-25 01:00"},
		newYork:   {"2026-03-08 07:00", "2026-11-01 06:00"},
		lordHowe:  {"2026-04-04 15:00", "2026-10-03 15:30"},
		kathmandu: {"2026-06-01 00:00"},
		cairo:     {"2026-04-23 22:00", "2026-10-29 21:00"},
	}
	names := []string{berlin, newYork, lordHowe, kathmandu, cairo}
	for seed := range uint64(40) {
		r := rand.New(rand.NewPCG(seed, 11))
		zone := names[r.IntN(len(names))]
		change := instant(t, changes[zone][r.IntN(len(changes[zone]))])
		w := deviceops.MaintenanceWindow{Zone: zone, From: time.Duration(r.IntN(24*60)) * time.Minute, To: time.Duration(1+r.IntN(24*60)) * time.Minute}
		if r.IntN(2) == 0 { // near the change
			w.From, w.To = time.Duration(r.IntN(4*60))*time.Minute, time.Duration(1+r.IntN(4*60))*time.Minute
		}
		for d := time.Sunday; d <= time.Saturday; d++ {
			if r.IntN(3) > 0 {
				w.Days = append(w.Days, d)
			}
		}
		const days = 14
		from := change.AddDate(0, 0, -4)
		b := newBruteWindow(t, w, from, days)
		for range 40 {
			i := r.IntN(5*24*60) + 2*24*60
			need := time.Duration(r.IntN(6*60)) * time.Minute
			got := w.Next(b.minutes[i], need, "")
			at := b.next(i, need)
			if at < 0 {
				require.True(t, got.IsZero() || got.After(from.AddDate(0, 0, days-4)), "seed %d: %+v at %s for %s: %s", seed, w, b.minutes[i], need, got)
				continue
			}
			require.True(t, b.minutes[at].Equal(got), "seed %d: %+v at %s for %s: want %s, got %s", seed, w, b.minutes[i], need, b.minutes[at], got.UTC())
			require.Equal(t, at == i, w.Open(b.minutes[i], need, ""))
		}
	}
}

func TestNothingBeginsInBlackouts(t *testing.T) {
	t.Parallel()
	night := maintenance(t, "01:00", "05:00", "UTC")
	blackout := func(from, to string) deviceops.Blackout {
		return deviceops.Blackout{From: instant(t, from), To: instant(t, to)}
	}
	for name, c := range map[string]struct {
		window    *deviceops.MaintenanceWindow
		blackouts []deviceops.Blackout
		at, want  string
	}{
		"none":                        {nil, nil, "2026-01-15 12:00", "2026-01-15 12:00"},
		"over":                        {nil, []deviceops.Blackout{blackout("2026-01-14 00:00", "2026-01-15 12:00")}, "2026-01-15 12:00", "2026-01-15 12:00"},
		"under way":                   {nil, []deviceops.Blackout{blackout("2026-01-14 00:00", "2026-01-15 12:01")}, "2026-01-15 12:00", "2026-01-15 12:01"},
		"it begins":                   {nil, []deviceops.Blackout{blackout("2026-01-15 12:00", "2026-01-16 00:00")}, "2026-01-15 12:00", "2026-01-16 00:00"},
		"one after the other":         {nil, []deviceops.Blackout{blackout("2026-01-16 00:00", "2026-01-17 00:00"), blackout("2026-01-15 00:00", "2026-01-16 00:00")}, "2026-01-15 12:00", "2026-01-17 00:00"},
		"one within the other":        {nil, []deviceops.Blackout{blackout("2026-01-15 00:00", "2026-01-20 00:00"), blackout("2026-01-15 00:00", "2026-01-16 00:00")}, "2026-01-15 12:00", "2026-01-20 00:00"},
		"the window after it":         {&night, []deviceops.Blackout{blackout("2026-01-15 00:00", "2026-01-17 12:00")}, "2026-01-15 12:00", "2026-01-18 01:00"},
		"it covers the next openings": {&night, []deviceops.Blackout{blackout("2026-01-16 00:00", "2026-01-16 06:00"), blackout("2026-01-17 00:00", "2026-01-17 02:00")}, "2026-01-15 12:00", "2026-01-17 02:00"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			got := deviceops.NextStart(c.window, c.blackouts, instant(t, c.at), time.Hour, "")
			require.True(t, instant(t, c.want).Equal(got), got)
		})
	}
	require.True(t, deviceops.NextStart(&night, nil, dawn, 5*time.Hour, "").IsZero(), "what never fits never begins")
}

func TestZones(t *testing.T) {
	t.Parallel()
	for _, name := range []string{"", "UTC", berlin, kathmandu} {
		loc, err := deviceops.LoadZone(name)
		require.NoError(t, err)
		again, err := deviceops.LoadZone(name)
		require.NoError(t, err)
		require.Same(t, loc, again)
	}
	for _, name := range []string{"Local", "Mars/Base", "../etc/passwd", "CEST+1"} {
		_, err := deviceops.LoadZone(name)
		require.Equal(t, deviceops.EINVALID, deviceops.ErrorCode(err), name)
	}
}

func BenchmarkMaintenanceWindow(b *testing.B) {
	w := maintenance(b, "01:00", "05:00", deviceops.ZoneDevice, workdays...)
	for b.Loop() {
		w.Open(dawn, time.Hour, berlin)
	}
}

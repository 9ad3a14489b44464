package deviceops

import (
	"fmt"
	"strings"
	"sync"
	"time"
)

// windowHorizon is how many days ahead a window is looked for. It is more than a
// year, since the night on which an hour passes twice comes once a year and
// makes a window longer.
const windowHorizon = 400

// A span is a time from a moment to another, without the latter.
type span struct{ from, to time.Time }

// holds reports whether something that begins at t and takes need is over by the
// end of the span.
func (s span) holds(t time.Time, need time.Duration) bool {
	return !t.Before(s.from) && t.Before(s.to) && !t.Add(need).After(s.to)
}

// Open reports whether something that takes need may begin at a moment. zone is
// the device's, and counts where the window's is ZoneDevice.
func (w MaintenanceWindow) Open(at time.Time, need time.Duration, zone string) bool {
	_, open := w.spanAt(at, need, zone)
	return open
}

// Next gives the first moment, at or after the one given, at which something
// that takes need may begin; zero if the window is never that long.
//
// A window opens at the moment at which the clock on the wall first shows From,
// on the days that Days names, and closes at the first moment after that at
// which it shows To: on the night on which an hour passes twice at the first of
// the two. Where a moment is left out in spring, the one after the gap counts;
// a window that lies in the gap whole does not open that day. Windows without a
// time between them are one, so that what takes long may begin in one and end in
// the next.
func (w MaintenanceWindow) Next(at time.Time, need time.Duration, zone string) time.Time {
	start, _, _ := w.find(at, need, zone)
	return start
}

// Closes gives when the opening that holds a moment ends; zero where the window
// is closed. An opening that goes on for more than a week has no end that
// matters, and gives the end of that week.
func (w MaintenanceWindow) Closes(at time.Time, zone string) time.Time {
	s, open := w.spanAt(at, 0, zone)
	if !open {
		return time.Time{}
	}
	for s.to.Before(at.AddDate(0, 0, 7)) {
		next, more := w.spanAt(s.to, 0, zone)
		if !more {
			break
		}
		s.to = next.to
	}
	return s.to
}

// String gives the window as people write it: "mon,tue 22:00-02:00
// Europe/Berlin".
func (w MaintenanceWindow) String() string {
	var words []string
	for _, d := range w.Days {
		words = append(words, strings.ToLower(d.String()[:3]))
	}
	zone := map[string]string{"": "UTC", ZoneDevice: "of its zone"}[w.Zone]
	if zone == "" {
		zone = w.Zone
	}
	text := fmt.Sprintf("%s %s-%s %s", strings.Join(words, ","), clockText(w.From), clockText(w.To), zone)
	return strings.TrimSpace(text)
}

func clockText(d time.Duration) string {
	return fmt.Sprintf("%02d:%02d", int(d.Hours()), int(d.Minutes())%60)
}

func (w MaintenanceWindow) spanAt(at time.Time, need time.Duration, zone string) (span, bool) {
	start, s, found := w.find(at, need, zone)
	return s, found && start.Equal(at)
}

// find looks for the first start and the span, as far as it was followed, that
// holds it.
func (w MaintenanceWindow) find(at time.Time, need time.Duration, zone string) (time.Time, span, bool) {
	local := at.In(w.location(zone))
	year, month, day := local.Date()
	var open span
	for ahead := -2; ahead < windowHorizon; ahead++ {
		next := w.opening(time.Date(year, month, day+ahead, 0, 0, 0, 0, time.UTC), local.Location())
		if !next.to.After(at) || !next.from.Before(next.to) {
			continue
		}
		if next.from.After(open.to) {
			open = next
		}
		open.to = next.to
		if start := later(at, open.from); open.holds(start, need) {
			return start, open, true
		}
	}
	return time.Time{}, span{}, false
}

// opening gives when the window is open that opens on a day, which is given as
// its midnight in UTC; the zero span where it does not.
func (w MaintenanceWindow) opening(day time.Time, loc *time.Location) span {
	if !w.opensOn(day.Weekday()) {
		return span{}
	}
	to := w.To
	if to <= w.From {
		to += 24 * time.Hour
	}
	return span{wallTime(day.Add(w.From), loc), wallTime(day.Add(to), loc)}
}

func (w MaintenanceWindow) opensOn(day time.Weekday) bool {
	for _, d := range w.Days {
		if d == day {
			return true
		}
	}
	return len(w.Days) == 0
}

// wallTime gives the first moment at which the clocks of a place show, or have
// gone past, what is given as a time in UTC.
func wallTime(shown time.Time, loc *time.Location) time.Time {
	t := time.Date(shown.Year(), shown.Month(), shown.Day(), shown.Hour(), shown.Minute(), shown.Second(), shown.Nanosecond(), loc)
	start, end := t.ZoneBounds()
	switch reads := onTheWall(t); {
	case reads.Before(shown): // left out, and taken by the clock before the gap
		return end
	case reads.After(shown): // left out, and taken by the clock after it
		return start
	case start.IsZero():
		return t
	default: // the clock before the last change may have shown it too
		_, offset := start.Add(-time.Nanosecond).In(loc).Zone()
		if earlier := shown.Add(-time.Duration(offset) * time.Second).In(loc); earlier.Before(start) {
			return earlier
		}
		return t
	}
}

// onTheWall gives what the clocks of t's place show as a time in UTC.
func onTheWall(t time.Time) time.Time {
	_, offset := t.Zone()
	return t.UTC().Add(time.Duration(offset) * time.Second)
}

// location gives where the window's clocks hang. A zone that nobody knows is
// UTC: manifests and registrations are checked for those.
func (w MaintenanceWindow) location(zone string) *time.Location {
	if w.Zone != ZoneDevice {
		zone = w.Zone
	}
	loc, err := LoadZone(zone)
	if err != nil {
		return time.UTC
	}
	return loc
}

// zones are those that were loaded: name → *time.Location.
var zones sync.Map

// LoadZone gives an IANA zone; "" is UTC. EINVALID for a name that is none. What
// is known of zones comes with the program (time/tzdata) where the machine has
// no such files, and never changes while the program runs.
func LoadZone(name string) (*time.Location, error) {
	if loc, ok := zones.Load(name); ok {
		return loc.(*time.Location), nil
	}
	loc, err := time.LoadLocation(name)
	if err != nil || name == "Local" {
		return nil, Errorf(EINVALID, "%q is no IANA time zone such as Europe/Berlin", name)
	}
	zones.Store(name, loc)
	return loc, nil
}

// inBlackout gives the blackout that holds a moment, the one that ends last.
func inBlackout(blackouts []Blackout, at time.Time) (Blackout, bool) {
	var in Blackout
	for _, b := range blackouts {
		if (span{b.From, b.To}).holds(at, 0) && b.To.After(in.To) {
			in = b
		}
	}
	return in, !in.To.IsZero()
}

// NextStart gives the first moment, at or after the one given, at which
// something that takes need may begin as far as window (nil: any time) and
// blackouts go; zero if there is none.
func NextStart(window *MaintenanceWindow, blackouts []Blackout, at time.Time, need time.Duration, zone string) time.Time {
	for {
		if window != nil {
			at = window.Next(at, need, zone)
		}
		b, dark := inBlackout(blackouts, at)
		if at.IsZero() || !dark {
			return at
		}
		at = b.To
	}
}

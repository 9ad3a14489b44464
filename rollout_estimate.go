package deviceops

import (
	"maps"
	"math"
	"slices"
	"time"
)

// estimateHorizon is how far ahead an end is looked for.
const estimateHorizon = 90 * 24 * time.Hour

// estimate tells how long rings take if all goes well, without looking at single
// devices: as many leave as rate, devices in flight, and open windows allow.
type estimate struct {
	spec    *RolloutSpec
	window  *MaintenanceWindow
	dark    []Blackout
	began   time.Time // growth of the rate counts from there
	takes   time.Duration
	devices time.Duration // how long a device is at it
}

func newEstimate(p *Previewer, began time.Time) estimate {
	return estimate{
		spec: p.spec, window: p.admitter.window, dark: p.admitter.facts.Blackouts, began: began, takes: p.spec.Takes(), devices: p.facts.DeviceTime,
	}
}

// ring gives when the devices of a ring that begins at a time are done; zero if
// that is not to be seen.
func (e estimate) ring(l ringLoad, begins time.Time) time.Time {
	cohorts, now := l.cohorts(), begins
	credit := e.atOnce(l) // so many need not wait for others
	for slices.ContainsFunc(cohorts, cohort.waits) {
		next := e.nextOf(cohorts, now)
		switch {
		case next.IsZero() || next.Sub(begins) > estimateHorizon:
			return time.Time{}
		case next.After(now):
			now, credit = next, e.atOnce(l) // those before are done by then
		default:
			step := e.closing(cohorts, now, min(max(5*time.Second, now.Sub(begins)/100), 5*time.Minute))
			rate := e.spec.Limits.Rate.PerMinute(e.began, now)
			leave := min(rate*step.Minutes(), credit+e.atOnce(l)*step.Minutes()/e.devices.Minutes())
			at := 0.0 // leave at once, if no rate holds them
			if math.IsInf(rate, 1) {
				at = credit
			}
			now, credit = e.step(cohorts, now, step, at, leave), max(0, credit-leave)
		}
	}
	if len(cohorts) == 0 {
		return begins
	}
	return later(now.Add(e.devices), begins.Add(e.longest(l))).Round(time.Second)
}

// cohort is the devices of a ring that are in one zone.
type cohort struct {
	zone string
	left float64
}

func (c cohort) waits() bool { return c.left > tokenSlack }

func (l ringLoad) cohorts() []cohort {
	var list []cohort
	for _, zone := range slices.Sorted(maps.Keys(l.zones)) {
		list = append(list, cohort{zone, float64(l.zones[zone])})
	}
	return list
}

// nextOf gives when the first devices that wait may begin; zero: never.
func (e estimate) nextOf(cohorts []cohort, now time.Time) (next time.Time) {
	for _, c := range cohorts {
		if c.waits() {
			next = sooner(next, e.next(c.zone, now))
		}
	}
	return next
}

// closing cuts a step where a window closes before.
func (e estimate) closing(cohorts []cohort, now time.Time, step time.Duration) time.Duration {
	if e.window == nil {
		return step
	}
	for _, c := range cohorts {
		if room := e.window.Closes(now, c.zone).Add(-e.takes).Sub(now); c.waits() && room >= 0 {
			step = min(step, max(room, time.Second))
		}
	}
	return step
}

// step has so many of the devices that may begin now leave, some of them at once
// and the others evenly, and gives when that is over.
func (e estimate) step(cohorts []cohort, now time.Time, step time.Duration, atOnce, leave float64) time.Time {
	open := 0.0
	may := make([]bool, len(cohorts))
	for i, c := range cohorts {
		if may[i] = c.waits() && e.next(c.zone, now).Equal(now); may[i] {
			open += c.left
		}
	}
	share := min(1, leave/open)
	for i := range cohorts {
		if may[i] {
			cohorts[i].left *= 1 - share
		}
	}
	return now.Add(time.Duration(float64(step) * min(1, max(0, open-atOnce)/(leave-atOnce))))
}

func (e estimate) next(zone string, now time.Time) time.Time {
	return NextStart(e.window, e.dark, now, e.takes, zone)
}

// atOnce is how many devices of a ring may be at it: as many as may be in flight,
// and of each group.
func (e estimate) atOnce(l ringLoad) float64 {
	most := 0.0
	for _, n := range l.zones {
		most += float64(n)
	}
	if n := e.spec.Limits.InFlight; n > 0 {
		most = min(most, float64(n))
	}
	if b := e.spec.Budget; b != nil {
		sum := 0
		for _, n := range l.groups {
			sum += min(n, b.most(n))
		}
		most = min(most, float64(sum))
	}
	return most
}

// longest is how long the largest group takes, whose devices come one after the
// other.
func (e estimate) longest(l ringLoad) (most time.Duration) {
	if e.spec.Budget == nil {
		return 0
	}
	for _, n := range l.groups {
		at := e.spec.Budget.most(n)
		most = max(most, time.Duration((n+at-1)/at)*e.devices)
	}
	return most
}

package deviceops

import (
	"container/heap"
	"fmt"
	"strings"
	"time"
)

// SimOptions describes how the devices of a simulated rollout fare. Rates are
// shares between 0 and 1. The zero value is a fleet that is online, and does as
// it is told in a minute or so.
type SimOptions struct {
	Seed      uint64
	Start     time.Time  // of the virtual clock
	Blackouts []Blackout // of the calendars that bind the rollout

	FailureRate   float64 // of attempts
	RetryableRate float64 // of the failures
	RejectRate    float64 // of devices
	SilentRate    float64 // of devices: they get the change and are not heard of again
	OfflineRate   float64 // of devices, when it begins
	NeverRate     float64 // of those offline: they do not come back

	AnswerMedian time.Duration // of a log-normal time from sent to done; 0: a minute
	AnswerP99    time.Duration // of it; 0: five times the median
	BackMean     time.Duration // of the exponential time after which those offline come back; 0: 8 h

	UnhealthyRate float64       // of devices that succeeded: a bad release
	UnhealthyMean time.Duration // of the exponential time until it shows; 0: 5 min

	ApproveAfter time.Duration // how long people take to say yes
}

// SimReport is what became of a simulated rollout.
type SimReport struct {
	Status  RolloutStatus `json:"status"`
	Reason  string        `json:"reason"`
	Devices int           `json:"devices"`
	Counts  Counts        `json:"counts"`
	Took    time.Duration `json:"took"` // nanoseconds, as all durations here
	Rings   []SimRing     `json:"rings"`
	Asked   []string      `json:"asked,omitempty"` // questions that people said yes to
	Notes   []string      `json:"notes,omitempty"`

	// How long it took until so many percent of the devices had succeeded; 0: it
	// did not come to that.
	To50 time.Duration `json:"to_50,omitempty"`
	To90 time.Duration `json:"to_90,omitempty"`
	To99 time.Duration `json:"to_99,omitempty"`

	Stop *SimStop `json:"stop,omitempty"` // the gate stopped it
}

// SimRing is what became of a ring.
type SimRing struct {
	Name    string        `json:"name"`
	Status  RingStatus    `json:"status"`
	Began   time.Duration `json:"began"` // after the start
	Took    time.Duration `json:"took"`  // soak included
	Counts  Counts        `json:"counts"`
	Opened  bool          `json:"opened"`
	Waiting int           `json:"waiting,omitempty"` // devices that were still open in the end
}

// SimStop is how far a release got that its gate stopped.
type SimStop struct {
	Ring     string        `json:"ring"`
	Reason   string        `json:"reason"`
	After    time.Duration `json:"after"`
	Touched  int           `json:"touched"`          // devices that had been sent it by then: the blast radius
	Harmed   int           `json:"harmed"`           // of them, those that failed or were not well
	Reverted int           `json:"reverted"`         // devices taken back
	Left     int           `json:"left"`             // devices that could not be
	Back     time.Duration `json:"back,omitempty"`   // how long taking them back took
	Action   FailAction    `json:"action,omitempty"` // what the manifest says then
}

func (o SimOptions) withDefaults() SimOptions {
	if o.AnswerMedian <= 0 {
		o.AnswerMedian = time.Minute
	}
	if o.AnswerP99 <= 0 {
		o.AnswerP99 = 5 * o.AnswerMedian
	}
	if o.BackMean <= 0 {
		o.BackMean = 8 * time.Hour
	}
	if o.UnhealthyMean <= 0 {
		o.UnhealthyMean = 5 * time.Minute
	}
	return o
}

// SimFleet describes devices that there are none of.
type SimFleet struct {
	Devices  int
	Profile  string   // default: kiosk
	Sites    int      // they stand at so many, told by the label site; 0: none does
	Zones    []string // IANA zones, in turn by site
	Canaries int      // how many of them have the tag canary
	Gateways int      // the first so many are gateways, in front of the others in turn
}

// Build makes the devices.
func (f SimFleet) Build() []Device {
	fleet := make([]Device, f.Devices)
	for i := range fleet {
		d := Device{ID: fmt.Sprintf("sim-%05d", i+1), Profile: f.Profile, State: Active, Tags: []string{}, Labels: map[string]string{}}
		if d.Profile == "" {
			d.Profile = "kiosk"
		}
		site := i
		if f.Sites > 0 {
			site = i % f.Sites
			d.Labels["site"] = fmt.Sprintf("site-%04d", site+1)
		}
		if len(f.Zones) > 0 {
			d.Zone = f.Zones[site%len(f.Zones)]
		}
		if i < f.Canaries {
			d.Tags = []string{"canary"}
		}
		if i >= f.Gateways && f.Gateways > 0 {
			d.Parent = fleet[i%f.Gateways].ID
		}
		fleet[i] = d
	}
	return fleet
}

// String tells the report in a page.
func (r SimReport) String() string {
	var b strings.Builder
	line := func(format string, args ...any) { fmt.Fprintf(&b, strings.TrimRight(format, " ")+"\n", args...) }
	line("%s, %s after %s: %s", devices(r.Devices), r.Status, lasts(r.Took), r.Reason)
	line("")
	line("%-12s %-8s %8s %8s %10s %8s %8s %8s %10s %10s", "ring", "status", "devices", "reached", "succeeded", "failed", "unwell", "excused", "begins", "takes")
	for _, ring := range r.Rings {
		c, begins, takes := ring.Counts, "-", "-"
		if ring.Opened {
			begins, takes = lasts(ring.Began), lasts(ring.Took)
		}
		line("%-12s %-8s %8d %8d %10d %8d %8d %8d %10s %10s", ring.Name, ring.Status, c.Targeted, c.Reached(), c.Succeeded, c.Unsuccessful(), c.Unhealthy, c.Excused, begins, takes)
	}
	line("")
	line("50 %% of the devices have it %s, 90 %% %s, 99 %% %s", never(r.To50), never(r.To90), never(r.To99))
	if s := r.Stop; s != nil {
		line("")
		line("ring %s stopped it after %s: %s", s.Ring, lasts(s.After), s.Reason)
		line("touched by then: %d of %d devices (%.1f %%), %d of them harmed", s.Touched, r.Devices, 100*float64(s.Touched)/float64(max(r.Devices, 1)), s.Harmed)
		if s.Action == FailRollback || s.Action == FailRollbackAll {
			line("taken back: %d devices in %s; %d could not be", s.Reverted, lasts(s.Back), s.Left)
		}
	}
	for _, asked := range r.Asked {
		line("asked: %s", asked)
	}
	for _, note := range r.Notes {
		line("note: %s", note)
	}
	return b.String()
}

// lasts writes a time of virtual clocks.
func lasts(d time.Duration) string {
	d = d.Round(time.Second)
	if days := d / (24 * time.Hour); days > 0 {
		return fmt.Sprintf("%dd%s", days, (d % (24 * time.Hour)).Round(time.Minute))
	}
	return d.String()
}

func never(d time.Duration) string {
	if d == 0 {
		return "never"
	}
	return "after " + lasts(d)
}

// simKind is what happens to a device.
type simKind int

const (
	simLook       simKind = iota // it is due
	simHello                     // it comes back
	simDone                      // its answer
	simSilent                    // its answer did not come
	simUnwell                    // it shows that it is not well
	simStragglers                // of the ring: they are overdue
)

// simEvent is something that happens at a time. Order breaks ties.
type simEvent struct {
	time  time.Time
	order uint64
	who   int // the device, or the ring
	kind  simKind
}

// simQueue is a heap of events, the earliest first.
type simQueue []simEvent

func (q *simQueue) at(t time.Time, order uint64, who int, kind simKind) {
	heap.Push(q, simEvent{t, order, who, kind})
}

// next takes the first event that is due.
func (q *simQueue) next(now time.Time) (simEvent, bool) {
	if len(*q) == 0 || (*q)[0].time.After(now) {
		return simEvent{}, false
	}
	return heap.Pop(q).(simEvent), true
}

func (q simQueue) Len() int { return len(q) }
func (q simQueue) Less(i, j int) bool {
	if c := q[i].time.Compare(q[j].time); c != 0 {
		return c < 0
	}
	if q[i].order != q[j].order {
		return q[i].order < q[j].order
	}
	return q[i].who < q[j].who
}
func (q simQueue) Swap(i, j int) { q[i], q[j] = q[j], q[i] }

// Push implements heap.Interface.
func (q *simQueue) Push(x any) { *q = append(*q, x.(simEvent)) }

// Pop implements heap.Interface.
func (q *simQueue) Pop() any {
	old := *q
	last := old[len(old)-1]
	*q = old[:len(old)-1]
	return last
}

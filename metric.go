package deviceops

import (
	"context"
	"math"
	"time"
)

// MetricSample is one measured value. Flags count as 1 and 0.
type MetricSample struct {
	Account    string
	Device     string
	Name       string
	Value      float64
	At         time.Time // when it was measured, as believed
	ReceivedAt time.Time
}

// MaxSample is up to where values are summed up, away from 0: no sum of so many
// as fit into a history is then beyond a float64, where databases give up.
const MaxSample = 1e250

// NewMetricSample gives a value that a device reported as a sample; ok is false
// for what is neither a number nor a flag, and for numbers beyond MaxSample.
func NewMetricSample(account string, v MetricValue, receivedAt time.Time) (s MetricSample, ok bool) {
	s = MetricSample{Account: account, Device: v.Device, Name: v.Name, At: v.At, ReceivedAt: receivedAt}
	switch value := v.Value.(type) {
	case float64:
		s.Value = value
	case int64:
		s.Value = float64(value)
	case bool:
		if value {
			s.Value = 1
		}
	default:
		return s, false
	}
	return s, math.Abs(s.Value) <= MaxSample
}

// MetricPoint sums up the samples from At until At plus a step.
type MetricPoint struct {
	At    time.Time `json:"at"`
	Count int64     `json:"count"`
	Min   float64   `json:"min"`
	Avg   float64   `json:"avg"`
	Max   float64   `json:"max"`
	Last  float64   `json:"last"` // of a group of devices: the last of one of them
}

// SumUp gives one point for all of points, which are in the order of time.
func SumUp(points []MetricPoint) (sum MetricPoint) {
	total := 0.0
	for i, p := range points {
		if i == 0 {
			sum = p
		}
		sum.Min, sum.Max, sum.Last = min(sum.Min, p.Min), max(sum.Max, p.Max), p.Last
		total += p.Avg * float64(p.Count)
		if i > 0 {
			sum.Count += p.Count
		}
	}
	if sum.Count > 0 {
		sum.Avg = total / float64(sum.Count)
	}
	return sum
}

// MetricSource is how finely a part of the history is kept.
type MetricSource string

// Sources of history.
const (
	MetricRaw   MetricSource = "raw" // each sample
	MetricFives MetricSource = "5m"  // sums of five minutes
	MetricHours MetricSource = "1h"  // sums of an hour
)

// Width is the time that one row of a source stands for; 0 for raw.
func (s MetricSource) Width() time.Duration {
	switch s {
	case MetricFives:
		return 5 * time.Minute
	case MetricHours:
		return time.Hour
	default:
		return 0
	}
}

// MetricRetention is how long each source is kept.
type MetricRetention struct {
	Raw, Fives, Hours time.Duration
}

// DefaultMetricRetention applies where nothing else is configured.
var DefaultMetricRetention = MetricRetention{Raw: 48 * time.Hour, Fives: 30 * 24 * time.Hour, Hours: 400 * 24 * time.Hour}

// MinRawRetention is the least time for which single samples are kept: they are
// summed up once a minute, by sweepers that may be down for a while.
const MinRawRetention = time.Hour

// Check gives EINVALID unless what is coarser is kept for at least as long.
func (keep MetricRetention) Check() error {
	switch {
	case keep.Raw < MinRawRetention:
		return Errorf(EINVALID, "samples are kept for %s: keep them for %s or longer", keep.Raw, MinRawRetention)
	case keep.Fives < keep.Raw:
		return Errorf(EINVALID, "sums of five minutes are kept for %s and samples for %s: keep the sums for as long, or longer", keep.Fives, keep.Raw)
	case keep.Hours < keep.Fives:
		return Errorf(EINVALID, "sums of hours are kept for %s and those of five minutes for %s: keep those of hours for as long, or longer", keep.Hours, keep.Fives)
	default:
		return nil
	}
}

// MetricWindow is a part of the history and how it is cut up.
type MetricWindow struct {
	Since, Until time.Time
	Step         time.Duration
	Source       MetricSource
}

// MetricRequest asks for a part of the history. Zero fields have defaults.
type MetricRequest struct {
	Since  time.Time     // default: a day before Until
	Until  time.Time     // default: now
	Step   time.Duration // default: what gives about Points
	Points int           // default: 120
	Fleet  bool          // of many devices: sums are read, never single samples
}

// maxMetricPoints bounds what one answer holds.
const maxMetricPoints = 5000

// niceSteps are the steps that are chosen when nobody names one. Those of five
// minutes and more are multiples of five minutes, those of an hour of hours.
var niceSteps = []time.Duration{
	time.Second, 5 * time.Second, 10 * time.Second, 30 * time.Second, time.Minute, 2 * time.Minute, 5 * time.Minute,
	10 * time.Minute, 15 * time.Minute, 30 * time.Minute, time.Hour, 2 * time.Hour, 3 * time.Hour, 6 * time.Hour,
	12 * time.Hour, 24 * time.Hour, 2 * 24 * time.Hour, 7 * 24 * time.Hour,
}

// Window chooses the source and step for a request: the finest source that is
// still kept for all of it, or the coarsest that gives the same. The step is
// rounded up to a multiple of what the source has. EINVALID for times in the
// wrong order and for more than 5000 points.
func (r MetricRequest) Window(now time.Time, keep MetricRetention) (MetricWindow, error) {
	w := MetricWindow{Since: r.Since, Until: r.Until, Step: r.Step}
	if w.Until.IsZero() {
		w.Until = now
	}
	if w.Since.IsZero() {
		w.Since = w.Until.Add(-24 * time.Hour)
	}
	if oldest := now.Add(-keep.Hours); w.Since.Before(oldest) {
		w.Since = oldest
	}
	if !w.Since.Before(w.Until) {
		return w, Errorf(EINVALID, "since %s is not before until %s: history is kept for %d days",
			w.Since.UTC().Format(time.RFC3339), w.Until.UTC().Format(time.RFC3339), int(keep.Hours.Hours()/24))
	}
	if w.Step < 0 || w.Step > 0 && w.Step < time.Second {
		return w, Errorf(EINVALID, "a step of %s is too short: use 1s or more", w.Step)
	}
	if w.Step == 0 {
		w.Step = niceStep(w.Until.Sub(w.Since), r.Points)
	}
	w.Source = keep.source(w, now, r.Fleet)
	if width := w.Source.Width(); width > 0 {
		w.Step = (w.Step + width - 1) / width * width
	}
	if points := w.Until.Sub(w.Since) / w.Step; points > maxMetricPoints {
		return w, Errorf(EINVALID, "a step of %s gives %d points: at most %d, so use a longer step", w.Step, points, maxMetricPoints)
	}
	return w, nil
}

func niceStep(span time.Duration, points int) time.Duration {
	if points <= 0 {
		points = 120
	}
	least := span / time.Duration(points)
	for _, step := range niceSteps {
		if step >= least {
			return step
		}
	}
	return (least + 24*time.Hour - 1).Truncate(24 * time.Hour)
}

func (keep MetricRetention) source(w MetricWindow, now time.Time, fleet bool) MetricSource {
	age := now.Sub(w.Since)
	switch {
	case age > keep.Fives, fleet && w.Step%time.Hour == 0:
		return MetricHours
	case age > keep.Raw, fleet:
		return MetricFives
	default:
		return MetricRaw
	}
}

// MetricQuery selects the history of one metric of devices.
type MetricQuery struct {
	Name   string
	By     Grouping
	Filter DeviceFilter // its page is ignored
	Window MetricWindow
}

// MetricGroup sums up one metric over a group of devices: their latest values,
// and their history by step.
type MetricGroup struct {
	Key    string        `json:"key"`
	Count  int64         `json:"count"` // devices
	Min    float64       `json:"min"`
	Avg    float64       `json:"avg"`
	Max    float64       `json:"max"`
	P50    float64       `json:"p50"`
	P95    float64       `json:"p95"`
	Points []MetricPoint `json:"points"`
}

// DeviceMetric is the history of a metric of a device, as the API gives it.
// Steps without samples have no point.
type DeviceMetric struct {
	Device string        `json:"device"`
	Name   string        `json:"name"`
	Since  time.Time     `json:"since"`
	Until  time.Time     `json:"until"`
	StepS  int64         `json:"step_s"`
	Source MetricSource  `json:"source"`
	All    MetricPoint   `json:"all"` // everything in one point
	Points []MetricPoint `json:"points"`
}

// FleetMetric is a metric over groups of devices, as the API gives it.
type FleetMetric struct {
	Name   string        `json:"name"`
	By     string        `json:"by"`
	Since  time.Time     `json:"since"`
	Until  time.Time     `json:"until"`
	StepS  int64         `json:"step_s"`
	Groups []MetricGroup `json:"groups"` // the largest first, up to 100
	More   int           `json:"more"`   // groups beyond those
}

// MetricHistory keeps what devices measured.
type MetricHistory interface {
	// AppendSamples stores samples in bulk, in the partition of the day they were
	// received.
	AppendSamples(ctx context.Context, samples []MetricSample) error

	// RollUpMetrics adds the samples that were stored since the last call to the
	// sums of their five minutes and hours, each sample once, whoever calls and
	// however late it came. It gives the number of samples. While another one
	// does it, it does nothing.
	RollUpMetrics(ctx context.Context) (int, error)

	// MaintainMetrics makes the partitions of the coming days and drops what is
	// older than keep, once it is summed up.
	MaintainMetrics(ctx context.Context, now time.Time, keep MetricRetention) error

	// DeviceMetric gives the points of one metric of a device, in order of time.
	DeviceMetric(ctx context.Context, device, name string, w MetricWindow) ([]MetricPoint, error)

	// GroupMetric gives a metric by groups of devices, the largest first, up to
	// 100 of them, and how many more there are. Devices whose latest value is
	// older than the window are left out.
	GroupMetric(ctx context.Context, q MetricQuery) (groups []MetricGroup, more int, err error)
}

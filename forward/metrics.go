package forward

import (
	"context"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/deviceops/deviceops"
)

// metrics are the collectors of this package.
type metrics struct {
	events   *prometheus.CounterVec
	letters  *prometheus.CounterVec
	failures *prometheus.CounterVec
	lag      *prometheus.GaugeVec
	age      *prometheus.GaugeVec
}

var targetLabels = []string{"account", "route", "target"}

func newMetrics(r prometheus.Registerer) *metrics {
	const prefix = "deviceops_routes_"
	m := &metrics{
		events:   prometheus.NewCounterVec(prometheus.CounterOpts{Name: prefix + "delivered_total", Help: "Events that a target took, repeats included."}, targetLabels),
		letters:  prometheus.NewCounterVec(prometheus.CounterOpts{Name: prefix + "dead_letters_total", Help: "Events that became dead letters, by code."}, append(targetLabels[:3:3], "code")),
		failures: prometheus.NewCounterVec(prometheus.CounterOpts{Name: prefix + "failures_total", Help: "Deliveries that failed and are tried again."}, targetLabels),
		lag:      prometheus.NewGaugeVec(prometheus.GaugeOpts{Name: prefix + "lag_events", Help: "Events selected by type that are not done yet, up to 10000; of the targets that this process holds."}, targetLabels),
		age:      prometheus.NewGaugeVec(prometheus.GaugeOpts{Name: prefix + "lag_seconds", Help: "How long ago the oldest of them was received."}, targetLabels),
	}
	if r != nil {
		r.MustRegister(m.events, m.letters, m.failures, m.lag, m.age)
	}
	return m
}

func labels(key deviceops.TargetKey) []string { return []string{key.Account, key.Route, key.Target} }

func (m *metrics) told(key deviceops.TargetKey, o outcome) {
	m.events.WithLabelValues(labels(key)...).Add(float64(o.delivered))
	for _, letter := range o.dead {
		m.letters.WithLabelValues(append(labels(key), letter.Code)...).Inc()
	}
}

func (m *metrics) failed(key deviceops.TargetKey) { m.failures.WithLabelValues(labels(key)...).Inc() }

// forget leaves the lag of a target to the process that holds it now.
func (m *metrics) forget(key deviceops.TargetKey) {
	m.lag.DeleteLabelValues(labels(key)...)
	m.age.DeleteLabelValues(labels(key)...)
}

// measure tells the lag of a target now and then, until ctx ends.
func (r *runner) measure(ctx context.Context) {
	every(ctx, r.config.Lease/2, func() {
		safe, _ := r.horizon.get()
		events, age, err := Lag(ctx, r.config.Store, deviceops.EventSelection{
			Account: r.key.Account, Types: r.version.Types, After: r.cursor.Load(), UpTo: safe,
		}, r.config.Now())
		if err != nil || ctx.Err() != nil {
			return
		}
		r.metrics.lag.WithLabelValues(labels(r.key)...).Set(float64(events))
		r.metrics.age.WithLabelValues(labels(r.key)...).Set(age.Seconds())
	})
}

// Lag counts up to deviceops.MaxLag events of a selection and tells how long ago
// the oldest was received.
func Lag(ctx context.Context, store deviceops.Routes, s deviceops.EventSelection, now time.Time) (events int, age time.Duration, err error) {
	if s.After >= s.UpTo {
		return 0, 0, nil
	}
	s.Limit = deviceops.MaxLag
	events, oldest, err := store.CountRouteEvents(ctx, s)
	if err != nil || events == 0 {
		return 0, 0, err
	}
	return events, max(0, now.Sub(oldest)), nil
}

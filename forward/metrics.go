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
	var behind backlog
	every(ctx, r.config.Lease/2, func() {
		safe, _ := r.horizon.get()
		err := behind.count(ctx, r.config.Store, deviceops.EventSelection{
			Account: r.key.Account, Types: r.version.Types, After: r.cursor.Load(), UpTo: safe,
		})
		if err != nil || ctx.Err() != nil {
			return
		}
		age := time.Duration(0)
		if behind.events > 0 {
			age = max(0, r.config.Now().Sub(behind.oldest))
		}
		r.metrics.lag.WithLabelValues(labels(r.key)...).Set(float64(behind.events))
		r.metrics.age.WithLabelValues(labels(r.key)...).Set(age.Seconds())
	})
}

// backlog is how many of the events after an id, up to another, are selected, up
// to deviceops.MaxLag, and when the oldest was received.
type backlog struct {
	after, upTo int64
	events      int
	oldest      time.Time
}

// count brings a backlog up to date. While a target is stuck, only what is new is
// looked at: where hardly an event is selected, all since it got stuck would be
// read every few seconds.
func (b *backlog) count(ctx context.Context, store deviceops.Routes, s deviceops.EventSelection) error {
	if b.after != s.After {
		*b = backlog{after: s.After, upTo: s.After}
	}
	s.After, s.Limit = b.upTo, deviceops.MaxLag-b.events
	if s.After >= s.UpTo || s.Limit <= 0 {
		return nil
	}
	n, oldest, err := store.CountRouteEvents(ctx, s)
	if err != nil {
		return err
	}
	if b.events == 0 {
		b.oldest = oldest
	}
	b.events, b.upTo = b.events+n, s.UpTo
	return nil
}

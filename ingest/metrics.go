package ingest

import (
	"errors"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/deviceops/deviceops"
	"github.com/deviceops/deviceops/protocol"
)

// metrics are the collectors of this package. An Inbox and a Sweeper in one
// process share them.
type metrics struct {
	messages   *prometheus.CounterVec // by leaf
	rejected   *prometheus.CounterVec // by code
	duplicates prometheus.Counter
	commits    *prometheus.CounterVec // by outcome
	commitTime prometheus.Histogram
	splits     prometheus.Counter
	relocks    prometheus.Counter
	failures   *prometheus.CounterVec // by effect
	dropped    *prometheus.CounterVec // by effect
	swept      *prometheus.CounterVec // by step
	sweepFails *prometheus.CounterVec // by step
}

func newMetrics(r prometheus.Registerer) *metrics {
	return &metrics{
		messages:   vector(r, "messages_total", "What devices said, by kind; a backlog counts each of its entries.", "leaf"),
		rejected:   vector(r, "rejected_total", "Messages that were rejected, by code.", "code"),
		duplicates: counter(r, "duplicates_total", "Numbered messages that had been stored before."),
		commits:    vector(r, "commits_total", "Transactions, by outcome.", "outcome"),
		commitTime: register(r, prometheus.NewHistogram(prometheus.HistogramOpts{
			Name: namePrefix + "commit_seconds", Help: "How long a transaction took.", Buckets: prometheus.ExponentialBuckets(0.001, 2, 14),
		})),
		splits:     counter(r, "splits_total", "Batches that were halved to find a message that cannot be stored."),
		relocks:    counter(r, "relocks_total", "Transactions done again because a device changed that had not been locked."),
		failures:   vector(r, "effect_failures_total", "Effects that failed and are repeated by the sweeper, a lease or the device.", "effect"),
		dropped:    vector(r, "effects_dropped_total", "Effects left to the sweeper or a lease because the queue was full.", "effect"),
		swept:      vector(r, "swept_total", "What the sweeper did, by step.", "step"),
		sweepFails: vector(r, "sweep_failures_total", "Steps of the sweeper that failed.", "step"),
	}
}

const namePrefix = "deviceops_ingest_"

func vector(r prometheus.Registerer, name, help, label string) *prometheus.CounterVec {
	return register(r, prometheus.NewCounterVec(prometheus.CounterOpts{Name: namePrefix + name, Help: help}, []string{label}))
}

func counter(r prometheus.Registerer, name, help string) prometheus.Counter {
	return register(r, prometheus.NewCounter(prometheus.CounterOpts{Name: namePrefix + name, Help: help}))
}

// register gives the collector that was registered before under the same name,
// if there is one.
func register[C prometheus.Collector](r prometheus.Registerer, c C) C {
	if r == nil {
		return c
	}
	var before prometheus.AlreadyRegisteredError
	if err := r.Register(c); errors.As(err, &before) {
		if same, ok := before.ExistingCollector.(C); ok {
			return same
		}
	}
	return c
}

func (m *metrics) refused(rejected []deviceops.Rejected) {
	for _, r := range rejected {
		m.rejected.WithLabelValues(r.Code).Inc()
	}
}

func (m *metrics) committed(items []item, t *transaction, err error, took time.Duration) {
	m.commitTime.Observe(took.Seconds())
	if err != nil {
		m.commits.WithLabelValues("failed").Inc()
		return
	}
	m.commits.WithLabelValues("ok").Inc()
	said := map[protocol.Leaf]int{}
	for _, i := range items {
		said[i.message.Leaf()]++
	}
	for leaf, n := range said {
		m.messages.WithLabelValues(string(leaf)).Add(float64(n))
	}
	m.duplicates.Add(float64(t.duplicates))
	m.refused(t.ledger.rejected)
}

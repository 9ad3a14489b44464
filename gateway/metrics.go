package gateway

import (
	"errors"
	"time"

	"github.com/prometheus/client_golang/prometheus"
)

// metrics are the collectors of a Publisher or Lanes. Several of them in one
// process share them.
type metrics struct {
	publications *prometheus.CounterVec // by outcome
	publishTime  prometheus.Histogram
	messages     prometheus.Counter
	batches      *prometheus.CounterVec // by outcome
	deliverTime  prometheus.Histogram
	lanes        prometheus.Gauge
}

func newMetrics(r prometheus.Registerer) *metrics {
	buckets := prometheus.ExponentialBuckets(0.001, 2, 14) // 1 ms to 8 s
	return &metrics{
		publications: register(r, prometheus.NewCounterVec(prometheus.CounterOpts{
			Name: "deviceops_gateway_publications_total", Help: "Messages published to devices, by outcome.",
		}, []string{"outcome"})),
		publishTime: register(r, prometheus.NewHistogram(prometheus.HistogramOpts{
			Name: "deviceops_gateway_publish_seconds", Help: "From the publication of a batch to the broker's last acknowledgement.", Buckets: buckets,
		})),
		messages: register(r, prometheus.NewCounter(prometheus.CounterOpts{
			Name: "deviceops_gateway_messages_total", Help: "Messages received from devices, redeliveries included.",
		})),
		batches: register(r, prometheus.NewCounterVec(prometheus.CounterOpts{
			Name: "deviceops_gateway_batches_total", Help: "Attempts to deliver a batch, by outcome.",
		}, []string{"outcome"})),
		deliverTime: register(r, prometheus.NewHistogram(prometheus.HistogramOpts{
			Name: "deviceops_gateway_deliver_seconds", Help: "How long the inbox took for a batch.", Buckets: buckets,
		})),
		lanes: register(r, prometheus.NewGauge(prometheus.GaugeOpts{
			Name: "deviceops_gateway_lanes", Help: "Lanes that this process holds.",
		})),
	}
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

func outcome(err error) string {
	if err != nil {
		return "failed"
	}
	return "ok"
}

func (m *metrics) published(errs []error, took time.Duration) {
	m.publishTime.Observe(took.Seconds())
	for _, err := range errs {
		m.publications.WithLabelValues(outcome(err)).Inc()
	}
}

func (m *metrics) delivered(err error, took time.Duration) {
	m.deliverTime.Observe(took.Seconds())
	m.batches.WithLabelValues(outcome(err)).Inc()
}

package api

import (
	"context"
	"encoding/json"
	"net/http"
	"strconv"
	"sync"
	"time"

	"github.com/danielgtaylor/huma/v2"
	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/promhttp"
)

// CheckTimeout is how long one check of /readyz may take.
const CheckTimeout = 2 * time.Second

func (s *server) serveHealth(mux *http.ServeMux) {
	mux.HandleFunc("GET /healthz", func(w http.ResponseWriter, _ *http.Request) {
		writeJSON(w, http.StatusOK, map[string]string{"status": "ok"})
	})
	mux.HandleFunc("GET /readyz", s.ready)
	mux.Handle("GET /metrics", promhttp.HandlerFor(s.Registry, promhttp.HandlerOpts{}))
}

// ready runs all checks at once and lists them: 200 if all pass, else 503.
func (s *server) ready(w http.ResponseWriter, r *http.Request) {
	status, results := http.StatusOK, s.runChecks(r.Context())
	for _, result := range results {
		if result != "ok" {
			status = http.StatusServiceUnavailable
		}
	}
	writeJSON(w, status, map[string]any{"ready": status == http.StatusOK, "checks": results})
}

func (s *server) runChecks(ctx context.Context) map[string]string {
	ctx, cancel := context.WithTimeout(ctx, CheckTimeout)
	defer cancel()
	var mu sync.Mutex
	var wg sync.WaitGroup
	results := make(map[string]string, len(s.Checks))
	for name, check := range s.Checks {
		wg.Go(func() {
			result := "ok"
			if err := check(ctx); err != nil {
				result = err.Error()
			}
			mu.Lock()
			defer mu.Unlock()
			results[name] = result
		})
	}
	wg.Wait()
	return results
}

func writeJSON(w http.ResponseWriter, status int, v any) {
	w.Header().Set("Content-Type", "application/json")
	w.WriteHeader(status)
	_ = json.NewEncoder(w).Encode(v) // the caller may be gone
}

// requestMetrics measures requests by route.
type requestMetrics struct {
	seconds *prometheus.HistogramVec
}

func newRequestMetrics(registry prometheus.Registerer) requestMetrics {
	m := requestMetrics{seconds: prometheus.NewHistogramVec(prometheus.HistogramOpts{
		Name:    "deviceops_api_request_seconds",
		Help:    "Duration of API requests; of streams, how long they were open.",
		Buckets: []float64{.005, .02, .1, .5, 2, 10, 60},
	}, []string{"method", "route", "status"})}
	registry.MustRegister(m.seconds)
	return m
}

func (m requestMetrics) observe(ctx huma.Context, next func(huma.Context)) {
	begin := time.Now()
	next(ctx)
	op := ctx.Operation()
	m.seconds.WithLabelValues(op.Method, op.Path, strconv.Itoa(ctx.Status())).Observe(time.Since(begin).Seconds())
}

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

// NewHealth gives /healthz, /readyz and /metrics alone, for a process that does
// not serve the API. Of c it needs Checks and Registry.
func NewHealth(c Config) http.Handler {
	mux := http.NewServeMux()
	c = c.withDefaults()
	serveHealth(mux, c.Checks, c.Registry)
	mux.HandleFunc("/", noRoute)
	return mux
}

// Check tells whether a part works: nil, or what is wrong.
type Check func(context.Context) error

func serveHealth(mux *http.ServeMux, checks map[string]Check, registry *prometheus.Registry) {
	mux.HandleFunc("GET /healthz", func(w http.ResponseWriter, _ *http.Request) {
		writeJSON(w, http.StatusOK, map[string]string{"status": "ok"})
	})
	mux.HandleFunc("GET /readyz", func(w http.ResponseWriter, r *http.Request) { ready(w, r, checks) })
	mux.Handle("GET /metrics", promhttp.HandlerFor(registry, promhttp.HandlerOpts{}))
}

// ready runs all checks at once and lists them: 200 if all pass, else 503.
func ready(w http.ResponseWriter, r *http.Request, checks map[string]Check) {
	status, results := http.StatusOK, runChecks(r.Context(), checks)
	for _, result := range results {
		if result != "ok" {
			status = http.StatusServiceUnavailable
		}
	}
	writeJSON(w, status, map[string]any{"ready": status == http.StatusOK, "checks": results})
}

func runChecks(ctx context.Context, checks map[string]Check) map[string]string {
	ctx, cancel := context.WithTimeout(ctx, CheckTimeout)
	defer cancel()
	var mu sync.Mutex
	var wg sync.WaitGroup
	results := make(map[string]string, len(checks))
	for name, check := range checks {
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

package forward_test

import (
	"context"
	"encoding/json"
	"io"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"net/netip"
	"os"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/deviceops/deviceops"
	"github.com/deviceops/deviceops/dsl"
	"github.com/deviceops/deviceops/forward"
	"github.com/deviceops/deviceops/outbound"
	"github.com/deviceops/deviceops/postgres"
	"github.com/deviceops/deviceops/postgres/postgrestest"
)

// lease is short, so that tests see targets move.
const lease = time.Second

// patience bounds what tests wait for; machines may be busy.
const patience = 30 * time.Second

var loopback = []netip.Prefix{netip.MustParsePrefix("127.0.0.0/8")}

// rig is a store with routes in it, and what forwards by them.
type rig struct {
	testing.TB
	url    string
	store  *postgres.Store
	folder string
}

func newRig(t testing.TB) *rig {
	url := postgrestest.URL(t)
	return &rig{TB: t, url: url, store: postgrestest.Open(t, url), folder: t.TempDir()}
}

// config is that of a forwarder over a store.
func config(store deviceops.Store, folder string, secrets deviceops.Secrets) forward.Config {
	return forward.Config{
		Store: store, Guard: outbound.NewGuard(loopback), Secrets: secrets, Folder: folder, Lease: lease, Poll: 20 * time.Millisecond,
		Log: slog.New(slog.NewTextHandler(io.Discard, nil)),
	}
}

// publish publishes a route as the API does.
func (r *rig) publish(source string) {
	r.Helper()
	compiled, found := dsl.CompileRoute(source)
	require.NoError(r, found.Err())
	_, _, err := r.store.PublishDocument(r.Context(), deviceops.Document{
		Account: "acme", Kind: deviceops.KindRoute, Name: compiled.Name, Hash: compiled.Hash, Source: compiled.Source, PublishedAt: time.Now(),
	})
	require.NoError(r, err)
	var targets []string
	for _, t := range compiled.Targets {
		targets = append(targets, t.Name)
	}
	require.NoError(r, r.store.OpenRoute(r.Context(), "acme", compiled.Name, targets, -1))
}

// forward runs a forwarder until the test ends.
func (r *rig) forward(change ...func(*forward.Config)) (stop func()) {
	c := config(r.store, r.folder, nil)
	for _, f := range change {
		f(&c)
	}
	ctx, cancel := context.WithCancel(context.WithoutCancel(r.Context()))
	ended := make(chan struct{})
	go func() {
		defer close(ended)
		_ = forward.New(c).Run(ctx)
	}()
	stop = func() {
		cancel()
		<-ended
	}
	r.Cleanup(stop)
	return stop
}

// say stores events of some devices, numbered in their data from first on.
func (r *rig) say(first, count int, change ...func(n int, e *deviceops.Event)) {
	r.Helper()
	events := make([]deviceops.Event, count)
	for i := range events {
		n := first + i
		events[i] = deviceops.Event{
			Account: "acme/emea", Device: "k" + string(rune('0'+n%7)), Type: "device.telemetry", Severity: "info",
			Data: map[string]any{"n": n}, At: time.Now(), ReceivedAt: time.Now(),
		}
		for _, f := range change {
			f(n, &events[i])
		}
	}
	require.NoError(r, r.store.AppendEvents(r.Context(), events))
}

func (r *rig) target(name string) deviceops.RouteTarget {
	r.Helper()
	rows, err := r.store.ListTargets(r.Context(), "acme", "")
	require.NoError(r, err)
	for _, row := range rows {
		if row.Target == name {
			return row
		}
	}
	r.Fatalf("there is no target %s", name)
	return deviceops.RouteTarget{}
}

func (r *rig) letters(target string) []deviceops.DeadLetter {
	r.Helper()
	found, err := r.store.ListDeadLetters(r.Context(), deviceops.DeadLetterFilter{Target: target, Limit: 1000})
	require.NoError(r, err)
	return found
}

func (r *rig) eventually(is func() bool, what string) {
	r.Helper()
	require.Eventually(r, is, patience, 10*time.Millisecond, what)
}

// double is a server that takes JSON.
type double struct {
	*httptest.Server
	mu     sync.Mutex
	status int // 0: 200
	judge  func(n int) int
	delay  time.Duration
	asked  int // requests
	seen   map[int]int
	order  map[string][]int // by device
	heads  []http.Header
	bodies []string
}

type said struct {
	N      int    `json:"n"`
	Device string `json:"device"`
}

func newDouble(t testing.TB) *double {
	d := &double{seen: map[int]int{}, order: map[string][]int{}}
	d.Server = httptest.NewServer(d)
	t.Cleanup(d.Close)
	return d
}

func (d *double) set(f func()) {
	d.mu.Lock()
	defer d.mu.Unlock()
	f()
}

func (d *double) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	body, _ := io.ReadAll(r.Body)
	d.mu.Lock()
	delay := d.delay
	d.mu.Unlock()
	time.Sleep(delay) // what the double is slow at
	d.mu.Lock()
	defer d.mu.Unlock()
	d.asked++
	var all []said
	if strings.HasPrefix(string(body), "[") {
		_ = json.Unmarshal(body, &all)
	} else {
		all = make([]said, 1)
		_ = json.Unmarshal(body, &all[0])
	}
	status := d.status
	for _, s := range all {
		if d.judge != nil && status == 0 {
			status = d.judge(s.N)
		}
	}
	d.heads, d.bodies = append(d.heads, r.Header), append(d.bodies, string(body))
	if status != 0 {
		w.Header().Set("Retry-After", "0")
		http.Error(w, "no  thanks\n", status)
		return
	}
	for _, s := range all {
		d.seen[s.N]++
		d.order[s.Device] = append(d.order[s.Device], s.N)
	}
}

func (d *double) count() int {
	d.mu.Lock()
	defer d.mu.Unlock()
	return len(d.seen)
}

// lines gives the numbers in a file of JSON lines.
func lines(t testing.TB, path string) map[int]int {
	text, err := os.ReadFile(path)
	if os.IsNotExist(err) {
		return nil
	}
	require.NoError(t, err)
	seen := map[int]int{}
	for line := range strings.Lines(string(text)) {
		if !strings.HasSuffix(line, "\n") {
			continue // it is being written
		}
		var s said
		require.NoError(t, json.Unmarshal([]byte(line), &s), line)
		seen[s.N]++
	}
	return seen
}

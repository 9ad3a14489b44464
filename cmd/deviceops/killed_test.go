//go:build !lean

package main

import (
	"context"
	"fmt"
	"math/rand/v2"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/deviceops/deviceops"
	"github.com/deviceops/deviceops/client"
	"github.com/deviceops/deviceops/simulator"
)

const (
	// killSeed names the seed of the moments at which the worker is killed; set,
	// a run of the test is repeated.
	killSeed = "DEVICEOPS_TEST_SEED"
	// kills is how often it is killed, and how many runs begin meanwhile.
	kills = 20
)

// mixedWorkflow has one of everything that a worker may die in.
const mixedWorkflow = `workflow: mixed
inputs: { device: device kiosk }
device: ${{ inputs.device }}
outputs:
  log: ${{ vars.log }}
  swept: ${{ steps.sweep.output.succeeded }}
  both: ${{ steps.both.output.timer.waited }}
  by: ${{ steps.decision.output.by }}
  posted: ${{ steps.post.output.status }}
steps:
  - set: { log: [] }
  - { id: diag, command: diagnostics, timeout: 10m }
  - id: both
    parallel:
      device: [ { command: health, timeout: 10m } ]
      timer: [ { wait: 1s }, { set: { log: "${{ concat(vars.log, ['timer']) }}" } }, { id: last, run: waited@1 } ]
  - id: sweep
    foreach:
      items: [1, 2, 3]
      max_parallel: 2
      steps: [ { command: diagnostics, timeout: 10m }, { action: log, with: { message: swept } }, { action: log, with: { message: and wiped } } ]
  - { id: decision, approve: Go on?, by: [role:operator] }
  - id: post
    action: http.request
    with: { url: SERVER, method: POST, json: { n: "${{ len(vars.log) }}" } }
    timeout: 10m
    retry: { times: 20, delay: 200ms..1s }
  - try:
      - command: reboot
        timeout: 10m
        undo: [ { command: health, timeout: 10m }, { set: { log: "${{ concat(vars.log, ['undone']) }}" } } ]
      - fail: { code: odd, message: strange }
    catch:
      - set: { log: "${{ concat(vars.log, ['caught ' + error.code]) }}" }
`

const waitedWorkflow = "workflow: waited\noutputs: { waited: \"${{ true }}\" }\nsteps:\n  - wait: 500ms\n"

// mixedEffects is what one run has a device do, by name of command.
var mixedEffects = map[string]int{"diagnostics": 4, "health": 2, "reboot": 1}

// mixedLines is how often one run logs.
const mixedLines = 3 * 2

// mixedOutputs is what every run gives.
var mixedOutputs = map[string]any{"log": []any{"timer", "undone", "caught odd"}, "swept": 3.0, "both": true, "by": "user:admin", "posted": 200.0}

// counter fails the first two requests with each key, as a busy server would, and
// counts those that it carried out.
type counter struct {
	mu   sync.Mutex
	seen map[string]int
}

func (c *counter) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	c.mu.Lock()
	defer c.mu.Unlock()
	key := r.Header.Get("Idempotency-Key")
	if c.seen[key]++; c.seen[key] <= 2 {
		w.WriteHeader(http.StatusServiceUnavailable)
	}
}

func (c *counter) keys() int {
	c.mu.Lock()
	defer c.mu.Unlock()
	return len(c.seen)
}

// The worker is killed at random moments of runs that do a bit of everything. It
// changes neither what they give nor what the devices did.
func TestKillTheWorkerInTheMiddleOfRuns(t *testing.T) {
	t.Parallel()
	chance := moments(t)
	effects := &counter{seen: map[string]int{}}
	server := httptest.NewServer(effects)
	defer server.Close()
	h := newHome(t)
	h.startStack("--parts", "temporal")
	h.startStack("--parts", "postgres")
	h.startStack("--parts", "broker")
	h.startStack("--parts", "gateway")
	h.startStack("--parts", "api")
	work := func() *process { return h.startStack("--parts", "worker", "--allow-network", "127.0.0.0/8") }
	worker := work()
	f := h.startFleet(h.broker(), kills, "--latency", "200ms")
	h.apply("waited", waitedWorkflow)
	h.apply("mixed", strings.ReplaceAll(mixedWorkflow, "SERVER", server.URL))
	f.awaitActive(kills)

	ctx, stop := context.WithCancel(t.Context())
	defer stop()
	go approveAll(ctx, h.client())
	runs := make([]string, kills)
	for i := range runs {
		run, err := h.client().StartRun(t.Context(), deviceops.RunRequest{Workflow: "mixed", Device: fmt.Sprintf("sim-%05d", i+1), Reason: "test"}, "")
		require.NoError(t, err)
		runs[i] = run.ID
		time.Sleep(time.Duration(chance.Int64N(int64(4 * time.Second)))) // the moment is what is tested
		worker.kill()
		worker = work()
	}
	for _, id := range runs {
		require.Equal(t, mixedOutputs, h.finished(id).Outputs)
	}
	require.Equal(t, kills, effects.keys(), "each run made one request, however often it was repeated")
	f.requireEffects(runs)
	said, err := h.client().ListEvents(t.Context(), deviceops.EventFilter{Type: "run.log", Limit: 1000}, "")
	require.NoError(t, err)
	require.Len(t, said.Items, kills*mixedLines, "what runs only tell the store is stored once, too")
}

// moments gives the source of the moments and says how to repeat it.
func moments(t *testing.T) *rand.Rand {
	seed := uint64(time.Now().UnixNano())
	if text := os.Getenv(killSeed); text != "" {
		var err error
		seed, err = strconv.ParseUint(text, 10, 64)
		require.NoError(t, err)
	}
	t.Logf("repeat with %s=%d", killSeed, seed)
	return rand.New(rand.NewPCG(seed, seed))
}

func (h home) apply(name, text string) {
	file := filepath.Join(h.dir, name+".yaml")
	require.NoError(h.t, os.WriteFile(file, []byte(text), 0o600))
	h.must("apply", "-f", file, "--reason", "test")
}

// approveAll approves whatever is asked, until ctx is done.
func approveAll(ctx context.Context, c *client.Client) {
	for ctx.Err() == nil {
		open, _ := c.ListApprovals(ctx, "", deviceops.ApprovalOpen, "", 100)
		for _, a := range open.Items {
			_, _ = c.Decide(ctx, a.ID, deviceops.DecideRequest{Approve: true, Comment: "test"}) // asked again if it got lost
		}
		select {
		case <-ctx.Done():
		case <-time.After(200 * time.Millisecond):
		}
	}
}

// finished waits for the end of a run, which has to be a good one.
func (h home) finished(id string) (run deviceops.Run) {
	require.Eventually(h.t, func() bool {
		var err error
		run, err = h.client().Run(h.t.Context(), id)
		return err == nil && run.Status.Ended()
	}, 8*time.Minute, 200*time.Millisecond, "the run was to end")
	require.Equal(h.t, deviceops.RunSucceeded, run.Status, "%+v", run.Error)
	return run
}

// requireEffects counts, from outside, what the devices did for each run.
func (f *fleet) requireEffects(runs []string) {
	f.requireNoRepeats()
	ledger, err := simulator.ReadLedger(f.ledger)
	require.NoError(f.t, err)
	done := map[string]map[string]int{}
	for _, e := range ledger.Effects() {
		run, _, _ := strings.Cut(e.Command, ".")
		if done[run] == nil {
			done[run] = map[string]int{}
		}
		done[run][e.Name]++
	}
	for _, id := range runs {
		require.Equal(f.t, mixedEffects, done[id], "run %s", id)
	}
}

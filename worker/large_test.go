package worker_test

import (
	"encoding/json"
	"io"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"net/netip"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"google.golang.org/protobuf/proto"

	"github.com/deviceops/deviceops"
	"github.com/deviceops/deviceops/activities"
	"github.com/deviceops/deviceops/workflows"
)

const largeWorkflow = `workflow: large
outputs: { report: "${{ steps.each.output.results[0].output.json }}", code: "${{ vars.code }}" }
steps:
  - id: each
    foreach:
      items: [1, 2, 3]
      max_parallel: 3
      steps:
        - id: get
          action: http.request
          with: { url: "SERVER/report", max_response: 4000000 }
  - id: text
    action: http.request
    with: { url: "SERVER/text", max_response: 4000000 }
  - run: forward@1
    with: { report: "${{ steps.text.output.body }}" }
  - try:
      - if: len(steps.each.output.results[0].output.json.lines) > 1
        fail: never
    catch:
      - set: { code: "${{ error.code }}" }
`

const forwardWorkflow = `workflow: forward
inputs: { report: string }
steps:
  - action: http.request
    with: { url: "SERVER/keep", method: POST, json: { report: "${{ inputs.report }}" } }
`

// Outputs of megabytes pass through runs, their children and new executions of
// them without being in any history.
func TestLargeOutputsOnARealServer(t *testing.T) {
	const size = 2 << 20
	var kept atomic.Int64
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.URL.Path == "/keep" {
			data, _ := io.ReadAll(r.Body)
			kept.Store(int64(len(data)))
			return
		}
		if r.URL.Path == "/text" {
			_, _ = io.WriteString(w, strings.Repeat("x", size))
			return
		}
		w.Header().Set("Content-Type", "application/json")
		_ = json.NewEncoder(w).Encode(map[string]any{"count": 7, "lines": []string{strings.Repeat("x", size)}})
	}))
	defer server.Close()
	s := newStack(t, func(d *activities.Deps) { d.Networks = []netip.Prefix{netip.MustParsePrefix("127.0.0.0/8")} })
	s.publish(t, "large", strings.ReplaceAll(largeWorkflow, "SERVER", server.URL))
	s.publish(t, "forward", strings.ReplaceAll(forwardWorkflow, "SERVER", server.URL))
	run := deviceops.Run{ID: "r1", Account: "acme", Workflow: "large", Version: 1, Status: deviceops.RunPending, StartedAt: time.Now()}
	_, err := s.store.CreateRun(t.Context(), run)
	require.NoError(t, err)
	start := workflows.RunStart(run)
	start.Input = workflows.RunInput{Run: run, Every: 3}
	s.start(t, start)
	var result workflows.RunResult
	require.NoError(t, s.wait(t, "r1", &result))
	require.Equal(t, deviceops.EEXHAUSTED, result.Outputs["code"])
	require.EqualValues(t, 7, result.Outputs["report"].(map[string]any)["count"])
	require.Greater(t, kept.Load(), int64(size), "the server got it whole")

	total := 0
	histories := s.histories(t, "r1", "large")
	require.Greater(t, len(histories), 1)
	for _, h := range histories {
		total += proto.Size(h)
	}
	t.Logf("%d executions, %d bytes of history", len(histories), total)
	require.Less(t, total, deviceops.MaxInlineOutput)

	var shown deviceops.Run
	require.NoError(t, json.Unmarshal([]byte(s.ask(t, slog.New(slog.DiscardHandler), "/v1/runs/r1")), &shown))
	lines := shown.Outputs["report"].(map[string]any)["lines"].([]any)
	require.Len(t, lines[0], size, "and whoever looks at the run sees it whole")
	step := shown.Steps[1].Output.(map[string]any)["json"].(map[string]any)
	require.Len(t, step["lines"].([]any)[0], size)
}

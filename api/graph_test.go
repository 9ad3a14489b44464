package api_test

import (
	"encoding/xml"
	"net/http"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/deviceops/deviceops"
)

func TestGraphOfAWorkflow(t *testing.T) {
	t.Parallel()
	r := newRig(t)
	r.apply(kioskYAML + "---\n" + checkYAML)
	drawn := r.as(victor, http.MethodGet, "/v1/documents/workflow/check/graph", nil)
	require.Equal(t, 200, drawn.status)
	require.Equal(t, "image/svg+xml", drawn.header.Get("Content-Type"))
	require.Equal(t, "default-src 'none'; style-src 'unsafe-inline'", drawn.header.Get("Content-Security-Policy"))
	require.NoError(t, xml.Unmarshal([]byte(drawn.body), new(struct{})))
	require.Contains(t, drawn.body, ">check@1<")

	text := r.as(victor, http.MethodGet, "/v1/documents/workflow/check/graph?version=1&format=text", nil)
	require.Equal(t, "text/plain; charset=utf-8", text.header.Get("Content-Type"))
	require.Equal(t, "check@1\n└─ diagnostics  command diagnostics\n", text.body)

	r.as(victor, http.MethodGet, "/v1/documents/workflow/check/graph?version=7", nil).refused(404, deviceops.ENOTFOUND)
	r.as(victor, http.MethodGet, "/v1/documents/workflow/check/graph?format=png", nil).refused(422, deviceops.EINVALID)
	r.as(victor, http.MethodGet, "/v1/documents/workflow/check/graph?width=10", nil).refused(422, deviceops.EINVALID)
}

func TestGraphOfARun(t *testing.T) {
	t.Parallel()
	r := newRig(t)
	r.apply(kioskYAML + "---\n" + checkYAML)
	require.NoError(t, r.createRun("run-1", deviceops.RunRunning))
	path := "/v1/runs/run-1/graph?format=text"
	require.Equal(t, "▸ check@1  running for 0s\n└─ · diagnostics  command diagnostics\n", r.as(victor, http.MethodGet, path, nil).body)

	run, err := r.store.FindRun(t.Context(), "run-1")
	require.NoError(t, err)
	run.Status, run.FinishedAt = deviceops.RunFailed, now.Add(90*time.Second)
	run.Steps = []deviceops.RunStep{{
		Step: "diagnostics", Verb: "command", Status: deviceops.RunFailed, Attempts: 2, StartedAt: now, FinishedAt: now.Add(80 * time.Second),
		Error: &deviceops.RunError{Code: "busy", Message: "in use"},
	}}
	require.NoError(t, r.store.SaveRun(t.Context(), run))
	require.Equal(t, `✗ check@1  failed after 1m30s
└─ ✗ diagnostics  command diagnostics
     failed after 1m20s, 2 attempts
     busy: in use
`, r.as(victor, http.MethodGet, path, nil).body)
	require.Contains(t, r.as(victor, http.MethodGet, "/v1/runs/run-1/graph?width=320", nil).body, `width="320"`)
	r.as(stranger, http.MethodGet, path, nil).refused(404, deviceops.ENOTFOUND)
}

func TestAnOpenRunTellsWhatItsStepsWaitFor(t *testing.T) {
	t.Parallel()
	r := newRig(t)
	r.device("k1", "acme", deviceops.Active)
	require.NoError(t, r.createRun("run-1", deviceops.RunRunning))
	command, _, err := r.store.CreateCommand(t.Context(), deviceops.Command{
		ID: "c1", Account: "acme", Device: "k1", Name: "install", Attempt: 1, CreatedAt: now, ExpiresAt: now.Add(time.Hour),
	})
	require.NoError(t, err)
	command.Status, command.Phase, command.Percent = deviceops.CommandAccepted, "downloading", 40
	require.NoError(t, r.store.SaveCommands(t.Context(), []deviceops.Command{command}))
	_, err = r.store.SaveApproval(t.Context(), deviceops.Approval{
		ID: "run-1/ok", Account: "acme", Workflow: "run-1", Step: "ok", Question: "Go?", By: []string{"role:operator"}, Quorum: 2,
		Votes: []deviceops.Vote{{By: "user:olga", Approve: true}}, Status: deviceops.ApprovalOpen, OpenedAt: now, ExpiresAt: now.Add(2 * time.Hour),
	})
	require.NoError(t, err)
	waiting := func(step, verb string, input any) deviceops.RunStep {
		return deviceops.RunStep{Step: step, Verb: verb, Status: deviceops.RunWaiting, Input: input}
	}
	r.orchestrator.runs = map[string]deviceops.Run{"run-1": {Workflow: "check", Status: deviceops.RunWaiting, Steps: []deviceops.RunStep{
		waiting("install", "command", map[string]any{"id": "c1"}), waiting("ok", "approve", nil),
		waiting("gone", "command", map[string]any{"id": "none"}), waiting("pause", "wait", nil),
	}}}
	var run deviceops.Run
	r.as(victor, http.MethodGet, "/v1/runs/run-1", nil).into(&run)
	require.Equal(t, "accepted, downloading, 40 %", run.Steps[0].Progress)
	require.WithinDuration(t, now.Add(time.Hour), run.Steps[0].Until, 0)
	require.Equal(t, "1 of 2 decided", run.Steps[1].Progress)
	require.WithinDuration(t, now.Add(2*time.Hour), run.Steps[1].Until, 0)
	for _, step := range run.Steps[2:] {
		require.Empty(t, step.Progress)
		require.Zero(t, step.Until)
	}
}

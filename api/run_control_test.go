package api_test

import (
	"net/http"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/deviceops/deviceops"
)

func TestPauseAndResumeRun(t *testing.T) {
	t.Parallel()
	r := newRig(t)
	require.NoError(t, r.createRun("run-1", deviceops.RunRunning))
	r.orchestrator.runs = map[string]deviceops.Run{"run-1": {Workflow: "check", Status: deviceops.RunPaused, Paused: &deviceops.RunPause{By: "user:olga"}}}
	var run deviceops.Run
	for range 2 {
		r.as(olga, http.MethodPost, "/v1/runs/run-1/pause", nil, "X-Reason", "smoke", "Idempotency-Key", "a").into(&run)
	}
	require.Equal(t, "user:olga", run.Paused.By, "it is shown as it is now")
	r.as(olga, http.MethodPost, "/v1/runs/run-1/resume", nil, "Idempotency-Key", "a").into(&run)

	asked := r.orchestrator.updates[0].(deviceops.RunControl)
	require.Equal(t, deviceops.RunControl{ID: r.orchestrator.updateID[0], By: "user:olga", Reason: "smoke"}, asked)
	require.Equal(t, asked, r.orchestrator.updates[1], "the same key is the same request")
	require.NotEqual(t, asked.ID, r.orchestrator.updateID[2], "of the same kind")
	r.as(olga, http.MethodPost, "/v1/runs/run-1/pause", nil).into(&run)
	r.as(olga, http.MethodPost, "/v1/runs/run-1/pause", nil).into(&run)
	require.NotEqual(t, r.orchestrator.updateID[3], r.orchestrator.updateID[4])
}

func TestRunsThatCannotBePaused(t *testing.T) {
	t.Parallel()
	r := newRig(t)
	require.NoError(t, r.createRun("run-1", deviceops.RunPending))
	require.NoError(t, r.createRun("run-2", deviceops.RunSucceeded))
	r.as(victor, http.MethodPost, "/v1/runs/run-1/pause", nil).refused(403, deviceops.EFORBIDDEN)
	r.as(stranger, http.MethodPost, "/v1/runs/run-1/pause", nil).refused(404, deviceops.ENOTFOUND)
	r.as(olga, http.MethodPost, "/v1/runs/run-2/resume", nil).refused(409, deviceops.ECONFLICT)
	require.Empty(t, r.orchestrator.updates)
	r.orchestrator.ended = true
	r.as(olga, http.MethodPost, "/v1/runs/run-1/pause", nil).refused(503, deviceops.EUNAVAILABLE)
	r.as(olga, http.MethodPost, "/v1/runs/run-9/pause", nil).refused(404, deviceops.ENOTFOUND)
}

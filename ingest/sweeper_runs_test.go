package ingest

import (
	"context"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/deviceops/deviceops"
)

// executions is what Temporal says of workflows, by id.
type executions struct {
	*fakeOrchestrator
	status map[string]string
	asked  int
}

func (e *executions) Describe(_ context.Context, id string) (deviceops.Execution, error) {
	e.asked++
	status, ok := e.status[id]
	switch {
	case e.down:
		return deviceops.Execution{}, deviceops.Errorf(deviceops.EUNAVAILABLE, "Temporal does not answer")
	case !ok:
		return deviceops.Execution{}, deviceops.Errorf(deviceops.ENOTFOUND, "no workflow %s", id)
	}
	return deviceops.Execution{WorkflowID: id, Status: status}, nil
}

// watched makes a bundle with open runs, and a sweeper to which Temporal says
// this of them.
func watched(t *testing.T, status map[string]string, runs ...deviceops.Run) (*testBundle, *Sweeper, *executions) {
	t.Helper()
	b := newBundle(t, nil)
	for _, r := range runs {
		r.Account, r.Workflow, r.Version, r.StartedAt = "acme", "check", 1, noon
		_, err := b.store.CreateRun(t.Context(), r)
		require.NoError(t, err)
	}
	e := &executions{fakeOrchestrator: b.engine, status: status}
	return b, NewSweeper(SweeperConfig{Store: b.store, Gateway: b.gateway, Orchestrator: e, Now: b.clock.Now, Log: quiet}), e
}

func TestRunsThatTemporalEndedAreEnded(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct {
		temporal string // "": not known
		before   deviceops.RunStatus
		want     deviceops.RunStatus
		code     string
	}{
		"terminated":    {"terminated", deviceops.RunWaiting, deviceops.RunFailed, "terminated"},
		"timed out":     {"timed_out", deviceops.RunRunning, deviceops.RunFailed, deviceops.ETIMEOUT},
		"canceled":      {"canceled", deviceops.RunRunning, deviceops.RunCanceled, deviceops.ECANCELED},
		"failed":        {"failed", deviceops.RunPending, deviceops.RunFailed, "lost"},
		"forgotten":     {"", deviceops.RunRunning, deviceops.RunFailed, "lost"},
		"not begun":     {"", deviceops.RunPending, deviceops.RunPending, ""},
		"goes on":       {"running", deviceops.RunWaiting, deviceops.RunWaiting, ""},
		"goes on anew":  {"continued_as_new", deviceops.RunWaiting, deviceops.RunWaiting, ""},
		"ended already": {"terminated", deviceops.RunSucceeded, deviceops.RunSucceeded, ""},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			status := map[string]string{"r1": c.temporal}
			if c.temporal == "" {
				delete(status, "r1")
			}
			b, sweeper, _ := watched(t, status, deviceops.Run{ID: "r1", Status: c.before})
			b.clock.advance(runCheckEvery)
			require.NoError(t, sweeper.Sweep(t.Context()))
			r, err := b.store.FindRun(t.Context(), "r1")
			require.NoError(t, err)
			require.Equal(t, c.want, r.Status)
			if c.code == "" {
				require.Nil(t, r.Error)
				return
			}
			require.Equal(t, c.code, r.Error.Code)
			require.WithinDuration(t, b.clock.Now(), r.FinishedAt, 0)
			audit, err := b.store.ListAudit(t.Context(), deviceops.AuditFilter{Target: "run:r1"})
			require.NoError(t, err)
			require.Len(t, audit, 1)
			require.Equal(t, r.Error.Message, audit[0].Reason)
		})
	}
}

func TestAnEndedRunLeavesNothingOpen(t *testing.T) {
	t.Parallel()
	steps := []deviceops.RunStep{
		{Index: 0, Step: "look", Verb: "command", Status: deviceops.RunSucceeded, StartedAt: noon, FinishedAt: noon},
		{Index: 1, Step: "ok", Verb: "approve", Status: deviceops.RunWaiting, StartedAt: noon, WaitsFor: "a decision"},
	}
	b, sweeper, _ := watched(t, map[string]string{"r1": "terminated", "r2": "running"},
		deviceops.Run{ID: "r1", Status: deviceops.RunWaiting, Steps: steps}, deviceops.Run{ID: "r2", Status: deviceops.RunWaiting})
	for _, run := range []string{"r1", "r2"} {
		_, err := b.store.SaveApproval(t.Context(), deviceops.Approval{
			ID: run + "/ok", Account: "acme", Workflow: run, Step: "ok", Question: "Go?", By: []string{"role:operator"}, Status: deviceops.ApprovalOpen, OpenedAt: noon,
		})
		require.NoError(t, err)
	}
	b.clock.advance(runCheckEvery)
	require.NoError(t, sweeper.Sweep(t.Context()))
	r, err := b.store.FindRun(t.Context(), "r1")
	require.NoError(t, err)
	require.Equal(t, steps[0], r.Steps[0])
	require.Equal(t, deviceops.RunFailed, r.Steps[1].Status)
	require.Equal(t, "terminated", r.Steps[1].Error.Code)
	require.Empty(t, r.Steps[1].WaitsFor)
	for id, want := range map[string]deviceops.ApprovalStatus{"r1/ok": deviceops.ApprovalCanceled, "r2/ok": deviceops.ApprovalOpen} {
		a, err := b.store.FindApproval(t.Context(), id)
		require.NoError(t, err)
		require.Equal(t, want, a.Status)
	}
}

func TestRunsAreComparedNowAndThen(t *testing.T) {
	t.Parallel()
	var runs []deviceops.Run
	status := map[string]string{}
	for i := range runChecks + 10 {
		id := "r" + string(rune('A'+i))
		runs, status[id] = append(runs, deviceops.Run{ID: id, Status: deviceops.RunRunning}), "running"
	}
	b, sweeper, e := watched(t, status, runs...)
	sweep := func() int {
		t.Helper()
		e.asked = 0
		require.NoError(t, sweeper.Sweep(t.Context()))
		return e.asked
	}
	require.Zero(t, sweep(), "they have just begun")
	b.clock.advance(runCheckEvery)
	require.Equal(t, runChecks, sweep(), "one pass asks so many questions and no more")
	require.Equal(t, 10, sweep())
	require.Zero(t, sweep())
	b.clock.advance(runCheckEvery)
	require.Equal(t, runChecks, sweep())
}

func TestNothingIsConcludedWhileTemporalIsAway(t *testing.T) {
	t.Parallel()
	b, sweeper, e := watched(t, nil, deviceops.Run{ID: "r1", Status: deviceops.RunRunning}, deviceops.Run{ID: "r2", Status: deviceops.RunRunning})
	b.engine.setDown(true)
	b.clock.advance(runCheckEvery)
	require.ErrorContains(t, sweeper.Sweep(t.Context()), "runs: Temporal does not answer")
	require.Equal(t, 1, e.asked)
	for _, id := range []string{"r1", "r2"} {
		r, err := b.store.FindRun(t.Context(), id)
		require.NoError(t, err)
		require.Equal(t, deviceops.RunRunning, r.Status)
	}
	b.engine.setDown(false)
	b.clock.advance(runCheckEvery)
	require.NoError(t, sweeper.Sweep(t.Context()))
	r, err := b.store.FindRun(t.Context(), "r1")
	require.NoError(t, err)
	require.WithinDuration(t, noon.Add(2*runCheckEvery), r.FinishedAt, time.Second)
}

package api

import (
	"context"
	"net/http"

	"github.com/deviceops/deviceops"
	"github.com/deviceops/deviceops/workflows"
)

// controlRoutes are the operations on a run that goes on.
func (s *server) controlRoutes(r runService) {
	handle(s, route{
		id: "cancel-run", method: http.MethodPost, path: "/v1/runs/{id}/cancel", role: deviceops.RoleOperator,
		summary: "Cancel a run",
	}, r.cancel)
	handle(s, route{
		id: "pause-run", method: http.MethodPost, path: "/v1/runs/{id}/pause", role: deviceops.RoleOperator,
		summary: "Pause a run",
		about: "No step begins in any branch until it is resumed. What is under way goes on to its end, and so do timers, timeouts and approvals. " +
			"409 when the run has ended or is paused.",
	}, r.pause)
	handle(s, route{
		id: "resume-run", method: http.MethodPost, path: "/v1/runs/{id}/resume", role: deviceops.RoleOperator,
		summary: "Let a paused run go on", about: "409 when the run has ended or is not paused.",
	}, r.resume)
}

type cancelInput struct {
	Reasoned
	RunPath
}

func (r runService) cancel(ctx context.Context, p deviceops.Principal, in *cancelInput) (deviceops.Run, error) {
	run, err := r.find(ctx, p, in.ID)
	switch {
	case err != nil:
		return deviceops.Run{}, err
	case run.Status == deviceops.RunCanceled:
		return run, nil
	case run.Status.Ended():
		return deviceops.Run{}, deviceops.Errorf(deviceops.ECONFLICT, "run %s has ended already: %s", run.ID, run.Status)
	}
	if err := r.Orchestrator.Cancel(ctx, run.ID, in.Reason); err != nil {
		return deviceops.Run{}, err
	}
	return run, r.Store.AppendAudit(ctx, r.entry(p, change{account: run.Account, action: "run.cancel", target: "run:" + run.ID, reason: in.Reason}))
}

type controlInput struct {
	Reasoned
	RunPath
	Key string `header:"Idempotency-Key" maxLength:"128" doc:"The same key is the same request: repeated, it changes nothing"`
}

func (r runService) pause(ctx context.Context, p deviceops.Principal, in *controlInput) (deviceops.Run, error) {
	return r.control(ctx, p, in, workflows.UpdatePause, deviceops.Run.CheckPause)
}

func (r runService) resume(ctx context.Context, p deviceops.Principal, in *controlInput) (deviceops.Run, error) {
	return r.control(ctx, p, in, workflows.UpdateResume, deviceops.Run.CheckResume)
}

// control hands a request to the run's workflow, which checks it, and writes it
// with its audit entry in one transaction. may says why a run that has ended
// takes none.
func (r runService) control(ctx context.Context, p deviceops.Principal, in *controlInput, update string, may func(deviceops.Run) error) (deviceops.Run, error) {
	run, err := r.find(ctx, p, in.ID)
	if err != nil {
		return deviceops.Run{}, err
	}
	if run.Status.Ended() {
		return deviceops.Run{}, may(run)
	}
	c := deviceops.RunControl{ID: keyedOn(p, update, run.ID, in.Key), By: p.Name, Reason: in.Reason}
	err = r.Orchestrator.Update(ctx, run.ID, c.ID, update, c, nil)
	if deviceops.ErrorCode(err) == deviceops.ENOTFOUND {
		return deviceops.Run{}, r.absent(ctx, run.ID, may)
	}
	if err != nil {
		return deviceops.Run{}, err
	}
	return r.find(ctx, p, run.ID)
}

// absent says why no workflow of a run is there: it has ended this moment, or is
// still to be started.
func (r runService) absent(ctx context.Context, id string, may func(deviceops.Run) error) error {
	run, err := r.Store.FindRun(ctx, id)
	switch {
	case err != nil:
		return err
	case run.Status.Ended():
		return may(run)
	default:
		return deviceops.Errorf(deviceops.EUNAVAILABLE, "run %s has not begun yet; try again in a moment", id)
	}
}

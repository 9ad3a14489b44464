package ingest

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/deviceops/deviceops"
)

const (
	runCheckEvery = 5 * time.Minute // how often an open run is compared with Temporal
	runChecks     = 50              // in one pass
)

// runs looks for runs that will never end by themselves: Temporal ended their
// workflow, or does not know it any longer. A workflow that ends in its own way
// writes its row before it does.
func (s *Sweeper) runs(ctx context.Context, now time.Time) (int, error) {
	open, err := s.config.Store.UncheckedRuns(ctx, now.Add(-runCheckEvery), now, runChecks)
	if err != nil {
		return 0, err
	}
	lost := 0
	var errs []error
	for _, r := range open {
		execution, err := s.config.Orchestrator.Describe(ctx, r.ID)
		if err != nil && deviceops.ErrorCode(err) != deviceops.ENOTFOUND {
			return lost, errors.Join(append(errs, err)...) // the others would hear the same
		}
		status, cause := fate(r, execution, err == nil)
		if cause == nil {
			continue
		}
		lost++
		if err := s.bury(ctx, r.ID, status, cause, now); err != nil {
			errs = append(errs, fmt.Errorf("run %s: %w", r.ID, err))
		}
	}
	return lost, errors.Join(errs...)
}

// fate tells how an open run ended of which Temporal says this, if it knows it;
// no cause when it goes on. One that was never begun may still be.
func fate(r deviceops.Run, e deviceops.Execution, known bool) (deviceops.RunStatus, *deviceops.RunError) {
	const again = "; no clean-up ran, so look at its steps before you run it again"
	switch {
	case !known && r.Status == deviceops.RunPending:
		return "", nil
	case !known:
		return deviceops.RunFailed, &deviceops.RunError{Code: "lost", Message: "Temporal does not know its workflow" + again}
	}
	switch e.Status {
	case "terminated":
		return deviceops.RunFailed, &deviceops.RunError{Code: "terminated", Message: "its workflow was terminated in Temporal" + again}
	case "timed_out":
		return deviceops.RunFailed, &deviceops.RunError{Code: deviceops.ETIMEOUT, Message: "its workflow ran out of the time that Temporal gave it" + again}
	case "canceled":
		return deviceops.RunCanceled, &deviceops.RunError{Code: deviceops.ECANCELED, Message: "its workflow was canceled before it could say so"}
	case "completed", "failed":
		return deviceops.RunFailed, &deviceops.RunError{Code: "lost", Message: "its workflow " + e.Status + " and could not store how" + again}
	default:
		return "", nil
	}
}

// bury ends a run that nobody else will end, with the steps and questions that
// it left open.
func (s *Sweeper) bury(ctx context.Context, id string, status deviceops.RunStatus, cause *deviceops.RunError, now time.Time) error {
	return s.config.Store.InTx(ctx, func(ctx context.Context, tx deviceops.Tx) error {
		r, err := tx.FindRun(ctx, id)
		if err != nil || r.Status.Ended() {
			return err
		}
		r.Status, r.Error, r.FinishedAt = status, cause, now
		r.Steps = endSteps(r.Steps, status, cause, now)
		if err := tx.SaveRun(ctx, r); err != nil {
			return err
		}
		if err := withdrawApprovals(ctx, tx, r, now); err != nil {
			return err
		}
		return tx.AppendAudit(ctx, deviceops.AuditEntry{
			At: now, Account: r.Account, Actor: "engine", Action: "run.end", Target: "run:" + r.ID, Reason: cause.Message,
			Evidence: map[string]any{"status": string(status), "code": cause.Code},
		})
	})
}

// endSteps gives the steps that were open, ended.
func endSteps(steps []deviceops.RunStep, status deviceops.RunStatus, cause *deviceops.RunError, now time.Time) (ended []deviceops.RunStep) {
	for _, step := range steps {
		if step.Status.Ended() {
			continue
		}
		step.Status, step.Error, step.FinishedAt, step.WaitsFor = status, cause, now, ""
		ended = append(ended, step)
	}
	return ended
}

// withdrawApprovals takes back what a run asked of people.
func withdrawApprovals(ctx context.Context, tx deviceops.Tx, r deviceops.Run, now time.Time) error {
	asked, err := tx.WorkflowApprovals(ctx, r.ID)
	if err != nil {
		return err
	}
	for _, a := range asked {
		if a.Status != deviceops.ApprovalOpen {
			continue
		}
		a.Status, a.DecidedAt, a.Revision = deviceops.ApprovalCanceled, now, a.Revision+1
		if _, err := tx.SaveApproval(ctx, a); err != nil {
			return err
		}
	}
	return nil
}

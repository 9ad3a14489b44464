package ingest

import (
	"cmp"
	"context"
	"errors"
	"time"

	"github.com/deviceops/deviceops"
	"github.com/deviceops/deviceops/workflows"
)

// pumpPatience is how long devices of a rollout may be due while nobody looks for
// them before its workflow is told, and nudgeAgain how long it is left alone then.
const (
	pumpPatience = 30 * time.Second
	nudgeAgain   = 30 * time.Second

	rolloutCheckEvery = 5 * time.Minute // how often the workflow of a rollout is looked for
	rolloutChecks     = 50              // in one pass
)

// rollouts wakes devices that came back at the moment at which they were found to
// be away, and nudges the workflows of rollouts that have devices due and no pump:
// the nudge that should have brought one was lost with the process that owed it, or
// Temporal lost the workflow.
func (s *Sweeper) rollouts(ctx context.Context, now time.Time) (int, error) {
	if now.Before(s.nudged.Add(nudgeAgain)) {
		return 0, nil
	}
	woken, err := s.config.Store.WakeConnected(ctx, now, sweepLimit)
	if err != nil || woken == sweepLimit {
		return woken, err
	}
	idle, err := s.config.Store.IdleRollouts(ctx, now.Add(-pumpPatience), sweepLimit)
	if err != nil {
		return 0, err
	}
	s.nudged = now
	var errs []error
	for _, id := range idle {
		err := s.config.Orchestrator.Signal(ctx, deviceops.RolloutWorkflowID(id), workflows.SignalNudge, nil)
		if deviceops.ErrorCode(err) == deviceops.ENOTFOUND {
			err = s.takeUp(ctx, id, now)
		}
		errs = append(errs, err)
	}
	return woken + len(idle), errors.Join(errs...)
}

// lost starts workflows of rollouts again that Temporal does not run any more: it was
// told to end them, or its database is another one. A process looks for all of them
// when it begins, and when Temporal is back, and then for each every rolloutCheckEvery.
func (s *Sweeper) lost(ctx context.Context, now time.Time) (int, error) {
	if s.began.IsZero() {
		s.began = now
	}
	before := now.Add(-rolloutCheckEvery)
	if before.Before(s.began) {
		before = s.began
	}
	unchecked, err := s.config.Store.UncheckedRollouts(ctx, before, now, rolloutChecks)
	if err != nil {
		return 0, err
	}
	lost := 0
	var errs []error
	for _, id := range unchecked {
		execution, err := s.config.Orchestrator.Describe(ctx, deviceops.RolloutWorkflowID(id))
		if err != nil && deviceops.ErrorCode(err) != deviceops.ENOTFOUND {
			s.began = time.Time{}
			return lost, errors.Join(append(errs, err)...) // the others would hear the same
		}
		if err == nil && execution.Status == "running" {
			continue
		}
		lost++
		errs = append(errs, s.takeUp(ctx, id, now))
	}
	return lost, errors.Join(errs...)
}

// takeUp starts the workflow of a rollout that had one, and says so if really none
// was there.
func (s *Sweeper) takeUp(ctx context.Context, id string, now time.Time) error {
	r, err := s.config.Store.FindRollout(ctx, id)
	if err != nil || r.Status.Ended() && r.Total().Open() == 0 { // it came to its end meanwhile
		return err
	}
	started, err := s.config.Orchestrator.Start(ctx, workflows.RolloutStart(workflows.RolloutInput{Rollout: id, Late: r.Status.Ended()}))
	if err != nil || !started {
		return err
	}
	s.config.Log.WarnContext(ctx, "the workflow of a rollout was lost and goes on in a new one", "rollout", id)
	return s.config.Store.AppendAudit(ctx, deviceops.AuditEntry{
		At: now, Account: r.Account, Actor: deviceops.Engine.Name, Action: "rollout.take_up", Target: "rollout:" + id,
		Reason: "Temporal did not run its workflow any more: another one goes on where that stopped", Evidence: map[string]any{"status": string(r.Status)},
	})
}

// held tells workflows that their rollouts are paused, which nobody could when it
// was asked for. A workflow that will not have it, or has ended, has nothing to be
// held for; one that was lost is told once there is another.
func (s *Sweeper) held(ctx context.Context, _ time.Time) (int, error) {
	pauses, err := s.config.Store.HeldRollouts(ctx, sweepLimit)
	if err != nil {
		return 0, err
	}
	var errs []error
	for _, pause := range pauses {
		errs = append(errs, s.pause(ctx, pause))
	}
	return len(pauses), errors.Join(errs...)
}

func (s *Sweeper) pause(ctx context.Context, pause deviceops.RolloutControl) error {
	var done deviceops.RolloutControlled
	err := s.config.Orchestrator.Update(ctx, deviceops.RolloutWorkflowID(pause.Rollout), pause.ID(), workflows.UpdateControl, pause, &done)
	switch deviceops.ErrorCode(err) {
	case deviceops.EUNAVAILABLE, deviceops.ETIMEOUT:
		return err
	case deviceops.ENOTFOUND:
		if r, findErr := s.config.Store.FindRollout(ctx, pause.Rollout); findErr != nil || !r.Status.Ended() {
			return cmp.Or(findErr, err)
		}
	}
	_, err = s.config.Store.FreeRolloutClaims(ctx, pause.Rollout)
	return err
}

func (s *Sweeper) nudge(ctx context.Context, rollouts []string) error {
	var errs []error
	for _, id := range rollouts {
		errs = append(errs, nudge(ctx, s.config.Orchestrator, id))
	}
	return errors.Join(errs...)
}

package ingest

import (
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
)

// rollouts wakes devices that came back at the moment at which they were found to
// be away, and nudges the workflows of rollouts that have devices due and no pump:
// the nudge that should have brought one was lost with the process that owed it.
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
	return woken + len(idle), s.nudge(ctx, idle)
}

// held tells workflows that their rollouts are paused, which nobody could when it
// was asked for. A workflow that will not have it, or has ended, has nothing to be
// held for.
func (s *Sweeper) held(ctx context.Context, _ time.Time) (int, error) {
	pauses, err := s.config.Store.HeldRollouts(ctx, sweepLimit)
	if err != nil {
		return 0, err
	}
	for told, pause := range pauses {
		var done deviceops.RolloutControlled
		err := s.config.Orchestrator.Update(ctx, deviceops.RolloutWorkflowID(pause.Rollout), pause.ID(), workflows.UpdateControl, pause, &done)
		if code := deviceops.ErrorCode(err); code == deviceops.EUNAVAILABLE || code == deviceops.ETIMEOUT {
			return told, err
		}
		if _, err := s.config.Store.FreeRolloutClaims(ctx, pause.Rollout); err != nil {
			return told, err
		}
	}
	return len(pauses), nil
}

func (s *Sweeper) nudge(ctx context.Context, rollouts []string) error {
	var errs []error
	for _, id := range rollouts {
		errs = append(errs, nudge(ctx, s.config.Orchestrator, id))
	}
	return errors.Join(errs...)
}

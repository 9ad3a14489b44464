package api

import (
	"context"
	"fmt"
	"math"
	"slices"

	"github.com/deviceops/deviceops"
)

// report gathers what there is to see of a rollout.
func (r rolloutService) report(ctx context.Context, found deviceops.Rollout) (deviceops.RolloutReport, error) {
	report := deviceops.RolloutReport{Rollout: found, Next: nextOf(found)}
	spec, err := r.Catalog.Rollout(ctx, found)
	if err != nil {
		return report, err
	}
	report.Change, report.Gates = spec.Change.String(), gatesOf(spec, found)
	if rate := found.Limits.Rate.PerMinute(found.PacedSince(), r.Now()); !math.IsInf(rate, 1) {
		report.PerMinute = rate
	}
	if report.Errors, err = r.Store.RolloutErrors(ctx, found.ID); err != nil {
		return report, err
	}
	if found.Status.Ended() {
		return report, nil
	}
	if report.Waits, err = r.Store.RolloutWaits(ctx, found.ID); err != nil {
		return report, err
	}
	frozen, err := r.Store.Freezes(ctx, found.Account)
	if err != nil {
		return report, err
	}
	if len(frozen) > 0 {
		report.Next = frozen[0].Text()
	}
	report.Approvals, err = r.asked(ctx, found)
	return report, err
}

// gatesOf gives the gates of the rings that were opened, with their values now.
func gatesOf(spec *deviceops.RolloutSpec, r deviceops.Rollout) []deviceops.RingGate {
	var gates []deviceops.RingGate
	for i, ring := range r.Rings {
		if ring.OpenedAt.IsZero() {
			continue
		}
		facts := deviceops.GateFacts{Ring: ring.Counts, Rollout: r.Total()}
		soaked := ring.Status == deviceops.RingPassed
		gates = append(gates, deviceops.RingGate{Ring: i, GateVerdict: spec.GateOf(i).Judge(facts, soaked)})
	}
	return gates
}

// nextOf says what the rollout is at, in the words of the engine when it decided
// that.
func nextOf(r deviceops.Rollout) string {
	i := r.Present()
	switch {
	case r.Status.Ended() || r.Status == deviceops.RolloutPaused:
		return ""
	case i >= 0 && r.Rings[i].Status == deviceops.RingRunning && r.Rings[i].Counts.Open() > 0:
		return fmt.Sprintf("ring %s waits for %d of its %d devices", r.Rings[i].Name, r.Rings[i].Counts.Open(), r.Rings[i].Counts.Targeted)
	case i >= 0 && r.Rings[i].Reason != "":
		return "ring " + r.Rings[i].Name + ": " + r.Rings[i].Reason
	default:
		return r.StatusReason
	}
}

// asked gives the open approvals of a rollout.
func (r rolloutService) asked(ctx context.Context, found deviceops.Rollout) ([]deviceops.Approval, error) {
	asked, err := r.Store.WorkflowApprovals(ctx, deviceops.RolloutWorkflowID(found.ID))
	return slices.DeleteFunc(asked, func(a deviceops.Approval) bool { return a.Status != deviceops.ApprovalOpen }), err
}

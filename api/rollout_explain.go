package api

import (
	"context"

	"github.com/deviceops/deviceops"
)

type rolloutDevicePath struct {
	RolloutPath
	Device string `path:"device" maxLength:"128"`
}

func (r rolloutService) explain(ctx context.Context, p deviceops.Principal, in *rolloutDevicePath) (deviceops.Explanation, error) {
	rollout, err := r.find(ctx, p, in.Name)
	if err != nil {
		return deviceops.Explanation{}, err
	}
	device, err := r.device(ctx, p, in.Device)
	if err != nil {
		return deviceops.Explanation{}, err
	}
	facts, err := r.explainFacts(ctx, rollout, device)
	return deviceops.ExplainRollout(facts, r.Now()), err
}

func (r rolloutService) explainFacts(ctx context.Context, rollout deviceops.Rollout, device deviceops.Device) (deviceops.ExplainRolloutFacts, error) {
	f := deviceops.ExplainRolloutFacts{Rollout: rollout, Device: device}
	spec, err := r.Catalog.Rollout(ctx, rollout)
	switch deviceops.ErrorCode(err) {
	case "":
		f.Spec = spec.Of(&rollout)
	case deviceops.EINVALID:
	default:
		return f, err
	}
	row, err := r.Store.FindRolloutDevice(ctx, rollout.ID, device.ID)
	switch deviceops.ErrorCode(err) {
	case "":
		f.Row = &row
	case deviceops.ENOTFOUND:
	default:
		return f, err
	}
	if f.Approvals, err = r.asked(ctx, rollout); err != nil {
		return f, err
	}
	frozen, err := r.Store.Freezes(ctx, device.Account)
	if len(frozen) > 0 {
		f.Freeze = &frozen[0]
	}
	return f, err
}

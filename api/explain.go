package api

import (
	"context"
	"time"

	"github.com/deviceops/deviceops"
	"github.com/deviceops/deviceops/workflows"
)

// queryTimeout bounds a question to a workflow; without an answer the store's
// view is shown.
const queryTimeout = 2 * time.Second

// explainApprovals is how many open approvals of a device are shown.
const explainApprovals = 20

func (d deviceService) explain(ctx context.Context, p deviceops.Principal, in *DevicePath) (deviceops.Explanation, error) {
	device, err := d.device(ctx, p, in.ID)
	if err != nil {
		return deviceops.Explanation{}, err
	}
	facts, err := d.facts(ctx, device)
	return deviceops.ExplainDevice(facts, d.Now()), err
}

func (d deviceService) facts(ctx context.Context, device deviceops.Device) (deviceops.ExplainFacts, error) {
	f := deviceops.ExplainFacts{Device: device}
	_, err := d.Catalog.Profile(ctx, device.Account, device.Profile)
	switch deviceops.ErrorCode(err) {
	case "":
		f.HasProfile = true
	case deviceops.ENOTFOUND:
	case deviceops.EINVALID:
		f.ProfileFault = deviceops.ErrorMessage(err)
	default:
		return f, err
	}
	if f.Approvals, err = d.Store.ListApprovals(ctx, device.Account, deviceops.ApprovalOpen, device.ID, explainApprovals); err != nil {
		return f, err
	}
	open, err := d.Store.OpenCommands(ctx, []string{device.ID})
	if err != nil {
		return f, err
	}
	f.Commands = open[device.ID]
	if f.FamilyBy, err = d.Store.FamilyBy(ctx, device.ID, d.Now()); err != nil {
		return f, err
	}
	f.Rollouts, err = d.rollouts(ctx, device)
	f.Provision = d.phase(ctx, device)
	return f, err
}

// rollouts gives the open rollouts in which something more happens to a device.
func (d deviceService) rollouts(ctx context.Context, device deviceops.Device) (facts []deviceops.ExplainRolloutFacts, err error) {
	rows, err := d.Store.DeviceRollouts(ctx, device.ID)
	if err != nil {
		return nil, err
	}
	for _, row := range rows {
		if !row.Status.Open() {
			continue
		}
		rollout, err := d.Store.FindRollout(ctx, row.Rollout)
		if err != nil {
			return nil, err
		}
		f, err := rolloutService(d).explainFacts(ctx, rollout, device)
		if err != nil {
			return nil, err
		}
		facts = append(facts, f)
	}
	return facts, nil
}

// phase asks the workflow that provisions the device; nil if none answers.
func (d deviceService) phase(ctx context.Context, device deviceops.Device) *deviceops.ProvisionPhase {
	if device.State != deviceops.Provisioning {
		return nil
	}
	ctx, cancel := context.WithTimeout(ctx, queryTimeout)
	defer cancel()
	var progress workflows.ProvisionProgress
	if err := d.Orchestrator.Query(ctx, workflows.ProvisionID(device.ID), workflows.QueryProvision, &progress); err != nil {
		return nil
	}
	return &deviceops.ProvisionPhase{Phase: progress.Phase, WaitsFor: progress.WaitsFor}
}

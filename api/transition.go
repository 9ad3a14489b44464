package api

import (
	"context"

	"github.com/deviceops/deviceops"
	"github.com/deviceops/deviceops/workflows"
)

type transitionInput struct {
	Reasoned
	DevicePath
	Body deviceops.TransitionRequest
}

func (d deviceService) transition(ctx context.Context, p deviceops.Principal, in *transitionInput) (deviceops.Device, error) {
	device, err := d.device(ctx, p, in.ID)
	if err != nil {
		return deviceops.Device{}, err
	}
	profile, err := deviceops.ProfileOf(ctx, d.Catalog, &device)
	if err != nil {
		return deviceops.Device{}, err
	}
	m := move{
		core: d.core, principal: p, profile: profile,
		ask: deviceops.Transition{Device: in.ID, To: in.Body.To, By: p.Name, Reason: in.because(in.Body.Reason)},
	}
	if err := d.Store.InTx(ctx, m.inTx); err != nil {
		return deviceops.Device{}, err
	}
	m.afterCommit(ctx)
	return m.device, nil
}

// move takes one device to another state, with what must be in the same
// transaction and what follows its commit.
type move struct {
	*core
	principal deviceops.Principal
	profile   *deviceops.Profile
	ask       deviceops.Transition

	device   deviceops.Device
	admitted *deviceops.Start
	withdraw []deviceops.Command // that the device may be executing
}

func (m *move) inTx(ctx context.Context, tx deviceops.Tx) error {
	m.admitted, m.withdraw = nil, nil // the transaction may be tried again
	if _, err := lockDevice(ctx, tx, m.principal, m.ask.Device); err != nil {
		return err
	}
	if m.ask.To == deviceops.Quarantined || m.ask.To == deviceops.Retired {
		if err := m.noteInFlight(ctx, tx); err != nil {
			return err
		}
	}
	var err error
	m.device, _, err = m.ask.Apply(ctx, tx, m.profile, m.Now())
	if err != nil || m.ask.To != deviceops.Provisioning {
		return err
	}
	start := workflows.ProvisionStart(workflows.ProvisionInput{Device: m.ask.Device, AdmittedBy: m.principal.Name})
	m.admitted = &start
	return tx.RequestStarts(ctx, []deviceops.Start{start}, m.Now())
}

func (m *move) noteInFlight(ctx context.Context, tx deviceops.Tx) error {
	open, err := tx.OpenCommands(ctx, []string{m.ask.Device})
	for _, c := range open[m.ask.Device] {
		if c.Status.InFlight() {
			m.withdraw = append(m.withdraw, c)
		}
	}
	return err
}

// afterCommit starts what was requested and asks the device to give up what it
// may be doing. Both are best effort: the sweeper starts what is left, and a
// withdrawn command has ended for the engine whatever the device does.
func (m *move) afterCommit(ctx context.Context) {
	if m.admitted != nil {
		m.startNow(ctx, *m.admitted)
	}
	for _, c := range m.withdraw {
		if err := m.Gateway.PublishCancel(ctx, c.Device, c.ID); err != nil {
			m.Log.WarnContext(ctx, "a withdrawn command could not be canceled on its device", "device", c.Device, "command", c.ID, "error", err)
		}
	}
}

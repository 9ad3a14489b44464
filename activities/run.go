package activities

import (
	"context"

	"github.com/deviceops/deviceops"
	"github.com/deviceops/deviceops/outbound"
)

// Runs keeps the rows of runs and performs their actions.
type Runs struct {
	deps    Deps
	actions actionTable
	client  *outbound.Guard
}

func newRuns(d Deps) *Runs {
	return &Runs{deps: d, actions: core.with(d.Actions), client: outbound.NewGuard(d.Networks)}
}

// PinInput names the definition that a run executes.
type PinInput struct {
	Run    deviceops.Run `json:"run"`
	Engine int           `json:"engine,omitempty"` // version of the engine that begins the run
}

// PinOutput is the definition, as it goes into the run's history.
type PinOutput struct {
	Version int    `json:"version"`
	Hash    string `json:"hash"`
	Source  string `json:"source"`
	// Engine is the version of the engine with which the run goes on: the one that
	// began it. 0: it began before that was written down.
	Engine int `json:"engine,omitempty"`
	// Behind are those behind the run besides its starter: who started the run
	// that started it, who published the automation that did.
	Behind []string `json:"behind,omitempty"`
}

// Pin reads the definition of a run and makes sure that the run has its row,
// which a child run has not: nobody asked the API for it. ENOTFOUND when the
// workflow is not published; ECONFLICT when it is not what was asked for.
func (a *Runs) Pin(ctx context.Context, in PinInput) (PinOutput, error) {
	out, err := a.pin(ctx, in.Run)
	out.Engine = in.Engine
	return out, Failure(err)
}

func (a *Runs) pin(ctx context.Context, r deviceops.Run) (PinOutput, error) {
	doc, err := a.deps.Store.FindDocument(ctx, r.Account, deviceops.KindWorkflow, r.Workflow, r.Version)
	if err == nil && r.Hash != "" && r.Hash != doc.Hash {
		err = deviceops.Errorf(deviceops.ECONFLICT, "%s@%d is no longer the definition that the run was started with", r.Workflow, r.Version)
	}
	r.Version, r.Hash, r.Status = max(r.Version, doc.Version), doc.Hash, deviceops.RunRunning
	if r.StartedAt.IsZero() {
		r.StartedAt = a.deps.now()
	}
	if _, createErr := a.deps.Store.CreateRun(ctx, r); createErr != nil {
		return PinOutput{}, createErr
	}
	if err != nil {
		return PinOutput{}, err
	}
	behind, err := a.behind(ctx, r)
	return PinOutput{Version: doc.Version, Hash: doc.Hash, Source: doc.Source, Behind: behind}, err
}

// Save writes the state of a run and the given rows of its timeline.
func (a *Runs) Save(ctx context.Context, r deviceops.Run) error {
	return Failure(a.saveRun(ctx, r))
}

// FactsInput names a device that expressions read.
type FactsInput struct {
	Account string `json:"account"`
	Device  string `json:"device"`
}

// Facts gives a device as it is now. ENOTFOUND.
func (a *Runs) Facts(ctx context.Context, in FactsInput) (deviceops.Device, error) {
	d, err := a.deps.device(ctx, in.Account, in.Device)
	return d, Failure(err)
}

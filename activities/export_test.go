package activities

import "context"

// PumpFor runs a pump outside of Temporal.
func PumpFor(ctx context.Context, d Deps, rollout string) (PumpOutput, error) {
	reason, err := newPump(d, rollout).run(ctx)
	return PumpOutput{Reason: reason}, err
}

// Pump is a pump that a test drives by single ticks.
type Pump struct{ *pump }

func NewPump(d Deps, rollout string) Pump {
	return Pump{newPump(d, rollout)}
}

func (p Pump) Tick(ctx context.Context) (string, error) {
	reason, _, err := p.tick(ctx)
	return reason, err
}

func (p Pump) Finish(ctx context.Context) error { return p.finish(ctx) }

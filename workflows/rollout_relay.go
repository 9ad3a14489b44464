package workflows

import (
	"go.temporal.io/sdk/workflow"
)

// stops reports whether the rollout has to go on in a new execution. One that
// was called off ends in this one.
func (p *rollout) stops() bool {
	if p.root.Err() != nil {
		return false
	}
	return p.in.Every > 0 && p.looks >= p.in.Every || workflow.GetInfo(p.root).GetContinueAsNewSuggested()
}

// handOver gives the error that makes Temporal go on in a new execution: with
// everything that this one knows, once its pump has ended and its handlers have
// answered.
func (p *rollout) handOver(ctx workflow.Context) error {
	p.stopPump(ctx)
	err := workflow.Await(ctx, func() bool { return !p.planning && len(p.questions) == 0 && workflow.AllHandlersFinished(ctx) })
	if err != nil {
		return err
	}
	if p.root.Err() != nil { // a new execution would know nothing of that
		return p.run(ctx)
	}
	next := p.in
	state := p.state
	state.Desk = p.desk.carry()
	next.Carried = &state
	return workflow.NewContinueAsNewError(ctx, TypeRollout, next)
}

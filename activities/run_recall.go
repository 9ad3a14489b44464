package activities

import (
	"context"

	"github.com/deviceops/deviceops"
)

// RecallInput names a run that goes on with another one.
type RecallInput struct {
	Run string `json:"run"`
}

// RecallOutput is what such a run does not execute again.
type RecallOutput struct {
	Steps []deviceops.RunStep `json:"steps,omitempty"` // rows of its own timeline that were copied, without inputs
}

// Recall gives the rows that a run copied from the one that it goes on with.
// ENOTFOUND.
func (a *Runs) Recall(ctx context.Context, in RecallInput) (RecallOutput, error) {
	r, err := a.deps.Store.FindRun(ctx, in.Run)
	var out RecallOutput
	for _, row := range r.Steps {
		if row.Copied {
			row.Input = nil
			out.Steps = append(out.Steps, row)
		}
	}
	return out, Failure(err)
}

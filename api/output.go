package api

import (
	"context"

	"github.com/deviceops/deviceops"
)

// maxShown is how much of stored outputs one answer shows, in bytes.
const maxShown = 4 * deviceops.MaxOutput

// showing puts stored outputs in the place of the references to them, as long as
// there is room in the answer. What is too large, or is kept no more, stays a
// reference.
type showing struct {
	from    deviceops.OutputSource
	account string
	left    int
}

func (s *showing) whole(ctx context.Context, v any) any {
	size := deviceops.StoredSize(v)
	if size == 0 || size > s.left {
		return v
	}
	whole, err := deviceops.Whole(ctx, s.from, s.account, v, s.left)
	if err != nil {
		return v
	}
	s.left -= size
	return whole
}

func (s *showing) wholeMap(ctx context.Context, m map[string]any) map[string]any {
	if whole, ok := s.whole(ctx, m).(map[string]any); ok {
		return whole
	}
	return m
}

// complete shows the outputs of a run and its steps whole.
func (c *core) complete(ctx context.Context, run *deviceops.Run) {
	s := showing{from: c.Store, account: run.Account, left: maxShown}
	run.Inputs, run.Outputs = s.wholeMap(ctx, run.Inputs), s.wholeMap(ctx, run.Outputs)
	for i := range run.Steps {
		step := &run.Steps[i]
		step.Output = s.whole(ctx, step.Output)
	}
	for i := range run.Steps {
		step := &run.Steps[i]
		step.Input = s.whole(ctx, step.Input)
	}
}

package postgres

import (
	"context"

	"github.com/jackc/pgx/v5"

	"github.com/deviceops/deviceops"
)

// HoldRolloutClaims implements deviceops.Rollouts. It changes the row that claims
// change, too: one that is under way ends first, and one that waited for this
// looks again.
func (t tx) HoldRolloutClaims(ctx context.Context, c deviceops.RolloutControl) error {
	touched, err := t.exec(ctx, "hold claims of rollout", `
		update rollouts o set held = $2 where o.id = $1 and not (`+rolloutEnded+`)`, c.Rollout, c)
	if touched == 0 {
		return missing(err, "no rollout %s goes on", c.Rollout)
	}
	return nil
}

// FreeRolloutClaims implements deviceops.Rollouts.
func (t tx) FreeRolloutClaims(ctx context.Context, rollout string) (freed bool, err error) {
	touched, err := t.exec(ctx, "free claims of rollout", `update rollouts set held = null where id = $1 and held is not null`, rollout)
	return touched > 0, err
}

// HeldRollouts implements deviceops.Rollouts.
func (t tx) HeldRollouts(ctx context.Context, limit int) ([]deviceops.RolloutControl, error) {
	return list(ctx, t, "find held rollouts", pgx.RowTo[deviceops.RolloutControl], `
		select held from rollouts where held is not null order by id limit $1`, limitOf(limit))
}

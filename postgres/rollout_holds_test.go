package postgres_test

import (
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/deviceops/deviceops"
	"github.com/deviceops/deviceops/postgres/postgrestest"
)

func TestNothingIsClaimedOfAHeldRollout(t *testing.T) {
	t.Parallel()
	s := postgrestest.New(t)
	online(t, s, "k1")
	r := running(t, s, rollout("r1", "all"))
	assigned(t, s, r, 0, "k1")
	pause := deviceops.RolloutControl{
		Rollout: r.ID, Action: deviceops.RolloutPause, By: deviceops.Principal{Name: "user:maria", Account: "acme"}, Request: "1", Signature: "s",
	}
	require.NoError(t, s.HoldRolloutClaims(t.Context(), pause))
	claimed, err := s.ClaimRollout(t.Context(), claimOf(r, 0))
	require.NoError(t, err)
	require.Empty(t, claimed)
	held, err := s.HeldRollouts(t.Context(), 0)
	require.NoError(t, err)
	require.Equal(t, []deviceops.RolloutControl{pause}, held)

	freed, err := s.FreeRolloutClaims(t.Context(), r.ID)
	require.NoError(t, err)
	require.True(t, freed)
	claimed, err = s.ClaimRollout(t.Context(), claimOf(r, 0))
	require.NoError(t, err)
	require.Len(t, claimed, 1)
	freed, err = s.FreeRolloutClaims(t.Context(), r.ID)
	require.NoError(t, err)
	require.False(t, freed)

	r.Status, r.FinishedAt = deviceops.RolloutCanceled, noon
	require.NoError(t, s.SaveRollout(t.Context(), r))
	require.Equal(t, deviceops.ENOTFOUND, deviceops.ErrorCode(s.HoldRolloutClaims(t.Context(), pause)))
}

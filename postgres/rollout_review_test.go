package postgres_test

import (
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/deviceops/deviceops"
)

func TestReviewRollout(t *testing.T) {
	both(t, func(t *testing.T, s deviceops.Tx) {
		online(t, s, "k1", "k2", "k3", "k4")
		r := running(t, s, rollout("r", "canary", "rest"))
		assigned(t, s, r, 0, "k1", "k2", "k3")
		assigned(t, s, r, 1, "k4")
		advanced(t, s, r, deviceops.DeviceSucceeded, "k1", "k2", "k4")
		ended := row(t, s, r, "k1").EndedAt
		require.NoError(t, s.SaveMetrics(t.Context(), []deviceops.MetricValue{
			{Device: "k1", Name: "before", Value: int64(1), At: ended}, {Device: "k1", Name: "after", Value: int64(2), At: ended.Add(time.Second)},
		}))
		found, err := s.ReviewRollout(t.Context(), deviceops.RolloutReview{Rollout: r.ID, Facts: true})
		require.NoError(t, err)
		require.Len(t, found, 2, "of the ring, and succeeded")
		require.Equal(t, "k1", found[0].Device.ID)
		require.Equal(t, map[string]any{"after": int64(2)}, found[0].Device.Metrics, "what was measured before says nothing")
		require.Equal(t, row(t, s, r, "k2"), found[1].Row)

		judged := row(t, s, r, "k1")
		judged.Health = deviceops.Yes
		require.NoError(t, s.JudgeRollout(t.Context(), []deviceops.RolloutDevice{judged}))
		found, err = s.ReviewRollout(t.Context(), deviceops.RolloutReview{Rollout: r.ID, Unjudged: true})
		require.NoError(t, err)
		require.Len(t, found, 1)
		require.Equal(t, "k2", found[0].Row.Device)
		require.Empty(t, found[0].Device.ID, "nobody asked for facts")
		found, err = s.ReviewRollout(t.Context(), deviceops.RolloutReview{Rollout: r.ID, After: "k1", Limit: 1})
		require.NoError(t, err)
		require.Equal(t, "k2", found[0].Row.Device)
	})
}

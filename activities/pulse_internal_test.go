package activities

import (
	"context"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"
)

// An activity that goes on is alive, and one that stands still is given up: whoever
// takes its place learns what it said last.
func TestPulse(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		p := &pulse{felt: time.Now()}
		ctx := context.WithValue(t.Context(), pulseKey{}, p)
		_, alive := p.feel(time.Minute)
		require.True(t, alive, "it has just begun")
		time.Sleep(40 * time.Second)
		beat(ctx, 7)
		time.Sleep(40 * time.Second)
		details, alive := p.feel(time.Minute)
		require.Equal(t, []any{7}, details)
		require.True(t, alive)
		time.Sleep(20 * time.Second)
		_, alive = p.feel(time.Minute)
		require.False(t, alive)
		beat(ctx, 8)
		_, alive = p.feel(time.Minute)
		require.True(t, alive, "it was slow, and goes on")
		beat(t.Context(), 9) // nobody listens
	})
}

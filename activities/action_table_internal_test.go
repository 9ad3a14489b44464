package activities

import (
	"testing"

	"github.com/stretchr/testify/require"
)

// What is performed again whenever a worker dies must not do anything twice.
func TestQuickActionsMayBePerformedAgain(t *testing.T) {
	t.Parallel()
	quick := 0
	for name, a := range core {
		if Quick(name) {
			quick++
			require.True(t, a.spec.Idempotent, name)
			require.False(t, a.waits, name)
			require.Empty(t, a.spec.Secrets, name)
		}
	}
	require.Equal(t, 9, quick, "an action that stops to be quick, or begins to, is another version of the engine")
}

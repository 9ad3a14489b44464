package deviceops_test

import (
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/deviceops/deviceops"
)

func TestDecidedBy(t *testing.T) {
	t.Parallel()
	for want, s := range map[string]deviceops.RunStep{
		"user:maria":            {Verb: "approve", Output: map[string]any{"by": "user:maria"}},
		"user:olga":             {Verb: "approve", Error: &deviceops.RunError{Data: map[string]any{"by": "user:olga"}}},
		"user:maria, user:olga": {Verb: "approve", Output: map[string]any{"by": "user:olga", "votes": []any{map[string]any{"by": "user:maria"}, map[string]any{"by": "user:olga"}}}},
		"":                      {Verb: "action", Output: map[string]any{"by": "user:maria"}},
	} {
		require.Equal(t, want, s.DecidedBy())
	}
	require.Empty(t, deviceops.RunStep{Verb: "approve"}.DecidedBy())
}

package deviceops_test

import (
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/deviceops/deviceops"
)

func TestStepID(t *testing.T) {
	t.Parallel()
	for row, want := range map[string]string{"ask": "ask", "ask[3]": "ask", "steps.2.foreach.0[1][12]": "steps.2.foreach.0"} {
		require.Equal(t, want, deviceops.RunStep{Step: row}.StepID(), row)
	}
}

package bench

import (
	"io"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/deviceops/deviceops"
	"github.com/deviceops/deviceops/activities"
	"github.com/deviceops/deviceops/dsl"
)

func TestBenchWorkflowIsSound(t *testing.T) {
	t.Parallel()
	docs, found := dsl.CheckFile("bench.yaml", benchWorkflow(leastActions), dsl.Options{Actions: activities.Actions()})
	require.Empty(t, found)
	require.Equal(t, stepsPerAction*leastActions, docs[0].Program.Limits.Steps)

	docs, found = dsl.CheckFile("bench.yaml", benchWorkflow(checkedSteps/stepsPerAction), dsl.Options{Actions: activities.Actions()})
	require.Empty(t, found)
	require.Equal(t, checkedSteps, docs[0].Program.Limits.Steps)
}

func TestInterpreterWantsEnoughActions(t *testing.T) {
	t.Parallel()
	_, err := Interpreter(t.Context(), InterpreterOptions{Actions: leastActions - 1, Progress: io.Discard})
	require.Equal(t, deviceops.EINVALID, deviceops.ErrorCode(err))
}

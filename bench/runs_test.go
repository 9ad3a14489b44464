package bench

import (
	"io"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/deviceops/deviceops"
	"github.com/deviceops/deviceops/activities"
	"github.com/deviceops/deviceops/dsl"
)

func TestShortWorkflowsAreSound(t *testing.T) {
	t.Parallel()
	docs, found := dsl.CheckFile("bench.yaml", shortWorkflows, dsl.Options{Actions: activities.Actions()})
	require.Empty(t, found)
	require.Equal(t, []string{setterName, loggerName}, []string{docs[0].Program.Name, docs[1].Program.Name})
}

func TestRunsWantsRuns(t *testing.T) {
	t.Parallel()
	_, err := Runs(t.Context(), RunsOptions{Parallel: 1, Progress: io.Discard})
	require.Equal(t, deviceops.EINVALID, deviceops.ErrorCode(err))
}

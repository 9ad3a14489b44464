package worker

import (
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/deviceops/deviceops/workflows"
)

func TestOptions(t *testing.T) {
	t.Parallel()
	require.Equal(t, Options{
		TaskQueue: workflows.TaskQueue, Activities: 64, LocalActivities: 12, WorkflowTasks: 64, Pollers: 16,
		CachedWorkflows: 4096, StopTimeout: 8 * time.Second,
	}, Options{}.withDefaults())
	own := Options{TaskQueue: "q", Activities: 1, LocalActivities: 2, WorkflowTasks: 3, Pollers: 4, CachedWorkflows: 5, StopTimeout: time.Second}
	require.Equal(t, own, own.withDefaults())
	require.Equal(t, 2, Options{WorkflowTasks: 1}.withDefaults().WorkflowTasks)
}

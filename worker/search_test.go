package worker_test

import (
	"fmt"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"go.temporal.io/api/workflowservice/v1"

	"github.com/deviceops/deviceops"
	"github.com/deviceops/deviceops/dev"
	"github.com/deviceops/deviceops/starter"
	"github.com/deviceops/deviceops/workflows"
)

// Whoever runs Temporal finds the runs of an account that wait for people.
func TestRunsAreFoundInTemporal(t *testing.T) {
	s := newStack(t)
	for range 2 { // what is registered stays
		require.NoError(t, starter.RegisterAttributes(t.Context(), s.client, dev.Namespace))
	}
	s.starter.Searchable()
	s.publish(t, "ask", "workflow: ask\nsteps:\n  - { id: decision, approve: Go on?, by: [role:operator] }\n")
	started := 0
	find := func(query string) (ids []string) {
		found, err := s.client.ListWorkflow(t.Context(), &workflowservice.ListWorkflowExecutionsRequest{Query: query})
		if err != nil {
			return nil // the server does not know them yet
		}
		for _, e := range found.GetExecutions() {
			ids = append(ids, e.GetExecution().GetWorkflowId())
		}
		return ids
	}
	require.Eventually(t, func() bool { // a server learns of them within seconds; until then runs start without
		started++
		s.start(t, workflows.RunStart(deviceops.Run{
			ID: fmt.Sprintf("r%d", started), Account: "acme", Workflow: "ask", Version: 1, Device: "k1", StartedBy: "user:maria", StartedAt: time.Now(),
		}))
		return len(find("DeviceOpsAccount = 'acme' and DeviceOpsDevice = 'k1' and WorkflowType = 'ask'")) > 0
	}, patience, time.Second)
	waiting := fmt.Sprintf("DeviceOpsStartedBy = '%s' and DeviceOpsWaitingFor = 'approval'", workflows.StarterHash("user:maria"))
	require.Eventually(t, func() bool { return len(find(waiting)) > 0 }, patience, 200*time.Millisecond)
	id := find(waiting)[0]
	decision := deviceops.Decision{Approval: id + "/decision", Approve: true, By: deviceops.Principal{
		Name: "user:olga", Account: "acme", Roles: []string{deviceops.RoleOperator},
	}}
	require.NoError(t, s.starter.Update(t.Context(), id, "yes", workflows.UpdateDecide, decision, nil))
	require.NoError(t, s.wait(t, id, nil))
	t.Logf("%d runs until the server knew; %d events of the found one", started, len(s.history(t, id, "search")))
}

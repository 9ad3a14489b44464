package worker_test

import (
	"context"
	"fmt"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/deviceops/deviceops"
	"github.com/deviceops/deviceops/activities"
	"github.com/deviceops/deviceops/dsl"
	"github.com/deviceops/deviceops/workflows"
)

// manifests is a catalog that reads manifests.
type manifests struct {
	catalog
	known *dsl.Catalog
}

func (m manifests) Rollout(ctx context.Context, r deviceops.Rollout) (*deviceops.RolloutSpec, error) {
	return m.known.Rollout(ctx, r)
}

// rolling is a stack with so many active devices.
func rolling(t *testing.T, devices int) *stack {
	t.Helper()
	s := newStack(t, func(d *activities.Deps) { d.Catalog = manifests{known: &dsl.Catalog{Documents: d.Store}} })
	for i := range devices {
		id := fmt.Sprintf("k%02d", i)
		s.register(t, id)
		d, err := s.store.FindDevice(t.Context(), id)
		require.NoError(t, err)
		d.State = deviceops.Active
		require.NoError(t, s.store.SaveDevice(t.Context(), &d))
	}
	return s
}

// roll creates a rollout and starts its workflow.
func (s *stack) roll(t *testing.T, source string) deviceops.Rollout {
	t.Helper()
	spec, found := dsl.CompileRollout("test.yaml", source, dsl.Options{})
	require.NoError(t, found.Err())
	r, created, err := s.store.CreateRollout(t.Context(), spec.NewRollout("acme", source, "h-"+t.Name(), "user:carl", "it is dark", time.Now().UTC()))
	require.NoError(t, err)
	require.True(t, created)
	s.start(t, workflows.RolloutStart(workflows.RolloutInput{Rollout: r.ID}))
	return r
}

// rolled waits for the end of a rollout.
func (s *stack) rolled(t *testing.T, r deviceops.Rollout) (workflows.RolloutResult, deviceops.Rollout) {
	t.Helper()
	var result workflows.RolloutResult
	require.NoError(t, s.wait(t, deviceops.RolloutWorkflowID(r.ID), &result))
	stored, err := s.store.FindRollout(t.Context(), r.ID)
	require.NoError(t, err)
	require.Equal(t, stored.Status, result.Status)
	return result, stored
}

// steer has maria do something to a rollout.
func (s *stack) steer(t *testing.T, r deviceops.Rollout, action deviceops.RolloutAction) (said deviceops.RolloutControlled) {
	t.Helper()
	c := deviceops.RolloutControl{Rollout: r.ID, Action: action, By: deviceops.Principal{Name: "user:maria"}, Reason: "let me see", Request: string(action)}
	require.NoError(t, s.starter.Update(t.Context(), deviceops.RolloutWorkflowID(r.ID), c.ID(), workflows.UpdateControl, c, &said))
	return said
}

func (s *stack) effects() (total, most int) {
	s.fleet.mu.Lock()
	defer s.fleet.mu.Unlock()
	for _, n := range s.fleet.executed {
		total, most = total+n, max(most, n)
	}
	return total, most
}

const threeRings = `rollout: bright
change: { config: { brightness: 50 } }
targets: device.profile == "kiosk"
rings:
  - { name: canary, take: 5, soak: 1s }
  - { name: early, take: 20, approve: { by: [role:operator] } }
  - name: everyone
in_flight: 10
`

func TestRolloutOnARealServer(t *testing.T) {
	s := rolling(t, 60)
	r := s.roll(t, threeRings)
	question := deviceops.RolloutWorkflowID(r.ID) + "/ring-1/1"
	require.Eventually(t, func() bool {
		a, err := s.store.FindApproval(t.Context(), question)
		return err == nil && a.Status == deviceops.ApprovalOpen
	}, patience, 20*time.Millisecond)
	a, err := s.store.FindApproval(t.Context(), question)
	require.NoError(t, err)
	require.Equal(t, a.ShowHash, deviceops.EvidenceHash(a.Show), "what is stored is what was shown")
	decision := deviceops.Decision{Approval: question, Approve: true, By: deviceops.Principal{Name: "user:maria", Account: "acme", Roles: []string{deviceops.RoleOperator}}}
	require.NoError(t, s.starter.Update(t.Context(), a.Workflow, "yes", workflows.UpdateDecide, decision, nil))

	result, stored := s.rolled(t, r)
	require.Equal(t, deviceops.RolloutSucceeded, result.Status, result.Reason)
	require.Equal(t, 60, stored.Total().Succeeded)
	require.Equal(t, 60, stored.Total().Healthy)
	total, most := s.effects()
	require.Equal(t, []int{60, 1}, []int{total, most}, "every device did it once")
	events := s.history(t, deviceops.RolloutWorkflowID(r.ID), "rollout")
	t.Logf("%d events: %s", len(events), kinds(events))
	require.Less(t, len(events), 120)
}

func TestABadRolloutIsTakenBackOnARealServer(t *testing.T) {
	s := rolling(t, 60)
	s.fleet.fails = func(c deviceops.Command) bool {
		configuration, _ := c.Args["configuration"].(map[string]any)
		return fmt.Sprint(configuration["brightness"]) == "50" && c.Device[2]%2 == 0
	}
	r := s.roll(t, "rollout: bright\nchange: { config: { brightness: 50 } }\ntargets: device.profile == \"kiosk\"\nrings:\n"+
		"  - { name: canary, take: 20 }\n  - name: everyone\ngate: { fail: ring.failed >= 2 }\non_fail: rollback\nin_flight: 4\n")
	result, stored := s.rolled(t, r)
	require.Equal(t, deviceops.RolloutReverted, result.Status, result.Reason)
	require.Equal(t, deviceops.RingFailed, stored.Rings[0].Status)
	require.Equal(t, 40, stored.Rings[1].Counts.Canceled, "it stopped at its ring")
	require.Positive(t, stored.Rings[0].Counts.Reverted)
	require.Less(t, stored.Rings[0].Counts.Reverted, 20, "most were never reached")
	back, err := s.store.FindRollout(t.Context(), stored.Rollback)
	require.NoError(t, err)
	require.Equal(t, deviceops.RolloutSucceeded, back.Status)
	reverted, err := s.store.ListRolloutDevices(t.Context(), deviceops.RolloutDeviceFilter{Rollout: r.ID, Status: deviceops.DeviceReverted})
	require.NoError(t, err)
	for _, row := range reverted {
		d, err := s.store.FindDevice(t.Context(), row.Device)
		require.NoError(t, err)
		require.NotEqual(t, "50", fmt.Sprint(d.Twin.Desired.Configuration["brightness"]), row.Device)
	}
	s.history(t, deviceops.RolloutWorkflowID(r.ID), "rollout-reverted")
	s.history(t, deviceops.RolloutWorkflowID(back.ID), "rollout-rollback")
}

func TestAPauseHoldsOnARealServer(t *testing.T) {
	s := rolling(t, 60)
	s.fleet.takes = 50 * time.Millisecond
	r := s.roll(t, "rollout: bright\nchange: { config: { brightness: 50 } }\ntargets: device.profile == \"kiosk\"\nin_flight: 3\n")
	require.Eventually(t, func() bool { total, _ := s.effects(); return total >= 10 }, patience, 10*time.Millisecond)
	said := s.steer(t, r, deviceops.RolloutPause)
	require.Equal(t, deviceops.RolloutPaused, said.Status)
	s.fleet.answers.Wait()
	before, _ := s.effects()
	require.Less(t, before, 60)
	require.Never(t, func() bool { total, _ := s.effects(); return total != before }, 3*time.Second, 100*time.Millisecond, "nothing leaves")

	s.steer(t, r, deviceops.RolloutResume)
	result, _ := s.rolled(t, r)
	require.Equal(t, deviceops.RolloutSucceeded, result.Status, result.Reason)
	total, most := s.effects()
	require.Equal(t, []int{60, 1}, []int{total, most}, "none was lost and none repeated")
	s.history(t, deviceops.RolloutWorkflowID(r.ID), "rollout-paused")
}

func TestARolloutOutlivesItsWorker(t *testing.T) {
	s := rolling(t, 60)
	s.fleet.takes = 500 * time.Millisecond
	r := s.roll(t, "rollout: bright\nchange: { config: { brightness: 50 } }\ntargets: device.profile == \"kiosk\"\nin_flight: 3\n")
	require.Eventually(t, func() bool { total, _ := s.effects(); return total >= 10 }, patience, 10*time.Millisecond)
	s.stop(t)
	before, _ := s.effects()
	require.Less(t, before, 60, "it stopped in mid-ring")
	s.work()
	result, stored := s.rolled(t, r)
	require.Equal(t, deviceops.RolloutSucceeded, result.Status, result.Reason)
	require.Equal(t, 60, stored.Total().Succeeded)
	total, most := s.effects()
	require.Equal(t, []int{60, 1}, []int{total, most}, "none was lost and none repeated")
}

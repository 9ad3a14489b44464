//go:build !lean

package main

import (
	"fmt"
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"go.temporal.io/sdk/client"

	"github.com/deviceops/deviceops"
	"github.com/deviceops/deviceops/dev"
)

// approve says yes to the one question about a rollout that is open, and gives its id.
func (h home) approve(rollout string) string {
	open := h.rollout(rollout).Approvals
	require.Len(h.t, open, 1)
	h.must("approvals", "approve", open[0].ID, "--comment", "go on", "--reason", "test")
	return open[0].ID
}

// takenUp waits until the audit log tells that the workflow of a rollout was lost and
// goes on in another one.
func (h home) takenUp(rollout string) {
	require.Eventually(h.t, func() bool {
		audit, err := h.client().ListAudit(h.t.Context(), deviceops.AuditFilter{Target: "rollout:" + rollout}, "")
		if err != nil {
			return false
		}
		for _, e := range audit.Items {
			if e.Action == "rollout.take_up" {
				return true
			}
		}
		return false
	}, 3*time.Minute, 200*time.Millisecond, "the workflow was to be started again")
}

// A rollout whose workflow is terminated in the middle of a ring goes on in another
// workflow: no device is asked twice, and neither is a person.
func TestARolloutWhoseWorkflowIsTerminatedGoesOn(t *testing.T) {
	t.Parallel()
	h := openShop(t)
	shop := h.squad("kiosk", 40)
	h.awaitOnline(40)
	h.rollOut(toRelease("os", "2.4.0", `rings: [ { name: first, take: 2 }, { name: rest, approve: { by: [role:operator] } } ]
rate: 60/m
`))
	h.awaitRollout("os", func(r deviceops.RolloutReport) bool {
		return r.Rollout.Rings[1].Status == deviceops.RingAsking && len(r.Approvals) == 1
	})
	h.approve("os")
	id := h.awaitRollout("os", func(r deviceops.RolloutReport) bool { return r.Rollout.Rings[1].Counts.Succeeded >= 3 }).Rollout.ID

	c, err := client.Dial(client.Options{HostPort: fmt.Sprintf("127.0.0.1:%d", h.port("temporal")), Namespace: dev.Namespace})
	require.NoError(t, err)
	defer c.Close()
	require.NoError(t, c.TerminateWorkflow(t.Context(), deviceops.RolloutWorkflowID(id), "", "somebody was too quick"))
	h.takenUp(id)

	report := h.awaitRollout("os", ended)
	require.Equal(t, deviceops.RolloutSucceeded, report.Rollout.Status, report.Rollout.StatusReason)
	require.Equal(t, 40, report.Rollout.Total().Succeeded)
	require.Len(t, shop.effects(id), 40)
	require.Contains(t, report.Rollout.Rings[1].Reason, "the gate passed")
	asked, err := h.client().ListApprovals(t.Context(), "", "", "", 100)
	require.NoError(t, err)
	require.Len(t, asked.Items, 1, "nobody was asked again")
}

// Temporal loses all that it had. A rollout that asked a person waits for the answer
// to the same question.
func TestARolloutGoesOnWhenTemporalHasLostEverything(t *testing.T) {
	t.Parallel()
	h := newHome(t)
	stack := h.startStack()
	h.must("apply", "-f", "../../examples/kiosk.yaml", "--reason", "test")
	h.release("2.3.0")
	h.release("2.4.0")
	shop := h.squad("kiosk", 8)
	h.awaitOnline(8)
	h.rollOut(toRelease("os", "2.4.0", "rings: [ { name: first, take: 3 }, { name: rest, approve: { by: [role:operator] } } ]\n"))
	r := h.awaitRollout("os", func(r deviceops.RolloutReport) bool { return len(r.Approvals) == 1 })
	id, question := r.Rollout.ID, r.Approvals[0].ID

	require.Zero(t, stack.interrupt(time.Minute))
	files, err := filepath.Glob(filepath.Join(h.data, "temporal.db*"))
	require.NoError(t, err)
	require.NotEmpty(t, files)
	for _, file := range files {
		require.NoError(t, os.Remove(file))
	}
	h.startStack()
	h.takenUp(id)
	h.awaitOnline(8)
	require.Equal(t, question, h.approve("os"), "it is the same question")
	report := h.awaitRollout("os", ended)
	require.Equal(t, deviceops.RolloutSucceeded, report.Rollout.Status, report.Rollout.StatusReason)
	require.Len(t, shop.effects(id), 8)
}

//go:build !lean

package main

import (
	"context"
	"os"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/deviceops/deviceops"
	"github.com/deviceops/deviceops/client"
	"github.com/deviceops/deviceops/dev"
	"github.com/deviceops/deviceops/postgres"
	"github.com/deviceops/deviceops/simulator"
	"github.com/deviceops/deviceops/starter"
	"github.com/deviceops/deviceops/workflows"
)

// office is a whole stack with simulated kiosks, and people with rights of their
// own.
type office struct {
	*testing.T
	stack *dev.Stack
	store *postgres.Store
}

func openOffice(t *testing.T, kiosks int) *office {
	h := newHome(t)
	stack, err := dev.Start(t.Context(), dev.Options{Data: h.data})
	require.NoError(t, err)
	t.Cleanup(func() { _ = stack.Close(context.WithoutCancel(t.Context())) })
	store, err := postgres.Open(t.Context(), postgres.Config{URL: stack.DatabaseURL()})
	require.NoError(t, err)
	t.Cleanup(store.Close)
	o := &office{T: t, stack: stack, store: store}
	o.publish("kiosk.yaml", func(text string) string { return text })
	o.publish("approval.yaml", func(text string) string { return text })
	o.publish("approval.yaml", func(text string) string { // the same, where time is short
		text = strings.Replace(text, "workflow: reboot-after-decision", "workflow: hasty-reboot", 1)
		text = strings.Replace(text, "after: 30m", "after: 1s", 1)
		return strings.Replace(text, "expires: 2h", "expires: 20s", 1)
	})
	o.publish("approval.yaml", func(text string) string {
		text = strings.Replace(text, "workflow: reboot-after-decision", "workflow: vain-reboot", 1)
		text = strings.Replace(text, "after: 30m", "after: 1s", 1)
		return strings.Replace(text, "expires: 2h", "expires: 3s", 1)
	})
	o.switchOn(kiosks)
	return o
}

func (o *office) publish(file string, change func(string) string) {
	text, err := os.ReadFile("../../examples/" + file)
	require.NoError(o, err)
	report, err := o.stack.Client().Apply(o.Context(), change(string(text)), client.ApplyOptions{Reason: "test"})
	require.NoError(o, err)
	require.False(o, report.Refused, "%+v", report)
}

// switchOn runs simulated kiosks until the end of the test, and waits until they
// are active.
func (o *office) switchOn(kiosks int) {
	fleet, err := dev.NewFleet(o.Context(), o.stack.Client(), simulator.Config{
		Broker: o.stack.BrokerURL(), Devices: kiosks, Prefix: "kiosk", Behavior: simulator.Behavior{Boot: 500 * time.Millisecond},
	})
	require.NoError(o, err)
	ctx, off := context.WithCancel(context.WithoutCancel(o.Context()))
	ended := make(chan error, 1)
	go func() { ended <- fleet.Simulator.Run(ctx) }()
	o.Cleanup(func() { off(); <-ended })
	require.Eventually(o, func() bool {
		stats, err := o.stack.Client().FleetStats(o.Context(), deviceops.DeviceFilter{Profile: "kiosk"})
		return err == nil && stats.ByState[deviceops.Active] == kiosks
	}, 2*time.Minute, 100*time.Millisecond, "the kiosks were to become active")
}

// as gives the client of a person with a role.
func (o *office) as(name, role string) *client.Client {
	token := "token of " + name
	require.NoError(o, o.store.SaveToken(o.Context(), deviceops.Token{
		Hash: deviceops.HashToken(token), CreatedAt: time.Now(),
		Principal: deviceops.Principal{Name: "user:" + name, Account: deviceops.RootAccount, Roles: []string{role}},
	}))
	return client.New(o.stack.APIURL(), token)
}

// ask starts a workflow for a kiosk and waits until it asks.
func (o *office) ask(c *client.Client, workflow, kiosk string) (deviceops.Run, deviceops.Approval) {
	run, err := c.StartRun(o.Context(), deviceops.RunRequest{Workflow: workflow, Device: kiosk, Inputs: map[string]any{"battery": 12}, Reason: "alarm"}, "")
	require.NoError(o, err)
	var asked deviceops.Approval
	require.Eventually(o, func() bool {
		asked, err = c.Approval(o.Context(), run.ID+"/decision")
		return err == nil
	}, 30*time.Second, 50*time.Millisecond, "the run was to ask")
	return run, asked
}

// end waits for the end of a run.
func (o *office) end(id string) (run deviceops.Run) {
	for r, err := range o.stack.Client().FollowRun(o.Context(), id) {
		require.NoError(o, err)
		run = r
	}
	require.True(o, run.Status.Ended(), "%+v", run)
	return run
}

// reboots gives the modes of the reboots that a kiosk was asked for.
func (o *office) reboots(kiosk string) (modes []any) {
	commands, err := o.stack.Client().ListCommands(o.Context(), kiosk, 100)
	require.NoError(o, err)
	for _, c := range commands.Items {
		if c.Name == deviceops.CommandReboot {
			modes = append(modes, c.Args["mode"])
		}
	}
	return modes
}

func (o *office) refused(err error, code, message string) {
	o.Helper()
	require.Equal(o, code, deviceops.ErrorCode(err), "%v", err)
	require.Contains(o, deviceops.ErrorMessage(err), message)
}

// TestApprovals runs the reboot that people decide on in each of its outcomes,
// on a whole stack.
func TestApprovals(t *testing.T) {
	t.Parallel()
	o := openOffice(t, 5)
	for name, outcome := range map[string]func(o *office){
		"approved": approvedReboot, "rejected": rejectedReboot, "expired": expiredReboot,
		"escalated": escalatedReboot, "broken glass": rebootBehindGlass,
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			outcome(&office{T: t, stack: o.stack, store: o.store})
		})
	}
}

func approvedReboot(o *office) {
	carl, maria, peter := o.as("carl", "operator"), o.as("maria", "operator"), o.as("peter", "viewer")
	run, asked := o.ask(carl, "reboot-after-decision", "kiosk-00001")
	require.Equal(o, deviceops.EvidenceHash(asked.Show), asked.ShowHash, "what is shown is what was asked about")
	require.NotEmpty(o, asked.ShowHash)
	yes := deviceops.DecideRequest{Approve: true, Comment: "seen on site", Form: map[string]any{"mode": "hard"}}
	_, err := carl.Decide(o.Context(), asked.ID, yes)
	o.refused(err, deviceops.EFORBIDDEN, "four eyes have to see it")
	_, err = peter.Decide(o.Context(), asked.ID, yes)
	o.refused(err, deviceops.EFORBIDDEN, "it asks [role:operator]")
	wrong := yes
	wrong.Form = map[string]any{"mode": "medium"}
	_, err = maria.Decide(o.Context(), asked.ID, wrong)
	o.refused(err, deviceops.EINVALID, `the form field "mode"`)
	_, err = maria.Delegate(o.Context(), asked.ID, deviceops.DelegateRequest{To: []string{"user:peter"}, Reason: "on leave"})
	require.NoError(o, err)
	for range 2 { // the second is a repeat
		decided, err := peter.Decide(o.Context(), asked.ID, yes)
		require.NoError(o, err)
		require.Equal(o, deviceops.ApprovalApproved, decided.Status)
	}
	_, err = maria.Decide(o.Context(), asked.ID, yes)
	o.refused(err, deviceops.ECONFLICT, "is approved already, by user:peter")

	run = o.end(run.ID)
	require.Equal(o, deviceops.RunSucceeded, run.Status, "%+v", run.Error)
	require.Equal(o, map[string]any{"mode": "hard", "decided_by": "user:peter"}, run.Outputs)
	require.Equal(o, []any{"hard"}, o.reboots("kiosk-00001"))
	audit, err := o.store.ListAudit(o.Context(), deviceops.AuditFilter{Target: "approval:" + asked.ID})
	require.NoError(o, err)
	require.Len(o, audit, 2)
	require.Equal(o, "approval.approved", audit[0].Action)
	require.Equal(o, asked.ShowHash, audit[0].Evidence["show_sha256"])
	require.Equal(o, "approval.delegated", audit[1].Action)
}

// forge decides as somebody who reaches Temporal and no server of ours.
func (o *office) forge(d deviceops.Decision) error {
	c, err := starter.Dial(o.Context(), starter.Config{Address: o.stack.TemporalAddress(), Namespace: dev.Namespace})
	require.NoError(o, err)
	defer c.Close()
	return starter.New(c, dev.Namespace).Update(o.Context(), strings.TrimSuffix(d.Approval, "/decision"), d.ID(), workflows.UpdateDecide, d, nil)
}

func rejectedReboot(o *office) {
	run, asked := o.ask(o.as("carl", "operator"), "reboot-after-decision", "kiosk-00002")
	o.refused(o.forge(deviceops.Decision{Approval: asked.ID, Approve: true, By: deviceops.Engine}), deviceops.EFORBIDDEN, "") // why is encrypted
	_, err := o.as("maria", "operator").Decide(o.Context(), asked.ID, deviceops.DecideRequest{Comment: "the shop is open"})
	require.NoError(o, err)
	run = o.end(run.ID)
	require.Equal(o, "approval.rejected", run.Error.Code)
	require.Equal(o, "user:maria rejected it: the shop is open", run.Error.Message)
	require.Empty(o, o.reboots("kiosk-00002"))
}

func expiredReboot(o *office) {
	run, asked := o.ask(o.as("carl", "operator"), "vain-reboot", "kiosk-00003")
	run = o.end(run.ID)
	require.Equal(o, "approval.expired", run.Error.Code)
	_, err := o.as("maria", "operator").Decide(o.Context(), asked.ID, deviceops.DecideRequest{Approve: true})
	o.refused(err, deviceops.ECONFLICT, "is expired already")
	require.Empty(o, o.reboots("kiosk-00003"), "time never approves")
}

func escalatedReboot(o *office) {
	dora := o.as("dora", "duty-manager")
	run, asked := o.ask(o.as("carl", "operator"), "hasty-reboot", "kiosk-00004")
	require.Eventually(o, func() bool {
		a, err := dora.Approval(o.Context(), asked.ID)
		return err == nil && len(a.By) == 2
	}, 15*time.Second, 50*time.Millisecond, "the duty manager was to be asked too")
	_, err := dora.Decide(o.Context(), asked.ID, deviceops.DecideRequest{Approve: true})
	require.NoError(o, err)
	run = o.end(run.ID)
	require.Equal(o, deviceops.RunSucceeded, run.Status, "%+v", run.Error)
	require.Equal(o, "user:dora", run.Outputs["decided_by"])
	require.Equal(o, []any{"soft"}, o.reboots("kiosk-00004"), "the form has a default")
	o.requireEvent(asked.ID, deviceops.EventApprovalEscalated, "warning")
}

func rebootBehindGlass(o *office) {
	run, asked := o.ask(o.as("carl", "operator"), "reboot-after-decision", "kiosk-00005")
	_, err := o.stack.Client().BreakGlass(o.Context(), asked.ID, deviceops.BreakGlassRequest{Reason: "fire"})
	o.refused(err, deviceops.EFORBIDDEN, "break-glass")
	bert := o.as("bert", deviceops.RoleBreakGlass)
	_, err = bert.BreakGlass(o.Context(), asked.ID, deviceops.BreakGlassRequest{})
	o.refused(err, deviceops.EINVALID, "needs a reason")
	_, err = bert.BreakGlass(o.Context(), asked.ID, deviceops.BreakGlassRequest{Reason: "fire", Form: map[string]any{"mode": "hard"}})
	require.NoError(o, err)
	run = o.end(run.ID)
	require.Equal(o, deviceops.RunSucceeded, run.Status, "%+v", run.Error)
	require.Equal(o, []any{"hard"}, o.reboots("kiosk-00005"))
	o.requireEvent(asked.ID, deviceops.EventBreakGlass, "critical")
	tickets, err := o.stack.Client().ListTickets(o.Context(), deviceops.TicketFilter{Device: "kiosk-00005"}, "")
	require.NoError(o, err)
	require.Len(o, tickets.Items, 1)
	require.Equal(o, "user:bert broke the glass: "+asked.Question, tickets.Items[0].Title)
}

func (o *office) requireEvent(approval, kind, severity string) {
	o.Helper()
	events, err := o.store.ListEvents(o.Context(), deviceops.EventFilter{Type: kind})
	require.NoError(o, err)
	var severities []string
	for _, e := range events {
		if e.Data["approval"] == approval {
			severities = append(severities, e.Severity)
		}
	}
	require.Equal(o, []string{severity}, severities)
}

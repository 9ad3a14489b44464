//go:build !lean

package main

import (
	"context"
	"encoding/json"
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/deviceops/deviceops"
	"github.com/deviceops/deviceops/channel/channeltest"
	"github.com/deviceops/deviceops/client"
	"github.com/deviceops/deviceops/dev"
)

const deskWorkflow = `workflow: dark-kiosk
steps:
  - id: ticket
    action: ticket.open
    with: { title: The panel is dark, body: It does not answer., channel: jira }
  - action: ticket.comment
    with: { ticket: "${{ steps.ticket.output.id }}", text: A technician is asked for }
  - id: closed
    action: ticket.wait
    with: { ticket: "${{ steps.ticket.output.id }}" }
    timeout: 5m
  - return: { by: "${{ steps.closed.output.closed_by }}" }
`

// TestTicketInJira opens a ticket in Jira from a workflow, which goes on when
// somebody closes it there.
func TestTicketInJira(t *testing.T) {
	t.Parallel()
	jira := channeltest.Jira(t)
	h := newHome(t)
	require.NoError(t, os.MkdirAll(h.data, 0o755))
	secrets, err := json.Marshal(map[string]string{"ticketing/jira#token": channeltest.Secret, "ticketing/jira#webhook": channeltest.WebhookKey})
	require.NoError(t, err)
	require.NoError(t, os.WriteFile(filepath.Join(h.data, "secrets.json"), secrets, 0o600))
	stack, err := dev.Start(t.Context(), dev.Options{Data: h.data, AllowNetworks: []string{"127.0.0.0/8"}})
	require.NoError(t, err)
	t.Cleanup(func() { _ = stack.Close(context.WithoutCancel(t.Context())) })
	c := stack.Client()
	jira.Refuse(503, "1") // it is busy at first
	report, err := c.Apply(t.Context(), channeltest.Document(t, "jira", jira.URL)+"---\n"+deskWorkflow, client.ApplyOptions{})
	require.NoError(t, err)
	require.False(t, report.Refused, "%+v", report)
	run, err := c.StartRun(t.Context(), deviceops.RunRequest{Workflow: "dark-kiosk", Inputs: map[string]any{}}, "")
	require.NoError(t, err)
	require.Eventually(t, func() bool {
		there := jira.Tickets()
		return len(there) == 1 && len(there[0].Comments) == 1
	}, 2*time.Minute, 100*time.Millisecond, "the issue and its comment")
	issue := jira.Tickets()[0]
	require.Equal(t, "The panel is dark", issue.Title)
	require.Contains(t, issue.Comments[0], "A technician is asked for")

	require.Equal(t, 204, jira.Send(stack.APIURL()+"/v1/channels/jira/webhook", jira.Move(issue.ID, "done"), "", "Ada"))
	require.Eventually(t, func() bool {
		run, err = c.Run(t.Context(), run.ID)
		return err == nil && run.Status.Ended()
	}, 2*time.Minute, 100*time.Millisecond, "the workflow was to hear of it")
	require.Equal(t, deviceops.RunSucceeded, run.Status, "%v", run.Error)
	require.Equal(t, map[string]any{"by": "channel:jira (Ada)"}, run.Outputs)
	tickets, err := c.ListTickets(t.Context(), deviceops.TicketFilter{}, "")
	require.NoError(t, err)
	require.Equal(t, "channel:jira (Ada)", tickets.Items[0].ClosedBy)
	require.Equal(t, issue.ID, tickets.Items[0].Remote.ID)
	require.Len(t, jira.Tickets(), 1)

	jira.Key = "another-key"
	require.Equal(t, 401, jira.Send(stack.APIURL()+"/v1/channels/jira/webhook", jira.Move(issue.ID, "new"), "", "Mallory"))
}

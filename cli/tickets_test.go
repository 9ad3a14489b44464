package cli_test

import (
	"encoding/json"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/deviceops/deviceops"
)

func TestTickets(t *testing.T) {
	t.Parallel()
	m := newTerminal(t)
	_, _, err := m.store.OpenTicket(t.Context(),
		deviceops.Ticket{ID: "t1", Account: "acme", Title: "Reboot failed", Severity: "error", Fingerprint: "f", Run: "r1"},
		deviceops.TicketEntry{ID: "e1", At: time.Now(), By: "run:r1", Text: "in use"})
	require.NoError(t, err)
	require.Contains(t, m.run("tickets", "list").done(), "Reboot failed")
	require.Contains(t, m.run("tickets", "assign", "t1", "user:mario").done(), "user:mario")
	require.Contains(t, m.run("tickets", "comment", "t1", "on my way").done(), "on my way")
	require.Contains(t, m.run("tickets", "close", "t1", "--reason", "fuse replaced").done(), "t1 is closed")
	shown := m.run("tickets", "show", "t1").done()
	for _, text := range []string{"fuse replaced", "user:maria", "opened", "commented", "1 time"} {
		require.Contains(t, shown, text)
	}
	require.NotContains(t, m.run("tickets", "list").done(), "Reboot failed")
	require.Contains(t, m.run("tickets", "list", "--status", "all").done(), "Reboot failed")
}

func TestGetActionsNeedsNoServer(t *testing.T) {
	t.Parallel()
	m := newTerminal(t)
	m.env = nil
	require.Contains(t, m.run("get", "actions").done(), "sends a request to another system")
	shown := m.run("get", "action", "http.request").done()
	for _, text := range []string{"auth.basic.password  secret", "required", "default 20s", "OUTPUT", "action: http.request"} {
		require.Contains(t, shown, text)
	}
	var spec deviceops.ActionSpec
	require.NoError(t, json.Unmarshal([]byte(m.run("get", "action", "http.request", "-o", "json").done()), &spec))
	require.Contains(t, string(spec.Args), `"properties"`)
	require.Contains(t, m.run("get", "action", "device.get").done(), "the fields of `device` in expressions")
	require.Equal(t, 1, m.run("get", "action", "dance").code)
	require.Contains(t, m.run("schema").done(), "http.request")
}

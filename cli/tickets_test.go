package cli_test

import (
	"encoding/json"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/deviceops/deviceops"
	"github.com/deviceops/deviceops/cli"
)

func TestTickets(t *testing.T) {
	t.Parallel()
	m := newTerminal(t)
	_, err := deviceops.OpenTicket(t.Context(), m.store, deviceops.TicketOpening{
		Ticket: deviceops.Ticket{ID: "t1", Account: "acme", Title: "Reboot failed", Severity: "error", Fingerprint: "f", Run: "r1"},
		Entry:  deviceops.TicketEntry{ID: "e1", At: time.Now(), By: "run:r1", Text: "in use"},
	}, time.Now())
	require.NoError(t, err)
	require.Contains(t, m.run("tickets", "list").done(), "Reboot failed")
	require.Contains(t, m.run("tickets", "list", "--status", "gone").failed(cli.ExitUsage), "--status gone: write open, closed or all")
	require.Contains(t, m.run("tickets", "assign", "t1", "user:mario").done(), "user:mario")
	require.Contains(t, m.run("tickets", "set", "t1", "--severity", "critical").done(), "critical")
	require.Equal(t, 1, m.run("tickets", "set", "t1", "--severity", "dire").code)
	require.Equal(t, 2, m.run("tickets", "set", "t1").code)
	require.Contains(t, m.run("tickets", "comment", "t1", "on my way").done(), "on my way")
	require.Contains(t, m.run("tickets", "close", "t1", "--reason", "fuse replaced").done(), "t1 is closed")
	shown := m.run("tickets", "show", "t1").done()
	for _, text := range []string{"fuse replaced", "user:maria", "opened", "commented", "1 time"} {
		require.Contains(t, shown, text)
	}
	require.NotContains(t, m.run("tickets", "list").done(), "Reboot failed")
	require.Contains(t, m.run("tickets", "reopen", "t1").failed(cli.ExitUsage), "--reason")
	require.Equal(t, "t1 is open\n", m.run("tickets", "reopen", "t1", "--reason", "the fuse was not it").done())
	require.Contains(t, m.run("tickets", "show", "t1").done(), "the fuse was not it")
	require.Contains(t, m.run("tickets", "list", "--opened-by", "run:r1").done(), "Reboot failed")
	require.NotContains(t, m.run("tickets", "list", "--opened-by", "run:r2").done(), "Reboot failed")
	m.run("tickets", "close", "t1", "--reason", "the lamp was it").done()
	require.Contains(t, m.run("tickets", "list", "--status", "all").done(), "Reboot failed")
}

func TestStormsInTheTerminal(t *testing.T) {
	t.Parallel()
	m := newTerminal(t)
	var openings []deviceops.TicketOpening
	for _, device := range []string{"k1", "k2", "k3"} {
		openings = append(openings, deviceops.TicketOpening{
			Ticket: deviceops.Ticket{ID: "of-" + device, Account: "acme", Device: device, Title: device + " is offline", Severity: "error", Fingerprint: device},
			Entry:  deviceops.TicketEntry{ID: device, At: time.Now(), By: "run:r1"}, Fold: deviceops.Fold{By: "offline in north", AtLeast: 3},
		})
	}
	opened, err := deviceops.OpenTickets(t.Context(), m.store, openings, time.Now())
	require.NoError(t, err)
	parent := opened[2].Ticket.Parent
	listed := m.run("tickets", "list").done()
	require.Contains(t, listed, "offline in north")
	require.NotContains(t, listed, "k1 is offline", "members are seen at their parent")
	require.Contains(t, m.run("tickets", "list", "--members").done(), "k1 is offline")
	require.Contains(t, m.run("tickets", "list", "--device", "k1").done(), "k1 is offline")
	require.Contains(t, m.run("tickets", "list", "--members-of", parent).done(), "k3 is offline")
	shown := m.run("tickets", "show", parent).done()
	require.Contains(t, shown, "3, all open")
	require.NotContains(t, shown, "k1 is offline")
	require.Contains(t, m.run("tickets", "show", parent, "--members").done(), "k1 is offline")
	require.Contains(t, m.run("tickets", "show", "of-k1").done(), parent)
	var view struct {
		deviceops.Ticket
		MemberTickets []deviceops.Ticket `json:"member_tickets"`
	}
	require.NoError(t, json.Unmarshal([]byte(m.run("tickets", "show", parent, "--members", "-o", "json").done()), &view))
	require.Len(t, view.MemberTickets, 3)
	require.Equal(t, 3, view.Members)
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

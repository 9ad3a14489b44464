package ingest

import (
	"context"
	"fmt"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/deviceops/deviceops"
)

const linkDown = `automation: link-down
trigger: { event: link.moved, where: event.data.up == false }
ticket:
  title: ${{ event.device }} has no link
  body: Since ${{ event.at }}
  severity: warning
  channel: jira
  reopen: 10m
  fold: { by: "${{ event.data.site }}", at_least: 3, title: "No link at ${{ event.data.site }}", critical: 20 }
`

func (a *automated) link(device string, up bool, site string) {
	a.t.Helper()
	a.say(device, "event", fmt.Sprintf(`{"type":"link.moved","data":{"up":%t,"site":%q}}`, up, site))
}

func (a *automated) tickets(f deviceops.TicketFilter) []deviceops.Ticket {
	a.t.Helper()
	f.Limit = 1000
	found, err := a.store.ListTickets(context.Background(), f)
	require.NoError(a.t, err)
	return found
}

func TestAConditionOpensATicketAndItsEndClosesIt(t *testing.T) {
	t.Parallel()
	a := newAutomated(t, linkDown)
	a.register(deviceops.Registration{ID: "k1"})
	a.link("k1", true, "")
	require.Empty(t, a.tickets(deviceops.TicketFilter{}), "nothing was open that could be closed")
	a.link("k1", false, "")
	a.clock.advance(time.Minute)
	a.link("k1", false, "")
	found := a.tickets(deviceops.TicketFilter{})
	require.Len(t, found, 1)
	ticket := found[0]
	require.Equal(t, "k1 has no link", ticket.Title)
	require.Equal(t, "link-down|k1", ticket.Fingerprint)
	require.Equal(t, "warning", ticket.Severity)
	require.Equal(t, "acme", ticket.Account)
	require.Equal(t, "k1", ticket.Device)
	require.Equal(t, "automation:link-down@1", ticket.OpenedBy)
	require.Equal(t, 2, ticket.Count)
	require.Empty(t, ticket.Cause, "an empty cause folds nothing")
	require.Empty(t, a.runs())
	require.Eventually(t, func() bool { return a.orch.started()["sync-"+ticket.ID] > 0 }, 5*time.Second, 5*time.Millisecond, "the other system is told after the commit")

	a.say("k1", "event", `{"type":"link.moved","data":{"up":true},"age_ms":90000}`)
	require.Equal(t, deviceops.TicketOpen, a.tickets(deviceops.TicketFilter{})[0].Status, "it was up before it was down")
	a.link("k1", true, "")
	a.link("k1", true, "")
	closed, err := a.store.FindTicket(t.Context(), ticket.ID)
	require.NoError(t, err)
	require.Equal(t, deviceops.TicketClosed, closed.Status)
	require.Equal(t, "the condition no longer holds", closed.Resolution)
	require.Equal(t, "automation:link-down@1", closed.ClosedBy)
	require.Equal(t, []string{"ticket", "ticket", "recovered"}, a.outcomes())
	require.Equal(t, ticket.ID, a.lastDecision().Detail)

	a.clock.advance(9 * time.Minute)
	a.link("k1", false, "")
	require.Equal(t, 1, a.tickets(deviceops.TicketFilter{})[0].Relapses)
	a.link("k1", true, "")
	a.clock.advance(11 * time.Minute)
	a.link("k1", false, "")
	require.Len(t, a.tickets(deviceops.TicketFilter{}), 2)
}

// An event that lacks what the condition is about does not end the problem, nor
// does one that is older than the last for which the condition held, though that
// was silenced.
func TestWhatDoesNotEndAProblem(t *testing.T) {
	t.Parallel()
	a := newAutomated(t, "automation: hot\ntrigger: { event: device.telemetry, where: event.data.battery_pct < 20 }\ndedupe: 1h\nticket: { title: hot }\n")
	a.register(deviceops.Registration{ID: "k1"})
	say := func(metrics, more string) { a.say("k1", "telemetry", `{"metrics":`+metrics+more+`}`) }
	say(`{"battery_pct":10}`, "")
	require.Len(t, a.tickets(deviceops.TicketFilter{}), 1)
	status := func() deviceops.TicketStatus { return a.tickets(deviceops.TicketFilter{})[0].Status }
	a.clock.advance(time.Minute)
	say(`{"crashes":3}`, "")
	require.Equal(t, deviceops.TicketOpen, status(), "it says nothing of the battery")
	a.clock.advance(time.Minute)
	say(`{"battery_pct":11}`, "")
	say(`{"battery_pct":50}`, `,"age_ms":30000`)
	require.Equal(t, deviceops.TicketOpen, status(), "it was low again after that")
	say(`{"battery_pct":50}`, "")
	require.Equal(t, deviceops.TicketClosed, status())
}

func TestAStormOfEventsIsOneTicket(t *testing.T) {
	t.Parallel()
	a := newAutomated(t, linkDown)
	ids := make([]string, 30)
	for n := range ids {
		ids[n] = fmt.Sprintf("k%02d", n)
		a.register(deviceops.Registration{ID: ids[n]})
	}
	for _, id := range ids {
		a.link(id, false, "mall")
	}
	alone := a.tickets(deviceops.TicketFilter{Alone: true})
	require.Len(t, alone, 1)
	parent := alone[0]
	require.Equal(t, "No link at mall", parent.Title)
	require.Equal(t, 30, parent.Members)
	require.Equal(t, "critical", parent.Severity)
	require.Len(t, a.tickets(deviceops.TicketFilter{Parent: parent.ID}), 30)
	for _, id := range ids {
		require.Equal(t, deviceops.TicketOpen, a.tickets(deviceops.TicketFilter{Alone: true})[0].Status)
		a.link(id, true, "mall")
	}
	parent = a.tickets(deviceops.TicketFilter{Alone: true})[0]
	require.Equal(t, deviceops.TicketClosed, parent.Status)
	require.Equal(t, "all 30 are closed", parent.Resolution)
	require.Empty(t, a.tickets(deviceops.TicketFilter{Status: deviceops.TicketOpen}))
}

// While an automation is disabled its tickets are people's to close, and to open
// again; from then on it goes on with them.
func TestTicketsOfADisabledAutomation(t *testing.T) {
	t.Parallel()
	a := newAutomated(t, linkDown)
	ref := deviceops.AutomationRef{Account: deviceops.RootAccount, Name: "link-down"}
	a.register(deviceops.Registration{ID: "k1"})
	say := func(kind string) {
		a.clock.advance(time.Minute)
		one := a.tickets(deviceops.TicketFilter{})[0]
		_, err := deviceops.TellTicket(t.Context(), a.store, deviceops.TicketEntry{ID: a.clock.Now().String(), Ticket: one.ID, Kind: kind, At: a.clock.Now(), By: "user:maria", Text: "seen to"})
		require.NoError(t, err)
	}
	is := func(status deviceops.TicketStatus, by string) {
		t.Helper()
		found := a.tickets(deviceops.TicketFilter{OpenedBy: "automation:link-down"})
		require.Len(t, found, 1)
		require.Equal(t, status, found[0].Status)
		require.Equal(t, by, found[0].ClosedBy)
	}
	a.link("k1", false, "")
	a.switched(ref, true)
	a.clock.advance(2 * time.Second) // it is seen within a second
	a.link("k1", true, "")
	is(deviceops.TicketOpen, "")
	say(deviceops.EntryClosed)
	is(deviceops.TicketClosed, "user:maria")
	a.switched(ref, false)
	a.clock.advance(2 * time.Second)
	a.link("k1", true, "")
	is(deviceops.TicketClosed, "user:maria")

	say(deviceops.EntryReopened)
	is(deviceops.TicketOpen, "")
	a.clock.advance(time.Minute)
	a.link("k1", false, "")
	a.link("k1", true, "")
	is(deviceops.TicketClosed, "automation:link-down@1")
}

// What a ticket's end says is heard like anything else.
func TestTheEndOfATicketIsHeard(t *testing.T) {
	t.Parallel()
	a := newAutomated(t, linkDown, `automation: after
trigger: { event: ticket.closed, where: event.data.fingerprint startsWith "link-down" }
run: reboot@1
with: { device: "${{ event.device }}", battery: 1 }
`)
	a.register(deviceops.Registration{ID: "k1"})
	a.link("k1", false, "")
	require.Empty(t, a.runs())
	a.link("k1", true, "")
	require.Len(t, a.runs(), 1)
}

// A ticket that a workflow opened for a device that is offline closes itself when
// that is back, and so does the storm that it is part of.
func TestTicketsCloseThemselvesWhenTheirDeviceIsBack(t *testing.T) {
	t.Parallel()
	a := newAutomated(t)
	var openings []deviceops.TicketOpening
	for n := range 4 {
		id := fmt.Sprintf("k%d", n)
		a.register(deviceops.Registration{ID: id})
		recover := deviceops.RecoverOnline
		if n == 3 {
			recover = ""
		}
		openings = append(openings, deviceops.TicketOpening{
			Ticket: deviceops.Ticket{ID: "of-" + id, Account: "acme", Device: id, Title: id, Severity: "error", Fingerprint: id, Recover: recover},
			Entry:  deviceops.TicketEntry{ID: id, At: a.clock.Now(), By: "run:r1"}, Fold: deviceops.Fold{By: "offline", AtLeast: 4},
		})
	}
	_, err := deviceops.OpenTickets(t.Context(), a.store, openings, a.clock.Now())
	require.NoError(t, err)
	a.clock.advance(time.Minute)
	for n := range 4 {
		a.say(fmt.Sprintf("k%d", n), "hello", fullHello)
	}
	parent := a.tickets(deviceops.TicketFilter{Alone: true})[0]
	require.Equal(t, deviceops.TicketOpen, parent.Status)
	require.Equal(t, 1, parent.OpenMembers)
	open := a.tickets(deviceops.TicketFilter{Parent: parent.ID, Status: deviceops.TicketOpen})
	require.Equal(t, "k3", open[0].Device, "nobody said that it closes itself")
	closed := a.tickets(deviceops.TicketFilter{Device: "k0"})[0]
	require.Equal(t, "the device is online", closed.Resolution)
	require.Equal(t, "engine", closed.ClosedBy)
}

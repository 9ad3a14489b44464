package cli_test

import (
	"context"
	"encoding/json"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/deviceops/deviceops"
	"github.com/deviceops/deviceops/dsl"
	"github.com/deviceops/deviceops/workflows"
)

const hotYAML = `workflow: cool
version: 1
inputs: { device: device }
steps: [ { wait: 1s } ]
---
automation: hot
trigger: { event: device.hot, where: event.data.c > 80 }
limit: 1 per 1h
run: cool@1
with: { device: "${{ event.device }}" }
`

// hot publishes an automation and lets it hear that a device is so hot.
func (m *terminal) hot(celsius ...int64) (events []deviceops.Event) {
	return m.heat(hotYAML, celsius...)
}

func (m *terminal) heat(document string, celsius ...int64) (events []deviceops.Event) {
	m.Helper()
	m.run("apply", "-f", m.file("hot.yaml", document)).done()
	store := deviceops.AutomationStore{Store: m.store, Automations: &deviceops.Automations{
		Catalog: &dsl.Catalog{Documents: m.store}, Start: workflows.RunStart, Now: time.Now,
	}}
	for _, c := range celsius {
		device := "k" + strconv.FormatInt(c, 10)
		_, err := m.store.RegisterDevices(m.Context(), []deviceops.Registration{{ID: device, Account: "root", Serial: device, Profile: "kiosk"}}, time.Now())
		require.NoError(m, err)
		one := []deviceops.Event{{Account: "root", Device: device, Type: "device.hot", Severity: "info", Data: map[string]any{"c": c}, At: time.Now(), ReceivedAt: time.Now()}}
		require.NoError(m, store.InTx(m.Context(), func(ctx context.Context, tx deviceops.Tx) error { return tx.AppendEvents(ctx, one) }))
		events = append(events, one...)
	}
	return events
}

func TestAutomations(t *testing.T) {
	t.Parallel()
	m := newTerminal(t)
	events := m.hot(90, 91, 20)
	listed := m.run("automations", "list").done()
	for _, text := range []string{"hot", "stopped", "device.hot", "cool@1", "more starts than 1 per 1h were asked for"} {
		require.Contains(t, listed, text)
	}
	shown := m.run("automations", "show", "hot").done()
	for _, text := range []string{"hot@1", "1 start", "k90", "started", "auto-"} {
		require.Contains(t, shown, text)
	}
	require.Equal(t, "hot is enabled\n", m.run("automations", "enable", "hot", "--reason", "looked at it").done())
	require.Equal(t, "hot is disabled\n", m.run("automations", "disable", "hot").done())

	explain := func(e deviceops.Event) string { return m.run("explain", "event", strconv.FormatInt(e.ID, 10)).done() }
	require.Contains(t, explain(events[0]), "it started run auto-")
	require.Contains(t, explain(events[1]), "deviceops automations enable hot")
	require.Contains(t, explain(events[2]), "the condition does not hold: event.data.c > 80")

	replayed := m.run("automations", "replay", "hot", "--since", "1h").done()
	for _, text := range []string{"hot@1 would have started 1 run between", "by 3 events that it hears, 2 of which hold", "started   1", "stopped   1", "The brake would have stopped it"} {
		require.Contains(t, replayed, text)
	}
	require.Contains(t, m.run("automations", "replay", "hot", "--since", "7d").done(), "would have started 1 run")
	require.Equal(t, 2, m.run("automations", "replay", "hot", "--since", "-1h").code)
	require.Equal(t, 2, m.run("explain", "event", "soon").code)
	require.Equal(t, 1, m.run("automations", "show", "cold").code)
}

// A schedule that has just been written tells what it would have done.
func TestSchedulesAreReplayed(t *testing.T) {
	t.Parallel()
	m := newTerminal(t)
	m.run("apply", "-f", m.file("hourly.yaml", "workflow: tidy\nversion: 1\nsteps: [ { wait: 1s } ]\n---\nautomation: hourly\ntrigger: { schedule: { every: 1h } }\nrun: tidy@1\n")).done()
	replayed := m.run("automations", "replay", "hourly", "--since", "30h").done()
	require.Contains(t, replayed, "hourly@1 would have started 30 runs between")
	require.Contains(t, replayed, "and 10 more: -o json has more of them")
}

// Who disables an automation hears which tickets nobody closes from then on.
func TestDisablingLeavesTicketsOpen(t *testing.T) {
	t.Parallel()
	m := newTerminal(t)
	m.heat("automation: hot\ntrigger: { event: device.hot, where: event.data.c > 80 }\nticket: { title: \"${{ event.device }} is hot\" }\n", 90, 91)
	require.Regexp(t, `open tickets +2`, m.run("automations", "show", "hot").done())
	const list = "deviceops tickets list --opened-by automation:hot"
	require.Equal(t, "hot is disabled\nIt leaves 2 tickets open, until somebody closes them or it is enabled: "+list+"\n", m.run("automations", "disable", "hot").done())
	var page struct{ Items []deviceops.Ticket }
	require.NoError(t, json.Unmarshal([]byte(m.run(append(strings.Fields(list)[1:], "-o", "json")...).done()), &page))
	require.Len(t, page.Items, 2)
	for _, ticket := range page.Items {
		m.run("tickets", "close", ticket.ID, "--reason", "seen to").done()
	}
	require.Equal(t, "hot is disabled\n", m.run("automations", "disable", "hot").done())
	require.Equal(t, "hot is enabled\n", m.run("automations", "enable", "hot").done())
}

const calledYAML = `workflow: tidy
version: 1
inputs: { site: string }
steps: [ { wait: 1s } ]
---
automation: tidy
trigger: { manual: true, where: event.data.site != "closed" }
key: event.data.site
run: tidy@1
with: { site: "${{ event.data.site }}" }
---
automation: nightly
trigger: { schedule: { cron: "0 3 * * *", zone: Europe/Berlin } }
run: tidy@1
with: { site: all }
---
automation: orders
trigger: { webhook: orders }
run: tidy@1
with: { site: all }
`

func TestAutomationsThatAreCalled(t *testing.T) {
	t.Parallel()
	m := newTerminal(t)
	m.run("apply", "-f", m.file("called.yaml", calledYAML)).done()
	listed := m.run("automations", "list").done()
	for _, text := range []string{"deviceops automations run", "0 3 * * * Europe/Berlin", "webhook orders"} {
		require.Contains(t, listed, text)
	}
	require.Contains(t, m.run("automations", "show", "nightly").done(), "2030-10-27 01:00:00, 2030-10-28 02:00:00")
	called := m.run("automations", "run", "tidy", "-i", "site=berlin", "--reason", "the fair begins").done()
	require.Contains(t, called, "tidy: it started run auto-")
	require.Contains(t, called, "deviceops runs watch auto-")
	require.Contains(t, m.run("automations", "run", "tidy", "-i", "site=paris", "--wait").done(), "succeeded")
	require.Contains(t, m.run("automations", "run", "tidy", "-i", "site=closed").failed(1), "tidy started nothing: the condition does not hold; deviceops explain event")
	require.Contains(t, m.run("automations", "run", "nightly").failed(1), "its trigger is not manual: true")
	answer := decoded[deviceops.CallAnswer](m.run("automations", "run", "tidy", "-i", "site=rome", "-o", "json"))
	require.Equal(t, deviceops.OutcomeStarted, answer.Automations[0].Outcome)
	require.Equal(t, 2, m.run("automations", "run", "tidy", "-i", "berlin").code)
}

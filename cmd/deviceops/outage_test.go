//go:build !lean

package main

import (
	"bufio"
	"encoding/json"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/deviceops/deviceops"
	"github.com/deviceops/deviceops/channel/channeltest"
)

// outageDevices names the number of devices of the outage, such as 2000.
const outageDevices = "DEVICEOPS_TEST_OUTAGE_DEVICES"

// outage is a region whose devices drop at once, and come back.
type outage struct {
	home
	devices int
	args    []string // of their simulation
}

func newOutage(t *testing.T, h home) *outage {
	o := &outage{home: h, devices: 100}
	if text := os.Getenv(outageDevices); text != "" {
		var err error
		o.devices, err = strconv.Atoi(text)
		require.NoError(t, err)
	}
	o.args = []string{
		"simulate", "--prefix", "sign", "--devices", strconv.Itoa(o.devices), "--broker", h.broker(), "--state", filepath.Join(h.dir, "devices"),
		"--ramp", strconv.Itoa(o.devices/100) + "s",
	}
	return o
}

// register registers the devices, all in one region.
func (o *outage) register() {
	rows, labeled := filepath.Join(o.dir, "rows.ndjson"), filepath.Join(o.dir, "labeled.ndjson")
	o.must("simulate", "--prefix", "sign", "--devices", strconv.Itoa(o.devices), "--registrations", rows)
	in, err := os.Open(rows)
	require.NoError(o.t, err)
	defer in.Close()
	out, err := os.Create(labeled)
	require.NoError(o.t, err)
	for lines := bufio.NewScanner(in); lines.Scan(); {
		var row map[string]any
		require.NoError(o.t, json.Unmarshal(lines.Bytes(), &row))
		row["labels"] = map[string]string{"region": "north"}
		require.NoError(o.t, json.NewEncoder(out).Encode(row))
	}
	require.NoError(o.t, out.Close())
	o.must("devices", "import", labeled, "--reason", "test")
}

// awaitFleet waits until all devices are connected and active.
func (o *outage) awaitFleet() {
	require.Eventually(o.t, func() bool {
		stats, err := o.client().FleetStats(o.t.Context(), deviceops.DeviceFilter{Profile: "kiosk"})
		return err == nil && stats.ByConnectivity["online"] == o.devices && stats.ByState["active"] == o.devices
	}, 8*time.Minute, 500*time.Millisecond, "%d devices were to be active", o.devices)
}

// alone gives the tickets that are no members.
func (o *outage) alone() []deviceops.Ticket {
	page, err := o.client().ListTickets(o.t.Context(), deviceops.TicketFilter{Alone: true}, "")
	require.NoError(o.t, err)
	return page.Items
}

// members counts the devices that have a ticket with a status that is a member.
func (o *outage) members(parent string, status deviceops.TicketStatus) int {
	devices := map[string]bool{}
	for cursor := ""; ; {
		page, err := o.client().ListTickets(o.t.Context(), deviceops.TicketFilter{Parent: parent, Status: status, Limit: 1000}, cursor)
		require.NoError(o.t, err)
		for _, ticket := range page.Items {
			devices[ticket.Device] = true
		}
		if cursor = page.Next; cursor == "" {
			return len(devices)
		}
	}
}

// notifications gives what people were told.
func (o *outage) notifications() (told []string) {
	page, err := o.client().ListEvents(o.t.Context(), deviceops.EventFilter{Type: "notification", Limit: 1000}, "")
	require.NoError(o.t, err)
	for _, e := range page.Items {
		told = append(told, e.Data["title"].(string)+" / "+e.Data["text"].(string))
	}
	return told
}

// TestARegionalOutageIsOneTicket lets all devices of a region drop at once. By the
// shipped automation that is one ticket with a member for each of them, here and
// in Jira, of which people are told a few times; it closes itself when all are back.
func TestARegionalOutageIsOneTicket(t *testing.T) {
	t.Parallel()
	jira := channeltest.Jira(t)
	h := newHome(t)
	secrets, err := json.Marshal(map[string]string{"ticketing/jira#token": channeltest.Secret, "ticketing/jira#webhook": channeltest.WebhookKey})
	require.NoError(t, err)
	require.NoError(t, os.WriteFile(filepath.Join(h.data, "secrets.json"), secrets, 0o600))
	h.startStack("--allow-network", "127.0.0.0/8")
	o := newOutage(t, h)
	o.must("apply", "-f", "../../examples/kiosk.yaml", "--reason", "test")
	o.apply("jira", channeltest.Document(t, "jira", jira.URL))
	example, err := os.ReadFile("../../examples/region-outage.yaml")
	require.NoError(t, err)
	o.apply("outage", strings.NewReplacer("offline: 2m", "offline: 1s", "notify: log", "notify: log\n  channel: jira").Replace(string(example)))
	o.register()
	signs := o.start(o.args...)
	o.awaitFleet()
	require.Empty(t, o.alone())

	dropped := time.Now()
	signs.kill()
	var parent deviceops.Ticket
	require.Eventually(t, func() bool {
		for _, ticket := range o.alone() {
			if ticket.Members > 0 {
				parent = ticket
			}
		}
		return parent.OpenMembers == o.devices
	}, 8*time.Minute, 250*time.Millisecond, "all were to be members of one ticket: %+v", parent)
	whole := time.Since(dropped)
	require.Len(t, o.alone(), 1, "no other ticket is alone")
	require.Equal(t, o.devices, parent.Members)
	require.Equal(t, o.devices, o.members(parent.ID, deviceops.TicketOpen))
	require.Equal(t, "critical", parent.Severity)
	require.Equal(t, "Outage in north", parent.Title)

	back := time.Now()
	o.start(o.args...)
	require.Eventually(t, func() bool { return o.alone()[0].Status == deviceops.TicketClosed }, 8*time.Minute, 250*time.Millisecond, "it was to close itself")
	over := time.Since(back)
	parent = o.alone()[0]
	require.Equal(t, o.devices, parent.Members)
	require.Equal(t, o.devices, o.members(parent.ID, deviceops.TicketClosed))
	require.Zero(t, o.members(parent.ID, deviceops.TicketOpen))
	require.Eventually(t, func() bool {
		for _, issue := range jira.Tickets() {
			if issue.Status != "done" {
				return false
			}
		}
		return len(jira.Tickets()) > 0
	}, time.Minute, 250*time.Millisecond, "nothing stays open in Jira: %+v", jira.Tickets())
	require.LessOrEqual(t, len(jira.Tickets()), 5, "the parent, and at most those that made it a storm")
	runs, err := o.client().ListRuns(t.Context(), deviceops.RunFilter{}, "")
	require.NoError(t, err)
	require.Empty(t, runs.Items, "members have no workflow, nor has what opens them")
	told := o.notifications()
	require.NotEmpty(t, told)
	require.LessOrEqual(t, len(told), 12, "%q", told)
	t.Logf("%d devices: one ticket after %s, closed after %s; %d notifications, %d issues in Jira: %q",
		o.devices, whole.Round(time.Millisecond), over.Round(time.Millisecond), len(told), len(jira.Tickets()), told)
}

package activities_test

import (
	"fmt"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/deviceops/deviceops"
	"github.com/deviceops/deviceops/activities"
)

// dark opens a ticket of a storm that begins with three.
func (d *desk) dark(n int, more map[string]any) map[string]any {
	d.Helper()
	args := map[string]any{
		"title": fmt.Sprintf("Panel %d is dark", n), "channel": "jira",
		"fold": map[string]any{"by": "dark in north", "at_least": 3, "title": "Dark in north"},
	}
	for name, value := range more {
		args[name] = value
	}
	out, err := d.perform("ticket.open", fmt.Sprintf("open-%d", n), args)
	require.NoError(d, err)
	return out
}

func TestStormsInTheOtherSystem(t *testing.T) {
	t.Parallel()
	d := newDesk(t)
	d.device(d.T, "k1", deviceops.Active)
	first := d.dark(1, nil)
	require.Empty(t, first["parent"])
	require.False(t, d.sync(first["id"].(string)))
	d.dark(2, nil)
	third := d.dark(3, nil)
	parent := third["parent"].(string)
	require.NotEmpty(t, parent)

	require.True(t, d.sync(first["id"].(string)), "its parent speaks for it")
	require.Equal(t, "done", d.jira.Tickets()[0].Status, "what was there already is closed there, and")
	require.Equal(t, deviceops.TicketOpen, d.ticket(first["id"].(string)).Status, "goes on here")
	require.True(t, d.sync(third["id"].(string)))
	require.Len(t, d.jira.Tickets(), 1, "members are not opened there")
	require.False(t, d.sync(parent))
	require.Equal(t, "Dark in north", d.jira.Tickets()[1].Title)

	for n := 4; n <= 12; n++ {
		d.dark(n, map[string]any{"severity": "critical"})
	}
	require.False(t, d.sync(parent))
	there := d.jira.Tickets()[1]
	require.Equal(t, "Highest", there.Severity, "it matters as much as its members")
	require.Equal(t, []string{"engine: 12 by now, 12 of them open"}, there.Comments)

	for n := range 12 {
		_, err := d.perform("ticket.close", fmt.Sprintf("up-%d", n), map[string]any{"fingerprint": fmt.Sprintf("k1|Panel %d is dark", n+1)})
		require.NoError(t, err)
	}
	require.True(t, d.sync(parent))
	require.Equal(t, "done", d.jira.Tickets()[1].Status)
	require.Equal(t, "all 12 are closed", d.ticket(parent).Resolution)
	require.Len(t, d.jira.Tickets(), 2)

	d.now = noon.Add(10 * time.Minute)
	_, err := d.perform("ticket.open", "again", map[string]any{"title": "Panel 7 is dark"})
	require.NoError(t, err)
	require.False(t, d.sync(parent))
	require.Equal(t, "new", d.jira.Tickets()[1].Status, "it is back: opened again there too")
}

// The storm begins while the first ticket is being opened there: that it is closed
// there as a member is no news of the problem, which goes on.
func TestAStormBeginsWhileATicketIsOpened(t *testing.T) {
	t.Parallel()
	d := newDesk(t)
	d.device(d.T, "k1", deviceops.Active)
	first := d.dark(1, nil)["id"].(string)
	d.meanwhile = func(operation string) {
		if operation == deviceops.ChannelOpen {
			d.meanwhile = nil
			d.dark(2, nil)
			d.dark(3, nil)
		}
	}
	d.sync(first)
	require.Equal(t, "done", d.jira.Tickets()[0].Status, "closed there, as a part of the storm")
	member := d.ticket(first)
	require.Equal(t, deviceops.TicketOpen, member.Status, "it goes on here")
	require.Equal(t, 3, d.ticket(member.Parent).OpenMembers)
	require.True(t, d.sync(first), "its parent speaks for it")
}

// A storm of any size is told of a few times.
func TestPeopleAreToldOfAStorm(t *testing.T) {
	t.Parallel()
	systems := pager()
	w := newWorld(t, func(d *activities.Deps) { d.Channels = systems })
	w.device(t, "k1", deviceops.Active)
	d := &desk{world: w, T: t}
	quiet := map[string]any{"notify": "pager", "channel": ""}
	var parent string
	for n := 1; n <= 30; n++ {
		out := d.dark(n, quiet)
		if parent = out["parent"].(string); n == 2 {
			require.True(t, d.sync(out["id"].(string)), "without another system there is nothing to wait for")
		}
	}
	require.True(t, d.sync(parent))
	require.True(t, d.sync(parent))
	_, err := d.perform("ticket.close", "end", map[string]any{"ticket": parent, "resolution": "a fuse"})
	require.NoError(t, err)
	require.True(t, d.sync(parent))
	notices, err := w.store.ListNotices(t.Context(), deviceops.NoticeFilter{})
	require.NoError(t, err)
	var told []string
	for _, n := range notices {
		require.Equal(t, "pager", n.Channel)
		told = append(told, n.Title+" / "+n.Text)
	}
	require.Equal(t, []string{
		"Closed: Dark in north / a fuse", "Growing: Dark in north / 12 by now, 12 of them open",
		"Opened: Dark in north / Several problems of one cause, among them: Panel 3 is dark", "Opened: Panel 2 is dark / Panel 2 is dark",
	}, told)
	_, err = w.perform("ticket.open", "x", map[string]any{"title": "x", "notify": "crm"})
	require.Equal(t, deviceops.EINVALID, activities.Cause(err).Code)
}

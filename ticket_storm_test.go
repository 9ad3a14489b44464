package deviceops_test

import (
	"context"
	"fmt"
	"maps"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/deviceops/deviceops"
)

// drawer is a Tx that keeps tickets in memory, as one transaction sees them.
type drawer struct {
	deviceops.Tx
	tickets map[string]deviceops.Ticket
	entries []deviceops.TicketEntry
	events  []deviceops.Event
	starts  []string
}

func newDrawer() *drawer { return &drawer{tickets: map[string]deviceops.Ticket{}} }

func (d *drawer) LockTickets(_ context.Context, l deviceops.TicketLock) (deviceops.LockedTickets, error) {
	locked := deviceops.LockedTickets{Entries: map[string]deviceops.TicketEntry{}}
	wanted := map[string]bool{}
	for _, e := range d.entries {
		if slices.Contains(l.Entries, e.ID) {
			locked.Entries[e.ID], wanted[e.Ticket] = e, true
		}
	}
	for _, id := range l.IDs {
		l.Problems = append(l.Problems, deviceops.TicketProblem{Account: d.tickets[id].Account, Fingerprint: d.tickets[id].Fingerprint})
	}
	for id, t := range d.tickets {
		problem := deviceops.TicketProblem{Account: t.Account, Fingerprint: t.Fingerprint}
		cause := deviceops.TicketCause{Account: t.Account, Cause: t.Cause}
		alone := t.Status == deviceops.TicketOpen && t.Parent == "" && t.Members == 0 && !t.OpenSince.Before(l.Since)
		if slices.Contains(l.IDs, id) || slices.Contains(l.Problems, problem) || alone && slices.Contains(l.Causes, cause) {
			wanted[id], wanted[t.Parent] = true, true
		}
	}
	for _, id := range slices.Sorted(maps.Keys(wanted)) {
		if t, ok := d.tickets[id]; ok {
			locked.Tickets = append(locked.Tickets, t)
		}
	}
	return locked, nil
}

func (d *drawer) SaveTickets(_ context.Context, tickets []deviceops.Ticket) error {
	for _, t := range tickets {
		d.tickets[t.ID] = t
	}
	return nil
}

func (d *drawer) AppendTicketEntries(_ context.Context, entries []deviceops.TicketEntry) error {
	d.entries = append(d.entries, entries...)
	return nil
}

func (d *drawer) CloseMembers(_ context.Context, e deviceops.TicketEntry) (closed []deviceops.Ticket, err error) {
	for id, t := range d.tickets {
		if t.Parent == e.Ticket && t.Apply(e) == nil {
			d.tickets[id] = t
			closed = append(closed, t)
		}
	}
	return closed, nil
}

func (d *drawer) AppendEvents(_ context.Context, events []deviceops.Event) error {
	d.events = append(d.events, events...)
	return nil
}

func (d *drawer) RequestStarts(_ context.Context, starts []deviceops.Start, _ time.Time) error {
	for _, s := range starts {
		d.starts = append(d.starts, s.WorkflowID)
	}
	return nil
}

// told gives the entries of a ticket, as "kind text", of which people hear.
func (d *drawer) told(ticket string) (told []string) {
	for _, e := range d.entries {
		if e.Ticket == ticket && (e.Unsent || e.Unannounced) {
			told = append(told, strings.TrimSpace(e.Kind+" "+e.Text))
		}
	}
	return told
}

// parent gives the only parent there is.
func (d *drawer) parent(t *testing.T) deviceops.Ticket {
	t.Helper()
	var parents []deviceops.Ticket
	for _, ticket := range d.tickets {
		if ticket.Members > 0 {
			parents = append(parents, ticket)
		}
	}
	require.Len(t, parents, 1)
	return parents[0]
}

var stormNoon = time.Date(2026, 6, 1, 12, 0, 0, 0, time.UTC)

// offline tells that devices are offline, at a time, in one transaction.
func offline(at time.Time, fold deviceops.Fold, devices ...string) (openings []deviceops.TicketOpening) {
	for _, device := range devices {
		id := fmt.Sprintf("%s@%d", device, at.Unix())
		openings = append(openings, deviceops.TicketOpening{
			Ticket: deviceops.Ticket{ID: "ticket-" + id, Account: "acme", Device: device, Title: device + " is offline", Severity: "error", Fingerprint: "offline|" + device, Channel: "jira", Notify: "slack"},
			Entry:  deviceops.TicketEntry{ID: id, At: at, By: "run:r1"}, Fold: fold, Reopen: time.Hour,
		})
	}
	return openings
}

func recovered(at time.Time, ids ...string) (entries []deviceops.TicketEntry) {
	for _, id := range ids {
		entries = append(entries, deviceops.TicketEntry{ID: fmt.Sprintf("up/%s@%d", id, at.Unix()), Ticket: id, Kind: deviceops.EntryRecovered, At: at, By: "engine", Text: "online"})
	}
	return entries
}

func numbered(prefix string, n int) (all []string) {
	for i := range n {
		all = append(all, fmt.Sprintf("%s%04d", prefix, i))
	}
	return all
}

// north folds what happens in one region.
var north = deviceops.Fold{By: "offline in north", AtLeast: 3, Within: 5 * time.Minute, Title: "Outage in north", Critical: 100}

func (d *drawer) open(t *testing.T, openings ...deviceops.TicketOpening) []deviceops.TicketOpened {
	t.Helper()
	opened, err := deviceops.OpenTickets(t.Context(), d, openings, openings[0].Entry.At)
	require.NoError(t, err)
	return opened
}

func (d *drawer) tell(t *testing.T, entries ...deviceops.TicketEntry) []deviceops.Ticket {
	t.Helper()
	told, err := deviceops.TellTickets(t.Context(), d, entries, entries[0].At)
	require.NoError(t, err)
	return told
}

func TestWhenAStormBegins(t *testing.T) {
	t.Parallel()
	type told struct {
		after  time.Duration
		device string
		fold   deviceops.Fold
	}
	south := north
	south.By = "offline in south"
	for name, c := range map[string]struct {
		told    []told
		members []string // devices
	}{
		"too few":                       {[]told{{0, "a", north}, {time.Minute, "b", north}}, nil},
		"enough":                        {[]told{{0, "a", north}, {time.Minute, "b", north}, {5 * time.Minute, "c", north}}, []string{"a", "b", "c"}},
		"too slow":                      {[]told{{0, "a", north}, {time.Minute, "b", north}, {301 * time.Second, "c", north}}, nil},
		"one that was open long before": {[]told{{-time.Hour, "a", north}, {0, "b", north}, {1, "c", north}, {2, "d", north}}, []string{"b", "c", "d"}},
		"of another cause":              {[]told{{0, "a", north}, {1, "b", south}, {2, "c", north}}, nil},
		"the same device twice":         {[]told{{0, "a", north}, {1, "a", north}, {2, "b", north}}, nil},
		"without a cause":               {[]told{{0, "a", deviceops.Fold{}}, {1, "b", deviceops.Fold{}}, {2, "c", deviceops.Fold{}}}, nil},
		"later, while it lasts":         {[]told{{0, "a", north}, {1, "b", north}, {2, "c", north}, {10 * time.Hour, "d", north}}, []string{"a", "b", "c", "d"}},
		"five by default": {[]told{
			{0, "a", deviceops.Fold{By: "x"}}, {1, "b", deviceops.Fold{By: "x"}}, {2, "c", deviceops.Fold{By: "x"}}, {3, "d", deviceops.Fold{By: "x"}},
		}, nil},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			d := newDrawer()
			for _, one := range c.told {
				d.open(t, offline(stormNoon.Add(one.after), one.fold, one.device)...)
			}
			var members []string
			for _, ticket := range d.tickets {
				if ticket.Parent != "" {
					members = append(members, ticket.Device)
				}
			}
			slices.Sort(members)
			require.Equal(t, c.members, members)
			if c.members != nil {
				require.Equal(t, len(members), d.parent(t).Members)
				require.Equal(t, len(members), d.parent(t).OpenMembers)
			}
		})
	}
}

func TestAStormIsToldOfAFewTimesWhateverItsSize(t *testing.T) {
	t.Parallel()
	d := newDrawer()
	devices := numbered("k", 2000)
	for i, device := range devices { // each in a transaction of its own: the worst case
		d.open(t, offline(stormNoon.Add(time.Duration(i)*time.Millisecond), north, device)...)
	}
	parent := d.parent(t)
	require.Equal(t, "Outage in north", parent.Title)
	require.Equal(t, 2000, parent.Members)
	require.Equal(t, 2000, parent.OpenMembers)
	require.Equal(t, "critical", parent.Severity)
	require.Equal(t, []string{"opened", "grew 12 by now, 12 of them open", "grew 48 by now, 48 of them open", "severity critical", "grew 192 by now, 192 of them open", "grew 768 by now, 768 of them open"}, d.told(parent.ID))
	require.Equal(t, []string{"opened", "folded it is part of " + parent.ID + ": Outage in north"}, d.told("ticket-k0000@1780315200"))
	last := "ticket-" + fmt.Sprintf("k1999@%d", stormNoon.Add(1999*time.Millisecond).Unix())
	require.Equal(t, parent.ID, d.tickets[last].Parent)
	require.Empty(t, d.told(last), "nobody hears of what was never alone")

	var up []deviceops.TicketEntry
	for _, id := range slices.Sorted(maps.Keys(d.tickets)) {
		if d.tickets[id].Parent != "" {
			up = append(up, recovered(stormNoon.Add(time.Hour), id)...)
		}
	}
	d.starts = nil
	d.tell(t, up[:1999]...)
	require.Equal(t, deviceops.TicketOpen, d.parent(t).Status)
	require.Equal(t, 1, d.parent(t).OpenMembers)
	require.Empty(t, d.starts)
	d.tell(t, up[1999])
	parent = d.parent(t)
	require.Equal(t, deviceops.TicketClosed, parent.Status)
	require.Equal(t, "all 2000 are closed", parent.Resolution)
	require.Equal(t, "engine", parent.ClosedBy)
	require.Zero(t, parent.OpenMembers)
	require.Equal(t, []string{"sync-" + parent.ID}, d.starts)
	require.Len(t, d.told(parent.ID), 7)
	require.Len(t, d.events, 2001, "each can be waited for")
}

func TestAStormInOneTransaction(t *testing.T) {
	t.Parallel()
	d := newDrawer()
	opened := d.open(t, offline(stormNoon, north, numbered("k", 500)...)...)
	parent := d.parent(t)
	require.Equal(t, 500, parent.Members)
	require.Equal(t, "critical", parent.Severity)
	require.Equal(t, []string{"opened"}, d.told(parent.ID))
	require.Equal(t, []string{"sync-" + parent.ID}, d.starts, "members have no workflow")
	for _, o := range opened {
		require.True(t, o.Created)
		require.Equal(t, parent.ID, o.Ticket.Parent)
	}
	again := d.open(t, offline(stormNoon, north, "k0007")...)
	require.Equal(t, opened[7], again[0], "what is told twice happens once")
	require.Len(t, d.entries, 501)
}

func TestAProblemThatIsBack(t *testing.T) {
	t.Parallel()
	d := newDrawer()
	first := d.open(t, offline(stormNoon, deviceops.Fold{}, "k1")...)[0].Ticket
	again := d.open(t, offline(stormNoon.Add(time.Minute), deviceops.Fold{}, "k1")...)[0]
	require.False(t, again.Created)
	require.Equal(t, 2, again.Ticket.Count)
	d.tell(t, recovered(stormNoon.Add(2*time.Minute), first.ID)...)
	require.Equal(t, deviceops.TicketClosed, d.tickets[first.ID].Status)
	d.tell(t, recovered(stormNoon.Add(3*time.Minute), first.ID)...)
	require.Len(t, d.entries, 3, "it recovered once")

	back := d.open(t, offline(stormNoon.Add(61*time.Minute), deviceops.Fold{}, "k1")...)[0]
	require.False(t, back.Created)
	require.Equal(t, first.ID, back.Ticket.ID)
	require.Equal(t, 1, back.Ticket.Relapses)
	require.Equal(t, 3, back.Ticket.Count)
	require.Equal(t, stormNoon, back.Ticket.OpenedAt)
	require.Equal(t, stormNoon.Add(61*time.Minute), back.Ticket.OpenSince)
	require.Empty(t, back.Ticket.ClosedBy)
	d.tell(t, recovered(stormNoon.Add(62*time.Minute), first.ID)...)
	later := d.open(t, offline(stormNoon.Add(122*time.Minute), deviceops.Fold{}, "k1")...)[0]
	require.True(t, later.Created, "an hour is over")
	_, err := deviceops.TellTicket(t.Context(), d, deviceops.TicketEntry{ID: "x", Ticket: first.ID, Kind: deviceops.EntryReopened, At: stormNoon, By: "channel:jira"})
	require.Equal(t, deviceops.ECONFLICT, deviceops.ErrorCode(err), "one problem has one open ticket")
	_, err = deviceops.TellTicket(t.Context(), d, deviceops.TicketEntry{ID: "x", Ticket: "none", Kind: deviceops.EntryCommented, At: stormNoon})
	require.Equal(t, deviceops.ENOTFOUND, deviceops.ErrorCode(err))
}

func TestAStormThatIsBack(t *testing.T) {
	t.Parallel()
	d := newDrawer()
	opened := d.open(t, offline(stormNoon, north, "a", "b", "c")...)
	ids := []string{opened[0].Ticket.ID, opened[1].Ticket.ID, opened[2].Ticket.ID}
	parent := d.parent(t).ID
	d.tell(t, recovered(stormNoon.Add(time.Minute), ids[0])...)
	d.open(t, offline(stormNoon.Add(3*time.Hour), north, "a")...)
	require.Equal(t, 3, d.parent(t).Members, "while the storm lasts, its members come back to it")
	require.Equal(t, 3, d.parent(t).OpenMembers)
	d.tell(t, recovered(stormNoon.Add(4*time.Hour), ids...)...)
	require.Equal(t, deviceops.TicketClosed, d.parent(t).Status)

	d.open(t, offline(stormNoon.Add(4*time.Hour+time.Minute), north, "a", "b")...)
	back := d.parent(t)
	require.Equal(t, parent, back.ID)
	require.Equal(t, deviceops.TicketOpen, back.Status)
	require.Equal(t, 1, back.Relapses)
	require.Equal(t, 2, back.OpenMembers)
	require.Equal(t, 3, back.Members)
	require.Equal(t, []string{"opened", "recovered all 3 are closed", "relapsed"}, d.told(parent))
	d.open(t, offline(stormNoon.Add(4*time.Hour+2*time.Minute), north, "d")...)
	require.Equal(t, 4, d.parent(t).Members)
}

func TestClosingAStormClosesItsMembers(t *testing.T) {
	t.Parallel()
	d := newDrawer()
	opened := d.open(t, offline(stormNoon, north, "a", "b", "c")...)
	parent := d.parent(t)
	close := deviceops.TicketEntry{ID: "e", Ticket: parent.ID, Kind: deviceops.EntryClosed, At: stormNoon.Add(time.Minute), By: "user:maria", Text: "power is back"}
	d.tell(t, close)
	for _, o := range opened {
		member := d.tickets[o.Ticket.ID]
		require.Equal(t, deviceops.TicketClosed, member.Status)
		require.Equal(t, "power is back", member.Resolution)
	}
	require.Zero(t, d.parent(t).OpenMembers)
	require.Len(t, d.events, 4)
	d.tell(t, recovered(stormNoon.Add(2*time.Minute), opened[0].Ticket.ID)...)
	require.Zero(t, d.parent(t).OpenMembers)
}

func TestSeverityOfTickets(t *testing.T) {
	t.Parallel()
	d := newDrawer()
	mild := offline(stormNoon, north, "a", "b", "c")
	for i := range mild {
		mild[i].Ticket.Severity = "info"
	}
	opened := d.open(t, mild...)
	require.Equal(t, "info", d.parent(t).Severity)
	d.open(t, offline(stormNoon.Add(time.Minute), north, "a")...)
	require.Equal(t, "error", d.tickets[opened[0].Ticket.ID].Severity, "told again, it matters more")
	require.Equal(t, "error", d.parent(t).Severity, "a storm matters as much as its members")
	d.tell(t, deviceops.TicketEntry{ID: "s", Ticket: d.parent(t).ID, Kind: deviceops.EntrySeverity, At: stormNoon, By: "user:maria", Text: "warning"})
	require.Equal(t, "warning", d.parent(t).Severity, "people may say that it matters less")
	_, err := deviceops.TellTicket(t.Context(), d, deviceops.TicketEntry{ID: "s2", Ticket: d.parent(t).ID, Kind: deviceops.EntrySeverity, At: stormNoon, Text: "urgent"})
	require.Equal(t, deviceops.EINVALID, deviceops.ErrorCode(err))
}

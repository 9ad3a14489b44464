package worker_test

import (
	"context"
	"net/netip"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/deviceops/deviceops"
	"github.com/deviceops/deviceops/activities"
	"github.com/deviceops/deviceops/channel"
	"github.com/deviceops/deviceops/channel/channeltest"
	"github.com/deviceops/deviceops/outbound"
)

// A ticket is opened in another system, told of there each time that it changes,
// and closed there, by a workflow that goes on in new executions. Each start of one
// that runs already is the news that wakes it.
func TestTicketsOnARealServer(t *testing.T) {
	jira := channeltest.Jira(t)
	s := newStack(t, func(d *activities.Deps) {
		d.Channels = channel.New(channel.Config{
			Source: channeltest.Source{"jira": channeltest.Document(t, "jira", jira.URL)}, Secrets: channeltest.Secrets{},
			Guard: outbound.NewGuard([]netip.Prefix{netip.MustParsePrefix("127.0.0.0/8")}),
		})
	})
	var ticket deviceops.Ticket
	now := func() time.Time { return time.Now().UTC().Truncate(time.Millisecond) }
	require.NoError(t, s.store.InTx(t.Context(), func(ctx context.Context, tx deviceops.Tx) error {
		opened, err := deviceops.OpenTicket(ctx, tx, deviceops.TicketOpening{
			Ticket: deviceops.Ticket{ID: "t1", Account: "acme", Title: "Dark", Severity: "error", Fingerprint: "f", Channel: "jira"},
			Entry:  deviceops.TicketEntry{ID: "e1", At: now(), By: "run:r1"},
		}, now())
		ticket = opened.Ticket
		return err
	}))
	start := ticket.SyncStart()
	start.Input = deviceops.TicketSyncInput{Ticket: "t1", Looks: 2}
	s.start(t, start)
	tell := func(kind, text string) {
		t.Helper()
		require.NoError(t, s.store.InTx(t.Context(), func(ctx context.Context, tx deviceops.Tx) error {
			_, err := deviceops.TellTicket(ctx, tx, deviceops.TicketEntry{ID: kind, Ticket: "t1", Kind: kind, At: now(), By: "user:maria", Text: text})
			return err
		}))
		s.start(t, start)
	}
	there := func(is func(channeltest.Ticket) bool) {
		t.Helper()
		require.Eventually(t, func() bool {
			all := jira.Tickets()
			return len(all) == 1 && is(all[0])
		}, 10*time.Second, 10*time.Millisecond, "sooner than it looks by itself: %+v", jira.Tickets())
	}
	there(func(one channeltest.Ticket) bool { return one.Title == "Dark" })
	tell(deviceops.EntryCommented, "fuse ordered")
	there(func(one channeltest.Ticket) bool {
		return strings.Contains(strings.Join(one.Comments, " "), "fuse ordered")
	})
	tell(deviceops.EntrySeverity, "critical")
	there(func(one channeltest.Ticket) bool { return one.Severity == "Highest" })
	tell(deviceops.EntryRecovered, "it is back")
	there(func(one channeltest.Ticket) bool { return one.Status == "done" })
	require.NoError(t, s.wait(t, start.WorkflowID, nil))
	require.Greater(t, len(s.histories(t, start.WorkflowID, "ticket")), 1)
}

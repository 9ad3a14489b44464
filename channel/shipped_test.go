package channel_test

import (
	"net/http"
	"net/netip"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/deviceops/deviceops"
	"github.com/deviceops/deviceops/channel"
	"github.com/deviceops/deviceops/channel/channeltest"
	"github.com/deviceops/deviceops/outbound"
)

// loopback lets tests reach servers on this machine.
var loopback = outbound.NewGuard([]netip.Prefix{netip.MustParsePrefix("127.0.0.0/8")})

func channels(source channeltest.Source) *channel.Channels { return channelsAt(source, time.Now) }

func channelsAt(source channeltest.Source, now func() time.Time) *channel.Channels {
	return channel.New(channel.Config{Source: source, Guard: loopback, Secrets: channeltest.Secrets{}, Now: now})
}

// desk is a shipped channel with the double of its system.
type desk struct {
	name           string
	system         *channeltest.System
	open, closed   string // words of the system
	finds, listens bool
	comments       bool
	critical       string // its word for it; "": it is told by a comment
}

func desks(t *testing.T) []desk {
	return []desk{
		{"jira", channeltest.Jira(t), "new", "done", true, true, true, "Highest"},
		{"servicenow", channeltest.ServiceNow(t), "1", "6", true, true, true, "1"},
		{"zendesk", channeltest.Zendesk(t), "new", "solved", true, true, true, "urgent"},
		{"github", channeltest.GitHub(t), "open", "closed", true, true, true, ""},
		{"pagerduty", channeltest.PagerDuty(t), "triggered", "resolved", false, true, false, ""},
		{"slack", channeltest.Slack(t), "", "", false, false, true, ""},
		{"webhook", channeltest.Webhook(t), "open", "closed", false, true, true, "critical"},
	}
}

var problem = deviceops.Ticket{
	ID: "ticket-7", Account: "acme", Device: "kiosk-1", Title: "Panel is dark", Body: "It does not answer.", Severity: "error", Status: deviceops.TicketOpen, Count: 1,
}

func TestShippedChannelsKeepTickets(t *testing.T) {
	t.Parallel()
	for _, d := range desks(t) {
		t.Run(d.name, func(t *testing.T) {
			t.Parallel()
			c := channels(channeltest.Source{d.name: channeltest.Document(t, d.name, d.system.URL)})
			ticket := problem
			ask := func(operation string, args map[string]any) deviceops.ChannelAnswer {
				t.Helper()
				answer, err := c.Call(t.Context(), deviceops.ChannelCall{
					ID: "effect-1", Account: "acme", Channel: d.name, Operation: operation, Ticket: ticket, Args: args,
				})
				require.NoError(t, err)
				return answer
			}
			info, err := c.Describe(t.Context(), "acme", d.name)
			require.NoError(t, err)
			require.Equal(t, d.finds, info.Can(deviceops.ChannelFind))
			require.Equal(t, d.listens, info.Webhook)

			if d.finds {
				require.Zero(t, ask(deviceops.ChannelFind, nil), "there is none yet")
			}
			ticket.Remote = ask(deviceops.ChannelOpen, nil).Remote
			require.Len(t, d.system.Tickets(), 1)
			there := d.system.Tickets()[0]
			require.Equal(t, there.ID, ticket.Remote.ID)
			require.Contains(t, there.Title, "Panel is dark")
			require.NotEqual(t, deviceops.TicketClosed, ticket.Remote.State)
			if d.finds {
				found := ask(deviceops.ChannelFind, nil).Remote
				require.Equal(t, ticket.Remote, found, "an answer that was lost opens no second ticket")
				require.Contains(t, there.Ours+there.Body, "ticket-7")
			}
			if d.comments {
				ask(deviceops.ChannelComment, map[string]any{"by": "user:maria", "text": "fuse ordered"})
				require.Contains(t, d.system.Tickets()[0].Comments, "user:maria: fuse ordered", "%v", d.system.Tickets())
			}
			require.Equal(t, d.critical != "", info.Can(deviceops.ChannelSeverity))
			if d.critical != "" {
				ask(deviceops.ChannelSeverity, map[string]any{"by": "user:maria", "severity": "critical"})
				require.Equal(t, d.critical, d.system.Tickets()[0].Severity)
			}
			d.closing(t, ask, info)
		})
	}
}

// closing closes a ticket, and opens it again where the system can.
func (d desk) closing(t *testing.T, ask func(string, map[string]any) deviceops.ChannelAnswer, info deviceops.ChannelInfo) {
	reads := info.Can(deviceops.ChannelGet)
	if reads {
		require.Equal(t, deviceops.TicketOpen, ask(deviceops.ChannelGet, nil).Remote.State)
	}
	ask(deviceops.ChannelClose, map[string]any{"by": "user:maria", "resolution": ""})
	if d.closed != "" {
		require.Equal(t, d.closed, d.system.Tickets()[0].Status)
	}
	if reads {
		require.Equal(t, deviceops.TicketClosed, ask(deviceops.ChannelGet, nil).Remote.State)
	}
	if info.Can(deviceops.ChannelReopen) {
		ask(deviceops.ChannelReopen, map[string]any{"by": "run:r1", "text": "dark again"})
		require.NotEqual(t, d.closed, d.system.Tickets()[0].Status)
	}
}

func TestShippedChannelsListen(t *testing.T) {
	t.Parallel()
	for _, d := range desks(t) {
		if !d.listens {
			continue
		}
		t.Run(d.name, func(t *testing.T) {
			t.Parallel()
			c := channels(channeltest.Source{d.name: channeltest.Document(t, d.name, d.system.URL)})
			there := channeltest.Ticket{ID: "12", Status: d.closed}
			header, body := d.system.News(there, "", "Ada")
			hook := deviceops.ChannelHook{Account: "acme", Channel: d.name, Header: header, Body: body, At: time.Now()}
			news, err := c.Hear(t.Context(), hook)
			require.NoError(t, err)
			require.Equal(t, "12", news.Remote.ID)
			require.Equal(t, deviceops.TicketClosed, news.Remote.State)
			require.Equal(t, d.closed, news.Remote.Status)
			require.Equal(t, "Ada", news.By)
			require.Empty(t, news.Comment)
			again, err := c.Hear(t.Context(), hook)
			require.NoError(t, err)
			require.Equal(t, news.ID, again.ID, "sent again, it is the same news")

			if d.comments {
				there.Status = d.open
				header, body := d.system.News(there, "on my way", "Ada")
				said, err := c.Hear(t.Context(), deviceops.ChannelHook{Account: "acme", Channel: d.name, Header: header, Body: body, At: time.Now()})
				require.NoError(t, err)
				require.Equal(t, "on my way", said.Comment)
				require.Equal(t, deviceops.TicketOpen, said.Remote.State)
				require.NotEqual(t, news.ID, said.ID)
			}

			hook.Body = append([]byte(" "), body...)
			if d.name != "servicenow" { // whose token does not cover the body
				_, err = c.Hear(t.Context(), hook)
				require.Equal(t, deviceops.EUNAUTHENTICATED, deviceops.ErrorCode(err), "%v", err)
			}
			hook.Header = http.Header{}
			_, err = c.Hear(t.Context(), hook)
			require.Equal(t, deviceops.EUNAUTHENTICATED, deviceops.ErrorCode(err), "%v", err)
			require.NotContains(t, err.Error(), channeltest.WebhookKey)
		})
	}
}

func TestShippedChannelsNotify(t *testing.T) {
	t.Parallel()
	for name, system := range map[string]*channeltest.System{
		"pagerduty": channeltest.PagerDuty(t), "slack": channeltest.Slack(t), "webhook": channeltest.Webhook(t),
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			c := channels(channeltest.Source{name: channeltest.Document(t, name, system.URL)})
			_, err := c.Call(t.Context(), deviceops.ChannelCall{
				ID: "n1", Account: "acme", Channel: name, Operation: deviceops.ChannelNotify, Device: deviceops.Device{ID: "kiosk-1"},
				Args: map[string]any{"title": "Kiosk is dark", "text": "and 3 more", "severity": "warning", "key": "dark", "more": 3},
			})
			require.NoError(t, err)
			require.Len(t, system.Tickets(), 1)
			require.Contains(t, system.Tickets()[0].Title, "Kiosk is dark")
		})
	}
}

func TestShippedActions(t *testing.T) {
	t.Parallel()
	system := channeltest.ServiceNow(t)
	c := channels(channeltest.Source{"servicenow": channeltest.Document(t, "servicenow", system.URL)})
	call := deviceops.ChannelCall{
		ID: "a1", Account: "acme", Channel: "servicenow", Operation: deviceops.ChannelAction("create-work-order"),
		Args: map[string]any{"summary": "Replace the panel", "location": "Hamburg"},
	}
	answer, err := c.Call(t.Context(), call)
	require.NoError(t, err)
	require.Equal(t, map[string]any{"order": "WO0001", "sys_id": "f00"}, answer.Output)
	call.Args = map[string]any{"summary": "Replace the panel"}
	_, err = c.Call(t.Context(), call)
	require.Equal(t, deviceops.EINVALID, deviceops.ErrorCode(err))
	require.Contains(t, err.Error(), "location")
}

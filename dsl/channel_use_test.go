package dsl

import (
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/deviceops/deviceops/activities"
)

const usesChannels = `workflow: w
steps:
  - action: ticket.open
    with: { title: x, channel: jria, notify: "${{ 'to' + 'day' }}" }
  - action: notify
    with: { text: x, channel: jira }
  - action: notify
    with: { text: x, channel: log }
  - action: channel.call
    with: { channel: nobody, action: order }
  - approve: Go?
    by: [role:operator]
    notify: nobody
---
automation: a
trigger: { offline: 1m }
ticket: { title: x, channel: jira, notify: log }
---
automation: b
trigger: { offline: 1m }
ticket: { title: x, channel: log, notify: slack }
---
channel: slack
url: https://hooks.example.com
notify: { request: { path: /x } }
`

func TestChannelsAreLookedUp(t *testing.T) {
	t.Parallel()
	jira, found := CompileChannel("channel: jira\nurl: https://x.example\nticket: { open: { request: { path: /t }, answer: { id: response.json.id } } }\n")
	require.NoError(t, found.Err())
	options := Options{Actions: activities.Actions(), Channel: func(name string) *Channel { return map[string]*Channel{"jira": jira}[name] }}
	_, found = CheckFile("w.yaml", usesChannels, options)
	var got []string
	for _, d := range found {
		got = append(got, sprintf("%d:%d %s: %s", d.Line, d.Column, d.Severity, d.Message))
	}
	require.Equal(t, []string{
		"4:32 error: there is no channel jria",
		"6:31 error: the channel jira cannot do notify; it can do ticket.open",
		"10:22 error: there is no channel nobody",
		"13:13 warning: there is no channel nobody",
		"21:30 error: the channel log tells people, and does nothing else",
	}, got)
	options.Channel = nil
	_, found = CheckFile("w.yaml", usesChannels, options)
	require.Len(t, found, 1, "offline, only what the file has is known: %v", found)
}

func TestTicketsOfAutomations(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct{ document, code string }{
		"a run besides":     {"trigger: { offline: 1m }\nticket: { title: x }\nrun: w@1\n", "no-meaning"},
		"no title":          {"trigger: { offline: 1m }\nticket: { body: x }\n", "missing-key"},
		"a severity":        {"trigger: { offline: 1m }\nticket: { title: x, severity: dire }\n", "wrong-value"},
		"a fold without by": {"trigger: { offline: 1m }\nticket: { title: x, fold: { at_least: 3 } }\n", "missing-key"},
		"a storm of one":    {"trigger: { offline: 1m }\nticket: { title: x, fold: { by: cause, at_least: 1 } }\n", "out-of-range"},
		"nothing that ends": {"trigger: { manual: true }\nticket: { title: x }\n", "no-meaning"},
		"a value":           {"trigger: { offline: 1m }\nticket: { title: \"${{ evnt.device }}\" }\n", "unknown-name"},
		"neither":           {"trigger: { offline: 1m }\n", "missing-key"},
	} {
		_, found := CheckFile("a.yaml", "automation: a\n"+c.document, Options{})
		require.Len(t, found, 1, "%s: %v", name, found)
		require.Equal(t, c.code, found[0].Code, "%s: %v", name, found)
	}
	a := automationOf(t, "automation: a\ntrigger: { event: link.down }\nticket:\n  title: ${{ event.device }} is down\n  severity: ${{ event.data.severity }}\n  fold: { by: \"${{ device.labels?.site }}\", within: 1h }\n")
	o := battery(1)
	o.Event["data"] = map[string]any{"severity": "warning"}
	opening, err := a.TicketFor(o)
	require.NoError(t, err)
	require.Equal(t, "k1 is down", opening.Ticket.Title)
	require.Equal(t, "warning", opening.Ticket.Severity)
	require.Empty(t, opening.Fold.By)
	require.True(t, a.Rules().OpensTicket)
	o.Event["data"] = map[string]any{"severity": "dire"}
	_, err = a.TicketFor(o)
	require.ErrorContains(t, err, "there is no severity")
}

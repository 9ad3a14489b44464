package rehearsal_test

import (
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
)

const linkDown = `automation: link-down
trigger: { event: link.moved, where: event.data.up == false }
ticket:
  title: ${{ event.device }} has no link
  reopen: 10m
  fold: { by: "${{ event.data.site }}", at_least: 3, within: 5m, title: "No link at ${{ event.data.site }}" }
---
test: link-down
cases:
  - name: a storm comes, goes and comes back
    events:
      - { at: 0m, event: link.moved, device: k1, data: { up: false, site: paris } }
      - { at: 1m, event: link.moved, device: k2, data: { up: false, site: paris } }
      - { at: 1m, event: link.moved, device: k9, data: { up: false, site: "" } }
      - { at: 2m, event: link.moved, device: k1, data: { up: false, site: paris } }
      - { at: 3m, event: link.moved, device: k3, data: { up: false, site: paris } }
      - { at: 8m, event: link.moved, device: k4, data: { up: false, site: paris } }
      - { at: 20m, event: link.moved, device: k1, data: { up: true, site: paris } }
      - { at: 21m, event: link.moved, device: k2, data: { up: true, site: paris } }
      - { at: 22m, event: link.moved, device: k3, data: { up: true, site: paris } }
      - { at: 23m, event: link.moved, device: k4, data: { up: true, site: paris } }
      - { at: 25m, event: link.moved, device: k4, data: { up: false, site: paris } }
    expect: { runs: 0, tickets: TICKETS, storms: STORMS }
`

func TestTicketsOfAStormFold(t *testing.T) {
	t.Parallel()
	story := func(tickets, storms string) string {
		return strings.NewReplacer("TICKETS", tickets, "STORMS", storms).Replace(linkDown)
	}
	result := play(t, story("5", "1"))
	require.Empty(t, differences(result))
	var told []string
	for _, note := range result.Notes {
		if strings.HasPrefix(note.Text, "ticket") || strings.HasPrefix(note.Text, "storm") {
			told = append(told, note.Text)
		}
	}
	require.Equal(t, []string{
		"ticket: k1 has no link", "ticket: k2 has no link", "ticket: k9 has no link", "ticket, told again: k1 has no link",
		"ticket: k3 has no link", "storm of 3 tickets: No link at paris",
		"ticket: k4 has no link", "storm of 4 tickets: No link at paris",
		"ticket, closed: k1 has no link", "ticket, closed: k2 has no link", "ticket, closed: k3 has no link",
		"ticket, closed: k4 has no link", "storm, over: No link at paris",
		"ticket, open again: k4 has no link", "storm, open again: No link at paris",
	}, told)
	require.Equal(t, []string{"expected tickets 6: 5 tickets were opened", "expected storms 0: 1 storm began"}, differences(play(t, story("6", "0"))))
}

const runsOpen = `profile: sign
commands: { ping: { result: { ok: boolean } } }
---
workflow: look
inputs: { device: device sign, title: { type: string, default: dark } }
device: ${{ inputs.device }}
steps:
  - id: ticket
    action: ticket.open
    with:
      title: ${{ inputs.title }}
      reopen: 1h
      recover: online
      fold: { by: "dark in ${{ device.labels.site }}", at_least: 3, title: "Dark in ${{ device.labels.site }}" }
---
automation: sign-dark
trigger: { event: sign.dark }
concurrency: parallel
run: look@latest
with: { device: "${{ event.device }}" }
---
workflow: repaired
inputs: { device: device sign }
device: ${{ inputs.device }}
steps:
  - action: ticket.close
    with: { fingerprint: "${{ device.id }}|dark" }
---
automation: sign-repaired
trigger: { event: sign.repaired }
run: repaired@latest
with: { device: "${{ event.device }}" }
---
test: signs
automation: [sign-dark, sign-repaired]
devices:
  k1: { profile: sign, labels: { site: paris }, connectivity: offline }
  k2: { profile: sign, labels: { site: paris }, connectivity: offline }
  k3: { profile: sign, labels: { site: paris }, connectivity: offline }
cases:
  - name: runs tell of one problem again, fold, and say that it is over
    events:
      - { at: 0m, event: sign.dark, device: k1 }
      - { at: 1m, event: sign.dark, device: k1 }
      - { at: 2m, event: sign.dark, device: k2 }
      - { at: 3m, event: sign.dark, device: k3 }
      - { at: 10m, event: sign.repaired, device: k1 }
      - { at: 11m, online: true, device: k2 }
      - { at: 12m, online: true, device: k3 }
      - { at: 20m, event: sign.dark, device: k1 }
    expect: { runs: 6, tickets: 3, storms: 1 }
`

// Tickets of runs follow the rules of the engine, as those of automations do.
func TestTicketsOfRunsFold(t *testing.T) {
	t.Parallel()
	result := play(t, runsOpen)
	require.Empty(t, differences(result))
	var notes []string
	for _, note := range result.Notes {
		if strings.HasPrefix(note.Text, "ticket") || strings.HasPrefix(note.Text, "storm") {
			notes = append(notes, note.Text)
		}
	}
	require.Equal(t, []string{
		"ticket: dark", "ticket, told again: dark", "ticket: dark", "ticket: dark", "storm of 3 tickets: Dark in paris",
		"ticket, closed: dark", "ticket, closed: dark", "ticket, closed: dark", "storm, over: Dark in paris",
		"ticket, open again: dark", "storm, open again: Dark in paris",
	}, notes)
}

package activities

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"strings"

	"github.com/deviceops/deviceops"
)

var _ = addAction(NewAction(About{
	Name: "ticket.open", Summary: "opens a ticket, or counts on the open one about the same problem", Idempotent: true,
	Description: "Of one account and fingerprint there is at most one open ticket. Without `fingerprint` the problem is the device and the title. " +
		"When the ticket was closed and the problem is back, another one is opened.",
	Example: `
- id: ticket
  action: ticket.open
  with:
    title: Reboot of ${{ inputs.device }} failed
    body: ${{ error.message }}
    severity: error`,
}, openTicket))

var _ = addAction(NewAction(About{
	Name: "ticket.comment", Summary: "adds a comment to a ticket", Idempotent: true,
	Example: `
- action: ticket.comment
  with: { ticket: "${{ steps.ticket.output.id }}", text: The kiosk answers again. }`,
}, commentTicket))

var _ = addAction(NewAction(About{
	Name: "ticket.close", Summary: "closes a ticket", Idempotent: true,
	Description: "A ticket that is closed already stays as it is.",
	Example: `
- action: ticket.close
  with: { ticket: "${{ steps.ticket.output.id }}", resolution: The kiosk came back by itself. }`,
}, closeTicket))

type openTicketArgs struct {
	Title       string `json:"title" required:"true" max:"200" doc:"the problem in a few words"`
	Body        string `json:"body" max:"20000" doc:"what is known about it"`
	Severity    string `json:"severity" enum:"info,warning,error,critical" default:"error" doc:"how much it matters"`
	Fingerprint string `json:"fingerprint" max:"500" doc:"what names the problem; left out: the device and the title"`
	Assignee    string `json:"assignee" max:"200" doc:"who is to look into it, such as user:maria"`
}

type openTicketOutput struct {
	ID      string `json:"id" doc:"the ticket"`
	Created bool   `json:"created" doc:"false when the problem had an open ticket"`
	Count   int    `json:"count" doc:"how often the problem was told"`
}

func openTicket(ctx context.Context, c *Call, args openTicketArgs) (openTicketOutput, error) {
	account := c.Account
	if c.in.Device != "" {
		device, err := c.Device(ctx)
		if err != nil {
			return openTicketOutput{}, err
		}
		account = device.Account
	}
	fingerprint := args.Fingerprint
	if fingerprint == "" {
		fingerprint = c.in.Device + "|" + args.Title
	}
	stored, created, err := c.deps.Store.OpenTicket(ctx, deviceops.Ticket{
		ID: "ticket-" + shortHash(c.ID), Account: account, Device: c.in.Device, Title: args.Title, Body: args.Body, Severity: args.Severity,
		Fingerprint: strings.ReplaceAll(fingerprint, "\x00", ""), Assignee: args.Assignee, Run: c.Run,
	}, c.entry("", "", args.Body))
	return openTicketOutput{ID: stored.ID, Created: created, Count: stored.Count}, err
}

func shortHash(text string) string {
	sum := sha256.Sum256([]byte(text))
	return hex.EncodeToString(sum[:8])
}

// entry gives what the step says of a ticket; its id is the step's effect.
func (c *Call) entry(ticket, kind, text string) deviceops.TicketEntry {
	return deviceops.TicketEntry{ID: c.ID, Ticket: ticket, Kind: kind, At: c.Now(), By: c.By, Text: text}
}

type commentTicketArgs struct {
	Ticket string `json:"ticket" required:"true" doc:"the id of the ticket"`
	Text   string `json:"text" required:"true" max:"20000" doc:"the comment"`
}

type ticketOutput struct {
	ID     string                 `json:"id" doc:"the ticket"`
	Status deviceops.TicketStatus `json:"status" doc:"open or closed"`
}

func commentTicket(ctx context.Context, c *Call, args commentTicketArgs) (ticketOutput, error) {
	if _, err := c.ticket(ctx, args.Ticket); err != nil {
		return ticketOutput{}, err
	}
	stored, err := c.deps.Store.AddTicketEntry(ctx, c.entry(args.Ticket, deviceops.EntryCommented, args.Text))
	return ticketOutput{ID: stored.ID, Status: stored.Status}, err
}

type closeTicketArgs struct {
	Ticket     string `json:"ticket" required:"true" doc:"the id of the ticket"`
	Resolution string `json:"resolution" max:"20000" doc:"what became of the problem"`
}

func closeTicket(ctx context.Context, c *Call, args closeTicketArgs) (ticketOutput, error) {
	stored, err := c.ticket(ctx, args.Ticket)
	if err != nil || stored.Status == deviceops.TicketClosed {
		return ticketOutput{ID: stored.ID, Status: stored.Status}, err
	}
	stored, err = c.deps.Store.AddTicketEntry(ctx, c.entry(args.Ticket, deviceops.EntryClosed, args.Resolution))
	return ticketOutput{ID: stored.ID, Status: stored.Status}, err
}

// ticket gives a ticket that the run may see. One of another account is not
// found.
func (c *Call) ticket(ctx context.Context, id string) (deviceops.Ticket, error) {
	found, err := c.deps.Store.FindTicket(ctx, id)
	if err == nil && !deviceops.AccountWithin(found.Account, c.Account) {
		err = deviceops.Errorf(deviceops.ENOTFOUND, "account %s has no ticket %s", c.Account, id)
	}
	if err != nil {
		return deviceops.Ticket{}, err
	}
	return found, nil
}

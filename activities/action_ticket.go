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
		"When the ticket was closed and the problem is back, another one is opened. " +
		"With `channel` the ticket is opened in the system of the channel too, and both are kept in step: comments, closing and opening again, both ways. " +
		"The step does not wait for that system. `ticket.wait` waits until it is closed; that is an event `ticket.closed` too, with `data.ticket`.",
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

var _ = addAction(NewAction(About{
	Name: "ticket.wait", Summary: "waits until a ticket is closed, here or in the system of its channel", Idempotent: true,
	Description: "The step's `timeout` says how long; left out: a day. Waiting costs nothing.",
	Example: `
- id: closed
  action: ticket.wait
  with: { ticket: "${{ steps.ticket.output.id }}" }
  timeout: 7d`,
}, waitTicket))

type openTicketArgs struct {
	Title       string `json:"title" required:"true" max:"200" doc:"the problem in a few words"`
	Body        string `json:"body" max:"20000" doc:"what is known about it"`
	Severity    string `json:"severity" enum:"info,warning,error,critical" default:"error" doc:"how much it matters"`
	Fingerprint string `json:"fingerprint" max:"500" doc:"what names the problem; left out: the device and the title"`
	Assignee    string `json:"assignee" max:"200" doc:"who is to look into it, such as user:maria"`
	Channel     string `json:"channel" max:"64" doc:"the channel whose system has the ticket too; left out: it is kept here alone"`
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
	if err := c.keepsTickets(ctx, account, args.Channel); err != nil {
		return openTicketOutput{}, err
	}
	stored, created, err := c.open(ctx, deviceops.Ticket{
		ID: "ticket-" + shortHash(c.ID), Account: account, Device: c.in.Device, Title: args.Title, Body: args.Body, Severity: args.Severity,
		Fingerprint: strings.ReplaceAll(fingerprint, "\x00", ""), Assignee: args.Assignee, Run: c.Run, Channel: args.Channel,
	}, args.Body)
	return openTicketOutput{ID: stored.ID, Created: created, Count: stored.Count}, err
}

// open stores a ticket and, in the same transaction, asks for the workflow that
// has the other system open it too.
func (c *Call) open(ctx context.Context, t deviceops.Ticket, text string) (stored deviceops.Ticket, created bool, err error) {
	err = c.deps.Store.InTx(ctx, func(ctx context.Context, tx deviceops.Tx) error {
		if stored, created, err = tx.OpenTicket(ctx, t, c.entry("", "", text)); err != nil || !created || t.Channel == "" {
			return err
		}
		return tx.RequestStarts(ctx, []deviceops.Start{stored.SyncStart()}, c.Now())
	})
	if err == nil && created {
		c.nudge(ctx, stored)
	}
	return stored, created, err
}

// keepsTickets refuses a channel that cannot open tickets, while the step can
// still say so.
func (c *Call) keepsTickets(ctx context.Context, account, channel string) error {
	if channel == "" {
		return nil
	}
	info, err := c.deps.channel(ctx, account, channel)
	if err == nil && !info.Can(deviceops.ChannelOpen) {
		err = deviceops.Errorf(deviceops.EINVALID, "the channel %s opens no tickets; give it ticket:", channel)
	}
	return err
}

// nudge has the other system told at once. When that fails the workflow of the
// ticket finds out by itself.
func (c *Call) nudge(ctx context.Context, t deviceops.Ticket) {
	if c.deps.Orchestrator == nil {
		return
	}
	if err := deviceops.NudgeTicket(ctx, c.deps.Orchestrator, t); err != nil {
		c.Log().WarnContext(ctx, "the system of a ticket is told of it later", "ticket", t.ID, "error", err)
	}
}

// tellTicket adds what the step says to a ticket.
func (c *Call) tellTicket(ctx context.Context, e deviceops.TicketEntry) (stored deviceops.Ticket, err error) {
	err = c.deps.Store.InTx(ctx, func(ctx context.Context, tx deviceops.Tx) error {
		stored, err = deviceops.TellTicket(ctx, tx, e)
		return err
	})
	if err == nil {
		c.nudge(ctx, stored)
	}
	return stored, err
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
	stored, err := c.tellTicket(ctx, c.entry(args.Ticket, deviceops.EntryCommented, args.Text))
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
	stored, err = c.tellTicket(ctx, c.entry(args.Ticket, deviceops.EntryClosed, args.Resolution))
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

type waitTicketArgs struct {
	Ticket string `json:"ticket" required:"true" doc:"the id of the ticket"`
}

type waitTicketOutput struct {
	ID         string `json:"id" doc:"the ticket"`
	ClosedBy   string `json:"closed_by" doc:"who closed it; channel:NAME if it was closed in another system"`
	Resolution string `json:"resolution" doc:"what became of the problem"`
}

// waitTicket looks once; while the ticket is open Temporal looks again later.
func waitTicket(ctx context.Context, c *Call, args waitTicketArgs) (waitTicketOutput, error) {
	found, err := c.ticket(ctx, args.Ticket)
	if err != nil {
		return waitTicketOutput{}, err
	}
	if found.Status != deviceops.TicketClosed {
		return waitTicketOutput{}, notYet("the ticket %s is open", found.ID)
	}
	return waitTicketOutput{ID: found.ID, ClosedBy: found.ClosedBy, Resolution: found.Resolution}, nil
}

package activities

import (
	"context"
	"strings"
	"time"

	"github.com/deviceops/deviceops"
)

var _ = addAction(NewAction(About{
	Name: "ticket.open", Summary: "opens a ticket, or counts on the open one about the same problem", Idempotent: true, Quick: true,
	Description: "Of one account and fingerprint there is at most one open ticket. Without `fingerprint` the problem is the device and the title. " +
		"A problem that is back within `reopen` opens its last ticket again; later, another one. " +
		"With `channel` the ticket is opened in the system of the channel too, and both are kept in step: comments, severity, closing and opening again, both ways. " +
		"With `notify` people are told of it. With `fold` many tickets of one cause become members of one parent, which alone is told of. " +
		"The step does not wait for other systems. `ticket.wait` waits until it is closed; that is an event `ticket.closed` too, with `data.ticket`.",
	Example: `
- id: ticket
  action: ticket.open
  with:
    title: Reboot of ${{ inputs.device }} failed
    body: ${{ error.message }}
    severity: error`,
}, openTicket))

var _ = addAction(NewAction(About{
	Name: "ticket.comment", Summary: "adds a comment to a ticket", Idempotent: true, Quick: true,
	Example: `
- action: ticket.comment
  with: { ticket: "${{ steps.ticket.output.id }}", text: The kiosk answers again. }`,
}, commentTicket))

var _ = addAction(NewAction(About{
	Name: "ticket.close", Summary: "closes a ticket", Idempotent: true, Quick: true,
	Description: "It is named by its id, or by the fingerprint of its problem: then that is over, and it is no mistake if it has no open ticket. " +
		"A ticket that is closed already stays as it is. The members of a parent are closed with it.",
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
	Title       string      `json:"title" required:"true" max:"200" doc:"the problem in a few words"`
	Body        string      `json:"body" max:"20000" doc:"what is known about it"`
	Severity    string      `json:"severity" enum:"info,warning,error,critical" default:"error" doc:"how much it matters"`
	Fingerprint string      `json:"fingerprint" max:"500" doc:"what names the problem; left out: the device and the title"`
	Assignee    string      `json:"assignee" max:"200" doc:"who is to look into it, such as user:maria"`
	Channel     string      `json:"channel" max:"64" channel:"ticket.open" doc:"the channel whose system has the ticket too; left out: it is kept here alone"`
	Notify      string      `json:"notify" max:"64" channel:"notify" doc:"the channel on which people are told when it is opened, matters more, and is closed"`
	Reopen      Duration    `json:"reopen" default:"1h" doc:"a ticket that was closed no longer ago is opened again when the problem is back"`
	Recover     string      `json:"recover" enum:"online" doc:"the ticket closes itself when the device of the step is online"`
	Fold        *ticketFold `json:"fold" doc:"when tickets of one cause are one storm"`
}

type ticketFold struct {
	By       string   `json:"by" max:"500" doc:"the cause, with what it is grouped by, such as: offline in region north; empty: the ticket is no part of any storm"`
	AtLeast  int      `json:"at_least" min:"2" max:"100000" default:"5" doc:"so many open tickets of the cause begin a storm"`
	Within   Duration `json:"within" default:"5m" doc:"if they were opened within this time"`
	Title    string   `json:"title" max:"200" doc:"title of the parent; left out: by"`
	Critical int      `json:"critical" min:"1" doc:"a storm of so many is critical; left out: as severe as its severest member"`
}

// rule gives the rule of folding. None: none.
func (f *ticketFold) rule() deviceops.Fold {
	if f == nil {
		return deviceops.Fold{}
	}
	return deviceops.Fold{
		By: withoutNUL(f.By), AtLeast: f.AtLeast, Within: time.Duration(f.Within), Title: f.Title, Critical: f.Critical,
	}
}

type openTicketOutput struct {
	ID      string `json:"id" doc:"the ticket"`
	Created bool   `json:"created" doc:"false when the problem had a ticket"`
	Count   int    `json:"count" doc:"how often the problem was told"`
	Parent  string `json:"parent" doc:"the ticket of the storm that it is part of; empty: of none"`
}

func openTicket(ctx context.Context, c *Call, args openTicketArgs) (openTicketOutput, error) {
	account, err := c.ticketAccount(ctx)
	if err != nil {
		return openTicketOutput{}, err
	}
	if err := c.reaches(ctx, account, args); err != nil {
		return openTicketOutput{}, err
	}
	o, err := args.opening(c.in.Device)
	if err != nil {
		return openTicketOutput{}, err
	}
	o.Ticket.ID, o.Ticket.Account, o.Ticket.Run, o.Entry = "ticket-"+deviceops.ShortHash(8, c.ID), account, c.Run, c.entry("", "", args.Body)
	opened, err := c.open(ctx, o)
	return openTicketOutput{ID: opened.Ticket.ID, Created: opened.Created, Count: opened.Ticket.Count, Parent: opened.Ticket.Parent}, err
}

// TicketOpening gives what a call of ticket.open tells: all but the id of the
// ticket, its account, and who tells it when. EINVALID.
func TicketOpening(in ActionInput) (deviceops.TicketOpening, error) {
	var args openTicketArgs
	if err := decodeArguments(in.Args, &args); err != nil {
		return deviceops.TicketOpening{}, err
	}
	return args.opening(in.Device)
}

func (args openTicketArgs) opening(device string) (deviceops.TicketOpening, error) {
	if args.Recover != "" && device == "" {
		return deviceops.TicketOpening{}, deviceops.Errorf(deviceops.EINVALID, "recover: %s needs a device: set `device` at the step or for the workflow", args.Recover)
	}
	fingerprint := args.Fingerprint
	if fingerprint == "" {
		fingerprint = device + "|" + args.Title
	}
	return deviceops.TicketOpening{
		Ticket: deviceops.Ticket{
			Device: device, Title: args.Title, Body: args.Body, Severity: args.Severity, Fingerprint: withoutNUL(fingerprint),
			Assignee: args.Assignee, Channel: args.Channel, Notify: args.Notify, Recover: args.Recover,
		},
		Fold: args.Fold.rule(), Reopen: time.Duration(args.Reopen),
	}, nil
}

// open opens a ticket. One that is over when its device is online is closed at once
// if it is; the device is locked meanwhile, so that it cannot come back unseen.
func (c *Call) open(ctx context.Context, o deviceops.TicketOpening) (opened deviceops.TicketOpened, err error) {
	err = c.deps.Store.InTx(ctx, func(ctx context.Context, tx deviceops.Tx) error {
		var device *deviceops.Device
		if o.Ticket.Recover != "" {
			locked, err := tx.LockDevices(ctx, []string{o.Ticket.Device})
			if err != nil {
				return err
			}
			device = locked[o.Ticket.Device]
		}
		if opened, err = deviceops.OpenTicket(ctx, tx, o, c.Now()); err != nil || device == nil || device.Session.Connectivity != deviceops.Online {
			return err
		}
		_, err = deviceops.TellTicket(ctx, tx, deviceops.OnlineAgain(opened.Ticket.ID, c.Now()))
		return err
	})
	return opened, err
}

// ticketAccount gives the account whose tickets the step is about: that of its
// device, or of the run.
func (c *Call) ticketAccount(ctx context.Context) (string, error) {
	if c.in.Device == "" {
		return c.Account, nil
	}
	device, err := c.Device(ctx)
	return device.Account, err
}

func withoutNUL(s string) string { return strings.ReplaceAll(s, "\x00", "") }

// reaches refuses channels that cannot do what is asked of them, while the step can
// still say so.
func (c *Call) reaches(ctx context.Context, account string, args openTicketArgs) error {
	for _, need := range []struct{ channel, operation, fix string }{
		{args.Channel, deviceops.ChannelOpen, "opens no tickets; give it ticket:"}, {args.Notify, deviceops.ChannelNotify, "cannot notify; give it notify:"},
	} {
		if need.channel == "" || need.channel == deviceops.ChannelLog && need.operation == deviceops.ChannelNotify {
			continue
		}
		info, err := c.deps.channel(ctx, account, need.channel)
		if err == nil && !info.Can(need.operation) {
			err = deviceops.Errorf(deviceops.EINVALID, "the channel %s %s", need.channel, need.fix)
		}
		if err != nil {
			return err
		}
	}
	return nil
}

// tellTicket adds what the step says to a ticket.
func (c *Call) tellTicket(ctx context.Context, e deviceops.TicketEntry) (stored deviceops.Ticket, err error) {
	err = c.deps.Store.InTx(ctx, func(ctx context.Context, tx deviceops.Tx) error {
		stored, err = deviceops.TellTicket(ctx, tx, e)
		return err
	})
	return stored, err
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
	Ticket      string `json:"ticket" doc:"the id of the ticket"`
	Fingerprint string `json:"fingerprint" max:"500" doc:"what names the problem; in place of ticket"`
	Resolution  string `json:"resolution" max:"20000" doc:"what became of the problem"`
}

func closeTicket(ctx context.Context, c *Call, args closeTicketArgs) (ticketOutput, error) {
	stored, err := c.closes(ctx, args)
	if err != nil || stored.Status != deviceops.TicketOpen {
		return ticketOutput{ID: stored.ID, Status: deviceops.TicketClosed}, err
	}
	kind := deviceops.EntryClosed
	if args.Ticket == "" {
		kind = deviceops.EntryRecovered
	}
	stored, err = c.tellTicket(ctx, c.entry(stored.ID, kind, args.Resolution))
	return ticketOutput{ID: stored.ID, Status: stored.Status}, err
}

// closes finds the ticket that is to be closed; one without id: there is none that
// is open.
func (c *Call) closes(ctx context.Context, args closeTicketArgs) (deviceops.Ticket, error) {
	switch {
	case (args.Ticket == "") == (args.Fingerprint == ""):
		return deviceops.Ticket{}, deviceops.Errorf(deviceops.EINVALID, "name the ticket, or the fingerprint of its problem")
	case args.Ticket != "":
		return c.ticket(ctx, args.Ticket)
	}
	account, err := c.ticketAccount(ctx)
	if err != nil {
		return deviceops.Ticket{}, err
	}
	found, err := c.deps.Store.FindOpenTicket(ctx, deviceops.TicketProblem{Account: account, Fingerprint: withoutNUL(args.Fingerprint)})
	if deviceops.ErrorCode(err) == deviceops.ENOTFOUND {
		err = nil
	}
	return found, err
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

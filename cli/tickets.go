package cli

import (
	"context"
	"errors"
	"fmt"
	"strings"

	"github.com/spf13/cobra"

	"github.com/deviceops/deviceops"
	"github.com/deviceops/deviceops/client"
)

func (a *app) ticketsCommand() *cobra.Command {
	return group("tickets", "See and work problems",
		a.ticketsList(), a.ticketsShow(), a.ticketsComment(), a.ticketsAssign(), a.ticketsSet(), a.ticketsClose(), a.ticketsReopen())
}

// ticketWithMembers is a parent as it is shown with its members.
type ticketWithMembers struct {
	deviceops.Ticket
	MemberTickets []deviceops.Ticket `json:"member_tickets,omitempty"`
}

func (a *app) ticketsShow() *cobra.Command {
	var members bool
	cmd := &cobra.Command{
		Use: "show TICKET", Short: "Show a ticket with what happened to it", Args: args(1, 1),
		Example: "  deviceops tickets show ticket-0a1b2c3d4e5f6071 --members",
		RunE: a.remote(func(ctx context.Context, c *client.Client, args []string) error {
			ticket, err := c.Ticket(ctx, args[0])
			if err != nil {
				return err
			}
			view := ticketWithMembers{Ticket: ticket}
			if members {
				if view.MemberTickets, err = membersOf(ctx, c, ticket.ID); err != nil {
					return err
				}
			}
			return a.show(view, func(w *screen) {
				w.ticket(ticket)
				if len(view.MemberTickets) > 0 {
					w.line("")
					w.tickets(view.MemberTickets)
				}
			})
		}),
	}
	cmd.Flags().BoolVar(&members, "members", false, "list the tickets of the storm that it is the parent of")
	return cmd
}

// membersOf reads all members of a parent.
func membersOf(ctx context.Context, c *client.Client, parent string) (all []deviceops.Ticket, err error) {
	for cursor := ""; ; {
		page, err := c.ListTickets(ctx, deviceops.TicketFilter{Parent: parent, Limit: 1000}, cursor)
		if err != nil {
			return nil, err
		}
		all = append(all, page.Items...)
		if cursor = page.Next; cursor == "" {
			return all, nil
		}
	}
}

func (a *app) ticketsList() *cobra.Command {
	var f deviceops.TicketFilter
	var page listFlags
	var status string
	var members bool
	cmd := &cobra.Command{
		Use: "list", Short: "List tickets, newest first", Args: args(0, 0),
		Long: `List tickets, newest first. The members of a storm are left out, where neither
they nor a device are asked for: their parent stands for them.`,
		Example: "  deviceops tickets list\n  deviceops tickets list --status all --device kiosk-0001\n" +
			"  deviceops tickets list --members-of ticket-0a1b2c3d4e5f6071 --status all",
		RunE: a.remote(func(ctx context.Context, c *client.Client, _ []string) error {
			f.Limit, f.Alone = page.limit, !members
			switch f.Status = deviceops.TicketStatus(status); f.Status {
			case deviceops.TicketOpen, deviceops.TicketClosed:
			case "all":
				f.Status = ""
			default:
				return Usage(fmt.Errorf("--status %s: write open, closed or all", status))
			}
			tickets, err := c.ListTickets(ctx, f, page.cursor)
			if err != nil {
				return err
			}
			defer a.more(len(tickets.Items), tickets.Next)
			return a.show(tickets, func(w *screen) { w.tickets(tickets.Items) })
		}),
	}
	accountFlag(cmd, &f.Account)
	cmd.Flags().StringVar(&status, "status", "open", "open, closed or all")
	cmd.Flags().StringVar(&f.Device, "device", "", "tickets about a device")
	cmd.Flags().StringVar(&f.Assignee, "assignee", "", "tickets of somebody, such as user:maria")
	cmd.Flags().StringVar(&f.OpenedBy, "opened-by", "", "tickets that something opened, such as automation:NAME, in any version")
	cmd.Flags().StringVar(&f.Parent, "members-of", "", "the tickets of a storm, by its parent")
	cmd.Flags().BoolVar(&members, "members", false, "also tickets that are members of a storm")
	page.add(cmd)
	return cmd
}

// ticketChange makes a command that says one thing of a ticket.
func (a *app) ticketChange(use, short string, n int, change func(context.Context, *client.Client, []string) (deviceops.Ticket, error)) *cobra.Command {
	return &cobra.Command{
		Use: use, Short: short, Args: args(n, n),
		RunE: a.remote(func(ctx context.Context, c *client.Client, args []string) error {
			ticket, err := change(ctx, c, args)
			if err != nil {
				return err
			}
			return a.show(ticket, func(w *screen) { w.ticket(ticket) })
		}),
	}
}

func (a *app) ticketsComment() *cobra.Command {
	cmd := a.ticketChange("comment TICKET TEXT", "Add a comment", 2, func(ctx context.Context, c *client.Client, args []string) (deviceops.Ticket, error) {
		return c.CommentTicket(ctx, args[0], args[1])
	})
	cmd.Example = "  deviceops tickets comment ticket-0a1b2c3d4e5f6071 \"the fuse is on its way\""
	return cmd
}

func (a *app) ticketsAssign() *cobra.Command {
	var reason string
	cmd := a.ticketChange("assign TICKET WHO", "Give a ticket to somebody", 2, func(ctx context.Context, c *client.Client, args []string) (deviceops.Ticket, error) {
		return c.AssignTicket(ctx, args[0], args[1], reason)
	})
	cmd.Example = "  deviceops tickets assign ticket-0a1b2c3d4e5f6071 user:maria"
	reasonFlag(cmd, &reason)
	return cmd
}

func (a *app) ticketsSet() *cobra.Command {
	var severity, reason string
	cmd := a.ticketChange("set TICKET", "Say how much a ticket matters", 1, func(ctx context.Context, c *client.Client, args []string) (deviceops.Ticket, error) {
		if severity == "" {
			return deviceops.Ticket{}, Usage(errors.New("say what to set: --severity info, warning, error or critical"))
		}
		return c.SetTicketSeverity(ctx, args[0], severity, reason)
	})
	cmd.Example = "  deviceops tickets set ticket-0a1b2c3d4e5f6071 --severity critical --reason \"the mall is open on Sunday\""
	cmd.Flags().StringVar(&severity, "severity", "", "info, warning, error or critical")
	reasonFlag(cmd, &reason)
	return cmd
}

func (a *app) ticketsClose() *cobra.Command {
	var reason string
	cmd := a.ticketTurn("close TICKET", "Close a ticket", func(ctx context.Context, c *client.Client, id string) (deviceops.Ticket, error) {
		return c.CloseTicket(ctx, id, reason)
	})
	cmd.Example = "  deviceops tickets close ticket-0a1b2c3d4e5f6071 --reason \"fuse replaced\""
	cmd.Flags().StringVar(&reason, "reason", "", "what became of the problem")
	return cmd
}

func (a *app) ticketsReopen() *cobra.Command {
	var reason string
	cmd := a.ticketTurn("reopen TICKET", "Open a ticket again that was closed", func(ctx context.Context, c *client.Client, id string) (deviceops.Ticket, error) {
		if reason == "" {
			return deviceops.Ticket{}, Usage(errors.New("say why it is open again: --reason TEXT"))
		}
		return c.ReopenTicket(ctx, id, reason)
	})
	cmd.Long = `Opens a ticket again that was closed too early. The other system of its channel is
told, and the storm that it is a member of goes on. A problem that is told again
within its reopen time does this by itself; if another ticket of the problem is
open, work on that one.`
	cmd.Example = "  deviceops tickets reopen ticket-0a1b2c3d4e5f6071 --reason \"it is dark again, the fuse was not it\""
	cmd.Flags().StringVar(&reason, "reason", "", "why it is not over")
	return cmd
}

// ticketTurn makes a command that closes a ticket, or opens it again.
func (a *app) ticketTurn(use, short string, turn func(ctx context.Context, c *client.Client, id string) (deviceops.Ticket, error)) *cobra.Command {
	return &cobra.Command{
		Use: use, Short: short, Args: args(1, 1),
		RunE: a.remote(func(ctx context.Context, c *client.Client, args []string) error {
			ticket, err := turn(ctx, c, args[0])
			if err != nil {
				return err
			}
			return a.show(ticket, func(w *screen) { w.line("%s is %s", ticket.ID, w.paint(string(ticket.Status))) })
		}),
	}
}

func (w *screen) tickets(tickets []deviceops.Ticket) {
	rows := make([][]string, len(tickets))
	for i, t := range tickets {
		rows[i] = []string{t.ID, string(t.Status), t.Severity, fmt.Sprint(t.Count), membersIn(t), dash(t.Device), dash(t.Assignee), w.when(t.OpenedAt), cut(t.Title, 60)}
	}
	w.table([]string{"ID", "STATUS", "SEVERITY", "COUNT", "MEMBERS", "DEVICE", "ASSIGNEE", "OPENED", "TITLE"}, rows)
}

func (w *screen) ticket(t deviceops.Ticket) {
	w.fields(
		"ticket", t.ID, "status", string(t.Status), "title", t.Title, "severity", t.Severity, "told", told(t), "members", membersOfText(t), "part of", t.Parent, "cause", t.Cause, "device", t.Device,
		"kept in", remoteOf(t), "account", t.Account, "assignee", t.Assignee, "run", t.Run, "opened", w.when(t.OpenedAt)+" by "+t.OpenedBy,
		"closed by", t.ClosedBy, "resolution", t.Resolution, "about", cut(t.Body, 200),
	)
	rows := make([][]string, len(t.Entries))
	for i, e := range t.Entries {
		rows[i] = []string{w.when(e.At), e.Kind, e.By, cut(e.Text, 80)}
	}
	if len(rows) > 0 {
		w.line("")
		w.table([]string{"WHEN", "WHAT", "WHO", "TEXT"}, rows)
	}
}

// told says how often a problem was told, and was back.
func told(t deviceops.Ticket) string {
	text := counted(t.Count, "time")
	if t.Relapses > 0 {
		text += fmt.Sprintf(", back %s", counted(t.Relapses, "time"))
	}
	return text
}

// membersOfText says how many members a parent has.
func membersOfText(t deviceops.Ticket) string {
	switch {
	case t.Members == 0:
		return ""
	case t.OpenMembers == t.Members:
		return fmt.Sprintf("%d, all open", t.Members)
	default:
		return fmt.Sprintf("%d, %d open", t.Members, t.OpenMembers)
	}
}

// membersIn says the same in a table: open of all.
func membersIn(t deviceops.Ticket) string {
	if t.Members == 0 {
		return "-"
	}
	return fmt.Sprintf("%d/%d", t.OpenMembers, t.Members)
}

// remoteOf tells of a ticket in another system.
func remoteOf(t deviceops.Ticket) string {
	switch {
	case t.Channel == "" || t.Parent != "" && t.Remote.ID == "":
		return ""
	case t.Remote.ID == "":
		return t.Channel + ", not yet"
	default:
		return strings.TrimRight(t.Channel+" as "+t.Remote.ID+" "+t.Remote.URL, " ")
	}
}

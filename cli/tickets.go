package cli

import (
	"context"
	"fmt"
	"strings"

	"github.com/spf13/cobra"

	"github.com/deviceops/deviceops"
	"github.com/deviceops/deviceops/client"
)

func (a *app) ticketsCommand() *cobra.Command {
	show := &cobra.Command{
		Use: "show TICKET", Short: "Show a ticket with what happened to it", Args: args(1, 1),
		RunE: a.remote(func(ctx context.Context, c *client.Client, args []string) error {
			ticket, err := c.Ticket(ctx, args[0])
			if err != nil {
				return err
			}
			return a.show(ticket, func(w *screen) { w.ticket(ticket) })
		}),
	}
	comment := a.ticketChange("comment TICKET TEXT", "Add a comment", (*client.Client).CommentTicket)
	comment.Example = "  deviceops tickets comment ticket-0a1b2c3d4e5f6071 \"the fuse is on its way\""
	assign := a.ticketChange("assign TICKET WHO", "Give a ticket to somebody", (*client.Client).AssignTicket)
	assign.Example = "  deviceops tickets assign ticket-0a1b2c3d4e5f6071 user:maria"
	return group("tickets", "See and work problems", a.ticketsList(), show, comment, assign, a.ticketsClose())
}

func (a *app) ticketsList() *cobra.Command {
	var f deviceops.TicketFilter
	var page listFlags
	var status string
	cmd := &cobra.Command{
		Use: "list", Short: "List tickets, newest first", Args: args(0, 0),
		Example: "  deviceops tickets list\n  deviceops tickets list --status all --device kiosk-0001",
		RunE: a.remote(func(ctx context.Context, c *client.Client, _ []string) error {
			f.Limit = page.limit
			if status != "all" {
				f.Status = deviceops.TicketStatus(status)
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
	page.add(cmd)
	return cmd
}

// ticketChange makes a command that says one thing of a ticket.
func (a *app) ticketChange(use, short string, change func(*client.Client, context.Context, string, string) (deviceops.Ticket, error)) *cobra.Command {
	return &cobra.Command{
		Use: use, Short: short, Args: args(2, 2),
		RunE: a.remote(func(ctx context.Context, c *client.Client, args []string) error {
			ticket, err := change(c, ctx, args[0], args[1])
			if err != nil {
				return err
			}
			return a.show(ticket, func(w *screen) { w.ticket(ticket) })
		}),
	}
}

func (a *app) ticketsClose() *cobra.Command {
	var reason string
	cmd := &cobra.Command{
		Use: "close TICKET", Short: "Close a ticket", Args: args(1, 1),
		Example: "  deviceops tickets close ticket-0a1b2c3d4e5f6071 --reason \"fuse replaced\"",
		RunE: a.remote(func(ctx context.Context, c *client.Client, args []string) error {
			ticket, err := c.CloseTicket(ctx, args[0], reason)
			if err != nil {
				return err
			}
			return a.show(ticket, func(w *screen) { w.line("%s is %s", ticket.ID, w.paint(string(ticket.Status))) })
		}),
	}
	cmd.Flags().StringVar(&reason, "reason", "", "what became of the problem")
	return cmd
}

func (w *screen) tickets(tickets []deviceops.Ticket) {
	rows := make([][]string, len(tickets))
	for i, t := range tickets {
		rows[i] = []string{t.ID, string(t.Status), t.Severity, fmt.Sprint(t.Count), dash(t.Device), dash(t.Assignee), w.when(t.OpenedAt), cut(t.Title, 60)}
	}
	w.table([]string{"ID", "STATUS", "SEVERITY", "COUNT", "DEVICE", "ASSIGNEE", "OPENED", "TITLE"}, rows)
}

func (w *screen) ticket(t deviceops.Ticket) {
	w.fields(
		"ticket", t.ID, "status", string(t.Status), "title", t.Title, "severity", t.Severity, "told", counted(t.Count, "time"), "device", t.Device,
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

// remoteOf tells of a ticket in another system.
func remoteOf(t deviceops.Ticket) string {
	switch {
	case t.Channel == "":
		return ""
	case t.Remote.ID == "":
		return t.Channel + ", not yet"
	default:
		return strings.TrimRight(t.Channel+" as "+t.Remote.ID+" "+t.Remote.URL, " ")
	}
}

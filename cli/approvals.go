package cli

import (
	"context"
	"strings"

	"github.com/spf13/cobra"

	"github.com/deviceops/deviceops"
	"github.com/deviceops/deviceops/client"
)

func (a *app) approvalsCommand() *cobra.Command {
	show := &cobra.Command{
		Use: "show APPROVAL", Short: "Show an approval with its evidence", Args: args(1, 1),
		RunE: a.remote(func(ctx context.Context, c *client.Client, args []string) error {
			approval, err := c.Approval(ctx, args[0])
			if err != nil {
				return err
			}
			return a.show(approval, func(w *screen) { w.approval(approval) })
		}),
	}
	return group("approvals", "See and decide what waits for a person", a.approvalsList(), show,
		a.decideCommand("approve", "Let a paused step go on", true), a.decideCommand("reject", "Refuse a paused step", false))
}

func (a *app) approvalsList() *cobra.Command {
	var account, status, device string
	var limit int
	cmd := &cobra.Command{
		Use: "list", Short: "List approvals, newest first", Args: args(0, 0),
		Example: "  deviceops approvals list\n  deviceops approvals list --status all --device kiosk-0001",
		RunE: a.remote(func(ctx context.Context, c *client.Client, _ []string) error {
			if status == "all" {
				status = ""
			}
			approvals, err := c.ListApprovals(ctx, account, deviceops.ApprovalStatus(status), device, limit)
			if err != nil {
				return err
			}
			return a.show(approvals, func(w *screen) { w.approvals(approvals.Items) })
		}),
	}
	accountFlag(cmd, &account)
	cmd.Flags().StringVar(&status, "status", "open", "open, approved, rejected, expired, canceled or all")
	cmd.Flags().StringVar(&device, "device", "", "approvals about a device")
	cmd.Flags().IntVar(&limit, "limit", 100, "how many to show, at most 1000")
	return cmd
}

func (w *screen) approvals(approvals []deviceops.Approval) {
	rows := make([][]string, len(approvals))
	for i, approval := range approvals {
		rows[i] = []string{
			approval.ID, string(approval.Status), dash(approval.Device), w.when(approval.OpenedAt), w.when(approval.ExpiresAt),
			strings.Join(approval.By, " "), cut(approval.Question, 60),
		}
	}
	w.table([]string{"ID", "STATUS", "DEVICE", "OPENED", "EXPIRES", "BY", "QUESTION"}, rows)
}

func (w *screen) approval(a deviceops.Approval) {
	w.fields(
		"approval", a.ID, "status", string(a.Status), "question", a.Question, "device", a.Device, "account", a.Account, "asks", strings.Join(a.By, ", "),
		"opened", w.when(a.OpenedAt), "expires", w.when(a.ExpiresAt), "evidence", compact(a.Show),
		"decided by", a.DecidedBy, "comment", a.Comment, "form", compact(a.Form),
	)
}

func (a *app) decideCommand(verb, short string, approve bool) *cobra.Command {
	r := deviceops.DecideRequest{Approve: approve}
	var form []string
	var reason string
	cmd := &cobra.Command{
		Use: verb + " APPROVAL", Short: short, Args: args(1, 1),
		Long:    "Allowed to those whom the approval asks. Repeating a decision changes nothing.",
		Example: "  deviceops approvals " + verb + " run-0a1b2c/decision --comment \"seen on site\"",
		RunE: a.remote(func(ctx context.Context, c *client.Client, args []string) error {
			var err error
			if r.Form, err = values(form); err != nil {
				return err
			}
			if r.Comment == "" {
				r.Comment = reason
			}
			approval, err := c.Decide(ctx, args[0], r)
			if err != nil {
				return err
			}
			return a.show(approval, func(w *screen) { w.line("%s is %s", approval.ID, w.paint(string(approval.Status))) })
		}),
	}
	cmd.Flags().StringVar(&r.Comment, "comment", "", "what the run and the audit log keep")
	cmd.Flags().StringArrayVar(&form, "form", nil, "a field of the form key=value; repeat for more")
	reasonFlag(cmd, &reason)
	return cmd
}

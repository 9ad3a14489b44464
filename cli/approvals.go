package cli

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"
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
		a.decideCommand("approve", "Let a paused step go on", true), a.decideCommand("reject", "Refuse a paused step", false),
		a.delegateCommand(), a.breakGlassCommand())
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
			approval.ID, string(approval.Status), tally(approval), dash(approval.Device), w.when(approval.OpenedAt), w.when(approval.ExpiresAt),
			strings.Join(approval.By, " "), cut(approval.Question, 60),
		}
	}
	w.table([]string{"ID", "STATUS", "VOTES", "DEVICE", "OPENED", "EXPIRES", "BY", "QUESTION"}, rows)
}

// tally shows how many have approved, out of how many who have to.
func tally(a deviceops.Approval) string { return fmt.Sprintf("%d/%d", a.Approvals(), a.Needed()) }

func (w *screen) approval(a deviceops.Approval) {
	w.fields(
		"approval", a.ID, "status", string(a.Status), "question", a.Question, "device", a.Device, "account", a.Account,
		"asks", strings.Join(a.By, ", "), "barred", strings.Join(a.Barred, ", "), "approvals", fmt.Sprintf("%d of %d", a.Approvals(), a.Needed()),
		"opened", w.when(a.OpenedAt), "expires", w.when(a.ExpiresAt), "told", a.Notify,
		"evidence", compact(a.Show), "sha256", a.ShowHash,
		"decided by", a.DecidedBy, "comment", commentText(a), "form", compact(a.Form),
	)
	w.formFields(a)
	w.votes(a)
	w.widenings(a)
}

// commentText is the comment, or that one is needed.
func commentText(a deviceops.Approval) string {
	if a.CommentRequired && a.Status == deviceops.ApprovalOpen {
		return "required"
	}
	return a.Comment
}

// formFields shows what has to be filled in while that is of use.
func (w *screen) formFields(a deviceops.Approval) {
	properties, _ := a.FormSchema["properties"].(map[string]any)
	if a.Status != deviceops.ApprovalOpen || len(properties) == 0 {
		return
	}
	required, _ := a.FormSchema["required"].([]any)
	var rows [][]string
	for _, name := range slices.Sorted(maps.Keys(properties)) {
		field, _ := properties[name].(map[string]any)
		given := "optional"
		switch {
		case slices.Contains(required, any(name)):
			given = "required"
		case field["default"] != nil:
			given = "default " + plainText(field["default"])
		}
		about, _ := field["description"].(string)
		rows = append(rows, []string{name, fieldType(field), given, about})
	}
	w.line("")
	w.table([]string{"FIELD", "TYPE", "GIVEN", "ABOUT"}, rows)
}

// fieldType shows the type of a field: "integer 1..5", "one of soft, hard".
func fieldType(field map[string]any) string {
	if values, ok := field["enum"].([]any); ok {
		texts := make([]string, len(values))
		for i, v := range values {
			texts[i] = plainText(v)
		}
		return "one of " + strings.Join(texts, ", ")
	}
	name := plainText(field["type"])
	if field["minimum"] == nil && field["maximum"] == nil {
		return name
	}
	return name + " " + plainText(field["minimum"]) + ".." + plainText(field["maximum"])
}

func plainText(v any) string {
	if v == nil {
		return ""
	}
	return fmt.Sprint(v)
}

func (w *screen) votes(a deviceops.Approval) {
	if len(a.Votes) == 0 {
		return
	}
	rows := make([][]string, len(a.Votes))
	for i, v := range a.Votes {
		rows[i] = []string{v.By, verdict(v), w.when(v.At), v.Comment}
	}
	w.line("")
	w.table([]string{"WHO", "DECISION", "WHEN", "COMMENT"}, rows)
}

func verdict(v deviceops.Vote) string {
	switch {
	case v.BreakGlass:
		return "broke the glass"
	case v.Approve:
		return "approved"
	default:
		return "rejected"
	}
}

// widenings shows who was or will be asked besides.
func (w *screen) widenings(a deviceops.Approval) {
	var rows [][]string
	for _, h := range a.Handovers {
		rows = append(rows, []string{w.when(h.At), strings.Join(h.To, " "), "handed on by " + h.By, "", h.Reason})
	}
	for _, e := range a.Escalations {
		state := "to come"
		switch {
		case e.Done:
			state = "escalated"
		case a.Status != deviceops.ApprovalOpen:
			state = "not needed"
		}
		rows = append(rows, []string{w.when(e.At), strings.Join(e.By, " "), state, e.Notify, ""})
	}
	if len(rows) > 0 {
		w.line("")
		w.table([]string{"WHEN", "ASKED BESIDES", "BY", "TELLS", "REASON"}, rows)
	}
}

func (a *app) decideCommand(verb, short string, approve bool) *cobra.Command {
	r := deviceops.DecideRequest{Approve: approve}
	var form []string
	var reason string
	cmd := &cobra.Command{
		Use: verb + " APPROVAL", Short: short, Args: args(1, 1),
		Long:    "Allowed to those whom the approval asks. Repeating a decision changes nothing.",
		Example: "  deviceops approvals " + verb + " run-0a1b2c/decision --comment \"seen on site\"",
		RunE: a.remote(func(ctx context.Context, c *client.Client, args []string) (err error) {
			if r.Form, err = formValues(form); err != nil {
				return err
			}
			if r.Comment == "" {
				r.Comment = reason
			}
			approval, err := c.Decide(ctx, args[0], r)
			if err != nil {
				return err
			}
			return a.show(approval, func(w *screen) { w.decided(approval) })
		}),
	}
	cmd.Flags().StringVar(&r.Comment, "comment", "", "what the run and the audit log keep")
	if approve {
		formFlag(cmd, &form)
	}
	reasonFlag(cmd, &reason)
	return cmd
}

// decided shows what became of an approval.
func (w *screen) decided(a deviceops.Approval) {
	if a.Status == deviceops.ApprovalOpen {
		w.line("%s has %d of %d approvals; it waits for %s", a.ID, a.Approvals(), a.Needed(), strings.Join(a.By, ", "))
		return
	}
	w.line("%s is %s", a.ID, w.paint(string(a.Status)))
}

func formFlag(cmd *cobra.Command, form *[]string) {
	cmd.Flags().StringArrayVarP(form, "form", "f", nil, "a field of the form key=value; repeat for more")
}

// formValues reads key=value. The types are the form's own, so all values go as
// text.
func formValues(given []string) (map[string]any, error) {
	texts, err := pairs(given)
	if err != nil || len(texts) == 0 {
		return nil, err
	}
	form := make(map[string]any, len(texts))
	for name, text := range texts {
		form[name] = text
	}
	return form, nil
}

func (a *app) delegateCommand() *cobra.Command {
	var r deviceops.DelegateRequest
	cmd := &cobra.Command{
		Use: "delegate APPROVAL", Short: "Hand a paused step on to somebody else", Args: args(1, 1),
		Long:    "Allowed to those who may decide it. Whoever is named is asked besides those who are.",
		Example: "  deviceops approvals delegate run-0a1b2c/decision --to user:maria --reason \"on leave\"",
		RunE: a.remote(func(ctx context.Context, c *client.Client, args []string) error {
			if len(r.To) == 0 {
				return Usage(errors.New("name to whom: --to user:maria or --to role:operator"))
			}
			approval, err := c.Delegate(ctx, args[0], r)
			if err != nil {
				return err
			}
			return a.show(approval, func(w *screen) { w.line("%s asks %s", approval.ID, strings.Join(approval.By, ", ")) })
		}),
	}
	cmd.Flags().StringArrayVar(&r.To, "to", nil, "who is asked besides: user:NAME or role:ROLE; repeat for more")
	reasonFlag(cmd, &r.Reason)
	return cmd
}

func (a *app) breakGlassCommand() *cobra.Command {
	var r deviceops.BreakGlassRequest
	var form []string
	cmd := &cobra.Command{
		Use: "break-glass APPROVAL", Short: "Approve in an emergency, whoever is asked", Args: args(1, 1),
		Long: `Needs the role break-glass, which no other role includes, and a reason. It is
audited, opens a ticket and raises a critical event.`,
		Example: "  deviceops approvals break-glass run-0a1b2c/decision --reason \"doors are locked, nobody answers\"",
		RunE: a.remote(func(ctx context.Context, c *client.Client, args []string) (err error) {
			if r.Form, err = formValues(form); err != nil {
				return err
			}
			approval, err := c.BreakGlass(ctx, args[0], r)
			if err != nil {
				return err
			}
			return a.show(approval, func(w *screen) { w.decided(approval) })
		}),
	}
	formFlag(cmd, &form)
	reasonFlag(cmd, &r.Reason)
	return cmd
}

package cli

import (
	"context"
	"errors"
	"fmt"
	"io"
	"time"

	"github.com/spf13/cobra"

	"github.com/deviceops/deviceops"
	"github.com/deviceops/deviceops/client"
)

func (a *app) applyCommand() *cobra.Command {
	var files []string
	var o client.ApplyOptions
	cmd := &cobra.Command{
		Use: "apply -f FILE|DIR|-", Short: "Publish YAML documents", Args: args(0, 0),
		Long: `Publishes profiles, workflows, automations and tests: all that is given together
or, when one document is refused, nothing. The same content changes nothing, and
no device is touched. Exits with 1 if anything is refused.

Automations that listen (event, state, offline) begin at once, and start runs from
the next event on. "deviceops test" rehearses them before.`,
		Example: `  deviceops apply -f profiles/ -f workflows/ --reason "release 12"
  deviceops apply -f kiosk.yaml --dry-run
  generate-profile | deviceops apply -f -`,
		PreRunE: func(*cobra.Command, []string) error {
			if len(files) == 0 {
				return Usage(fmt.Errorf("name what to publish: -f FILE"))
			}
			return nil
		},
		RunE: a.remote(func(ctx context.Context, c *client.Client, _ []string) error {
			sources, err := a.sources(files)
			if err != nil {
				return err
			}
			report, err := c.ApplyFiles(ctx, sources, o)
			if err != nil {
				return err
			}
			return a.showApplied(report)
		}),
	}
	cmd.Flags().StringArrayVarP(&files, "file", "f", nil, "file, directory or - for standard input; repeat for more")
	cmd.Flags().BoolVar(&o.DryRun, "dry-run", false, "tell what would happen and publish nothing")
	accountFlag(cmd, &o.Account)
	reasonFlag(cmd, &o.Reason)
	return cmd
}

func (a *app) showApplied(report deviceops.ApplyReport) error {
	if err := a.show(report, func(w *screen) { w.applied(report) }); err != nil || !report.Refused {
		return err
	}
	refused := 0
	for _, d := range report.Documents {
		if d.Outcome == deviceops.DocumentRefused {
			refused++
		}
	}
	return failed("%d of %d documents were refused; nothing was published", refused, len(report.Documents))
}

func (w *screen) applied(report deviceops.ApplyReport) {
	rows := make([][]string, len(report.Documents))
	for i, d := range report.Documents {
		rows[i] = []string{d.File, dash(d.Kind), dash(d.Name), version(d.Version), d.Outcome}
	}
	w.table([]string{"FILE", "KIND", "NAME", "VERSION", "OUTCOME"}, rows)
	for _, d := range report.Documents {
		for _, finding := range d.Diagnostics {
			w.line("\n%s", indent(finding.Text, ""))
		}
		if d.Diff != "" {
			w.line("published → given:\n%s", indent(d.Diff, "  "))
		}
	}
	if report.DryRun {
		w.line("Dry run: nothing was published.")
	}
}

func version(n int) string {
	if n == 0 {
		return "-"
	}
	return fmt.Sprint(n)
}

func (a *app) getCommand() *cobra.Command {
	var account string
	var number int
	var graph graphFlag
	cmd := &cobra.Command{
		Use: "get KIND [NAME]", Short: "List documents or actions, or show one", Args: args(1, 2),
		Long: `KIND is profile, workflow or action. Actions need no server. With a NAME it shows the versions; with -o yaml the
source as it was published, which "deviceops apply" takes back. --graph draws a
workflow.`,
		Example: `  deviceops get workflow
  deviceops get action http.request
  deviceops get profile kiosk --version 3 -o yaml > kiosk.yaml
  deviceops get workflow reboot-with-approval --graph`,
		RunE: a.offlineActions(a.remote(func(ctx context.Context, c *client.Client, args []string) error {
			switch {
			case graph != "" && (len(args) == 1 || args[0] != deviceops.KindWorkflow):
				return Usage(errors.New("--graph draws a workflow: write deviceops get workflow NAME --graph"))
			case graph != "":
				return a.draw(graph, func(format string) (string, error) { return c.WorkflowGraph(ctx, account, args[1], number, format) })
			case len(args) == 1:
				return a.listDocuments(ctx, c, account, args[0])
			case a.output == outputTable && number == 0:
				return a.listVersions(ctx, c, account, args[0], args[1])
			default:
				return a.showDocument(ctx, c, account, args[0], args[1], number)
			}
		})),
	}
	cmd.Flags().IntVar(&number, "version", 0, "a version (default: the newest)")
	graph.add(cmd)
	accountFlag(cmd, &account)
	return cmd
}

func (a *app) listDocuments(ctx context.Context, c *client.Client, account, kind string) error {
	documents, err := c.ListDocuments(ctx, account, kind)
	if err != nil {
		return err
	}
	return a.show(documents, func(w *screen) { w.documents(documents.Items) })
}

func (a *app) listVersions(ctx context.Context, c *client.Client, account, kind, name string) error {
	versions, err := c.DocumentVersions(ctx, account, kind, name)
	if err != nil {
		return err
	}
	return a.show(versions, func(w *screen) { w.documents(versions.Items) })
}

func (a *app) showDocument(ctx context.Context, c *client.Client, account, kind, name string, number int) error {
	document, err := c.Document(ctx, account, kind, name, number)
	if err != nil {
		return err
	}
	if a.output == outputJSON {
		return writeJSON(a.Out, document)
	}
	_, err = io.WriteString(a.Out, document.Source+"\n")
	return err
}

func (w *screen) documents(documents []deviceops.Document) {
	rows := make([][]string, len(documents))
	for i, d := range documents {
		rows[i] = []string{d.Kind, d.Name, version(d.Version), d.Account, w.when(d.PublishedAt), d.PublishedBy, cut(d.Reason, 40)}
	}
	w.table([]string{"KIND", "NAME", "VERSION", "ACCOUNT", "PUBLISHED", "BY", "REASON"}, rows)
}

func (a *app) deleteCommand() *cobra.Command {
	var account, reason string
	cmd := &cobra.Command{
		Use: "delete KIND NAME", Short: "Retire a document", Args: args(2, 2),
		Long:    "The document is no longer found; runs that use it go on. Applying it again brings it back.",
		Example: "  deviceops delete workflow old-reboot --reason \"replaced by reboot\"",
		RunE: a.remote(func(ctx context.Context, c *client.Client, args []string) error {
			document, err := c.RetireDocument(ctx, account, args[0], args[1], reason)
			if err != nil {
				return err
			}
			return a.show(document, func(w *screen) { w.line("%s %s is retired", document.Kind, document.Name) })
		}),
	}
	accountFlag(cmd, &account)
	reasonFlag(cmd, &reason)
	return cmd
}

func (a *app) auditCommand() *cobra.Command {
	var f deviceops.AuditFilter
	var page listFlags
	list := &cobra.Command{
		Use: "list", Short: "List who changed what and why, newest first", Args: args(0, 0),
		Example: "  deviceops audit list --target device:kiosk-0001\n  deviceops audit list --actor user:maria -o json",
		RunE: a.remote(func(ctx context.Context, c *client.Client, _ []string) error {
			f.Limit = page.limit
			entries, err := c.ListAudit(ctx, f, page.cursor)
			if err != nil {
				return err
			}
			defer a.more(len(entries.Items), entries.Next)
			return a.show(entries, func(w *screen) { w.audit(entries.Items) })
		}),
	}
	accountFlag(list, &f.Account)
	list.Flags().StringVar(&f.Target, "target", "", "what was changed, such as device:kiosk-0001 or workflow:reboot@3")
	list.Flags().StringVar(&f.Actor, "actor", "", "who changed it, such as user:maria")
	page.add(list)
	return group("audit", "See who changed what and why", list)
}

func (w *screen) audit(entries []deviceops.AuditEntry) {
	rows := make([][]string, len(entries))
	for i, e := range entries {
		rows[i] = []string{e.At.UTC().Format(time.DateTime), e.Actor, e.Action, e.Target, cut(dash(e.Reason), 50), cut(compact(e.Evidence), 60)}
	}
	w.table([]string{"UTC", "WHO", "ACTION", "TARGET", "WHY", "EVIDENCE"}, rows)
}

func (a *app) accountsCommand() *cobra.Command {
	list := &cobra.Command{
		Use: "list", Short: "List your account and those below it", Args: args(0, 0),
		RunE: a.remote(func(ctx context.Context, c *client.Client, _ []string) error {
			accounts, err := c.ListAccounts(ctx)
			if err != nil {
				return err
			}
			return a.show(accounts, func(w *screen) {
				rows := make([][]string, len(accounts.Items))
				for i, account := range accounts.Items {
					rows[i] = []string{account.Path, account.Name, w.when(account.CreatedAt)}
				}
				w.table([]string{"PATH", "NAME", "CREATED"}, rows)
			})
		}),
	}
	return group("accounts", "See and create accounts", list, a.accountsCreate())
}

func (a *app) accountsCreate() *cobra.Command {
	var r deviceops.AccountRequest
	cmd := &cobra.Command{
		Use: "create PATH", Short: "Create an account below one that exists", Args: args(1, 1),
		Example: "  deviceops accounts create acme --name \"Acme Corp.\"\n  deviceops accounts create acme/emea",
		RunE: a.remote(func(ctx context.Context, c *client.Client, args []string) error {
			r.Path = args[0]
			account, err := c.CreateAccount(ctx, r)
			if err != nil {
				return err
			}
			return a.show(account, func(w *screen) { w.line("account %s is there", account.Path) })
		}),
	}
	cmd.Flags().StringVar(&r.Name, "name", "", "name for people (default: the last part of the path)")
	reasonFlag(cmd, &r.Reason)
	return cmd
}

package cli

import (
	"bufio"
	"context"
	"fmt"
	"io"
	"maps"
	"slices"
	"strings"

	"github.com/spf13/cobra"

	"github.com/deviceops/deviceops"
	"github.com/deviceops/deviceops/client"
)

func (a *app) loginCommand() *cobra.Command {
	var name string
	cmd := &cobra.Command{
		Use: "login", Short: "Remember a server and a token", Args: args(0, 0),
		Long: `Checks the token with the server and writes both as a context, which becomes
the current one. The file can be read by you alone. Without --token the token
is read from standard input, so that it need not stand in the shell's history.`,
		Example: `  deviceops login --server https://ops.example.com < token.txt
  deviceops login --server http://127.0.0.1:8080 --token TOKEN --name lab`,
	}
	cmd.Flags().StringVar(&name, "name", "default", "name of the context")
	cmd.RunE = func(cmd *cobra.Command, _ []string) error {
		if a.server == "" {
			return Usage(fmt.Errorf("name the server: --server URL"))
		}
		t := target{Server: a.server, Token: a.token}
		if t.Token == "" {
			t.Token = readLine(a.In)
		}
		who, err := client.New(t.Server, t.Token).Whoami(cmd.Context())
		if err != nil {
			return err
		}
		if err := saveContext(a.Getenv, name, t); err != nil {
			return err
		}
		return a.show(who, func(w *screen) {
			w.line("Logged in to %s as %s; context %s is the current one.", t.Server, who.Name, name)
		})
	}
	return cmd
}

func readLine(r io.Reader) string {
	s := bufio.NewScanner(r)
	s.Scan()
	return strings.TrimSpace(s.Text())
}

func (a *app) versionCommand() *cobra.Command {
	return &cobra.Command{
		Use: "version", Short: "Show the version", Args: args(0, 0),
		RunE: func(*cobra.Command, []string) error {
			return a.show(map[string]string{"version": a.Version}, func(w *screen) { w.line("deviceops %s", a.Version) })
		},
	}
}

// check is one line of doctor.
type check struct {
	Name   string `json:"name"`
	Result string `json:"result"` // ok, or failed
	Detail string `json:"detail,omitempty"`
}

func (a *app) doctorCommand() *cobra.Command {
	return &cobra.Command{
		Use: "doctor", Short: "Check that the server, its parts and your token work", Args: args(0, 0),
		Long:    "Checks one thing after the other and says of each what is wrong. Exits with 1 if anything is.",
		Example: "  deviceops doctor\n  deviceops doctor --server http://127.0.0.1:8080 -o json",
		RunE: func(cmd *cobra.Command, _ []string) error {
			checks := a.diagnose(cmd.Context())
			err := a.show(checks, func(w *screen) {
				rows := make([][]string, len(checks))
				for i, c := range checks {
					rows[i] = []string{c.Name, c.Result, c.Detail}
				}
				w.table([]string{"CHECK", "RESULT", "DETAIL"}, rows)
			})
			if err == nil && slices.ContainsFunc(checks, func(c check) bool { return c.Result != "ok" }) {
				return errReported
			}
			return err
		},
	}
}

func (a *app) diagnose(ctx context.Context) []check {
	t, err := a.target()
	if err != nil {
		return []check{checked("context", err, "")}
	}
	checks := []check{checked("context", nil, t.Server)}
	c := client.New(t.Server, t.Token)
	ready, err := c.Ready(ctx)
	checks = append(checks, checked("server", err, "answers"))
	if err != nil {
		return checks
	}
	for _, part := range slices.Sorted(maps.Keys(ready.Checks)) {
		checks = append(checks, checkedPart(part, ready.Checks[part]))
	}
	who, err := c.Whoami(ctx)
	return append(checks, checked("token", err, describePrincipal(who)))
}

func describePrincipal(p deviceops.Principal) string {
	return fmt.Sprintf("%s in account %s: %s", p.Name, p.Account, strings.Join(p.Roles, ", "))
}

func checked(name string, err error, detail string) check {
	if err != nil {
		return check{Name: name, Result: "failed", Detail: err.Error()}
	}
	return check{Name: name, Result: "ok", Detail: detail}
}

func checkedPart(name, result string) check {
	if result != "ok" {
		return check{Name: name, Result: "failed", Detail: result}
	}
	return check{Name: name, Result: "ok"}
}

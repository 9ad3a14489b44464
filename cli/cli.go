package cli

import (
	"context"
	"fmt"
	"io"
	"os"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/deviceops/deviceops"
	"github.com/deviceops/deviceops/activities"
	"github.com/deviceops/deviceops/client"
)

// Config is the world around the commands.
type Config struct {
	Version string // default: dev

	// Actions are those that documents may use. Default: those that every
	// installation has.
	Actions []deviceops.ActionSpec

	In       io.Reader                // default: os.Stdin
	Out, Err io.Writer                // default: os.Stdout, os.Stderr
	Getenv   func(name string) string // default: os.Getenv
	Now      func() time.Time         // default: time.Now
}

func (c Config) withDefaults() Config {
	if c.Version == "" {
		c.Version = "dev"
	}
	if c.Actions == nil {
		c.Actions = activities.Actions()
	}
	if c.In == nil {
		c.In = os.Stdin
	}
	if c.Out == nil {
		c.Out = os.Stdout
	}
	if c.Err == nil {
		c.Err = os.Stderr
	}
	if c.Getenv == nil {
		c.Getenv = os.Getenv
	}
	if c.Now == nil {
		c.Now = time.Now
	}
	return c
}

// app is what the commands share: the configuration and the global flags.
type app struct {
	Config
	server  string
	token   string
	context string
	output  string
}

const about = `DeviceOps runs the life of connected devices: it provisions them, changes
them by workflows written in YAML, and tells who did what and why.

  deviceops dev                            a whole stack on this machine
  deviceops devices list                   what is out there
  deviceops explain device kiosk-0001      what a device waits for
  deviceops apply -f profiles/ --dry-run   what publishing would do

Which server: --server and --token, else DEVICEOPS_SERVER and DEVICEOPS_TOKEN,
else the context that "deviceops login" or "deviceops dev" wrote.

Exit codes: 0 done, 1 failed, 2 used wrongly.`

// New gives the root command with all commands but those that are servers.
func New(c Config) *cobra.Command {
	a := &app{Config: c.withDefaults()}
	root := &cobra.Command{
		Use: "deviceops", Short: "Workflow orchestration for the life of connected devices", Long: about,
		SilenceErrors: true, SilenceUsage: true, Version: a.Version,
		PersistentPreRunE: func(*cobra.Command, []string) error { return checkOutput(a.output) },
	}
	root.SetIn(a.In)
	root.SetOut(a.Out)
	root.SetErr(a.Err)
	root.SetFlagErrorFunc(func(_ *cobra.Command, err error) error { return Usage(err) })
	root.CompletionOptions.HiddenDefaultCmd = true
	flags := root.PersistentFlags()
	flags.StringVar(&a.server, "server", "", "URL of the server")
	flags.StringVar(&a.token, "token", "", "API token")
	flags.StringVar(&a.context, "context", "", "context to use instead of the current one")
	flags.StringVarP(&a.output, "output", "o", "table", "how to show results: table, json or yaml")
	root.AddCommand(
		a.loginCommand(), a.doctorCommand(), a.versionCommand(),
		a.validateCommand(), a.testCommand(), a.translateCommand(), a.schemaCommand(), a.importCommand(), a.applyCommand(), a.getCommand(), a.deleteCommand(),
		a.runCommand(), a.runsCommand(), a.releaseCommand(), a.rolloutCommand(), a.freezeCommand(), a.thawCommand(),
		a.devicesCommand(), a.explainCommand(), a.approvalsCommand(), a.ticketsCommand(), a.automationsCommand(), a.channelsCommand(), a.routesCommand(),
		a.eventsCommand(), a.metricsCommand(), a.auditCommand(), a.accountsCommand(), a.simulateCommand(),
	)
	return root
}

// group makes a command that only holds others.
func group(use, short string, commands ...*cobra.Command) *cobra.Command {
	g := &cobra.Command{Use: use, Short: short, Args: cobra.ArbitraryArgs}
	g.RunE = func(cmd *cobra.Command, args []string) error {
		if len(args) == 0 {
			return cmd.Help()
		}
		return Usage(fmt.Errorf("%s has no command %q", cmd.CommandPath(), args[0]))
	}
	g.AddCommand(commands...)
	return g
}

// args makes a check of the number of arguments that reports wrong use.
func args(least, most int) cobra.PositionalArgs {
	return func(cmd *cobra.Command, given []string) error {
		if err := cobra.RangeArgs(least, most)(cmd, given); err != nil {
			return Usage(fmt.Errorf("write it as: %s", strings.TrimSuffix(cmd.UseLine(), " [flags]")))
		}
		return nil
	}
}

// client makes the client of the server that flags, environment or context name.
func (a *app) client() (*client.Client, error) {
	chosen, err := a.target()
	if err != nil {
		return nil, err
	}
	return client.New(chosen.Server, chosen.Token), nil
}

// remote wraps a function that needs a client as the body of a command.
func (a *app) remote(f func(ctx context.Context, c *client.Client, args []string) error) func(*cobra.Command, []string) error {
	return func(cmd *cobra.Command, args []string) error {
		c, err := a.client()
		if err != nil {
			return err
		}
		return f(cmd.Context(), c, args)
	}
}

func reasonFlag(cmd *cobra.Command, reason *string) {
	cmd.Flags().StringVar(reason, "reason", "", "why; kept in the audit log")
}

func accountFlag(cmd *cobra.Command, account *string) {
	cmd.Flags().StringVar(account, "account", "", "account to act in (default: your own)")
}

// note writes a line for the person at the terminal, beside the result.
func (a *app) note(format string, args ...any) { fmt.Fprintf(a.Err, format+"\n", args...) }

// more tells that a list goes on.
func (a *app) more(shown int, next string) {
	if next != "" {
		a.note("%d shown; there is more: add --cursor %s, or raise --limit", shown, next)
	}
}

// listFlags are the flags of a list with pages.
type listFlags struct {
	limit  int
	cursor string
}

func (l *listFlags) add(cmd *cobra.Command) {
	cmd.Flags().IntVar(&l.limit, "limit", 100, "how many to show, at most 1000")
	cmd.Flags().StringVar(&l.cursor, "cursor", "", "go on after a page before")
}

// pairs reads key=value arguments.
func pairs(given []string) (map[string]string, error) {
	if len(given) == 0 {
		return nil, nil
	}
	out := make(map[string]string, len(given))
	for _, pair := range given {
		key, value, ok := strings.Cut(pair, "=")
		if !ok || key == "" {
			return nil, Usage(fmt.Errorf("%q: write key=value", pair))
		}
		out[key] = value
	}
	return out, nil
}

// failed makes an error of something that was done and ended badly.
func failed(format string, args ...any) error {
	return deviceops.Errorf(deviceops.EFAILED, format, args...)
}

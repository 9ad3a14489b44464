// Command deviceops is the product: its servers and its command line.
package main

import (
	"context"
	"os"
	"os/signal"
	"runtime/debug"
	"syscall"
	_ "time/tzdata" // maintenance windows do not depend on what the machine knows of zones

	"github.com/deviceops/deviceops/cli"
)

func main() {
	os.Exit(run(context.Background(), cli.Config{Version: version()}, os.Args[1:]))
}

// run executes a command line. The first interrupt ends the command; a second
// one ends the process at once.
func run(ctx context.Context, config cli.Config, args []string) int {
	ctx, stop := signal.NotifyContext(ctx, os.Interrupt, syscall.SIGTERM)
	defer stop()
	context.AfterFunc(ctx, stop)
	root := cli.New(config)
	root.AddCommand(serveCommand(config))
	root.AddCommand(fullCommands(config)...)
	return cli.Execute(ctx, root, args)
}

// version gives the module's version or, for a build of a checkout, its
// commit.
func version() string {
	info, ok := debug.ReadBuildInfo()
	if !ok {
		return "dev"
	}
	for _, setting := range info.Settings {
		if setting.Key == "vcs.revision" && len(setting.Value) >= 12 {
			return "dev-" + setting.Value[:12]
		}
	}
	return info.Main.Version
}

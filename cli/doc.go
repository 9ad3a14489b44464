// Package cli is the deviceops command: its subcommands and how they show what
// the API answers.
//
// New gives the root command with everything that talks to a server or needs
// none; the main adds the commands that are one (dev, serve, bench). Execute
// runs it and gives the exit code: 0 done, 1 failed, 2 used wrongly. Results go
// to standard output, as a table, JSON or YAML; all else to standard error.
package cli

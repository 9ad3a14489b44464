//go:build lean

package main

import (
	"github.com/spf13/cobra"

	"github.com/deviceops/deviceops/cli"
)

// fullCommands: a lean build has none.
func fullCommands(cli.Config) []*cobra.Command { return nil }

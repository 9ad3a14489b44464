package cli

import (
	"context"

	"github.com/spf13/cobra"

	"github.com/deviceops/deviceops/client"
)

// words are what the help of a command says.
type words struct{ use, short, long, example string }

// listIn makes a command that lists what there is of a kind in an account.
func listIn[T any](a *app, says words, list func(*client.Client, context.Context, string) (client.Page[T], error), show func(*screen, []T)) *cobra.Command {
	says.use = "list"
	return inAccount(a, says, 0, func(ctx context.Context, c *client.Client, account string, _ []string) error {
		page, err := list(c, ctx, account)
		if err != nil {
			return err
		}
		return a.show(page, func(w *screen) { show(w, page.Items) })
	})
}

// showIn makes a command that shows one thing by its name in an account.
func showIn[T any](a *app, says words, find func(*client.Client, context.Context, string, string) (T, error), show func(*screen, T)) *cobra.Command {
	return inAccount(a, says, 1, func(ctx context.Context, c *client.Client, account string, args []string) error {
		found, err := find(c, ctx, account, args[0])
		if err != nil {
			return err
		}
		return a.show(found, func(w *screen) { show(w, found) })
	})
}

// inAccount makes a command with n arguments that takes an account.
func inAccount(a *app, says words, n int, do func(ctx context.Context, c *client.Client, account string, args []string) error) *cobra.Command {
	var account string
	cmd := &cobra.Command{
		Use: says.use, Short: says.short, Long: says.long, Example: says.example, Args: args(n, n),
		RunE: a.remote(func(ctx context.Context, c *client.Client, args []string) error { return do(ctx, c, account, args) }),
	}
	accountFlag(cmd, &account)
	return cmd
}

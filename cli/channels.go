package cli

import (
	"context"
	"fmt"
	"strings"

	"github.com/spf13/cobra"

	"github.com/deviceops/deviceops"
	"github.com/deviceops/deviceops/client"
)

func (a *app) channelsCommand() *cobra.Command {
	c := group("channels", "See and try where tickets and notifications go",
		listIn(a, words{
			short: "List the channels that an account can use", example: "  deviceops channels list\n  deviceops channels list --account acme/emea",
		}, (*client.Client).Channels, (*screen).channels),
		showIn(a, words{use: "show CHANNEL", short: "Show what a channel can do", example: "  deviceops channels show jira"},
			(*client.Client).Channel, (*screen).channel),
		a.channelsTest(), a.channelsDeadLetters(), a.channelsRedrive())
	c.Long = `Channels connect DeviceOps with ticket systems, chat, paging and mail. They are
YAML documents (docs/channels.md has eight to start with), published like others:

  deviceops apply -f jira.yaml
  deviceops channels test jira`
	return c
}

func (a *app) channelsTest() *cobra.Command {
	var account, text, reason string
	cmd := &cobra.Command{
		Use: "test CHANNEL", Short: "Send a notification and tell what became of it", Args: args(1, 1),
		Long:    "Sends a notification at once, past the queue and the limit of the channel. Exits with 1 when it does not arrive.",
		Example: "  deviceops channels test slack\n  deviceops channels test pagerduty --text \"only a test\"",
		RunE: a.remote(func(ctx context.Context, c *client.Client, args []string) error {
			report, err := c.TestChannel(ctx, account, args[0], text, reason)
			if err != nil {
				return err
			}
			if err := a.show(report, func(w *screen) {
				if report.Delivered {
					w.line("%s took the notification", args[0])
				}
			}); err != nil || report.Delivered {
				return err
			}
			return failed("it did not arrive: %s", report.Error)
		}),
	}
	accountFlag(cmd, &account)
	cmd.Flags().StringVar(&text, "text", "If you can read this, the channel works.", "what to say")
	reasonFlag(cmd, &reason)
	return cmd
}

func (a *app) channelsDeadLetters() *cobra.Command {
	f := deviceops.NoticeFilter{Status: deviceops.NoticeDead}
	var page listFlags
	cmd := &cobra.Command{
		Use: "dead-letters [CHANNEL]", Short: "List notifications that were given up", Args: args(0, 1),
		Example: "  deviceops channels dead-letters\n  deviceops channels dead-letters slack -o json",
		RunE: a.remote(func(ctx context.Context, c *client.Client, args []string) error {
			f.Limit = page.limit
			if len(args) > 0 {
				f.Channel = args[0]
			}
			notices, err := c.ListNotices(ctx, f, page.cursor)
			if err != nil {
				return err
			}
			defer a.more(len(notices.Items), notices.Next)
			return a.show(notices, func(w *screen) { w.notices(notices.Items) })
		}),
	}
	accountFlag(cmd, &f.Account)
	page.add(cmd)
	return cmd
}

func (a *app) channelsRedrive() *cobra.Command {
	var account, reason string
	cmd := &cobra.Command{
		Use: "redrive CHANNEL [NOTIFICATION...]", Short: "Send notifications again that were given up", Args: args(1, 1001),
		Long:    "Without ids all that the channel gave up are sent again, oldest first.",
		Example: "  deviceops channels redrive slack --reason \"the bot is back in the room\"",
		RunE: a.remote(func(ctx context.Context, c *client.Client, args []string) error {
			report, err := c.RedriveNotices(ctx, account, args[0], args[1:], reason)
			if err != nil {
				return err
			}
			return a.show(report, func(w *screen) { w.line("%s will be sent again", counted(report.Redriven, "notification")) })
		}),
	}
	accountFlag(cmd, &account)
	reasonFlag(cmd, &reason)
	return cmd
}

func (w *screen) channels(channels []deviceops.ChannelReport) {
	rows := make([][]string, len(channels))
	for i, c := range channels {
		can := strings.Join(c.Operations, " ")
		if c.Fault != "" {
			can = "broken: " + c.Fault
		}
		rows[i] = []string{c.Name, c.Account, fmt.Sprint(c.Version), dash(c.Transport), yesNo(c.Webhook), cut(can, 80)}
	}
	w.table([]string{"NAME", "ACCOUNT", "VERSION", "BY", "LISTENS", "CAN"}, rows)
}

func (w *screen) channel(c deviceops.ChannelReport) {
	w.fields(
		"channel", c.Name, "account", c.Account, "version", fmt.Sprint(c.Version), "about", c.Description, "by", c.Transport,
		"can", strings.Join(c.Operations, ", "), "listens", yesNo(c.Webhook), "broken", c.Fault,
	)
	if c.Can(deviceops.ChannelNotify) {
		w.fields("limit", fmt.Sprintf("%d notifications with one key per %s", c.Limit.N, c.Limit.Per))
	}
}

func (w *screen) notices(notices []deviceops.Notice) {
	rows := make([][]string, len(notices))
	for i, n := range notices {
		title := n.Title
		if title == "" {
			title = n.Text
		}
		rows[i] = []string{n.ID, n.Channel, w.when(n.QueuedAt), fmt.Sprint(n.Attempts), cut(title, 40), cut(n.Error, 80)}
	}
	w.table([]string{"ID", "CHANNEL", "QUEUED", "TRIED", "ABOUT", "WHY"}, rows)
}

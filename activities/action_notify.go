package activities

import (
	"context"

	"github.com/deviceops/deviceops"
)

// EventNotification is the type of the events that the action notify writes.
const EventNotification = "notification"

var _ = addAction(NewAction(About{
	Name: "notify", Summary: "tells people something", Idempotent: true, Quick: true,
	Description: "The channel `log` writes an event of type `notification`, which `deviceops events tail` and the timeline of the device show. " +
		"Any other is a published channel: the notification is queued and sent at once or, when the system is away, later; " +
		"the step does not wait for it. Of one channel and key no more are sent than the channel's `limit` says; the rest is folded into one.",
	Example: `
- action: notify
  with:
    channel: slack
    title: Kiosk ${{ device.id }} is dark
    text: The panel did not come back after the reboot.
    severity: error`,
}, notify))

type notifyArgs struct {
	Text     string `json:"text" required:"true" max:"4000" doc:"what people are told"`
	Title    string `json:"title" max:"200" doc:"the same in a few words"`
	Severity string `json:"severity" enum:"info,warning,error,critical" default:"info" doc:"how much it matters"`
	Channel  string `json:"channel" max:"64" default:"log" channel:"notify" doc:"where it goes: log, or a published channel"`
	Key      string `json:"key" max:"200" doc:"what it is about, for the limit of the channel; left out: the workflow and the step"`
}

func notify(ctx context.Context, c *Call, args notifyArgs) (None, error) {
	data := map[string]any{"channel": args.Channel, "text": args.Text}
	if args.Title != "" {
		data["title"] = args.Title
	}
	if args.Channel != deviceops.ChannelLog {
		if err := c.queue(ctx, args); err != nil {
			return None{}, err
		}
	}
	c.Log().InfoContext(ctx, "notification", "channel", args.Channel, "title", args.Title, "severity", args.Severity, "device", c.in.Device, "run", c.Run)
	return None{}, c.tell(ctx, EventNotification, args.Severity, data)
}

// queue has a notification sent. EINVALID or ENOTFOUND for a channel that cannot
// notify.
func (c *Call) queue(ctx context.Context, args notifyArgs) error {
	info, err := c.deps.channel(ctx, c.Account, args.Channel)
	switch {
	case err != nil:
		return err
	case !info.Can(deviceops.ChannelNotify):
		return deviceops.Errorf(deviceops.EINVALID, "the channel %s cannot notify; give it notify:", args.Channel)
	}
	run, err := c.channelRun(ctx)
	if err != nil {
		return err
	}
	if args.Key == "" {
		args.Key = run.Workflow + "/" + c.Step
	}
	return c.deps.Store.QueueNotice(ctx, deviceops.Notice{
		ID: c.ID, Account: c.Account, Channel: args.Channel, Key: args.Key, Title: args.Title, Text: args.Text, Severity: args.Severity,
		Device: c.in.Device, Run: run, QueuedAt: c.Now(),
	}, info.Limit)
}

// channelRun gives the run as channels see it.
func (c *Call) channelRun(ctx context.Context) (deviceops.ChannelRun, error) {
	run, err := c.deps.Store.FindRun(ctx, c.Run)
	if err != nil && deviceops.ErrorCode(err) != deviceops.ENOTFOUND {
		return deviceops.ChannelRun{}, err
	}
	return deviceops.ChannelRun{ID: c.Run, Workflow: run.Workflow, Step: c.Step}, nil
}

// channel describes a channel as account sees it. ENOTFOUND.
func (d Deps) channel(ctx context.Context, account, name string) (deviceops.ChannelInfo, error) {
	if d.Channels == nil {
		return deviceops.ChannelInfo{}, deviceops.Errorf(deviceops.ENOTFOUND, "there is no channel %s", name)
	}
	return d.Channels.Describe(ctx, account, name)
}

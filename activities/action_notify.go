package activities

import "context"

// EventNotification is the type of the events that the action notify writes.
const EventNotification = "notification"

// ChannelLog is the channel that every installation has: the events.
const ChannelLog = "log"

var _ = addAction(NewAction(About{
	Name: "notify", Summary: "tells people something",
	Description: "The channel `log` writes an event of type `notification`, which `deviceops events tail` and the timeline of the device show.",
	Example: `
- action: notify
  with:
    title: Kiosk ${{ device.id }} is dark
    text: The panel did not come back after the reboot.
    severity: error`,
}, notify))

type notifyArgs struct {
	Text     string `json:"text" required:"true" max:"4000" doc:"what people are told"`
	Title    string `json:"title" max:"200" doc:"the same in a few words"`
	Severity string `json:"severity" enum:"info,warning,error,critical" default:"info" doc:"how much it matters"`
	Channel  string `json:"channel" enum:"log" default:"log" doc:"where it goes"`
}

func notify(ctx context.Context, c *Call, args notifyArgs) (None, error) {
	data := map[string]any{"channel": args.Channel, "text": args.Text}
	if args.Title != "" {
		data["title"] = args.Title
	}
	c.Log().InfoContext(ctx, "notification", "title", args.Title, "severity", args.Severity, "device", c.in.Device, "run", c.Run)
	return None{}, c.tell(ctx, EventNotification, args.Severity, data)
}

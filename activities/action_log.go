package activities

import (
	"context"
	"slices"

	"github.com/deviceops/deviceops"
)

// EventRunLog is the type of the events that the action log writes.
const EventRunLog = "run.log"

// logEntry writes an event, which the timeline of the device shows.
type logEntry struct {
	Message string `json:"message"`
	Level   string `json:"level"` // info, warning, error; "": info
}

func (l *logEntry) perform(ctx context.Context, d Deps, in ActionInput) (ActionOutput, error) {
	levels := []string{"info", "warning", "error"}
	if l.Level == "" {
		l.Level = "info"
	}
	if !slices.Contains(levels, l.Level) {
		return ActionOutput{}, deviceops.Errorf(deviceops.EINVALID, "log: there is no level %q; levels are %v", l.Level, levels)
	}
	account := in.Account
	if in.Device != "" {
		device, err := in.target(ctx, d)
		if err != nil {
			return ActionOutput{}, err
		}
		account = device.Account
	}
	now := d.now()
	return ActionOutput{}, d.Store.AppendEvents(ctx, []deviceops.Event{{
		Account: account, Device: in.Device, Type: EventRunLog, Severity: l.Level, At: now, ReceivedAt: now,
		Data: map[string]any{"text": l.Message, "run": in.RunID, "step": in.Step},
	}})
}

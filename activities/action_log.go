package activities

import (
	"context"

	"github.com/deviceops/deviceops"
)

// EventRunLog is the type of the events that the action log writes.
const EventRunLog = "run.log"

var _ = addAction(NewAction(About{
	Name: "log", Summary: "puts a line on the timeline of the run and its device", Idempotent: true, Quick: true,
	Example: `
- action: log
  with: { message: "battery is at ${{ device.metrics.battery_pct }} %", level: warning }`,
}, writeLog))

type logArgs struct {
	Message string `json:"message" required:"true" doc:"the line"`
	Level   string `json:"level" enum:"info,warning,error" default:"info" doc:"how much it matters"`
}

func writeLog(ctx context.Context, c *Call, args logArgs) (None, error) {
	return None{}, c.tell(ctx, EventRunLog, args.Level, map[string]any{"text": args.Message})
}

// tell writes an event about the step's device or, without one, about the run's
// account, once however often the action is performed.
func (c *Call) tell(ctx context.Context, eventType, severity string, data map[string]any) error {
	account := c.Account
	if c.in.Device != "" {
		device, err := c.Device(ctx)
		if err != nil {
			return err
		}
		account = device.Account
	}
	data["run"], data["step"] = c.Run, c.Step
	return c.deps.appendOnce(ctx, deviceops.SeqKey{Device: seqsOfRuns, Boot: c.ID, Seq: seqTold}, deviceops.Event{
		Account: account, Device: c.in.Device, Type: eventType, Severity: severity, At: c.Now(), ReceivedAt: c.Now(), Data: data,
	})
}

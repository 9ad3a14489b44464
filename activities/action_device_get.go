package activities

import (
	"context"

	"github.com/deviceops/deviceops"
)

var _ = addAction(NewAction(About{
	Name: "device.get", Summary: "reads the device as it is now", Device: true, Idempotent: true, Quick: true,
	Description: "The output has the same fields as `device` in expressions.",
	Example: `
- id: now
  action: device.get`,
}, getDevice))

func getDevice(ctx context.Context, c *Call, _ struct{}) (deviceops.Device, error) {
	return c.Device(ctx)
}

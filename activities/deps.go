package activities

import (
	"context"
	"log/slog"
	"net/netip"
	"time"

	"github.com/deviceops/deviceops"
)

// Deps is what activities reach the world through.
type Deps struct {
	Store   deviceops.Store
	Gateway deviceops.Gateway
	Catalog deviceops.Catalog
	Secrets deviceops.Secrets // nil where no action needs any
	Broker  deviceops.Broker  // nil where no action publishes messages

	// Channels reach other systems. Nil: there are none.
	Channels deviceops.Channels

	// Automations hear the times of their schedules. Nil: there are none.
	Automations *deviceops.AutomationStore

	// Actions are more actions than every installation has.
	Actions []Action
	// Networks are the private networks that http.request may reach.
	Networks []netip.Prefix

	Now func() time.Time // nil: the machine's clock
	Log *slog.Logger     // nil: the default logger
}

// now gives the time to the millisecond: what is stored and read again is then
// equal to what was written, whatever the store's resolution.
func (d Deps) now() time.Time {
	if d.Now != nil {
		return d.Now().Truncate(time.Millisecond)
	}
	return time.Now().UTC().Truncate(time.Millisecond)
}

func (d Deps) log() *slog.Logger {
	if d.Log != nil {
		return d.Log
	}
	return slog.Default()
}

func (d Deps) dispatcher() deviceops.Dispatcher {
	return deviceops.Dispatcher{Store: d.Store, Gateway: d.Gateway}
}

// device gives a device that account may act on. A device of another account
// is not found, since its existence is none of the caller's business.
func (d Deps) device(ctx context.Context, account, id string) (deviceops.Device, error) {
	device, err := d.Store.FindDevice(ctx, id)
	if err != nil {
		return deviceops.Device{}, err
	}
	if account != "" && !deviceops.AccountWithin(device.Account, account) {
		return deviceops.Device{}, deviceops.Errorf(deviceops.ENOTFOUND, "account %s has no device %s", account, id)
	}
	return device, nil
}

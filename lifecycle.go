package deviceops

import (
	"context"
	"time"
)

// Transition asks to move a device to another state.
type Transition struct {
	Device   string
	To       State
	By       string // actor, for the audit log
	Reason   string
	Evidence map[string]any
}

// ProfileOf gives the profile of a device, nil when none is published. Read it
// before a transaction begins: a catalog reads the store, and if every
// connection were held by a transaction that waits for one more, none would
// come.
func ProfileOf(ctx context.Context, c Catalog, d *Device) (*Profile, error) {
	profile, err := c.Profile(ctx, d.Account, d.Profile)
	if ErrorCode(err) == ENOTFOUND {
		return nil, nil
	}
	return profile, err
}

// Apply moves the device within tx: the one place where a state changes. It
// checks the edge and the guard of p (the device's profile; nil when it has
// none), writes the device, the audit entry and the event device.state_changed
// and, when the device leaves the fleet (quarantined or retired), cancels its
// open commands. A device that is in the state already is left alone and
// changed is false. ENOTFOUND, EINVALID, ECONFLICT.
func (t Transition) Apply(ctx context.Context, tx Tx, p *Profile, now time.Time) (d Device, changed bool, err error) {
	locked, err := tx.LockDevices(ctx, []string{t.Device})
	if err != nil {
		return Device{}, false, err
	}
	current, ok := locked[t.Device]
	if !ok {
		return Device{}, false, Errorf(ENOTFOUND, "there is no device %s", t.Device)
	}
	if current.State == t.To {
		return *current, false, nil
	}
	if err := CheckTransition(current, p, t.To); err != nil {
		return Device{}, false, err
	}
	from := current.State
	current.enter(t.To, t.Reason, now)
	if err := tx.SaveDevice(ctx, current); err != nil {
		return Device{}, false, err
	}
	if err := record(ctx, tx, current, from, t, now); err != nil {
		return Device{}, false, err
	}
	if t.To == Quarantined || t.To == Retired {
		err = withdrawCommands(ctx, tx, current, now)
	}
	return *current, true, err
}

// enter changes the state of d. The claim is a secret that serves once: an
// active device has no more use for it.
func (d *Device) enter(to State, reason string, now time.Time) {
	d.State, d.StateSince, d.StateReason, d.UpdatedAt = to, now, reason, now
	if to == Active {
		d.ClaimHash = ""
	}
}

func record(ctx context.Context, tx Tx, d *Device, from State, t Transition, now time.Time) error {
	err := tx.AppendEvents(ctx, []Event{{
		Account: d.Account, Device: d.ID, Type: EventDeviceState, Severity: severityOf(t.To), At: now, ReceivedAt: now,
		Data: map[string]any{"from": string(from), "to": string(t.To), "reason": t.Reason, "by": t.By},
	}})
	if err != nil {
		return err
	}
	return tx.AppendAudit(ctx, AuditEntry{
		At: now, Account: d.Account, Actor: t.By, Action: "device.transition", Target: "device:" + d.ID, Reason: t.Reason,
		Evidence: withStates(t.Evidence, from, t.To),
	})
}

func withStates(evidence map[string]any, from, to State) map[string]any {
	all := map[string]any{"from": string(from), "to": string(to)}
	for k, v := range evidence {
		all[k] = v
	}
	return all
}

func severityOf(to State) string {
	if to == Quarantined {
		return "warning"
	}
	return "info"
}

// withdrawCommands cancels what the device was asked and has not ended.
func withdrawCommands(ctx context.Context, tx Tx, d *Device, now time.Time) error {
	open, err := tx.OpenCommands(ctx, []string{d.ID})
	if err != nil || len(open[d.ID]) == 0 {
		return err
	}
	commands := open[d.ID]
	for i := range commands {
		commands[i].Finish(CommandCanceled, &CommandError{Code: "device_" + string(d.State), Message: "the device was " + string(d.State)}, now)
	}
	return tx.SaveCommands(ctx, commands)
}

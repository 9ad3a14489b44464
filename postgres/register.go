package postgres

import (
	"context"
	"maps"
	"reflect"
	"slices"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/deviceops/deviceops"
)

const (
	// registerChunk is how many registrations are decided at a time.
	registerChunk = 2000

	// analyzeAfter is the number of new devices after which the planner's
	// picture of the tables is too old to wait for autovacuum.
	analyzeAfter = 1000
)

// RegisterDevices implements deviceops.Devices.
func (t tx) RegisterDevices(ctx context.Context, registrations []deviceops.Registration, now time.Time) (outcomes []deviceops.RegisterOutcome, err error) {
	err = t.atomically(ctx, func(t tx) error {
		outcomes = make([]deviceops.RegisterOutcome, 0, len(registrations))
		for chunk := range slices.Chunk(registrations, registerChunk) {
			decided, err := t.registerChunk(ctx, chunk, now)
			if err != nil {
				return err
			}
			outcomes = append(outcomes, decided...)
		}
		return t.analyzeDevices(ctx, outcomes)
	})
	return outcomes, err
}

func (t tx) analyzeDevices(ctx context.Context, outcomes []deviceops.RegisterOutcome) error {
	added := 0
	for _, o := range outcomes {
		if o == deviceops.Registered {
			added++
		}
	}
	if added < analyzeAfter {
		return nil
	}
	_, err := t.exec(ctx, "analyze devices", `analyze devices, twins, sessions`)
	return err
}

// registerChunk reads what the rows may meet, decides and writes. Another
// process may register the same in between: what could not be inserted is
// decided once more, when that other row can be seen.
func (t tx) registerChunk(ctx context.Context, chunk []deviceops.Registration, now time.Time) ([]deviceops.RegisterOutcome, error) {
	for range maxTries {
		known, err := t.knownDevices(ctx, chunk)
		if err != nil {
			return nil, err
		}
		r := newRegistrar(known, now)
		outcomes := make([]deviceops.RegisterOutcome, len(chunk))
		for i := range chunk {
			outcomes[i] = r.register(&chunk[i])
		}
		if all, err := t.insertRegistered(ctx, r); err != nil {
			return nil, err
		} else if all {
			return outcomes, t.updateRegistered(ctx, r)
		}
	}
	return nil, deviceops.Errorf(deviceops.EUNAVAILABLE, "these devices are being registered by others at this moment: try again")
}

// knownDevices gives, locked, every device that has an id or a serial of the
// chunk.
func (t tx) knownDevices(ctx context.Context, chunk []deviceops.Registration) ([]deviceops.Device, error) {
	ids, serials := make([]string, len(chunk)), make([]string, len(chunk))
	accounts, profiles := make([]string, len(chunk)), make([]string, len(chunk))
	for i, row := range chunk {
		ids[i], accounts[i], profiles[i], serials[i] = row.ID, row.Account, row.Profile, row.Serial
	}
	found, err := list(ctx, t, "find registered devices", pgx.RowTo[string], `
		select id from devices where id = any($1)
		union
		select d.id from unnest($2::text[], $3::text[], $4::text[]) as x(account, profile, serial)
		join devices d on d.account = x.account and d.profile = x.profile and d.serial = x.serial
			and d.serial <> '' and d.state <> 'discovered'`, ids, accounts, profiles, serials)
	if err != nil {
		return nil, err
	}
	locked, err := t.LockDevices(ctx, found)
	known := make([]deviceops.Device, 0, len(locked))
	for _, d := range locked {
		known = append(known, *d)
	}
	return known, err
}

func (t tx) insertRegistered(ctx context.Context, r *registrar) (all bool, err error) {
	if len(r.added) == 0 {
		return true, nil
	}
	// A savepoint takes back what went in when the rest did not.
	_, err = t.exec(ctx, "register devices", `savepoint registering`)
	if err != nil {
		return false, err
	}
	text, err := rows(r.records(r.added))
	if err != nil {
		return false, err
	}
	ids, err := list(ctx, t, "register devices", pgx.RowTo[string], insertDevices(""), text)
	if err != nil {
		return false, err
	}
	end := `release savepoint registering`
	if len(ids) < len(r.added) {
		end = `rollback to savepoint registering`
	}
	_, err = t.exec(ctx, "register devices", end)
	return len(ids) == len(r.added), err
}

func (t tx) updateRegistered(ctx context.Context, r *registrar) error {
	return bulk(ctx, t, "update devices", r.records(r.changed), updateDevices+` select from updated`)
}

// registrar decides what becomes of registrations, given the devices that they
// may meet. It sees its own decisions, so rows of one call may repeat.
type registrar struct {
	now     time.Time
	devices map[string]*deviceops.Device
	serials map[serialKey]string // held by which device
	added   map[string]bool
	changed map[string]bool
}

type serialKey struct{ account, profile, serial string }

func newRegistrar(known []deviceops.Device, now time.Time) *registrar {
	r := &registrar{
		now: now, devices: map[string]*deviceops.Device{}, serials: map[serialKey]string{},
		added: map[string]bool{}, changed: map[string]bool{},
	}
	for i := range known {
		r.devices[known[i].ID] = &known[i]
		r.hold(&known[i])
	}
	return r
}

// hold notes that d's serial is taken. What a discovered device says of its
// serial takes nothing.
func (r *registrar) hold(d *deviceops.Device) {
	if d.Serial != "" && d.State != deviceops.Discovered {
		r.serials[serialKey{d.Account, d.Profile, d.Serial}] = d.ID
	}
}

func (r *registrar) register(row *deviceops.Registration) deviceops.RegisterOutcome {
	d := r.devices[row.ID]
	switch {
	case d == nil:
		return r.add(row)
	case d.State == deviceops.Discovered:
		return r.adopt(d, row)
	case d.Account != row.Account:
		return deviceops.Conflict
	case d.State == deviceops.Escrow:
		return r.change(d, row, true)
	default:
		return r.change(d, row, false)
	}
}

func (r *registrar) taken(row *deviceops.Registration) bool {
	holder, ok := r.serials[serialKey{row.Account, row.Profile, row.Serial}]
	return ok && holder != row.ID
}

func (r *registrar) add(row *deviceops.Registration) deviceops.RegisterOutcome {
	if r.taken(row) {
		return deviceops.Conflict
	}
	d := &deviceops.Device{ID: row.ID, Account: row.Account, CreatedAt: r.now}
	r.enterEscrow(d, row)
	r.devices[d.ID] = d
	r.added[d.ID] = true
	return deviceops.Registered
}

func (r *registrar) adopt(d *deviceops.Device, row *deviceops.Registration) deviceops.RegisterOutcome {
	if r.taken(row) {
		return deviceops.Conflict
	}
	d.Account = row.Account
	r.enterEscrow(d, row)
	r.changed[d.ID] = true
	return deviceops.Adopted
}

func (r *registrar) enterEscrow(d *deviceops.Device, row *deviceops.Registration) {
	d.State, d.StateSince, d.StateReason, d.UpdatedAt = deviceops.Escrow, r.now, "", r.now
	describe(d, row)
	identify(d, row)
	r.hold(d)
}

// change brings a known device up to date. Its identity changes only before it
// was admitted.
func (r *registrar) change(d *deviceops.Device, row *deviceops.Registration, identity bool) deviceops.RegisterOutcome {
	changed := *d
	describe(&changed, row)
	if identity {
		if r.taken(row) {
			return deviceops.Conflict
		}
		identify(&changed, row)
	}
	if sameDevice(d, &changed) {
		return deviceops.Unchanged
	}
	delete(r.serials, serialKey{d.Account, d.Profile, d.Serial})
	*d = changed
	d.UpdatedAt = r.now
	r.hold(d)
	if !r.added[d.ID] {
		r.changed[d.ID] = true
	}
	return deviceops.Updated
}

// describe sets what may change at any time.
func describe(d *deviceops.Device, row *deviceops.Registration) {
	d.Parent, d.Zone, d.Place = row.Parent, row.Zone, row.Place
	d.Tags, d.Labels, d.Attributes = tagSet(row.Tags), row.Labels, row.Attributes
}

// identify sets what the device must prove at its first hello. A row without a
// claim leaves the one that is there: a list that is imported again need not
// carry the secrets.
func identify(d *deviceops.Device, row *deviceops.Registration) {
	d.Serial, d.Profile = row.Serial, row.Profile
	if row.ClaimHash != "" {
		d.ClaimHash = row.ClaimHash
	}
}

// sameDevice compares all that a registration sets.
func sameDevice(a, b *deviceops.Device) bool {
	samePlace := (a.Place == nil) == (b.Place == nil) && (a.Place == nil || *a.Place == *b.Place)
	return samePlace && a.Serial == b.Serial && a.Profile == b.Profile && a.ClaimHash == b.ClaimHash &&
		a.Parent == b.Parent && a.Zone == b.Zone &&
		slices.Equal(a.Tags, b.Tags) && maps.Equal(a.Labels, b.Labels) && sameAttributes(a.Attributes, b.Attributes)
}

func sameAttributes(a, b map[string]any) bool {
	return len(a) == 0 && len(b) == 0 || reflect.DeepEqual(a, b)
}

func (r *registrar) records(ids map[string]bool) []deviceRecord {
	records := make([]deviceRecord, 0, len(ids))
	for _, id := range slices.Sorted(maps.Keys(ids)) {
		records = append(records, recordDevice(r.devices[id]))
	}
	return records
}

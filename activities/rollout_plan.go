package activities

import (
	"context"
	"slices"

	"github.com/deviceops/deviceops"
)

// planChunk is how many rows are written by one statement.
const planChunk = 2000

// PlanRolloutInput asks to assign devices to the rings of a rollout.
type PlanRolloutInput struct {
	Rollout string `json:"rollout"`
	// Again looks for devices that joined, or left, since it was planned first.
	Again bool `json:"again,omitempty"`
}

// PlanRolloutOutput tells what was planned.
type PlanRolloutOutput struct {
	Counts  []deviceops.Counts `json:"counts"` // by ring
	Notes   []string           `json:"notes,omitempty"`
	Refused string             `json:"refused,omitempty"` // why it must not begin
	Changed bool               `json:"changed,omitempty"` // devices joined, or left
}

// Plan reads the devices that a rollout targets and gives each a row in its ring;
// those that can't take part get one that is excused. Planned again, devices that
// joined get one in the last ring, and those that left before their turn are
// excused. What has a row keeps it, so that repeating changes nothing. EINVALID
// when the manifest can't be used.
func (a *Rollouts) Plan(ctx context.Context, in PlanRolloutInput) (PlanRolloutOutput, error) {
	ctx, stop := withPulse(ctx, bulkPatience)
	defer stop()
	out, err := a.plan(ctx, in)
	return out, Failure(err)
}

func (a *Rollouts) plan(ctx context.Context, in PlanRolloutInput) (out PlanRolloutOutput, err error) {
	r, err := a.deps.Store.FindRollout(ctx, in.Rollout)
	if err != nil {
		return out, err
	}
	spec, err := a.deps.Catalog.Rollout(ctx, r)
	if err != nil {
		return out, err
	}
	p := &planning{a: a, r: r, spec: spec, out: &out}
	switch {
	case r.RollbackOf != "": // its rows were made with it
	case in.Again:
		err = p.again(ctx)
	default:
		err = p.first(ctx)
	}
	if err != nil {
		return out, err
	}
	rings, err := a.deps.Store.RolloutCounts(ctx, r.ID)
	for _, ring := range rings {
		out.Counts = append(out.Counts, ring.Counts)
	}
	return out, err
}

// planning is one call of Plan.
type planning struct {
	a    *Rollouts
	r    deviceops.Rollout
	spec *deviceops.RolloutSpec
	out  *PlanRolloutOutput
}

// targeted is a device that meets the targets, as little of it as is needed.
type targeted struct {
	assign  deviceops.AssignDevice
	account string
	excuse  *deviceops.CommandError // why it takes no part; nil: it does
}

// first gives every targeted device its ring.
func (p *planning) first(ctx context.Context) error {
	all, err := p.targets(ctx)
	if err != nil {
		return err
	}
	if refused, err := p.conflicts(ctx, all); err != nil || refused != "" {
		p.out.Refused = refused
		return err
	}
	if err := p.supersede(ctx); err != nil {
		return err
	}
	part := slices.DeleteFunc(slices.Clone(all), func(t targeted) bool { return t.excuse != nil })
	assignment := deviceops.AssignRings(p.spec, assignable(part))
	if err := p.note(ctx, assignment.Notes); err != nil {
		return err
	}
	var rows []deviceops.RolloutDevice
	for i, t := range part {
		if ring := assignment.Rings[i]; ring != deviceops.NoRing {
			rows = append(rows, p.row(t, ring))
		}
	}
	for _, t := range all {
		if t.excuse != nil {
			rows = append(rows, p.row(t, len(p.r.Rings)-1))
		}
	}
	_, err = p.add(ctx, rows)
	if err == nil {
		err = p.a.deps.Store.AnalyzeRollout(ctx)
	}
	return err
}

// note keeps what a person should know of the plan.
func (p *planning) note(ctx context.Context, notes []string) error {
	if p.out.Notes = notes; len(notes) == 0 {
		return nil
	}
	return p.a.deps.Store.InTx(ctx, func(ctx context.Context, tx deviceops.Tx) error {
		r, err := tx.LockRollout(ctx, p.r.ID)
		if err != nil {
			return err
		}
		r.Notes = notes
		return tx.SaveRollout(ctx, r)
	})
}

// targets reads the devices that the rollout targets. Its memory grows with them,
// by some hundred bytes each.
func (p *planning) targets(ctx context.Context) ([]targeted, error) {
	return p.targeted(ctx, func(each func(*deviceops.Device) error) error {
		return p.a.deps.Store.TargetDevices(ctx, p.r.Account, p.spec.Targets.Narrow, each)
	})
}

// targeted gives those of the devices in a stream that the rollout targets.
func (p *planning) targeted(ctx context.Context, stream func(each func(*deviceops.Device) error) error) (all []targeted, err error) {
	admitter := deviceops.NewAdmitter(p.spec, deviceops.AdmitFacts{}, p.a.deps.now())
	n := 0
	err = stream(func(d *deviceops.Device) error {
		if n++; n%planChunk == 0 {
			beat(ctx, n)
		}
		if yes, err := p.meets(d); err != nil || !yes {
			return err
		}
		assign, err := deviceops.NewAssignDevice(p.r.ID, p.spec, d)
		all = append(all, targeted{
			assign: assign, account: d.Account,
			excuse: admitter.Excuse(&deviceops.Candidate{Device: *d, Meets: deviceops.Yes}),
		})
		return err
	})
	return all, err
}

// meets reports whether a device that the store took for a target is one.
func (p *planning) meets(d *deviceops.Device) (bool, error) {
	yes, err := p.spec.Targets.Let(d)
	if err != nil {
		return false, deviceops.Errorf(deviceops.EINVALID, "targets (%s): %w", p.spec.Targets.Source, err)
	}
	return yes, nil
}

func assignable(all []targeted) []deviceops.AssignDevice {
	list := make([]deviceops.AssignDevice, len(all))
	for i, t := range all {
		list[i] = t.assign
	}
	return list
}

// row gives the row of a device.
func (p *planning) row(t targeted, ring int) deviceops.RolloutDevice {
	now := p.a.deps.now()
	r := deviceops.RolloutDevice{Rollout: p.r.ID, Device: t.assign.ID, Account: t.account, Ring: ring, Status: deviceops.DevicePending, DueAt: now}
	if t.excuse != nil {
		r.Status, r.Error, r.DueAt, r.EndedAt = deviceops.DeviceExcused, t.excuse, r.EndedAt, now
	}
	return r
}

// add stores rows in chunks and gives the number of those that are new.
func (p *planning) add(ctx context.Context, rows []deviceops.RolloutDevice) (added int, err error) {
	for chunk := range slices.Chunk(rows, planChunk) {
		n, err := p.a.deps.Store.AddRolloutDevices(ctx, chunk)
		if err != nil {
			return added, err
		}
		added += n
		beat(ctx, added)
	}
	return added, nil
}

// again looks who joined and who left. It reads none of the devices that did neither,
// as far as the store can tell.
func (p *planning) again(ctx context.Context) error {
	gone, err := p.gone(ctx)
	if err != nil {
		return err
	}
	left, err := p.excuse(ctx, gone)
	if err != nil {
		return err
	}
	joined, err := p.join(ctx)
	p.out.Changed = left+joined > 0
	return err
}

// join gives devices a row in the last ring that are targeted and take no part so
// far, or their row back. It gives their number.
func (p *planning) join(ctx context.Context) (int, error) {
	last := len(p.r.Rings) - 1
	if !p.spec.Rings[last].Rest() {
		return 0, nil
	}
	found, err := p.targeted(ctx, func(each func(*deviceops.Device) error) error {
		return p.a.deps.Store.JoiningDevices(ctx, p.r.Account, p.r.ID, p.spec.Targets.Narrow, each)
	})
	if err != nil {
		return 0, err
	}
	var rows []deviceops.RolloutDevice
	var devices []string
	for _, t := range found {
		if t.excuse == nil && t.assign.Rings&(1<<last) != 0 {
			rows, devices = append(rows, p.row(t, last)), append(devices, t.assign.ID)
		}
	}
	back, err := p.a.deps.Store.RejoinRollout(ctx, p.r.ID, devices, p.a.deps.now())
	if err != nil {
		return 0, err
	}
	added, err := p.add(ctx, rows)
	return back + added, err
}

// gone gives the devices that wait for their turn and are not targeted any more. Where
// the store cannot say the targets all that wait are judged.
func (p *planning) gone(ctx context.Context) (gone []string, err error) {
	exact := p.spec.Targets.Filter
	n := 0
	err = p.a.deps.Store.LeavingDevices(ctx, p.r.Account, p.r.ID, exact, func(d *deviceops.Device) error {
		if n++; n%planChunk == 0 {
			beat(ctx, n)
		}
		if exact == nil {
			if yes, err := p.meets(d); err != nil || yes && deviceops.AccountWithin(d.Account, p.r.Account) {
				return err
			}
		}
		gone = append(gone, d.ID)
		return nil
	})
	return gone, err
}

// excuse has devices leave that are not targeted any more.
func (p *planning) excuse(ctx context.Context, devices []string) (left int, err error) {
	cause := &deviceops.CommandError{Code: deviceops.ExcuseLeft, Message: "it left the targets before its turn: " + p.spec.Targets.Source}
	for chunk := range slices.Chunk(devices, planChunk) {
		var moves []deviceops.RolloutMove
		for _, device := range chunk {
			moves = append(moves, deviceops.RolloutMove{
				Rollout: p.r.ID, Device: device, From: []deviceops.RolloutDeviceStatus{deviceops.DevicePending}, To: deviceops.DeviceExcused,
				At: p.a.deps.now(), Error: cause,
			})
		}
		moved, err := p.a.letGo(ctx, moves)
		if left += moved; err != nil {
			return left, err
		}
	}
	return left, nil
}

// letGo carries out moves after which their rollout has no part in devices any more,
// and makes rows of other rollouts due that wait for that. It gives the number of
// those that took place.
func (a *Rollouts) letGo(ctx context.Context, moves []deviceops.RolloutMove) (moved int, err error) {
	devices := make([]string, len(moves))
	for i, m := range moves {
		devices[i] = m.Device
	}
	err = a.deps.Store.InTx(ctx, func(ctx context.Context, tx deviceops.Tx) error {
		if err := tx.WakeRollout(ctx, devices, a.deps.now()); err != nil {
			return err
		}
		done, err := tx.AdvanceRollout(ctx, moves)
		moved = len(done)
		return err
	})
	return moved, err
}

// eachRolloutDevice gives the rows that f selects to do, some at a time.
func eachRolloutDevice(ctx context.Context, s deviceops.Rollouts, f deviceops.RolloutDeviceFilter, do func([]deviceops.RolloutDevice) error) error {
	f.Limit = planChunk
	for {
		rows, err := s.ListRolloutDevices(ctx, f)
		if err != nil || len(rows) == 0 {
			return err
		}
		f.After = rows[len(rows)-1].Device
		if err := do(rows); err != nil || len(rows) < planChunk {
			return err
		}
	}
}

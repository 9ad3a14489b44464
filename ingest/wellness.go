package ingest

import (
	"context"
	"maps"
	"slices"
	"time"

	"github.com/deviceops/deviceops"
)

// swing is a change of connectivity that may be flapping, and the index of the
// event that tells of it.
type swing struct {
	device string
	deviceops.ConnectivityChange
	event int
}

// swings notes a change of connectivity. Most are of no concern: devices that
// come for the first time, sleep and wake.
func (l *ledger) swings(d *deviceops.Device, from deviceops.Connectivity, event int) {
	c := deviceops.ConnectivityChange{From: from, To: d.Session.Connectivity, At: d.Session.Since}
	if c.Counts() || !d.Wellness.FlappingSince.IsZero() {
		l.swung = append(l.swung, swing{d.ID, c, event})
	}
}

// examine has a device judged at the end of the batch, if its profile has
// conditions for that, or had.
func (l *ledger) examine(d *deviceops.Device, p *deviceops.Profile) {
	if examines(d, p) {
		l.examined[d.ID] = true
	}
}

func examines(d *deviceops.Device, p *deviceops.Profile) bool {
	return p != nil && len(p.Wellness.Degraded) > 0 || !d.Wellness.DegradedSince.IsZero() || !d.Wellness.TurningSince.IsZero()
}

func (l *ledger) wellnessPolicy(d *deviceops.Device) deviceops.WellnessPolicy {
	if p := l.profile(d); p != nil {
		return p.Wellness
	}
	return deviceops.DefaultWellness
}

// judgeWellness tells what became of the devices that changed or measured. It
// comes after metrics and twins were saved: devices are judged as automations see
// them. What is damped keeps its place in the history, under another name.
func (l *ledger) judgeWellness(ctx context.Context, tx deviceops.Tx) error {
	if err := l.judgeSwings(ctx, tx); err != nil {
		return err
	}
	if err := l.judgeExamined(ctx, tx); err != nil {
		return err
	}
	if len(l.wellness) > 0 {
		if err := tx.SaveWellness(ctx, l.wellness); err != nil {
			return err
		}
	}
	if len(l.flaps) > 0 {
		return tx.SaveFlaps(ctx, l.flaps)
	}
	return nil
}

func (l *ledger) judgeSwings(ctx context.Context, tx deviceops.Tx) error {
	if len(l.swung) == 0 {
		return nil
	}
	ids := map[string]bool{}
	for _, s := range l.swung {
		ids[s.device] = true
	}
	flaps, err := tx.FindFlaps(ctx, slices.Sorted(maps.Keys(ids)))
	if err != nil {
		return err
	}
	for _, s := range l.swung {
		d := l.devices[s.device]
		step := l.wellnessPolicy(d).Change(d.Wellness, flaps[d.ID], s.ConnectivityChange)
		flaps[d.ID] = step.Flap
		l.flaps[d.ID] = step.Flap
		if step.Damped {
			l.events[s.event].Type = deviceops.EventConnectivityDamped
		}
		l.become(d, step)
	}
	return nil
}

func (l *ledger) judgeExamined(ctx context.Context, tx deviceops.Tx) error {
	if len(l.examined) == 0 {
		return nil
	}
	ids := slices.Sorted(maps.Keys(l.examined))
	metrics, err := tx.LatestMetrics(ctx, ids)
	if err != nil {
		return err
	}
	for _, id := range ids {
		d, policy := l.devices[id], l.wellnessPolicy(l.devices[id])
		d.Metrics = metrics[id]
		verdict, because := policy.Judge(d)
		l.become(d, policy.Take(d.Wellness, verdict, because, l.now))
	}
	return nil
}

// become makes of a device what a step led to.
func (l *ledger) become(d *deviceops.Device, step deviceops.WellnessStep) {
	if !sameWellness(d.Wellness, step.Wellness) {
		d.Wellness = step.Wellness
		l.wellness[d.ID] = step.Wellness
	}
	for _, e := range step.Events {
		l.emit(d, e.Type, e.Severity, e.Data)
		l.events[len(l.events)-1].At = e.At
	}
}

func sameWellness(a, b deviceops.Wellness) bool {
	return a.Status == b.Status && slices.Equal(a.Because, b.Because) && a.DegradedSince.Equal(b.DegradedSince) &&
		a.TurningSince.Equal(b.TurningSince) && a.FlappingSince.Equal(b.FlappingSince) && a.StableAt.Equal(b.StableAt) && a.DueAt.Equal(b.DueAt)
}

// wellness lets the clock decide how devices do. A device that another sweeper or
// a batch took in the meantime is not due any more.
func (s *Sweeper) wellness(ctx context.Context, now time.Time) (int, error) {
	ids, err := s.config.Store.DueWellness(ctx, now, sweepLimit)
	if err != nil || len(ids) == 0 {
		return 0, err
	}
	slices.Sort(ids)
	err = s.config.Store.InTx(ctx, func(ctx context.Context, tx deviceops.Tx) error {
		l := s.ledger(ctx, now)
		locked, err := tx.LockDevices(ctx, ids)
		if err != nil {
			return err
		}
		maps.Copy(l.devices, locked)
		flaps, err := tx.FindFlaps(ctx, ids)
		if err != nil {
			return err
		}
		for _, id := range ids {
			if d := l.devices[id]; d != nil && !d.Wellness.DueAt.IsZero() && !d.Wellness.DueAt.After(now) {
				l.ticked(d, flaps[id])
			}
		}
		return saveLedger(ctx, tx, s.config.Catalog, l)
	})
	return len(ids), err
}

func (l *ledger) ticked(d *deviceops.Device, flap deviceops.FlapState) {
	flapping := !d.Wellness.FlappingSince.IsZero()
	step := l.wellnessPolicy(d).Tick(d.Wellness, flap, d.Session, l.now)
	if flapping && step.Wellness.FlappingSince.IsZero() {
		l.flaps[d.ID] = step.Flap
	}
	l.become(d, step)
}

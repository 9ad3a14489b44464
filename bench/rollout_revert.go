package bench

import (
	"context"
	"fmt"
	"time"
)

// reverted is how long after the verdict that a ring has failed its devices were
// back, half of them, all but the slowest hundredth, and all.
type reverted struct {
	devices        int
	p50, p99, last time.Duration
}

// doomed is a configuration that reaches some devices, all of which take it, and
// whose gate fails as soon as they have: from then on it is taken back.
func doomed(name string, devices int) string {
	return fmt.Sprintf(`rollout: %s
change: { config: { brightness: 12 } }
targets: device.profile == "kiosk"
rings:
  - name: touched
    take: %d
  - name: spared
in_flight: %d
gate: { fail: ring.succeeded >= %[2]d }
on_fail: rollback
`, name, devices, inFlight)
}

// revert measures how fast a failed ring is taken back.
func (b *rolling) revert(ctx context.Context) error {
	n := min(b.options.Touched, b.options.Devices)
	b.say("another one fails, and %d devices are taken back", n)
	r, err := b.create(ctx, doomed("bench-doomed", n))
	if err != nil {
		return err
	}
	back := b.deploy.counting(`select coalesce(sum(reverted), 0) from rollout_rings where rollout = $1`, r.ID)
	err = b.goal(n, "devices are back").await(ctx, back)
	if err != nil {
		return err
	}
	b.reverted, err = b.deploy.reverted(ctx, r.ID)
	return err
}

// reverted measures from the moment at which a ring was closed as failed.
func (d *database) reverted(ctx context.Context, rollout string) (t reverted, err error) {
	var p50, p99, last float64
	err = d.pool.QueryRow(ctx, `
		with back as (
			select extract(epoch from r.ended_at - g.closed_at) as took
			from rollouts o join rollout_devices r on r.rollout = o.rollback and r.status = 'succeeded'
			join rollout_rings g on g.rollout = o.id and g.ring = 0
			where o.id = $1)
		select count(*), percentile_cont(0.5) within group (order by took), percentile_cont(0.99) within group (order by took), max(took) from back`,
		rollout).Scan(&t.devices, &p50, &p99, &last)
	seconds := func(s float64) time.Duration { return time.Duration(s * float64(time.Second)) }
	t.p50, t.p99, t.last = seconds(p50), seconds(p99), seconds(last)
	return t, err
}

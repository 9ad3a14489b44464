package activities

import (
	"cmp"
	"context"
	"math"
	"sync"
	"time"

	"go.temporal.io/sdk/activity"

	"github.com/deviceops/deviceops"
)

// PumpInput names a rollout whose open rings are served.
type PumpInput struct {
	Rollout string `json:"rollout"`
}

// PumpOutput says why a pump ended.
type PumpOutput struct {
	Reason string `json:"reason"` // PumpDrained or PumpStopped
}

// Why pumps end.
const (
	PumpDrained = "drained" // nothing is open in the rings that were opened
	PumpStopped = "stopped" // the rollout does not run any more
)

// Pumps send what rollouts change to their devices.
type Pumps struct{ deps Deps }

const (
	// claimMost is how many devices one transaction claims: each takes a lock of
	// the database until it ends. A pump begins with claimFirst and doubles it, so
	// that devices are at work while the next ones are claimed.
	claimMost  = 1000
	claimFirst = 125

	// publishing is how many batches are with the broker at once.
	publishing = 4

	// markAfter is how long the record that commands were sent is put off. What
	// was answered by then needs no such record, which would cost as much as the
	// record of the answer; what was not loses nothing, as it is under lease for
	// much longer.
	markAfter = deviceops.PublishLease / 5

	// gather is how long a pump waits for room for a batch worth a transaction.
	gather = 100 * time.Millisecond

	// restLeast and restMost bound how long a pump pauses that found nothing to
	// send: briefly while devices answer, longer and longer when nothing happens.
	restLeast = 20 * time.Millisecond
	restMost  = time.Second

	// refresh is how long what a pump knows of freezes, blackouts and profiles
	// may be old.
	refresh = 5 * time.Second
)

// Pump claims devices of a rollout's open rings that are due, decides which of
// them may be sent the change, and sends it, until nothing is open or the rollout
// stops. Everything that it knows is in the rows: another pump goes on where this
// one was when its process died.
func (a *Pumps) Pump(ctx context.Context, in PumpInput) (PumpOutput, error) {
	ctx, stop := withPulse(ctx, pumpPatience)
	defer stop()
	p := newPump(a.deps, in.Rollout)
	if activity.HasHeartbeatDetails(ctx) {
		if err := activity.GetHeartbeatDetails(ctx, &p.bucket); err != nil {
			return PumpOutput{}, Failure(err)
		}
	}
	beat(ctx, p.bucket)
	leaving := handOver(ctx, stop)
	reason, err := p.run(ctx)
	if err != nil && leaving() {
		err = notYet("the worker stops: the pump goes on in another one")
	}
	return PumpOutput{Reason: reason}, Failure(err)
}

// handOver calls stop when the worker is about to stop, so that an activity that
// would outlast it goes on elsewhere at once. leaving reports whether it is.
func handOver(ctx context.Context, stop func()) (leaving func() bool) {
	stops := activity.GetWorkerStopChannel(ctx)
	go func() {
		select {
		case <-stops:
			stop()
		case <-ctx.Done():
		}
	}()
	return func() bool {
		select {
		case <-stops:
			return true
		default:
			return false
		}
	}
}

// pump is one shift of a pump.
type pump struct {
	deps Deps
	id   string

	rollout deviceops.Rollout
	spec    *deviceops.RolloutSpec
	change  *changer
	bucket  deviceops.Bucket
	facts   pumpFacts

	claims    int       // how many devices the next transaction claims at most
	claimedAt time.Time // when devices were sent something last
	busy      int       // devices under way when the pump looked last
	pause     time.Duration

	slots    chan struct{} // one is held by each batch that is being published
	mu       sync.Mutex
	unmarked []mark
}

func newPump(d Deps, rollout string) *pump {
	return &pump{deps: d, id: rollout, claims: claimFirst, slots: make(chan struct{}, publishing)}
}

// mark is a publication that the store does not know of yet.
type mark struct {
	since  time.Time // when it was done, as this process measures time
	sentAt time.Time // the same, as is stored
	sent   []deviceops.Sent
}

func (p *pump) run(ctx context.Context) (string, error) {
	for {
		reason, pause, err := p.tick(ctx)
		beat(ctx, p.bucket)
		if err == nil {
			err = p.mark(ctx, markAfter)
		}
		if err != nil || reason != "" || ctx.Err() != nil {
			return reason, cmp.Or(err, p.finish(context.WithoutCancel(ctx)), ctx.Err())
		}
		select {
		case <-time.After(pause):
		case <-ctx.Done():
		}
	}
}

// finish waits for what is being published and records it.
func (p *pump) finish(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(ctx, deviceops.PublishLease)
	defer cancel()
	for range publishing {
		select {
		case p.slots <- struct{}{}:
			defer func() { <-p.slots }()
		case <-ctx.Done():
			return ctx.Err()
		}
	}
	return p.mark(ctx, 0)
}

// tick sends what may be sent now. It gives the reason to end, or how long to
// pause.
func (p *pump) tick(ctx context.Context) (reason string, pause time.Duration, err error) {
	if reason, err = p.look(ctx); reason != "" || err != nil {
		return reason, 0, err
	}
	now := p.deps.now()
	room := p.room(now)
	for _, ring := range p.rollout.Rings {
		if room == 0 || ring.OpenedAt.IsZero() || ring.Counts.Pending+ring.Counts.Deferred == 0 {
			continue
		}
		served, err := p.serve(ctx, ring.Index, room, now)
		if err != nil {
			return "", 0, err
		}
		if served.sent > 0 {
			p.bucket, p.claimedAt = p.bucket.Take(served.sent), time.Now()
			p.claims = min(2*p.claims, claimMost)
		}
		if served.again {
			p.pause = 0
			return "", 0, nil
		}
	}
	return "", p.rest(), nil
}

// rest gives how long to pause when nothing was sent: briefly if devices have
// answered since the last look, as that makes room.
func (p *pump) rest() time.Duration {
	busy := 0
	for _, ring := range p.rollout.Rings {
		busy += ring.Counts.InFlight() + ring.Counts.Leased
	}
	if busy != p.busy {
		p.busy, p.pause = busy, 0
	}
	p.pause = min(max(p.pause*3/2, restLeast), restMost)
	return p.pause
}

// look reads the rollout and what binds it.
func (p *pump) look(ctx context.Context) (reason string, err error) {
	if p.rollout, err = p.deps.Store.FindRollout(ctx, p.id); err != nil {
		return "", err
	}
	if s := p.rollout.Status; s != deviceops.RolloutRunning && s != deviceops.RolloutSucceeded {
		return PumpStopped, nil
	}
	open := 0
	for _, ring := range p.rollout.Rings {
		if !ring.OpenedAt.IsZero() {
			open += ring.Counts.Open()
		}
	}
	if open == 0 {
		return PumpDrained, nil
	}
	if p.spec, err = p.deps.Catalog.Rollout(ctx, p.rollout); err != nil {
		return "", err
	}
	if p.change == nil {
		p.change = newChanger(p.deps, p.rollout, p.spec)
	}
	return "", p.facts.refresh(ctx, p.deps, &p.rollout, p.spec)
}

// room gives how many devices may be sent the change now. Few are left to gather
// until they are worth a transaction, or have waited for long.
func (p *pump) room(now time.Time) int {
	if p.facts.frozen != nil {
		return 0
	}
	var waiting, busy int
	for _, ring := range p.rollout.Rings {
		waiting += ring.Counts.Pending - ring.Counts.Leased + ring.Counts.Deferred
		busy += ring.Counts.InFlight() + ring.Counts.Leased
	}
	perMinute := p.rollout.Limits.Rate.PerMinute(p.rollout.PacedSince(), now)
	bucket, paced := p.bucket.Fill(perMinute, now)
	p.bucket = bucket
	room := max(0, min(p.rollout.Limits.InFlight-busy, paced, p.claims))
	worth := min(p.claims, waiting, max(1, p.rollout.Limits.InFlight/8))
	if room < worth && math.IsInf(perMinute, 1) && time.Since(p.claimedAt) < gather {
		return 0
	}
	return room
}

// pumpFacts is what holds for a whole rollout, as it was a moment ago.
type pumpFacts struct {
	at        time.Time
	frozen    *deviceops.Freeze
	blackouts []deviceops.Blackout
}

func (f *pumpFacts) refresh(ctx context.Context, d Deps, r *deviceops.Rollout, spec *deviceops.RolloutSpec) error {
	now := d.now()
	if now.Sub(f.at) < refresh && !f.at.IsZero() {
		return nil
	}
	freezes, err := d.Store.Freezes(ctx, r.Account)
	if err != nil {
		return err
	}
	var blackouts []deviceops.Blackout
	for _, name := range spec.Calendars {
		calendar, err := d.Catalog.Calendar(ctx, r.Account, name)
		if err != nil {
			return err
		}
		blackouts = append(blackouts, calendar.Blackouts...)
	}
	*f = pumpFacts{at: now, blackouts: blackouts}
	if len(freezes) > 0 {
		f.frozen = &freezes[0]
	}
	return nil
}

package bench

import (
	"context"
	"time"

	"github.com/deviceops/deviceops"
)

// patience is how long anything that is measured may take to come about.
const patience = 30 * time.Minute

// goal is a number of things that a bench waits for.
type goal struct {
	n      int
	things string                           // as in "40 of 100 devices are online"
	every  time.Duration                    // between counts, which must not slow down what they count
	say    func(format string, args ...any) // hears of each tenth; nil: nobody does
}

// await returns when count gives n or more.
func (g goal) await(ctx context.Context, count func(context.Context) (int, error)) error {
	ctx, cancel := context.WithTimeout(ctx, patience)
	defer cancel()
	shown := -1
	for {
		are, err := count(ctx)
		if err != nil {
			return err
		}
		if tenth := min(are, g.n) * 10 / max(g.n, 1); g.say != nil && tenth > shown {
			shown = tenth
			g.say("  %d of %d %s", min(are, g.n), g.n, g.things)
		}
		if are >= g.n {
			return nil
		}
		select {
		case <-time.After(g.every):
		case <-ctx.Done():
			return deviceops.Errorf(deviceops.ETIMEOUT, "%d of %d %s", are, g.n, g.things)
		}
	}
}

// counting gives what counts by a query.
func (d *database) counting(sql string, args ...any) func(context.Context) (int, error) {
	return func(ctx context.Context) (int, error) { return d.count(ctx, sql, args...) }
}

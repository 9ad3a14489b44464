package forward

import (
	"context"

	"github.com/deviceops/deviceops"
)

// replayed is how many dead letters are tried again at once.
const replayed = 100

// replay tries some of the dead letters again for which somebody asked, by the
// version of the route that holds now, and reports whether there may be more.
func (r *runner) replay(ctx context.Context) (more bool, err error) {
	letters, err := r.config.Store.ListDeadLetters(ctx, deviceops.DeadLetterFilter{
		Account: r.key.Account, Exact: true, Route: r.key.Route, Target: r.key.Target, Replaying: true, Limit: replayed,
	})
	if err != nil {
		return false, err
	}
	if len(letters) == 0 {
		r.replaying.Store(0)
		return false, nil
	}
	events, err := r.config.Store.FindEvents(ctx, column(letters, func(l deviceops.DeadLetter) int64 { return l.Event }))
	if err != nil {
		return false, err
	}
	p, err := r.shape(ctx, events)
	if err != nil {
		return false, err
	}
	p.dead = append(p.dead, r.gone(letters, events)...)
	p.deliver(ctx, func() { _ = r.note(ctx) }) // how the target does
	return len(letters) == replayed, r.leaving(ctx, func(ctx context.Context) error { return r.settle(ctx, p) })
}

// settle removes what was delivered and tells anew what was not.
func (r *runner) settle(ctx context.Context, p *page) error {
	dead := map[int64]bool{}
	for _, letter := range p.dead {
		dead[letter.Event] = true
	}
	var done []int64
	for i, e := range p.events {
		if p.open[i] == 0 && !dead[e.ID] {
			done = append(done, e.ID)
		}
	}
	err := r.config.Store.InTx(ctx, func(ctx context.Context, tx deviceops.Tx) error {
		if err := tx.RemoveDeadLetters(ctx, r.key, done); err != nil {
			return err
		}
		return tx.SaveDeadLetters(ctx, p.dead)
	})
	if err != nil {
		return err
	}
	r.owed.delivered += p.news().delivered
	return r.note(ctx)
}

// gone gives the letters whose events are no longer kept.
func (r *runner) gone(letters []deviceops.DeadLetter, kept []deviceops.Event) (gone []deviceops.DeadLetter) {
	found := map[int64]bool{}
	for _, e := range kept {
		found[e.ID] = true
	}
	for _, l := range letters {
		if !found[l.Event] {
			l.Code, l.Reason = deviceops.DeadGone, "the event is no longer kept: "+l.Reason
			l.Version, l.At = r.version.Version, r.config.Now()
			gone = append(gone, l)
		}
	}
	return gone
}

// column gives one field of each item.
func column[T, V any](items []T, field func(T) V) []V {
	values := make([]V, len(items))
	for i, item := range items {
		values[i] = field(item)
	}
	return values
}

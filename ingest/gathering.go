package ingest

import (
	"context"
	"errors"
	"runtime"
	"slices"
	"sync"
)

// gathering commits together what lanes deliver at the same time. What a
// transaction costs hardly depends on how much is in it, so that many small ones
// do not keep up with devices with which few large ones do; and the fewer the
// processors, the less is gained by several at once.
type gathering struct {
	commit func(ctx context.Context, items []item) error
	turns  chan struct{} // one is held by each transaction

	mu      sync.Mutex
	waiting []*parcel
}

// parcel is what one delivery holds.
type parcel struct {
	items []item
	done  chan error // what became of it
}

// errAbandoned is what becomes of parcels whose transaction was given up because
// the delivery that ran it was.
var errAbandoned = errors.New("the delivery that committed this one, too, was given up")

func newGathering(commit func(ctx context.Context, items []item) error) *gathering {
	return &gathering{commit: commit, turns: make(chan struct{}, max(2, runtime.GOMAXPROCS(0)/2))}
}

// deliver commits items, alone or with those of others, and returns what became
// of them.
func (g *gathering) deliver(ctx context.Context, items []item) error {
	p := &parcel{items: items, done: make(chan error, 1)}
	for {
		g.add(p)
		err := g.outcome(ctx, p)
		if !errors.Is(err, errAbandoned) {
			return err
		}
	}
}

// outcome waits until p is committed by another delivery, or for a turn to commit
// what waits until p was among it.
func (g *gathering) outcome(ctx context.Context, p *parcel) error {
	for g.waits(p) {
		select {
		case err := <-p.done:
			return err
		case g.turns <- struct{}{}:
			g.serve(ctx, p)
			<-g.turns
		case <-ctx.Done():
			if g.remove(p) {
				return ctx.Err()
			}
		}
	}
	return <-p.done
}

// serve commits what waits, as far as one transaction may hold it. If ctx, which
// is that of own, ends meanwhile, the others are to try again.
func (g *gathering) serve(ctx context.Context, own *parcel) {
	taken := g.take()
	if len(taken) == 0 {
		return
	}
	items := taken[0].items
	if len(taken) > 1 {
		items = slices.Clone(items)
		for _, p := range taken[1:] {
			items = append(items, p.items...)
		}
	}
	err := g.commit(ctx, items)
	for _, p := range taken {
		if err != nil && ctx.Err() != nil && p != own {
			p.done <- errAbandoned
			continue
		}
		p.done <- err
	}
}

func (g *gathering) add(p *parcel) {
	g.mu.Lock()
	defer g.mu.Unlock()
	g.waiting = append(g.waiting, p)
}

func (g *gathering) waits(p *parcel) bool {
	g.mu.Lock()
	defer g.mu.Unlock()
	return slices.Contains(g.waiting, p)
}

// remove takes p back; false if it is being committed already, or was.
func (g *gathering) remove(p *parcel) bool {
	g.mu.Lock()
	defer g.mu.Unlock()
	i := slices.Index(g.waiting, p)
	if i < 0 {
		return false
	}
	g.waiting = slices.Delete(g.waiting, i, i+1)
	return true
}

// take gives the parcels that have waited longest, at least one and no more than
// maxItems together.
func (g *gathering) take() []*parcel {
	g.mu.Lock()
	defer g.mu.Unlock()
	n, sum := 0, 0
	for ; n < len(g.waiting); n++ {
		if sum += len(g.waiting[n].items); n > 0 && sum > maxItems {
			break
		}
	}
	taken := slices.Clone(g.waiting[:n])
	g.waiting = slices.Delete(g.waiting, 0, n)
	return taken
}

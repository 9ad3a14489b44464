package ingest

import (
	"context"
	"errors"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

// batches commits nothing, and tells what it was given.
type batches struct {
	gate chan error // what each transaction waits for, and ends with

	mu    sync.Mutex
	sizes []int
}

func (b *batches) commit(ctx context.Context, items []item) error {
	b.mu.Lock()
	b.sizes = append(b.sizes, len(items))
	b.mu.Unlock()
	select {
	case err := <-b.gate:
		return err
	case <-ctx.Done():
		return ctx.Err()
	}
}

func (b *batches) seen() []int {
	b.mu.Lock()
	defer b.mu.Unlock()
	return append([]int{}, b.sizes...)
}

func newBatches() (*batches, *gathering) {
	b := &batches{gate: make(chan error)}
	g := newGathering(b.commit)
	g.turns = make(chan struct{}, 1)
	return b, g
}

// delivers delivers so many items in the background.
func delivers(ctx context.Context, g *gathering, n int) <-chan error {
	done := make(chan error, 1)
	go func() { done <- g.deliver(ctx, make([]item, n)) }()
	return done
}

func (g *gathering) requireWaiting(t *testing.T, n int) {
	t.Helper()
	require.Eventually(t, func() bool {
		g.mu.Lock()
		defer g.mu.Unlock()
		return len(g.waiting) == n
	}, 10*time.Second, time.Millisecond)
}

// begun delivers one item, and waits until its transaction has begun.
func (b *batches) begun(t *testing.T, ctx context.Context, g *gathering) <-chan error {
	t.Helper()
	first := delivers(ctx, g, 1)
	require.Eventually(t, func() bool { return len(b.seen()) == 1 }, 10*time.Second, time.Millisecond)
	return first
}

func TestDeliveriesThatComeMeanwhileAreCommittedTogether(t *testing.T) {
	t.Parallel()
	b, g := newBatches()
	first := b.begun(t, t.Context(), g)
	second, third := delivers(t.Context(), g, 20), delivers(t.Context(), g, 3)
	g.requireWaiting(t, 2)
	b.gate <- nil
	require.NoError(t, <-first)
	cause := errors.New("the store is away")
	b.gate <- cause
	require.Equal(t, cause, <-second)
	require.Equal(t, cause, <-third)
	require.Equal(t, []int{1, 23}, b.seen())
}

func TestATransactionHoldsNoMoreThanItMay(t *testing.T) {
	t.Parallel()
	b, g := newBatches()
	first := b.begun(t, t.Context(), g)
	var others []<-chan error
	for i := range 3 {
		others = append(others, delivers(t.Context(), g, maxItems-1))
		g.requireWaiting(t, i+1)
	}
	for range 4 {
		b.gate <- nil
	}
	require.NoError(t, <-first)
	for _, other := range others {
		require.NoError(t, <-other)
	}
	require.Equal(t, []int{1, maxItems - 1, maxItems - 1, maxItems - 1}, b.seen())
}

func TestADeliveryThatIsGivenUpLeavesTheOthersToBeCommitted(t *testing.T) {
	t.Parallel()
	b, g := newBatches()
	first := b.begun(t, t.Context(), g)
	ctx, giveUp := context.WithCancel(t.Context())
	second := delivers(ctx, g, 2)
	g.requireWaiting(t, 1)
	third := delivers(t.Context(), g, 3)
	g.requireWaiting(t, 2)
	giveUp()
	require.ErrorIs(t, <-second, context.Canceled, "it did not wait for its turn")
	g.requireWaiting(t, 1)
	b.gate <- nil
	b.gate <- nil
	require.NoError(t, <-first)
	require.NoError(t, <-third)
	require.Equal(t, []int{1, 3}, b.seen())
}

func TestATransactionThatIsGivenUpIsBegunAgainByTheOthers(t *testing.T) {
	t.Parallel()
	b, g := newBatches()
	ctx, giveUp := context.WithCancel(t.Context())
	leader, follower := &parcel{items: make([]item, 1), done: make(chan error, 1)}, delivers(t.Context(), g, 2)
	require.Eventually(t, func() bool { return len(b.seen()) == 1 }, 10*time.Second, time.Millisecond)
	other := delivers(t.Context(), g, 4)
	g.requireWaiting(t, 1)
	g.add(leader)
	served := make(chan struct{})
	go func() { g.serve(ctx, leader); close(served) }() // what one does that has a turn
	require.Eventually(t, func() bool { return len(b.seen()) == 2 }, 10*time.Second, time.Millisecond)
	giveUp()
	<-served
	require.ErrorIs(t, <-leader.done, context.Canceled)
	b.gate <- nil
	b.gate <- nil
	require.NoError(t, <-follower)
	require.NoError(t, <-other)
	require.Equal(t, []int{2, 5, 4}, b.seen())
}

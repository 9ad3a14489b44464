package forward_test

import (
	"context"
	"math"
	"sync/atomic"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/stretchr/testify/require"

	"github.com/deviceops/deviceops"
	"github.com/deviceops/deviceops/forward"
)

// flaky is a store in which nothing can be noted while it fails. It tells which
// events were counted last.
type flaky struct {
	deviceops.Store
	fails   atomic.Bool
	failed  atomic.Int64
	counted atomic.Pointer[deviceops.EventSelection]
}

// CountRouteEvents implements deviceops.Routes.
func (f *flaky) CountRouteEvents(ctx context.Context, s deviceops.EventSelection) (int, time.Time, error) {
	f.counted.Store(&s)
	return f.Store.CountRouteEvents(ctx, s)
}

// InTx implements deviceops.Store.
func (f *flaky) InTx(ctx context.Context, do func(context.Context, deviceops.Tx) error) error {
	if f.fails.Load() {
		f.failed.Add(1)
		return deviceops.Errorf(deviceops.EUNAVAILABLE, "the database is away")
	}
	return f.Store.InTx(ctx, do)
}

// The place in the stream has moved beyond a poison event when its dead letter
// could not be written: it is written later.
func TestDeadLettersOutliveAStoreThatFails(t *testing.T) {
	t.Parallel()
	r := newRig(t)
	lake := newDouble(t)
	lake.judge = func(n int) int { return map[bool]int{true: 422}[n == 5] }
	r.publish(head + `  - { name: lake, http: { url: "` + lake.URL + `", batch: 50 } }` + "\n")
	store := &flaky{Store: r.store}
	store.fails.Store(true)
	r.forward(func(c *forward.Config) { c.Store = store })
	r.say(0, 20)
	r.eventually(func() bool { return lake.count() == 19 && store.failed.Load() > 0 }, "the others went through, and nothing is noted")
	store.fails.Store(false)
	r.eventually(func() bool { return r.target("lake").Delivered == 19 }, "it is noted")
	require.Len(t, r.letters("lake"), 1)
	r.say(20, 1)
	r.eventually(func() bool { return r.target("lake").Delivered == 20 }, "it goes on")
	for n, times := range lake.seen {
		require.Equal(t, 1, times, n)
	}
}

// A target that takes one event after the other, slowly, is seen to move on, and
// one that works again to do so, long before what was read at once is done.
func TestProgressIsNotedWhileAPageIsDelivered(t *testing.T) {
	t.Parallel()
	r := newRig(t)
	lake := newDouble(t)
	lake.status = 503
	r.publish(head + `  - { name: lake, http: { url: "` + lake.URL + `" }, retry: { delay: 10ms..20ms } }` + "\n")
	r.forward()
	r.say(0, 900)
	r.eventually(func() bool { return r.target("lake").Failures > 0 }, "it fails")
	release := make(chan struct{})
	t.Cleanup(func() { close(release) })
	lake.set(func() {
		lake.status = 0
		lake.judge = func(n int) int {
			if n == 30 {
				lake.mu.Unlock()
				<-release
				lake.mu.Lock()
			}
			return 0
		}
	})
	r.eventually(func() bool { return r.target("lake").Delivered == 30 }, "what it took is noted")
	require.Zero(t, r.target("lake").Failures)
	first, err := r.store.RouteEvents(t.Context(), deviceops.EventSelection{Types: []string{"*"}, UpTo: 1 << 40, Limit: 30})
	require.NoError(t, err)
	require.Equal(t, first[29].ID, r.target("lake").Cursor)
}

// Replaying goes on without a pause, whether there are new events or not.
func TestManyDeadLettersAreReplayedWithoutPauses(t *testing.T) {
	t.Parallel()
	r := newRig(t)
	lake := newDouble(t)
	lake.status = 422
	r.publish(head + `  - { name: lake, http: { url: "` + lake.URL + `", batch: 500 } }` + "\n")
	r.forward(func(c *forward.Config) { c.Lease = time.Minute })
	const all = 450
	r.say(0, all)
	r.eventually(func() bool { return r.target("lake").DeadLetters == all }, "it refuses all")
	lake.set(func() { lake.status = 0 })
	_, err := r.store.ReplayDeadLetters(t.Context(), deviceops.DeadLetterFilter{Account: "acme", Exact: true, Route: "r"})
	require.NoError(t, err)
	require.EqualValues(t, all, r.target("lake").Replaying)
	r.eventually(func() bool { return lake.count() == all && r.target("lake").DeadLetters == 0 }, "it has all, sooner than by one batch for each look at the lease")
}

// What waits for a target that is stuck is not counted again and again.
func TestLagOfAStuckTargetIsCountedOn(t *testing.T) {
	t.Parallel()
	r := newRig(t)
	lake := newDouble(t)
	lake.status = 503
	r.publish(head + `  - { name: lake, http: { url: "` + lake.URL + `" }, retry: { delay: 10ms..20ms } }` + "\n")
	store, registry := &flaky{Store: r.store}, prometheus.NewRegistry()
	r.forward(func(c *forward.Config) { c.Store, c.Registerer = store, registry })
	for _, all := range []int{300, 310, 320} {
		r.say(all-10, 10)
		if all == 300 {
			r.say(0, 290)
		}
		r.eventually(func() bool { return gauge(t, registry, "deviceops_routes_lag_events") == all }, "all wait")
	}
	newest, err := r.store.RouteEvents(t.Context(), deviceops.EventSelection{Types: []string{"*"}, UpTo: 1 << 40, Limit: 320})
	require.NoError(t, err)
	require.GreaterOrEqual(t, store.counted.Load().After, newest[300].ID, "only the new ones were counted last")
	require.Positive(t, gauge(t, registry, "deviceops_routes_lag_seconds"))
	lake.set(func() { lake.status = 0 })
	r.eventually(func() bool { return gauge(t, registry, "deviceops_routes_lag_events") == 0 }, "none wait")
}

// gauge gives the value of a metric of the one target, -1 if there is none.
func gauge(t *testing.T, registry *prometheus.Registry, name string) int {
	found, err := registry.Gather()
	require.NoError(t, err)
	for _, f := range found {
		if f.GetName() == name {
			return int(math.Ceil(f.GetMetric()[0].GetGauge().GetValue()))
		}
	}
	return -1
}

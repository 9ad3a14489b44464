package activities_test

import (
	"context"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"go.temporal.io/sdk/activity"
	"go.temporal.io/sdk/converter"
	"go.temporal.io/sdk/temporal"

	"github.com/deviceops/deviceops"
	"github.com/deviceops/deviceops/activities"
)

// looking is a store that has something done whenever a pump has looked at its
// rollout, before it knows what it saw.
type looking struct {
	deviceops.Store
	looked func()
}

func (l looking) FindRollout(ctx context.Context, id string) (deviceops.Rollout, error) {
	r, err := l.Store.FindRollout(ctx, id)
	l.looked()
	return r, err
}

// patience is how long anything here may take on a busy machine.
const patience = 20 * time.Second

// A store that takes long to answer does not make a pump look dead.
func TestPumpBeatsWhileTheStoreIsSlow(t *testing.T) {
	beaten := make(chan struct{}, 100)
	p := newPumping(t, flash(), func(d *activities.Deps) {
		d.Store = looking{d.Store, func() {
			select {
			case <-beaten:
			case <-time.After(patience):
				t.Error("the pump was silent")
			}
		}}
	})
	p.SetOnActivityHeartbeatListener(func(*activity.Info, converter.EncodedValues) { beaten <- struct{}{} })
	out, err := do[activities.PumpOutput](p.world, activities.NamePumpRollout, activities.PumpInput{Rollout: p.rollout.ID})
	require.NoError(t, err)
	require.Equal(t, activities.PumpDrained, out.Reason)
}

// A worker that is told to stop leaves its pump to another one, after it has sent
// what it claimed.
func TestPumpLeavesAWorkerThatStops(t *testing.T) {
	stops := make(chan struct{})
	p := newPumping(t, flash())
	p.SetWorkerStopChannel(stops)
	p.add("k1")
	p.SetOnActivityHeartbeatListener(func(*activity.Info, converter.EncodedValues) { close(stops) })
	_, err := do[activities.PumpOutput](p.world, activities.NamePumpRollout, activities.PumpInput{Rollout: p.rollout.ID})
	requireCode(t, deviceops.EUNAVAILABLE, err)
	var failure *temporal.ApplicationError
	require.ErrorAs(t, err, &failure)
	require.False(t, failure.NonRetryable(), "Temporal has another worker go on")
	require.Equal(t, deviceops.Counts{Targeted: 1, Sent: 1}, p.counts())
}

// While Temporal takes a live pump for dead two of them are at work. They do not
// use the same room, and ask nobody twice.
func TestTwoPumpsKeepToInFlight(t *testing.T) {
	spec := flash()
	spec.Limits = deviceops.Limits{InFlight: 4}
	p := newPumping(t, spec)
	p.add("k1", "k2", "k3", "k4", "k5", "k6", "k7", "k8", "k9")
	other := activities.NewPump(p.deps, p.rollout.ID)
	intrude := false
	deps := p.deps
	deps.Store = looking{p.store, func() {
		if intrude {
			intrude = false
			p.now = p.now.Add(time.Second)
			for range 3 {
				_, err := other.Tick(t.Context())
				require.NoError(t, err)
			}
			require.NoError(t, other.Finish(t.Context()))
		}
	}}
	pump := activities.NewPump(deps, p.rollout.ID)
	tick := func() {
		t.Helper()
		p.now = p.now.Add(time.Second)
		_, err := pump.Tick(t.Context())
		require.NoError(t, err)
		require.NoError(t, pump.Finish(t.Context()))
	}
	for range 3 { // a pump learns first what devices understand
		tick()
	}
	require.Equal(t, 4, p.counts().InFlight())
	p.end("k1", deviceops.DeviceSucceeded)
	p.end("k2", deviceops.DeviceSucceeded)
	intrude = true // after the pump saw room for two
	tick()
	require.Equal(t, 4, p.counts().InFlight(), "the other one has used it")
	p.end("k3", deviceops.DeviceSucceeded)
	tick()
	require.Equal(t, 4, p.counts().InFlight(), "and it goes on")
	require.Len(t, p.broker.published, 7)
}

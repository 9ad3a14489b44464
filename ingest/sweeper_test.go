package ingest

import (
	"context"
	"fmt"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/deviceops/deviceops"
)

func TestTheSweeperDoesWhatACrashLeftUndone(t *testing.T) {
	t.Parallel()
	b := newBundle(t, nil)
	sweeper := b.sweeper()
	b.register(deviceops.Registration{ID: "k1"})
	b.command(deviceops.Command{ID: "c1"})
	b.engine.setDown(true)
	b.gateway.down = true
	b.say("k1", "hello", fullHello)
	b.settle()
	require.Empty(t, b.engine.started())
	require.Equal(t, deviceops.CommandPending, b.status("c1"))

	b.engine.setDown(false)
	b.gateway.down = false
	require.NoError(t, sweeper.Sweep(t.Context()))
	require.Empty(t, b.engine.started(), "it is left to the process that asked for a while")
	b.clock.advance(deviceops.PublishLease + time.Second)
	require.NoError(t, sweeper.Sweep(t.Context()))
	require.Equal(t, map[string]int{"provision/k1": 1}, b.engine.started())
	require.Equal(t, []string{"c1"}, b.gateway.published())
	require.Equal(t, deviceops.CommandSent, b.status("c1"))

	b.clock.advance(deviceops.Resend)
	require.NoError(t, sweeper.Sweep(t.Context()))
	require.Equal(t, []string{"c1"}, b.gateway.published(), "silence is asked again")
}

func TestTheSweeperTriesAStartAgain(t *testing.T) {
	t.Parallel()
	b := newBundle(t, nil)
	sweeper := b.sweeper()
	b.register(deviceops.Registration{ID: "k1"})
	b.engine.setDown(true)
	b.say("k1", "hello", fullHello)
	b.settle()
	b.clock.advance(startGrace)
	require.ErrorContains(t, sweeper.Sweep(t.Context()), "starts: down")
	b.engine.setDown(false)
	b.clock.advance(deviceops.PublishLease)
	require.NoError(t, sweeper.Sweep(t.Context()))
	require.Equal(t, map[string]int{"provision/k1": 1}, b.engine.started())
}

func TestTheSweeperSendsDeferredCommandsWhenTheyAreDue(t *testing.T) {
	t.Parallel()
	b := newBundle(t, nil)
	sweeper := b.sweeper()
	b.device("k1", deviceops.Active)
	b.say("k1", "hello", fullHello)
	b.settle()
	b.command(deviceops.Command{ID: "c1", Status: deviceops.CommandSent, SentAt: noon})
	b.say("k1", "result", `{"id":"c1","attempt":1,"status":"deferred","retry_in":60,"reason":"in use"}`)
	b.settle()
	b.clock.advance(59 * time.Second)
	require.NoError(t, sweeper.Sweep(t.Context()))
	require.Empty(t, b.gateway.published())
	b.clock.advance(time.Second)
	require.NoError(t, sweeper.Sweep(t.Context()))
	require.Equal(t, []string{"c1"}, b.gateway.published())
}

func TestTheSweeperEndsExpiredCommands(t *testing.T) {
	t.Parallel()
	b := newBundle(t, nil)
	sweeper := b.sweeper()
	b.device("k1", deviceops.Active)
	alone := deviceops.Command{
		ID: "alone", Account: "acme", Device: "k1", Name: "diagnostics", Attempt: 1, CreatedAt: noon, ExpiresAt: noon.Add(time.Minute),
	}
	_, _, err := b.store.CreateCommand(t.Context(), alone)
	require.NoError(t, err)
	b.clock.advance(time.Minute + time.Second)
	require.NoError(t, sweeper.Sweep(t.Context()))
	c, err := b.store.FindCommand(t.Context(), "alone")
	require.NoError(t, err)
	require.Equal(t, deviceops.CommandExpired, c.Status)
	require.Equal(t, "expired", c.Error.Code)
	require.Len(t, b.events("k1", deviceops.EventCommand), 1)
}

func TestSeveralSweepersAreHarmless(t *testing.T) {
	t.Parallel()
	b := newBundle(t, nil)
	const devices = 20
	for n := range devices {
		id := fmt.Sprintf("k%02d", n)
		b.register(deviceops.Registration{ID: id})
		b.engine.setDown(true)
		b.say(id, "hello", fullHello)
	}
	b.settle()
	for n := range devices {
		id := fmt.Sprintf("k%02d", n)
		b.command(deviceops.Command{ID: "c-" + id, Device: id})
	}
	b.engine.setDown(false)
	b.clock.advance(deviceops.PublishLease + startGrace)
	b.sweepAtOnce(4)
	require.Len(t, b.engine.started(), devices)
	b.gateway.mu.Lock()
	require.Len(t, b.gateway.commands, devices, "each command is published once")
	b.gateway.mu.Unlock()

	b.clock.advance(deviceops.DefaultHeartbeat.Silence())
	b.sweepAtOnce(4)
	for n := range devices {
		id := fmt.Sprintf("k%02d", n)
		require.Equal(t, deviceops.Offline, b.connectivity(id))
		require.Len(t, b.events(id, deviceops.EventDeviceConnectivity), 2, "online, offline")
	}
}

func (b *testBundle) sweepAtOnce(n int) {
	b.t.Helper()
	var all sync.WaitGroup
	for range n {
		sweeper := b.sweeper()
		all.Go(func() {
			if err := sweeper.Sweep(context.Background()); err != nil {
				b.t.Errorf("sweep: %v", err)
			}
		})
	}
	all.Wait()
}

func TestTheSweeperRunsUntilItIsStopped(t *testing.T) {
	t.Parallel()
	b := newBundle(t, nil)
	b.register(deviceops.Registration{ID: "k1"})
	require.NoError(t, b.store.RequestStarts(t.Context(), []deviceops.Start{{WorkflowID: "w1", Type: "Provision"}}, noon))
	b.clock.advance(startGrace)
	sweeper := NewSweeper(SweeperConfig{
		Store: b.store, Gateway: b.gateway, Orchestrator: b.engine, Now: b.clock.Now, Log: quiet, Every: time.Millisecond,
	})
	ctx, stop := context.WithCancel(t.Context())
	done := make(chan error)
	go func() { done <- sweeper.Run(ctx) }()
	require.Eventually(t, func() bool { return b.engine.started()["w1"] == 1 }, 10*time.Second, time.Millisecond)
	stop()
	require.NoError(t, <-done)
}

func TestWhatEndsSomethingGoesBeforeWhatBeginsSomething(t *testing.T) {
	t.Parallel()
	p := newPool(1, 2)
	hold, running := make(chan struct{}), make(chan struct{})
	require.True(t, p.offer(func(context.Context) { close(running); <-hold }))
	<-running
	var order []string
	done := make(chan struct{})
	require.True(t, p.offer(func(context.Context) { order = append(order, "start 1") }))
	require.True(t, p.offer(func(context.Context) { order = append(order, "start 2"); close(done) }))
	require.True(t, p.offerFirst(func(context.Context) { order = append(order, "complete 1") }))
	require.True(t, p.offerFirst(func(context.Context) { order = append(order, "complete 2") }))
	require.False(t, p.offerFirst(func(context.Context) { order = append(order, "no room") }))
	close(hold)
	<-done
	require.Equal(t, []string{"complete 1", "complete 2", "start 1", "start 2"}, order)
	require.NoError(t, p.close(t.Context()))
}

func TestEffectsThatFindNoRoomAreLeftToTheSweeper(t *testing.T) {
	t.Parallel()
	p := newPool(1, 1)
	hold, running := make(chan struct{}), make(chan struct{})
	require.True(t, p.offer(func(context.Context) { close(running); <-hold }))
	<-running
	ran := 0
	require.True(t, p.offer(func(context.Context) { ran++ }))
	require.False(t, p.offer(func(context.Context) { ran++ }))
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	p.push(ctx, func(context.Context) { ran++ })
	close(hold)
	require.NoError(t, p.close(t.Context()))
	require.Equal(t, 1, ran)
}

package dev

import (
	"context"
	"errors"
	"sync"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/deviceops/deviceops"
)

// diary notes what parts do, in order.
type diary struct {
	mu    sync.Mutex
	notes []string
}

func (d *diary) note(text string) {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.notes = append(d.notes, text)
}

func (d *diary) part(name string, after ...string) Part {
	return Part{
		Name:  name,
		After: after,
		Start: func(context.Context) error { d.note("+" + name); return nil },
		Stop:  func(context.Context) error { d.note("-" + name); return nil },
	}
}

func TestParts_StartInOrderAndStopInReverse(t *testing.T) {
	t.Parallel()
	var d diary
	p, err := StartParts(t.Context(), d.part("api", "worker", "elsewhere"), d.part("worker", "postgres"), d.part("postgres"))
	require.NoError(t, err)
	require.NoError(t, p.Stop(t.Context()))
	require.NoError(t, p.Stop(t.Context()), "again")
	require.Equal(t, []string{"+postgres", "+worker", "+api", "-api", "-worker", "-postgres"}, d.notes)
}

func TestParts_IndependentOnesStartSideBySide(t *testing.T) {
	t.Parallel()
	var both sync.WaitGroup
	both.Add(2)
	meet := func(context.Context) error { both.Done(); both.Wait(); return nil }
	none := func(context.Context) error { return nil }
	p, err := StartParts(t.Context(), Part{Name: "a", Start: meet, Stop: none}, Part{Name: "b", Start: meet, Stop: none})
	require.NoError(t, err)
	require.NoError(t, p.Stop(t.Context()))
}

func TestParts_FailureStopsTheOthers(t *testing.T) {
	t.Parallel()
	var d diary
	broken := d.part("temporal", "postgres")
	broken.Start = func(context.Context) error { return deviceops.Errorf(deviceops.ECONFLICT, "port 7233 is taken") }
	_, err := StartParts(t.Context(), d.part("postgres"), broken, d.part("api", "temporal"))
	require.EqualError(t, err, "temporal: port 7233 is taken")
	require.Equal(t, deviceops.ECONFLICT, deviceops.ErrorCode(err))
	require.Equal(t, []string{"+postgres", "-postgres"}, d.notes)
}

func TestParts_CanceledStart(t *testing.T) {
	t.Parallel()
	ctx, cancel := context.WithCancel(t.Context())
	waits := Part{Name: "slow", Start: func(ctx context.Context) error { cancel(); <-ctx.Done(); return ctx.Err() }}
	var d diary
	_, err := StartParts(ctx, waits, d.part("api", "slow"))
	require.ErrorIs(t, err, context.Canceled)
	require.Empty(t, d.notes)
}

func TestParts_StopReportsEveryPart(t *testing.T) {
	t.Parallel()
	var d diary
	bad, stuck := d.part("bad"), d.part("stuck")
	bad.Stop = func(context.Context) error { return errors.New("cannot") }
	stuck.Stop = func(context.Context) error { select {} }
	p, err := StartParts(t.Context(), bad, stuck)
	require.NoError(t, err)
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	err = p.Stop(ctx)
	require.ErrorContains(t, err, "stuck did not stop in time")
}

func TestParts_ReportPartThatEndsByItself(t *testing.T) {
	t.Parallel()
	var d diary
	ended := make(chan struct{})
	part := d.part("postgres")
	part.Done = func() <-chan struct{} { return ended }
	p, err := StartParts(t.Context(), part)
	require.NoError(t, err)
	close(ended)
	require.EqualError(t, <-p.Failed(), "postgres ended by itself")
	require.NoError(t, p.Stop(t.Context()))
}

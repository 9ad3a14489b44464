package activities_test

import (
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/deviceops/deviceops"
	"github.com/deviceops/deviceops/activities"
)

func emit(n int) activities.EmitInput {
	return activities.EmitInput{
		ID: "r1.steps.0." + string(rune('0'+n)), Account: "acme", Device: "k1", Type: "store.closed", Severity: "warning",
		Data: map[string]any{"n": n}, At: noon,
	}
}

func TestEmitStoresOnce(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	w.device(t, "k1", deviceops.Active)
	for _, n := range []int{1, 2, 1} {
		_, err := do[any](w, activities.NameEmitEvent, emit(n))
		require.NoError(t, err)
	}
	events := w.events(t, "k1", "store.closed")
	require.Len(t, events, 2)
	require.Equal(t, "warning", events[0].Severity)
	require.Equal(t, noon, events[0].At.UTC())
}

func TestWatch(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	w.device(t, "k1", deviceops.Active)
	in := activities.WatchInput{Account: "acme", Device: "k1", Type: "store.closed", Since: noon}
	watch := func(in activities.WatchInput) (activities.WatchOutput, error) {
		return do[activities.WatchOutput](w, activities.NameWatchEvents, in)
	}
	say := func(n int, at time.Time) {
		w.now = at
		_, err := do[any](w, activities.NameEmitEvent, emit(n))
		require.NoError(t, err)
	}
	say(0, noon.Add(-time.Second))
	_, err := watch(in)
	requireCode(t, deviceops.EUNAVAILABLE, err)

	say(1, noon)
	say(2, noon.Add(time.Second))
	out, err := watch(in)
	require.NoError(t, err)
	require.Len(t, out.Events, 2, "what came in before does not count")
	require.Zero(t, out.After, "others with lower ids may still come in")
	require.Equal(t, []int64{out.Events[0].ID, out.Events[1].ID}, out.Seen)

	in.After, in.Seen = out.After, out.Seen
	_, err = watch(in)
	requireCode(t, deviceops.EUNAVAILABLE, err)

	say(3, noon.Add(time.Minute))
	out, err = watch(in)
	require.NoError(t, err)
	require.Len(t, out.Events, 1)
	require.Equal(t, in.Seen[1], out.After, "nothing comes in below what is that old")
	require.Equal(t, []int64{out.Events[0].ID}, out.Seen)

	other := in
	other.Account = "globex"
	_, err = watch(other)
	requireCode(t, deviceops.EUNAVAILABLE, err)
}

// The very first event of an installation has the id 1.
func TestWatchSeesTheFirstEvent(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	w.now = noon
	_, err := do[any](w, activities.NameEmitEvent, emit(0))
	require.NoError(t, err)
	out, err := do[activities.WatchOutput](w, activities.NameWatchEvents, activities.WatchInput{Account: "acme", Type: "store.closed", Since: noon})
	require.NoError(t, err)
	require.Len(t, out.Events, 1)
	require.Equal(t, int64(1), out.Events[0].ID)
}

func TestCommandThatDoesNotWaitForItsDevice(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	w.device(t, "k1", deviceops.Active)
	in := ping("c1", 1)
	in.OnlineOnly = true
	w.session(t, "k1", func(s *deviceops.Session) { s.Connectivity = deviceops.Offline })
	_, err := execute(w, in)
	cause := requireCode(t, activities.StatusOffline, err)
	require.True(t, cause.Retryable)
	require.Equal(t, activities.StatusOffline, cause.Data["status"])
	_, err = w.store.FindCommand(t.Context(), "c1")
	require.Equal(t, deviceops.ENOTFOUND, deviceops.ErrorCode(err))

	w.session(t, "k1", func(s *deviceops.Session) { s.Connectivity = deviceops.Online })
	in.Attempt = 2
	_, err = execute(w, in)
	requirePending(t, err)
	require.Equal(t, 2, w.command(t, "c1").Attempt)
}

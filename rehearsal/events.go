package rehearsal

import (
	"slices"
	"time"

	"go.temporal.io/api/enums/v1"
	"go.temporal.io/sdk/temporal"
	"go.temporal.io/sdk/workflow"

	"github.com/deviceops/deviceops"
	"github.com/deviceops/deviceops/activities"
)

// Pauses between two looks for an event that a run may make: first, and at most.
const (
	firstLook = 10 * time.Second
	lastLook  = time.Hour
)

// emit stores an event that a run made.
func (w *world) emit(in activities.EmitInput) reply {
	w.note("event %s%s", in.Type, onDevice(in.Device))
	w.emitted = append(w.emitted, deviceops.Event{
		ID: int64(len(w.story.Events) + len(w.emitted) + 1), Account: in.Account, Device: in.Device,
		Type: in.Type, Severity: in.Severity, Data: in.Data, At: in.At, ReceivedAt: w.now,
	})
	return reply{}
}

// watch waits for events for a run, at most for limit (0: for ever).
func (w *world) watch(ctx workflow.Context, in activities.WatchInput, limit time.Duration) workflow.Future {
	future, settle := workflow.NewFuture(ctx)
	begin := workflow.Now(ctx)
	workflow.Go(ctx, func(ctx workflow.Context) {
		for pause := firstLook; ; pause = min(2*pause, lastLook) {
			now := workflow.Now(ctx)
			if events := w.cameIn(in, now); len(events) > 0 {
				out := activities.WatchOutput{Events: events, After: in.After, Seen: in.Seen}
				for _, e := range events {
					out.Seen = append(out.Seen, e.ID)
				}
				settle.Set(out, nil)
				return
			}
			left := limit - now.Sub(begin)
			if limit > 0 && left <= 0 {
				settle.Set(nil, temporal.NewTimeoutError(enums.TIMEOUT_TYPE_SCHEDULE_TO_CLOSE, nil))
				return
			}
			if limit > 0 {
				pause = min(pause, left)
			}
			if err := workflow.Sleep(ctx, w.untilNext(pause, now)); err != nil {
				settle.Set(nil, err)
				return
			}
		}
	})
	return future
}

// untilNext shortens a pause so that it ends when the next event of the case
// comes in.
func (w *world) untilNext(pause time.Duration, now time.Time) time.Duration {
	for _, e := range w.story.Events {
		if at := w.start.Add(e.At); at.After(now) {
			return min(pause, at.Sub(now))
		}
	}
	return pause
}

// cameIn gives the events of the case and of its runs that a run asks for and has
// not looked at.
func (w *world) cameIn(in activities.WatchInput, now time.Time) []deviceops.Event {
	var all []deviceops.Event
	for i, e := range w.story.Events {
		event := e.Event
		event.ID, event.ReceivedAt = int64(i+1), w.start.Add(e.At)
		event.At = event.ReceivedAt.Add(-e.Age)
		all = append(all, event)
	}
	return slices.DeleteFunc(append(all, w.emitted...), func(e deviceops.Event) bool {
		return e.Type != in.Type || in.Device != "" && e.Device != in.Device ||
			e.ReceivedAt.After(now) || e.ReceivedAt.Before(in.Since) || slices.Contains(in.Seen, e.ID)
	})
}

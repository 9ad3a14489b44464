package workflows_test

import (
	"context"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"go.temporal.io/sdk/activity"
	"go.temporal.io/sdk/client"
	"go.temporal.io/sdk/testsuite"

	"github.com/deviceops/deviceops"
	"github.com/deviceops/deviceops/activities"
	"github.com/deviceops/deviceops/dsl"
	"github.com/deviceops/deviceops/workflows"
)

// roundabout stands in for the activities of rollouts: rollouts are kept in
// memory, and their devices fare as fare says.
type roundabout struct {
	*world
	lock sync.Mutex

	rollouts map[string]*deviceops.Rollout
	sizes    []int // devices by ring

	// fare gives the counts of a ring of so many devices, so long after it opened.
	fare     func(ring, devices int, open time.Duration) deviceops.Counts
	deferred func(open time.Duration) int
	planned  func() (activities.PlanRolloutOutput, error)
	rollback func(activities.RollbackInput) (activities.RollbackOutput, error)

	asked    []deviceops.Approval // what executions asked that were lost
	events   []string             // statuses that were saved, in their order
	reasons  map[string]string    // of the last of each
	counted  []activities.CountInput
	pumped   int
	shifts   map[string][]byte // pumps at work, by rollout
	plans    int
	controls []activities.ControlInput
	undone   []activities.RollbackInput
}

const rolloutID = "ro-1"

// newRoundabout makes a world with one rollout, planned by nobody so far.
func newRoundabout(t *testing.T, source string, sizes ...int) *roundabout {
	t.Helper()
	w := &roundabout{world: newWorld(t), rollouts: map[string]*deviceops.Rollout{}, sizes: sizes, reasons: map[string]string{}, shifts: map[string][]byte{}}
	spec, found := dsl.CompileRollout("test.yaml", source, dsl.Options{})
	require.NoError(t, found.Err())
	r := spec.NewRollout("acme", source, "h-"+t.Name(), "user:carl", "it is time", noon)
	r.ID = rolloutID
	w.rollouts[r.ID] = &r
	w.fare = func(_, devices int, open time.Duration) deviceops.Counts {
		return doneAfter(devices, 5*time.Minute, open)
	}
	w.deferred = func(time.Duration) int { return 0 }
	w.planned = func() (activities.PlanRolloutOutput, error) { return activities.PlanRolloutOutput{}, nil }
	w.rollback = func(activities.RollbackInput) (activities.RollbackOutput, error) {
		return activities.RollbackOutput{}, nil
	}
	w.registerRollouts()
	w.SetStartWorkflowOptions(client.StartWorkflowOptions{ID: deviceops.RolloutWorkflowID(rolloutID), TaskQueue: workflows.TaskQueue})
	return w
}

// doneAfter has all devices succeed at once after a while.
func doneAfter(devices int, after, open time.Duration) deviceops.Counts {
	if open < after {
		return deviceops.Counts{Targeted: devices, Pending: devices - devices/2, Sent: devices / 2}
	}
	return deviceops.Counts{Targeted: devices, Succeeded: devices, Healthy: devices}
}

func (w *roundabout) registerRollouts() {
	for name, stub := range map[string]any{
		activities.NamePinRollout: func(_ context.Context, in activities.PinRolloutInput) (activities.PinRolloutOutput, error) {
			w.lock.Lock()
			defer w.lock.Unlock()
			return activities.PinRolloutOutput{Rollout: *w.rollouts[in.Rollout], Asked: w.asked}, nil
		},
		activities.NamePlanRollout:    w.plan,
		activities.NameCountRollout:   w.count,
		activities.NameSaveRollout:    w.save,
		activities.NameControlRollout: w.control,
		activities.NamePumpRollout: func(ctx context.Context, in activities.PumpInput) error {
			w.lock.Lock()
			defer w.lock.Unlock()
			w.pumped++
			w.shifts[in.Rollout] = activity.GetInfo(ctx).TaskToken
			return activity.ErrResultPending
		},
		activities.NameCreateRollback: func(_ context.Context, in activities.RollbackInput) (activities.RollbackOutput, error) {
			w.lock.Lock()
			defer w.lock.Unlock()
			w.undone = append(w.undone, in)
			out, err := w.rollback(in)
			w.rollouts[in.Rollout].Rollback = out.Rollback
			return out, activities.Failure(err)
		},
	} {
		w.RegisterActivityWithOptions(stub, activity.RegisterOptions{Name: name})
	}
	w.SetOnActivityCanceledListener(func(*activity.Info) {
		w.lock.Lock()
		defer w.lock.Unlock()
		for id := range w.shifts {
			w.endShift(id)
		}
	})
}

// endShift has the pump of a rollout end.
func (w *roundabout) endShift(id string) {
	if token := w.shifts[id]; token != nil {
		delete(w.shifts, id)
		_ = w.CompleteActivity(token, nil, nil)
	}
}

func (w *roundabout) plan(_ context.Context, in activities.PlanRolloutInput) (activities.PlanRolloutOutput, error) {
	w.lock.Lock()
	defer w.lock.Unlock()
	w.plans++
	out, err := w.planned()
	if out.Counts = w.counts(w.rollouts[in.Rollout]); in.Again {
		out = activities.PlanRolloutOutput{}
	}
	return out, activities.Failure(err)
}

func (w *roundabout) counts(r *deviceops.Rollout) (all []deviceops.Counts) {
	for i, ring := range r.Rings {
		size := 0
		if i < len(w.sizes) {
			size = w.sizes[i]
		}
		counts := deviceops.Counts{Targeted: size, Pending: size}
		switch {
		case !ring.OpenedAt.IsZero():
			counts = w.fare(i, size, w.Now().Sub(ring.OpenedAt))
		case r.Status.Ended() || r.Status == deviceops.RolloutReverting || ring.Status == deviceops.RingSkipped:
			counts = deviceops.Counts{Targeted: size, Canceled: size}
		}
		r.Rings[i].Counts = counts
		all = append(all, counts)
	}
	return all
}

// open counts the open devices of rings that were opened.
func open(r *deviceops.Rollout) (n int) {
	for _, ring := range r.Rings {
		if !ring.OpenedAt.IsZero() {
			n += ring.Counts.Open()
		}
	}
	return n
}

func (w *roundabout) count(_ context.Context, in activities.CountInput) (activities.CountOutput, error) {
	w.lock.Lock()
	defer w.lock.Unlock()
	r := w.rollouts[in.Rollout]
	w.counted = append(w.counted, in)
	out := activities.CountOutput{Counts: w.counts(r), Epoch: r.Epoch, Deferred: w.deferred(w.Now().Sub(r.StartedAt))}
	if !r.Rings[0].OpenedAt.IsZero() && open(r) == 0 {
		w.endShift(r.ID)
	}
	if back := w.rollouts[r.Rollback]; back != nil {
		out.Rollback = back.Status
	}
	return out, nil
}

func (w *roundabout) save(_ context.Context, in activities.SaveRolloutInput) error {
	w.lock.Lock()
	defer w.lock.Unlock()
	before := w.rollouts[in.Rollout.ID]
	for _, c := range deviceops.RolloutChanges(before, &in.Rollout, deviceops.Engine.Name) {
		event := c.Event[len(deviceops.EventRollout):]
		if c.Ring >= 0 {
			event = in.Rollout.Rings[c.Ring].Name + " " + event[len("ring_"):]
		}
		w.events = append(w.events, event)
		w.reasons[event] = c.Reason
	}
	after := in.Rollout
	after.Source = before.Source
	w.rollouts[after.ID] = &after
	return nil
}

func (w *roundabout) control(_ context.Context, in activities.ControlInput) (activities.ControlOutput, error) {
	w.lock.Lock()
	defer w.lock.Unlock()
	w.controls = append(w.controls, in)
	before := w.rollouts[in.Control.Rollout]
	after := before.Steer(in.Control, w.Now())
	for _, c := range deviceops.RolloutChanges(before, &after, in.Control.By.Name) {
		w.events = append(w.events, "maria: "+c.Event[len(deviceops.EventRollout):])
	}
	w.rollouts[after.ID] = &after
	w.counts(&after)
	out := after
	out.Source = ""
	return activities.ControlOutput{Rollout: out, Controlled: deviceops.RolloutControlled{Status: after.Status, Epoch: after.Epoch, Text: "done"}}, nil
}

// roll executes the rollout to its end.
func (w *roundabout) roll(t *testing.T) workflows.RolloutResult {
	t.Helper()
	w.ExecuteWorkflow(workflows.TypeRollout, workflows.RolloutInput{Rollout: rolloutID})
	return w.ended(t)
}

func (w *roundabout) ended(t *testing.T) workflows.RolloutResult {
	t.Helper()
	require.True(t, w.IsWorkflowCompleted())
	require.NoError(t, w.GetWorkflowError())
	var result workflows.RolloutResult
	require.NoError(t, w.GetWorkflowResult(&result))
	return result
}

// do sends a control of maria and hands its fate to then.
func (w *roundabout) do(c deviceops.RolloutControl, then func(deviceops.RolloutControlled, error)) {
	c.Rollout, c.By = rolloutID, maria
	w.UpdateWorkflow(workflows.UpdateControl, "", &testsuite.TestUpdateCallback{
		OnAccept: func() {},
		OnReject: func(err error) { then(deviceops.RolloutControlled{}, activities.DomainError(err)) },
		OnComplete: func(result any, err error) {
			said, _ := result.(deviceops.RolloutControlled)
			then(said, activities.DomainError(err))
		},
	}, c)
}

// mustDo sends a control at a time that has to be carried out.
func (w *roundabout) mustDo(t *testing.T, at time.Duration, c deviceops.RolloutControl) {
	t.Helper()
	w.at(at, func() {
		w.do(c, func(_ deviceops.RolloutControlled, err error) { require.NoError(t, err) })
	})
}

// answer decides the question that is open at a time.
func (w *roundabout) answer(t *testing.T, at time.Duration, yes bool, key string) {
	t.Helper()
	w.at(at, func() {
		open := w.open(key)
		require.NotNil(t, open, "nobody asks %s", key)
		w.mustDecide(t, deviceops.Decision{Approval: open.ID, Approve: yes, By: maria, Comment: "since I say so"})
	})
}

// open gives the question of this key that is open; nil: none is.
func (w *roundabout) open(key string) *deviceops.Approval {
	w.mu.Lock()
	defer w.mu.Unlock()
	byID := map[string]deviceops.Approval{}
	for _, a := range w.approvals {
		byID[a.ID] = a
	}
	for _, a := range byID {
		if a.Step == key && a.Status == deviceops.ApprovalOpen {
			return &a
		}
	}
	return nil
}

// progress asks the rollout where it stands.
func (w *roundabout) progress(t *testing.T) (p workflows.RolloutProgress) {
	t.Helper()
	value, err := w.QueryWorkflow(workflows.QueryRollout)
	require.NoError(t, err)
	require.NoError(t, value.Get(&p))
	return p
}

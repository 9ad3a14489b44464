package workflows_test

import (
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"go.temporal.io/sdk/testsuite"

	"github.com/deviceops/deviceops"
	"github.com/deviceops/deviceops/activities"
	"github.com/deviceops/deviceops/workflows"
)

// control asks to pause or resume and hands what came of it to then. Refused
// tells a request that left no trace.
func (w *world) control(name string, c deviceops.RunControl, then func(err error, refused bool)) {
	w.UpdateWorkflow(name, "", &testsuite.TestUpdateCallback{
		OnAccept:   func() {},
		OnReject:   func(err error) { then(activities.DomainError(err), true) },
		OnComplete: func(_ any, err error) { then(activities.DomainError(err), false) },
	}, c)
}

// mustControl sends a request that has to be carried out, and then does more.
func (w *world) mustControl(t *testing.T, name string, c deviceops.RunControl, then ...func()) {
	t.Helper()
	w.control(name, c, func(err error, _ bool) {
		require.NoError(t, err)
		for _, do := range then {
			do()
		}
	})
}

var (
	halt = deviceops.RunControl{ID: "p1", By: "user:maria", Reason: "smoke"}
	goOn = deviceops.RunControl{ID: "p2", By: "user:peter", Reason: "all clear"}
)

// pausedFrom pauses the run at one time and resumes it at another.
func (w *world) pausedFrom(t *testing.T, from, to time.Duration) {
	t.Helper()
	for at, c := range map[time.Duration]struct {
		name string
		deviceops.RunControl
	}{from: {workflows.UpdatePause, halt}, to: {workflows.UpdateResume, goOn}} {
		w.at(at, func() { w.mustControl(t, c.name, c.RunControl) })
	}
}

func (w *world) live(t *testing.T) (run deviceops.Run) {
	t.Helper()
	value, err := w.QueryWorkflow(workflows.QueryRun)
	require.NoError(t, err)
	require.NoError(t, value.Get(&run))
	return run
}

// While a run is paused, from 1m to 1h, nothing begins in it; what is under way
// ends when it would have.
func TestPausedRunsBeginNothing(t *testing.T) {
	t.Parallel()
	const device = "workflow: w\ndevice: k1\nsteps:\n"
	for name, c := range map[string]struct {
		steps string
		fail  map[string]string
		want  map[string]string // when rows began and ended, in time since the start
	}{
		"the next step": {
			steps: "  - { id: a, wait: 10m }\n  - { id: b, command: b }\n",
			want:  map[string]string{"a": "0s 10m0s", "b": "1h0m0s 1h0m0s"},
		},
		"nothing is left to begin": {
			steps: "  - { id: a, wait: 10m }\n",
			want:  map[string]string{"a": "0s 10m0s"},
		},
		"a wait that is longer than the pause": {
			steps: "  - { id: a, wait: 2h }\n  - { id: b, command: b }\n",
			want:  map[string]string{"a": "0s 2h0m0s", "b": "2h0m0s 2h0m0s"},
		},
		"all branches": {
			steps: "  - parallel:\n      x: [ { id: a, wait: 10m }, { id: b, command: b } ]\n      y: [ { id: c, wait: 20m }, { id: d, command: d } ]\n",
			want:  map[string]string{"a": "0s 10m0s", "b": "1h0m0s 1h0m0s", "c": "0s 20m0s", "d": "1h0m0s 1h0m0s"},
		},
		"the items that are left": {
			steps: "  - foreach:\n      items: [1, 2, 3]\n      steps: [ { id: a, wait: 10m } ]\n",
			want:  map[string]string{"a[0]": "0s 10m0s", "a[1]": "1h0m0s 1h10m0s", "a[2]": "1h10m0s 1h20m0s"},
		},
		"the next round of a loop, and of until": {
			steps: "  - set: { n: 0 }\n  - id: loop\n    while: vars.n < 2\n    steps: [ { set: { n: \"${{ vars.n + 1 }}\" } }, { wait: 10m } ]\n" +
				"  - { id: again, command: b, until: run.now > date(\"2026-05-01T13:25:00Z\"), every: 10m, timeout: 2h }\n",
			want: map[string]string{"loop": "0s 1h10m0s", "again": "1h10m0s 1h30m0s"},
		},
		"the next try": {
			steps: "  - { id: a, command: busy, timeout: 2h, retry: { times: 3, delay: 10m, if: error.code == 'busy' } }\n  - { id: b, command: b }\n",
			fail:  map[string]string{"busy": "busy"},
			want:  map[string]string{"a": "0s 1h20m0s"},
		},
		"what follows from a failure": {
			steps: "  - try: [ { id: a, command: a, undo: [ { id: back, command: back } ] }, { wait: 10m }, { id: b, fail: odd } ]\n    catch: [ { id: c, command: c } ]\n",
			want:  map[string]string{"a": "0s 0s", "b": "1h0m0s 1h0m0s", "back": "1h0m0s 1h0m0s", "c": "1h0m0s 1h0m0s"},
		},
		"the loser of a race, which is called off": {
			steps: "  - id: race\n    race: true\n    parallel:\n      x: [ { id: a, wait: 10m } ]\n      y: [ { id: b, wait: 5m }, { id: never, command: b } ]\n  - { id: c, command: c }\n",
			want:  map[string]string{"race": "0s 10m0s", "a": "0s 10m0s", "b": "0s 5m0s", "c": "1h0m0s 1h0m0s"},
		},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			w := newWorld(t)
			answers(c.fail)(w)
			w.pausedFrom(t, time.Minute, time.Hour)
			run := execute(t, w, device+c.steps, nil)
			for _, row := range run.Steps {
				if when, ok := c.want[row.Step]; ok {
					require.Equal(t, when, row.StartedAt.Sub(noon).String()+" "+row.FinishedAt.Sub(noon).String(), row.Step)
					delete(c.want, row.Step)
				}
				require.NotEqual(t, "never", row.Step)
			}
			require.Empty(t, c.want, "%v", statuses(run))
		})
	}
}

func TestPauseIsShownAndAudited(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	w.at(time.Minute, func() {
		w.mustControl(t, workflows.UpdatePause, halt, func() {
			live := w.live(t)
			require.Equal(t, deviceops.RunPaused, live.Status)
			require.Equal(t, deviceops.RunPause{Since: noon.Add(time.Minute), By: "user:maria", Reason: "smoke"}, *live.Paused)
			require.Equal(t, deviceops.RunWaiting, live.Steps[0].Status, "what is under way is shown as it is")
		})
	})
	w.at(time.Hour, func() {
		w.mustControl(t, workflows.UpdateResume, goOn, func() { require.Nil(t, w.live(t).Paused) })
	})
	run := execute(t, w, "workflow: w\nsteps:\n  - wait: 10m\n  - wait: 1m\n", nil)
	require.Equal(t, deviceops.RunSucceeded, run.Status)
	require.Equal(t, noon.Add(time.Hour+time.Minute), run.FinishedAt)
	require.Len(t, w.paused, 2)
	require.Equal(t, "pause user:maria smoke paused", said(w.paused[0]))
	require.Equal(t, "resume user:peter all clear running", said(w.paused[1]))
	require.Nil(t, w.paused[1].Run.Paused)
}

func said(in activities.PauseInput) string {
	return in.Kind + " " + in.By + " " + in.Reason + " " + string(in.Run.Status)
}

func TestControlsAreRefusedWithTheReason(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	other := deviceops.RunControl{ID: "p3", By: "user:peter"}
	refusals := 0
	refused := func(name string, c deviceops.RunControl, message string) {
		w.control(name, c, func(err error, early bool) {
			require.True(t, early, "it leaves no trace")
			require.Equal(t, deviceops.ECONFLICT, deviceops.ErrorCode(err))
			require.Equal(t, message, deviceops.ErrorMessage(err))
			refusals++
		})
	}
	w.at(time.Minute, func() { refused(workflows.UpdateResume, goOn, "run r1 is not paused") })
	for _, at := range []time.Duration{2, 3} { // the second is a repeat
		w.at(at*time.Minute, func() { w.mustControl(t, workflows.UpdatePause, halt) })
	}
	w.at(4*time.Minute, func() {
		refused(workflows.UpdatePause, other, "run r1 is paused already, by user:maria since 2026-05-01T12:02:00Z: smoke")
	})
	for _, at := range []time.Duration{60, 61} {
		w.at(at*time.Minute, func() { w.mustControl(t, workflows.UpdateResume, goOn) })
	}
	w.at(62*time.Minute, func() { // a late repeat is answered, and does not pause again
		w.mustControl(t, workflows.UpdatePause, halt, func() { require.Nil(t, w.live(t).Paused) })
	})
	execute(t, w, "workflow: w\nsteps:\n  - wait: 10m\n  - wait: 10m\n", nil)
	require.Len(t, w.paused, 2)
	require.Equal(t, 2, refusals)
}

// An approval may be decided, or expire, while its run is paused. What follows
// from it waits.
func TestApprovalsOfPausedRuns(t *testing.T) {
	t.Parallel()
	const source = `workflow: w
device: k1
steps:
  - id: ask
    try: [ { id: decision, approve: Go on?, by: [role:operator], expires: 30m } ]
    catch: [ { id: instead, command: c } ]
  - { id: b, command: b }
`
	for name, c := range map[string]struct {
		decide bool
		rows   []string
	}{
		"decided": {true, []string{"ask succeeded", "decision succeeded", "b succeeded"}},
		"expired": {false, []string{"ask succeeded", "decision failed", "instead succeeded", "b succeeded"}},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			w := newWorld(t)
			w.pausedFrom(t, time.Minute, time.Hour)
			if c.decide {
				w.at(10*time.Minute, func() { w.mustDecide(t, deviceops.Decision{Approval: "r1/decision", Approve: true, By: maria}) })
			}
			w.at(50*time.Minute, func() { require.Empty(t, w.commands) })
			run := execute(t, w, source, nil)
			require.Equal(t, c.rows, statuses(run))
			require.Equal(t, noon.Add(time.Hour), run.Steps[len(run.Steps)-1].StartedAt)
			require.True(t, run.Steps[1].FinishedAt.Before(noon.Add(31*time.Minute)), "the clock of the approval went on")
		})
	}
}

// A paused run that is called off cleans up at once.
func TestCancelOfAPausedRun(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	w.at(time.Minute, func() { w.mustControl(t, workflows.UpdatePause, halt) })
	w.at(time.Hour, w.CancelWorkflow)
	run := execute(t, w, `workflow: w
device: k1
steps:
  - { command: a, undo: [ { command: undo }, { wait: 1m } ] }
  - wait: 10m
  - command: never
finally: [ { command: tidy } ]
`, nil)
	require.Equal(t, deviceops.RunCanceled, run.Status)
	require.Nil(t, run.Paused)
	require.Equal(t, []string{"a", "undo", "tidy"}, w.names())
	require.Equal(t, noon.Add(time.Hour+time.Minute), run.FinishedAt)
}

// A pause holds in whatever execution the run is then.
func TestPauseSurvivesRelays(t *testing.T) {
	t.Parallel()
	w, executions := relayed(t, `workflow: w
device: k1
steps:
  - parallel:
      people: [ { id: decision, approve: Go on?, by: [role:operator] } ]
      other: [ { set: { a: 1 } }, { set: { a: 2 } }, { wait: 10m }, { command: b, retry: { times: 1, delay: 1m } }, { set: { a: 3 } }, { set: { a: 4 } } ]
  - command: c
`, 5, func(w *world, n int) {
		switch n {
		case 0: // ends while it is paused, after the wait, which is the fifth step
			w.at(10*time.Minute-time.Second, func() { w.mustControl(t, workflows.UpdatePause, halt) })
		case 1:
			w.at(time.Minute, func() {
				require.Equal(t, "user:maria", w.live(t).Paused.By)
				w.mustControl(t, workflows.UpdatePause, halt) // the repeat of a request that an earlier execution took
				require.Empty(t, w.commands)
			})
			w.at(time.Hour, func() {
				w.mustControl(t, workflows.UpdateResume, goOn)
				w.mustDecide(t, deviceops.Decision{Approval: "r1/decision/steps.0.1-0", Approve: true, By: maria})
			})
		}
	})
	require.NoError(t, w.GetWorkflowError())
	require.Greater(t, executions, 1)
	require.Equal(t, []string{"b", "c"}, w.names())
	require.Len(t, w.paused, 1, "the last execution was asked to go on, and knew the other request")
}

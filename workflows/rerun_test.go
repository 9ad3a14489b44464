package workflows_test

import (
	"encoding/json"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/deviceops/deviceops"
	"github.com/deviceops/deviceops/activities"
	"github.com/deviceops/deviceops/dsl"
	"github.com/deviceops/deviceops/workflows"
)

func compiled(t *testing.T, source string) *dsl.Program {
	t.Helper()
	p, found := dsl.Compile(source)
	require.NoError(t, found.Err())
	return p
}

// again executes a run that goes on with another one.
func again(t *testing.T, w *world, source string, origin deviceops.Run, s workflows.Resumption) deviceops.Run {
	t.Helper()
	w.sources["w"] = source
	w.copied = stored(t, s.Copied)
	in := started(origin.Inputs)
	in.Run.ID = "r2"
	in.Run.RerunOf = &deviceops.RunOrigin{Run: origin.ID, Step: compiled(t, source).Root.Steps[s.At].ID, Because: s.Because}
	w.ExecuteWorkflow("w", in)
	require.True(t, w.IsWorkflowCompleted())
	run := w.saved[len(w.saved)-1]
	run.Steps = append(s.Copied, w.rows()[len(s.Copied):]...)
	return run
}

// stored gives rows as the store gives them back.
func stored(t *testing.T, rows []deviceops.RunStep) (back []deviceops.RunStep) {
	t.Helper()
	data, err := json.Marshal(rows)
	require.NoError(t, err)
	require.NoError(t, json.Unmarshal(data, &back))
	for i := range back {
		back[i].Output = dsl.Canonical(rows[i].Output)
		back[i].Vars = rows[i].Vars
	}
	return back
}

const manyVerbs = `workflow: w
device: k1
inputs: { n: { type: integer, default: 9007199254740993 } }
outputs:
  x: ${{ vars.x }}
  big: ${{ vars.big }}
  a: ${{ steps.a.output.name }}
  b: ${{ steps.b.output.name }}
  each: "${{ map(steps.each.output.results, #.output.name) }}"
  d: ${{ steps.d?.error.code }}
  e: ${{ steps.e?.output.name }}
  skipped: ${{ steps.skipped?.status }}
  rounds: ${{ steps.loop.output.iterations }}
  attempts: ${{ steps.a.attempts }}
steps:
  - set: { x: 1, big: "${{ inputs.n }}" }
  - { id: a, command: a }
  - parallel:
      l: [ { id: b, command: b }, { set: { x: "${{ vars.x + 1 }}" } } ]
      r: [ { wait: 1m } ]
  - id: each
    foreach: { items: [1, 2], steps: [ { command: item } ] }
  - id: loop
    while: vars.x < 5
    steps: [ { set: { x: "${{ vars.x + 1 }}" } } ]
  - try: [ { id: d, fail: odd }, { command: never } ]
    catch: [ { id: e, command: e } ]
  - { id: skipped, if: false, command: never }
  - id: f
    try: [ { set: { x: "${{ vars.x * 10 }}" } }, { command: f } ]
    finally: [ { command: clean } ]
  - { id: g, command: g, if: steps.a.output.name == "a" }
`

// A run that goes on with one that failed ends as if nothing had, and repeats
// nothing that succeeded.
func TestRerunFromTheFailedStep(t *testing.T) {
	t.Parallel()
	smooth := execute(t, newWorld(t), manyVerbs, nil)
	first := newWorld(t)
	answers(map[string]string{"f": "busy"})(first)
	failed := execute(t, first, manyVerbs, nil)
	require.Equal(t, deviceops.RunFailed, failed.Status)

	s, err := workflows.PlanRerun(compiled(t, manyVerbs), failed, "")
	require.NoError(t, err)
	require.Equal(t, 7, s.At)
	require.Equal(t, "it failed", s.Because)
	second := newWorld(t)
	answers(nil)(second)
	run := again(t, second, manyVerbs, failed, s)
	require.Equal(t, deviceops.RunSucceeded, run.Status, "%+v", run.Error)
	require.Equal(t, []string{"a", "b", "item", "item", "e", "f", "clean"}, first.names())
	require.Equal(t, []string{"f", "clean", "g"}, second.names())

	answered := newWorld(t)
	answers(nil)(answered)
	smooth = execute(t, answered, manyVerbs, nil)
	require.Equal(t, smooth.Outputs, run.Outputs)
	require.Equal(t, int64(9007199254740993), run.Outputs["big"])
	require.Equal(t, int64(50), run.Outputs["x"], "the step that failed had set it, and begins with what it was before")
	require.Equal(t, statuses(smooth), statuses(run))
	for i, row := range run.Steps {
		require.Equal(t, i, row.Index)
		require.Equal(t, i < len(s.Copied), row.Copied)
	}
	require.Equal(t, "r1.steps.1.0", first.commands[0].ID)
	require.Equal(t, "r2.steps.7.try.1.0", second.commands[0].ID, "what is executed has ids of its own")
}

// Whoever runs it again and again copies what was copied.
func TestRerunOfARerun(t *testing.T) {
	t.Parallel()
	const source = "workflow: w\ndevice: k1\noutputs: { x: \"${{ vars.x }}\" }\nsteps:\n  - set: { x: 7 }\n  - command: a\n  - command: b\n  - command: c\n"
	w := newWorld(t)
	answers(map[string]string{"b": "busy"})(w)
	run := execute(t, w, source, nil)
	for _, c := range []struct {
		fails, sent []string
	}{{[]string{"c"}, []string{"b", "c"}}, {nil, []string{"c"}}} {
		s, err := workflows.PlanRerun(compiled(t, source), run, "")
		require.NoError(t, err)
		w := newWorld(t)
		codes := map[string]string{}
		for _, name := range c.fails {
			codes[name] = "busy"
		}
		answers(codes)(w)
		run = again(t, w, source, run, s)
		require.Equal(t, c.sent, w.names())
	}
	require.Equal(t, deviceops.RunSucceeded, run.Status)
	require.Equal(t, int64(7), run.Outputs["x"])
}

func TestWhereARerunBegins(t *testing.T) {
	t.Parallel()
	const undoes = `
  - { id: a, command: a }
  - { id: b, command: b, undo: [ { command: undo-b } ] }
  - { id: c, command: c }
  - { id: d, command: d }
`
	for name, c := range map[string]struct {
		steps   string
		setup   func(w *world)
		from    string
		at      int
		because string
		code    string
		message string
	}{
		"nothing was taken back": {
			steps: "  - { id: a, command: a }\n  - { id: b, command: b }\n", setup: answers(map[string]string{"b": "busy"}),
			at: 1, because: "it failed",
		},
		"what was taken back is executed again": {
			steps: undoes, setup: answers(map[string]string{"d": "busy"}), at: 1, because: "it was taken back when the run ended",
		},
		"and cannot be copied": {
			steps: undoes, setup: answers(map[string]string{"d": "busy"}), from: "c",
			code: deviceops.EINVALID, message: "the run cannot begin at c: b before it was taken back when the run ended; begin at b or before",
		},
		"what a try took back is part of what it did": {
			steps: "  - id: t\n    try: [ { command: a, undo: [ { command: undo } ] }, { command: b } ]\n    catch: [ { set: { x: 1 } } ]\n  - { id: c, command: c }\n",
			setup: answers(map[string]string{"b": "busy", "c": "busy"}), at: 1, because: "it failed",
		},
		"inside a try": {
			steps: "  - { id: a, command: a }\n  - id: t\n    try: [ { command: b }, { id: c, command: c } ]\n    finally: [ { set: { x: 1 } } ]\n",
			setup: answers(map[string]string{"c": "busy"}), at: 1, because: "it failed",
		},
		"inside a foreach": {
			steps: "  - { id: a, command: a }\n  - foreach: { items: [1, 2], steps: [ { id: c, command: c } ] }\n",
			setup: answers(map[string]string{"c": "busy"}), at: 1, because: "it failed",
		},
		"earlier, as asked": {
			steps: undoes, setup: answers(map[string]string{"d": "busy"}), from: "a", at: 0, because: "it was asked for",
		},
		"a step inside another": {
			steps: "  - id: t\n    try: [ { id: b, command: b } ]\n    finally: [ { id: fin, command: c } ]\n", setup: answers(map[string]string{"b": "busy"}), from: "fin",
			code: deviceops.EINVALID, message: "the run cannot begin at fin, which is inside the step t; begin at t",
		},
		"no such step": {
			steps: "  - { id: a, command: a }\n  - command: b\n", setup: answers(map[string]string{"b": "busy"}), from: "x",
			code: deviceops.EINVALID, message: "there is no step x to begin at; the steps of the run are a, steps.1",
		},
		"a step that was not reached": {
			steps: undoes, setup: answers(map[string]string{"a": "busy"}), from: "c",
			code: deviceops.EINVALID, message: "the run cannot begin at c: a before it did not succeed, so there is nothing to copy; begin at a or before",
		},
		"a run that succeeded": {
			steps: "  - { id: a, command: a }\n", setup: answers(nil),
			code: deviceops.ECONFLICT, message: "all steps of run r1 succeeded; say from which step to run it again",
		},
		"from a step of one that succeeded": {
			steps: undoes, setup: answers(nil), from: "c", at: 2, because: "it was asked for",
		},
		"a run that was canceled": {
			steps: "  - { id: a, command: a }\n  - { id: b, wait: 2h }\n", setup: func(w *world) { w.at(time.Hour, w.CancelWorkflow) },
			at: 1, because: "it was not finished",
		},
		"an undo in a loop that stands": {
			steps: "  - foreach: { items: [1], steps: [ { id: a, command: a, undo: [ { command: u } ] } ] }\n  - { id: b, command: b }\n", setup: answers(nil), from: "b",
			code: deviceops.EINVALID, message: "a has an undo and ran in a loop, of which it cannot be told later what to take back; begin at steps.0 or before",
		},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			w := newWorld(t)
			c.setup(w)
			source := "workflow: w\ndevice: k1\nsteps:\n" + c.steps
			run := execute(t, w, source, nil)
			s, err := workflows.PlanRerun(compiled(t, source), run, c.from)
			if c.code != "" {
				require.Equal(t, c.code, deviceops.ErrorCode(err))
				require.Equal(t, c.message, deviceops.ErrorMessage(err))
				return
			}
			require.NoError(t, err)
			require.Equal(t, c.at, s.At)
			require.Equal(t, c.because, s.Because)
		})
	}
}

// What was completed before and stands is taken back when the new run fails, in
// the order in which it was completed.
func TestRerunsTakeBackWhatTheyCopied(t *testing.T) {
	t.Parallel()
	const source = `workflow: w
device: k1
steps:
  - parallel:
      l: [ { wait: 2m }, { id: a, command: a, undo: [ { command: undo-a, with: { n: "${{ steps.a?.output.name }}" } } ] } ]
      r: [ { wait: 1m }, { command: b, undo: [ { command: undo-b } ] } ]
  - try: [ { command: c, undo: [ { command: undo-c } ] }, { fail: odd } ]
    catch: [ { command: d } ]
  - { id: last, command: last }
`
	w := newWorld(t)
	answers(nil)(w)
	succeeded := execute(t, w, source, nil)
	require.Equal(t, deviceops.RunSucceeded, succeeded.Status, "%+v", succeeded.Error)
	s, err := workflows.PlanRerun(compiled(t, source), succeeded, "last")
	require.NoError(t, err)
	w = newWorld(t)
	answers(map[string]string{"last": "busy"})(w)
	run := again(t, w, source, succeeded, s)
	require.Equal(t, deviceops.RunFailed, run.Status)
	require.Equal(t, []string{"last", "undo-a", "undo-b"}, w.names())
	require.Equal(t, "a", w.commands[1].Args["n"])
}

func TestRerunsThatCannotBe(t *testing.T) {
	t.Parallel()
	p := compiled(t, "workflow: w\nsteps:\n  - set: { x: 1 }\n  - { id: b, wait: 1m }\n")
	row := func(i int, step, verb string, status deviceops.RunStatus) deviceops.RunStep {
		return deviceops.RunStep{Index: i, Step: step, Verb: verb, Status: status}
	}
	run := deviceops.Run{ID: "r1", Status: deviceops.RunWaiting, Steps: []deviceops.RunStep{
		row(0, "steps.0", "set", deviceops.RunSucceeded), row(1, "b", "wait", deviceops.RunWaiting),
	}}
	_, err := workflows.PlanRerun(p, run, "")
	require.Equal(t, "run r1 has not ended yet: it is waiting", deviceops.ErrorMessage(err))
	run.Status = deviceops.RunFailed // whoever terminated its workflow told nobody
	_, err = workflows.PlanRerun(p, run, "")
	require.Equal(t, deviceops.EINVALID, deviceops.ErrorCode(err))
	require.Contains(t, deviceops.ErrorMessage(err), "the variables that steps.0 set were not recorded")
	run.Steps[0].Vars = map[string]any{"x": int64(1)}
	s, err := workflows.PlanRerun(p, run, "")
	require.NoError(t, err)
	require.Equal(t, "it was not finished", s.Because)

	w := newWorld(t)
	s.At = 0
	in := started(nil)
	in.Run.RerunOf = &deviceops.RunOrigin{Run: "r1", Step: "gone"}
	w.sources["w"] = p.Source
	w.ExecuteWorkflow("w", in)
	require.Contains(t, activities.DomainError(w.GetWorkflowError()).Error(), "has no step gone to begin at")
}

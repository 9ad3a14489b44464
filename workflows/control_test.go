package workflows_test

import (
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/deviceops/deviceops"
	"github.com/deviceops/deviceops/activities"
)

// answers lets devices answer by the name of the command: the device's own error
// code, or nothing for success with {name, device, n}.
func answers(codes map[string]string) func(w *world) {
	return func(w *world) {
		w.command = func(in activities.CommandInput) (activities.CommandOutput, error) {
			if code := codes[in.Name+" "+in.Device]; code != "" {
				return answered(in, deviceops.CommandFailed, code, false)
			}
			if code := codes[in.Name]; code != "" {
				return answered(in, deviceops.CommandFailed, code, false)
			}
			return activities.CommandOutput{Output: map[string]any{"name": in.Name, "device": in.Device}}, nil
		}
	}
}

// names gives the commands that were sent, in order.
func (w *world) names() (names []string) {
	w.mu.Lock()
	defer w.mu.Unlock()
	for _, c := range w.commands {
		names = append(names, c.Name)
	}
	return names
}

func TestControlVerbs(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct {
		steps   string
		fail    map[string]string // by command, or command and device
		status  deviceops.RunStatus
		outputs map[string]any
		code    string
		rows    []string
		sent    []string
	}{
		"the first case that applies": {
			steps: `
  - switch:
      - { if: 1 > 2, steps: [ { command: never } ] }
      - { if: 2 > 1, steps: [ { id: b, command: b } ] }
      - { if: true, steps: [ { command: never } ] }
    default: [ { command: never } ]
  - return: ${{ steps.b?.output.name }}`,
			outputs: map[string]any{"value": "b"}, sent: []string{"b"},
			rows: []string{"steps.0 succeeded", "b succeeded", "steps.1 succeeded"},
		},
		"the default": {
			steps: `
  - switch: [ { if: 1 > 2, steps: [ { command: never } ] } ]
    default: [ { command: d } ]
  - switch: [ { if: 1 > 2, steps: [ { command: never } ] } ]`,
			sent: []string{"d"}, rows: []string{"steps.0 succeeded", "steps.0.default.0 succeeded", "steps.1 succeeded"},
		},
		"a while counts its rounds": {
			steps: `
  - set: { n: 0, seen: [] }
  - id: loop
    while: vars.n < 3
    steps:
      - set: { n: "${{ vars.n + 1 }}", seen: "${{ concat(vars.seen, [index]) }}" }
  - return: { seen: "${{ vars.seen }}", rounds: "${{ steps.loop.output.iterations }}" }`,
			outputs: map[string]any{"seen": []any{int64(0), int64(1), int64(2)}, "rounds": int64(3)},
		},
		"a while asks what its last round gave": {
			steps: `
  - while: (steps.poll?.attempts ?? 0) == 0 || index < 2
    steps: [ { id: poll, command: poll } ]
  - return: ${{ steps.poll?.output.name }}`,
			outputs: map[string]any{"value": "poll"}, sent: []string{"poll", "poll"},
		},
		"a while is bounded": {
			steps: `
  - while: true
    max_iterations: 4
    steps: [ { command: poll } ]`,
			status: deviceops.RunFailed, code: deviceops.EEXHAUSTED, sent: []string{"poll", "poll", "poll", "poll"},
		},
		"a failure ends a while": {
			steps: `
  - while: true
    steps: [ { command: poll } ]`,
			fail: map[string]string{"poll": "broken"}, status: deviceops.RunFailed, code: "broken", sent: []string{"poll"},
		},
		"foreach gives what each item gave": {
			steps: `
  - id: each
    foreach:
      items: [k1, k2]
      as: kiosk
      steps:
        - id: ask
          command: health
          device: ${{ kiosk }}
        - set: { last: "${{ steps.ask.output.device }} ${{ index }}" }
        - action: log
          with: { message: "${{ steps.ask.output.device }}" }
        - { id: again, if: index == 0, command: again, device: "${{ kiosk }}" }
  - return: { n: "${{ steps.each.output.total }}", ok: "${{ steps.each.output.succeeded }}", last: "${{ vars.last }}", outputs: "${{ map(steps.each.output.results, #.output?.device) }}", items: "${{ map(steps.each.output.results, #.item) }}" }`,
			outputs: map[string]any{"n": int64(2), "ok": int64(2), "last": "k2 1", "outputs": []any{"k1", nil}, "items": []any{"k1", "k2"}},
			sent:    []string{"health", "again", "health"},
			rows: []string{
				"each succeeded", "ask[0] succeeded", "steps.0.foreach.1[0] succeeded", "steps.0.foreach.2[0] succeeded", "again[0] succeeded",
				"ask[1] succeeded", "steps.0.foreach.1[1] succeeded", "steps.0.foreach.2[1] succeeded", "again[1] skipped", "steps.1 succeeded",
			},
		},
		"foreach without items": {
			steps: `
  - id: each
    foreach: { items: "filter([1], # > 5)", steps: [ { command: never } ] }
  - return: ${{ steps.each.output }}`,
			outputs: map[string]any{"total": int64(0), "succeeded": int64(0), "failed": int64(0), "results": []any{}},
		},
		"foreach stops at the first failure": {
			steps: `
  - foreach: { items: [k1, k2, k3], steps: [ { command: health, device: "${{ item }}" } ] }`,
			fail: map[string]string{"health k2": "broken"}, status: deviceops.RunFailed, code: "broken", sent: []string{"health", "health"},
			rows: []string{"steps.0 failed", "steps.0.foreach.0[0] succeeded", "steps.0.foreach.0[1] failed"},
		},
		"foreach goes on": {
			steps: `
  - id: each
    foreach: { items: [k1, k2, k3], on_error: continue, max_parallel: 2, steps: [ { command: health, device: "${{ item }}" } ] }
  - return: { failed: "${{ steps.each.output.failed }}", why: "${{ map(steps.each.output.results, #.error?.code) }}" }`,
			fail:    map[string]string{"health k2": "broken"},
			outputs: map[string]any{"failed": int64(1), "why": []any{nil, "broken", nil}}, sent: []string{"health", "health", "health"},
		},
		"foreach tolerates a part": {
			steps: `
  - foreach: { items: [k1, k2, k3, k4], on_error: tolerate 25%, steps: [ { command: health, device: "${{ item }}" } ] }`,
			fail:   map[string]string{"health k1": "broken", "health k3": "lost"},
			status: deviceops.RunFailed, code: deviceops.EFAILED, sent: []string{"health", "health", "health"},
		},
		"foreach in parallel in foreach": {
			steps: `
  - set: { total: 0 }
  - id: outer
    foreach:
      items: [[1, 2], [3]]
      as: row
      max_parallel: 2
      steps:
        - id: pair
          parallel:
            sum: [ { id: s, foreach: { items: row, as: cell, steps: [ { set: { total: "${{ vars.total + cell }}" } } ] } } ]
            none: [ { wait: 1m } ]
  - return: ${{ vars.total }}`,
			outputs: map[string]any{"value": int64(6)},
		},
		"parallel gives what its branches gave": {
			steps: `
  - id: both
    parallel:
      left: [ { id: a, command: a }, { wait: 1m } ]
      right: [ { id: b, command: b } ]
  - id: list
    parallel: [ { command: c }, { command: d } ]
  - return: { named: "${{ steps.both.output.right.name }}", a: "${{ steps.a.output.name }}", list: "${{ map(steps.list.output, #.name) }}" }`,
			outputs: map[string]any{"named": "b", "a": "a", "list": []any{"c", "d"}},
		},
		"a failure calls the other branches off": {
			steps: `
  - parallel:
      slow: [ { id: slow, wait: 1h }, { command: never } ]
      bad: [ { id: bad, command: bad } ]`,
			fail: map[string]string{"bad": "broken"}, status: deviceops.RunFailed, code: "broken", sent: []string{"bad"},
			rows: []string{"steps.0 failed", "slow canceled", "bad failed"},
		},
		"the first success wins a race": {
			steps: `
  - id: race
    parallel:
      bad: [ { command: bad } ]
      slow: [ { id: slow, wait: 1h } ]
      fast: [ { wait: 1m }, { id: fast, command: fast } ]
    race: true
  - return: { winner: "${{ steps.race.output.winner }}", name: "${{ steps.fast?.output.name }}", slow: "${{ steps.slow == nil }}" }`,
			fail:    map[string]string{"bad": "broken"},
			outputs: map[string]any{"winner": "fast", "name": "fast", "slow": true}, sent: []string{"bad", "fast"},
		},
		"a race that nobody wins": {
			steps: `
  - parallel: { one: [ { command: one } ], two: [ { wait: 1m }, { command: two } ] }
    race: true`,
			fail: map[string]string{"one": "broken", "two": "lost"}, status: deviceops.RunFailed, code: "lost",
		},
		"undo runs in reverse before catch, then finally": {
			steps: `
  - try:
      - { id: a, command: a, undo: [ { command: undo-a, with: { was: "${{ steps.a?.output.name }}", why: "${{ error.code }}" } } ] }
      - { id: b, command: b, undo: [ { command: undo-b }, { command: undo-b2 } ] }
      - { if: false, command: c, undo: [ { command: undo-c } ] }
      - command: bad
    catch: [ { command: catch } ]
    finally: [ { command: finally } ]
  - command: after`,
			fail: map[string]string{"bad": "broken", "undo-b": "also"},
			sent: []string{"a", "b", "bad", "undo-b", "undo-a", "catch", "finally", "after"},
		},
		"a failed command may have had its effect": {
			steps: `
  - try: [ { command: bad, undo: [ { command: undo-bad } ] } ]
    catch: [ { command: catch } ]`,
			fail: map[string]string{"bad": "broken"}, sent: []string{"bad", "undo-bad", "catch"},
		},
		"what an inner try completed is undone with the outer one": {
			steps: `
  - try:
      - try: [ { command: a, undo: [ { command: undo-a } ] } ]
        finally: [ { command: inner } ]
      - foreach: { items: [1, 2], steps: [ { command: "b", undo: [ { command: undo-b, with: { n: "${{ item }}" } } ] } ] }
      - fail: now
    catch: [ { set: { code: "${{ error.message }}" } } ]
  - return: ${{ vars.code }}`,
			outputs: map[string]any{"value": "now"}, sent: []string{"a", "inner", "b", "b", "undo-b", "undo-b", "undo-a"},
		},
		"who loses a race takes back what was done": {
			steps: `
  - parallel:
      slow: [ { command: a, undo: [ { command: undo-a } ] }, { wait: 1h } ]
      fast: [ { wait: 1m } ]
    race: true
  - command: after`,
			sent: []string{"a", "undo-a", "after"},
		},
		"a failed run undoes, catches and cleans up": {
			steps: `
  - { command: a, undo: [ { command: undo-a } ] }
  - command: bad
catch: [ { command: catch, with: { why: "${{ error.code }}" } } ]
finally: [ { command: finally } ]`,
			fail: map[string]string{"bad": "broken"}, sent: []string{"a", "bad", "undo-a", "catch", "finally"},
		},
		"the workflow's catch may fail the run": {
			steps: `
  - command: bad
catch: [ { fail: "${{ error }}" } ]
finally: [ { command: finally } ]`,
			fail: map[string]string{"bad": "broken"}, status: deviceops.RunFailed, code: "broken", sent: []string{"bad", "finally"},
		},
		"a failing finally fails the run": {
			steps: `
  - command: a
finally: [ { command: bad } ]`,
			fail: map[string]string{"bad": "broken"}, status: deviceops.RunFailed, code: "broken", sent: []string{"a", "bad"},
		},
		"return passes through finally and undoes nothing": {
			steps: `
  - try:
      - { command: a, undo: [ { command: never } ] }
      - return: 5
    finally: [ { command: inner } ]
  - command: never
finally: [ { command: outer } ]`,
			outputs: map[string]any{"value": int64(5)}, sent: []string{"a", "inner", "outer"},
		},
		"a try without catch hands its failure on": {
			steps: `
  - try: [ { command: bad } ]
    finally: [ { command: finally } ]`,
			fail: map[string]string{"bad": "broken"}, status: deviceops.RunFailed, code: "broken", sent: []string{"bad", "finally"},
			rows: []string{"steps.0 failed", "steps.0.try.0 failed", "steps.0.finally.0 succeeded"},
		},
		"wait until a time": {
			steps: `
  - wait: { until: "2026-05-01T14:00:00Z" }
  - set: { a: "${{ string(run.now) }}" }
  - wait: { until: run.now.Add(duration("30m")) }
  - wait: { until: date("2020-01-01") }
  - return: { a: "${{ vars.a }}", b: "${{ string(run.now) }}" }`,
			outputs: map[string]any{"a": "2026-05-01T14:00:00Z", "b": "2026-05-01T14:30:00Z"},
		},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			w := newWorld(t)
			answers(c.fail)(w)
			run := execute(t, w, "workflow: w\ndevice: k1\nsteps:"+c.steps+"\n", nil)
			if c.status == "" {
				c.status = deviceops.RunSucceeded
			}
			require.Equal(t, c.status, run.Status, "%v", run.Error)
			if c.outputs != nil {
				require.Equal(t, c.outputs, map[string]any(run.Outputs))
			}
			if c.code != "" {
				require.Equal(t, c.code, run.Error.Code)
			}
			if c.rows != nil {
				require.Equal(t, c.rows, statuses(run))
			}
			if c.sent != nil {
				require.Equal(t, c.sent, w.names())
			}
			w.requireDistinctIDs(t)
		})
	}
}

// requireDistinctIDs holds that no two commands have the same id and attempt.
func (w *world) requireDistinctIDs(t *testing.T) {
	t.Helper()
	seen := map[string]bool{}
	for _, c := range w.commands {
		require.True(t, deviceops.ValidID(c.ID), c.ID)
		require.False(t, seen[c.ID], c.ID)
		seen[c.ID] = true
	}
}

func TestMaxParallel(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	run := execute(t, w, `workflow: w
device: k1
steps:
  - foreach: { items: [1, 2, 3, 4, 5], max_parallel: 2, steps: [ { wait: 10m } ] }
  - return: ${{ string(run.now) }}
`, nil)
	require.Equal(t, "2026-05-01T12:30:00Z", run.Outputs["value"], "three waves of ten minutes")
}

func TestUntil(t *testing.T) {
	t.Parallel()
	const source = `workflow: w
device: k1
steps:
  - id: health
    command: health
    until: output.online
    every: 15s
    timeout: 5m
    retry: { times: 1, delay: 1s }
  - return: { attempts: "${{ steps.health.attempts }}", at: "${{ string(run.now) }}" }
`
	t.Run("it becomes true", func(t *testing.T) {
		t.Parallel()
		w := newWorld(t)
		w.command = func(in activities.CommandInput) (activities.CommandOutput, error) {
			if len(w.commands) == 2 {
				return answered(in, deviceops.CommandFailed, "busy", true)
			}
			return activities.CommandOutput{Output: map[string]any{"online": len(w.commands) == 5}}, nil
		}
		run := execute(t, w, source, nil)
		require.Equal(t, map[string]any{"attempts": int64(5), "at": "2026-05-01T12:00:46Z"}, map[string]any(run.Outputs))
		require.Equal(t, []string{"r1.steps.0.0 1", "r1.steps.0.1 1", "r1.steps.0.1 2", "r1.steps.0.2 1", "r1.steps.0.3 1"}, w.attempts())
	})
	t.Run("it never does", func(t *testing.T) {
		t.Parallel()
		w := newWorld(t)
		w.command = func(activities.CommandInput) (activities.CommandOutput, error) {
			return activities.CommandOutput{Output: map[string]any{"online": false}}, nil
		}
		run := execute(t, w, source, nil)
		require.Equal(t, deviceops.ETIMEOUT, run.Error.Code)
		require.Equal(t, "`output.online` did not become true in time", run.Error.Message)
		require.Len(t, w.commands, 20)
	})
}

// attempts gives the ids and attempts of the commands that were sent.
func (w *world) attempts() (all []string) {
	for _, c := range w.commands {
		all = append(all, c.ID+" "+string(rune('0'+c.Attempt)))
	}
	return all
}

func TestOfflineIsPassedOn(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	w.command = func(in activities.CommandInput) (activities.CommandOutput, error) {
		require.True(t, in.OnlineOnly)
		return activities.CommandOutput{}, activities.RunFailure(&deviceops.RunError{
			Code: "offline", Message: "k1 is not online", Retryable: true, Data: map[string]any{"status": activities.StatusOffline},
		})
	}
	run := execute(t, w, `workflow: w
device: k1
steps:
  - try:
      - command: health
        timeout: 1h
        offline: fail
        retry: { times: 2, delay: 1m }
        undo: [ { command: never } ]
    catch: [ { return: "${{ error.code }}" } ]
`, nil)
	require.Equal(t, "offline", run.Outputs["value"])
	require.Len(t, w.commands, 3)
	require.Empty(t, w.closed, "it was never sent")
}

func TestEmit(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	execute(t, w, `workflow: w
device: k1
steps:
  - foreach: { items: [7, 8], steps: [ { emit: store.closed, severity: warning, with: { n: "${{ item }}" } } ] }
`, nil)
	require.Equal(t, []activities.EmitInput{
		{ID: "r1.steps.0.1-0.steps.0.foreach.0.0", Account: "acme", Device: "k1", Type: "store.closed", Severity: "warning", Data: map[string]any{"n": int64(7)}, At: noon},
		{ID: "r1.steps.0.1-1.steps.0.foreach.0.0", Account: "acme", Device: "k1", Type: "store.closed", Severity: "warning", Data: map[string]any{"n": int64(8)}, At: noon},
	}, w.emitted)
}

func TestWaitForEvent(t *testing.T) {
	t.Parallel()
	const source = `workflow: w
device: k1
steps:
  - wait: 1m
  - id: pressed
    wait: { event: device.button, where: event.data.n > vars.least, timeout: 10m }
  - return: ${{ steps.pressed.output.data.n }}
`
	press := func(id int64, n int) deviceops.Event {
		return deviceops.Event{ID: id, Device: "k1", Type: "device.button", Data: map[string]any{"n": n}, At: noon}
	}
	t.Run("the first that matches", func(t *testing.T) {
		t.Parallel()
		w := newWorld(t)
		w.watch = func(in activities.WatchInput) (activities.WatchOutput, error) {
			if in.After == 0 {
				return activities.WatchOutput{Events: []deviceops.Event{press(4, 1), press(5, 2)}, After: 4, Seen: []int64{5}}, nil
			}
			return activities.WatchOutput{Events: []deviceops.Event{press(6, 3), press(7, 4)}}, nil
		}
		run := execute(t, w, strings.Replace(source, "vars.least", "2", 1), nil)
		require.Equal(t, map[string]any{"value": int64(3)}, map[string]any(run.Outputs))
		in := activities.WatchInput{Account: "acme", Device: "k1", Type: "device.button", Since: noon.Add(time.Minute)}
		next := in
		next.After, next.Seen = 4, []int64{5}
		require.Equal(t, []activities.WatchInput{in, next}, w.watched)
	})
	t.Run("none in time", func(t *testing.T) {
		t.Parallel()
		w := newWorld(t)
		run := execute(t, w, strings.Replace(source, "vars.least", "2", 1), nil)
		require.Equal(t, deviceops.ETIMEOUT, run.Error.Code)
		require.Equal(t, "pressed", run.Error.Step)
	})
}

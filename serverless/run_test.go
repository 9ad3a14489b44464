package serverless_test

import (
	"fmt"
	"net/http"
	"net/http/httptest"
	"sync/atomic"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/deviceops/deviceops"
	"github.com/deviceops/deviceops/dsl"
)

// document puts the head of a workflow before its body.
func document(body string) string {
	return "document: { dsl: '1.0.3', namespace: test, name: story, version: '0.1.0' }\n" + body
}

// TestWhatWorkflowsGive runs translated workflows whose output tells which way
// they went.
func TestWhatWorkflowsGive(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct{ body, input, want string }{
		"a task leads back to one before it": {
			"do:\n  - count: { set: { n: '${ .n + 1 }' } }\n  - enough: { switch: [ { no: { when: .n < 5, then: count } }, { yes: { then: exit } } ] }\n",
			`{}`, `{"n": 5}`,
		},
		"cases come together behind them": {
			"do:\n  - kind: { switch: [ { a: { when: '.k == \"a\"', then: one } }, { b: { then: two } } ] }\n" +
				"  - one: { set: { log: [one] }, then: last }\n  - two: { set: { log: [two] } }\n  - last: { set: { log: '${ .log + [\"last\"] }' } }\n",
			`{"k": "a"}`, `{"log": ["one", "last"]}`,
		},
		"end leaves from inside": {
			"do:\n  - outer:\n      do:\n        - stop: { if: .stop, set: { at: inside }, then: end }\n        - on: { set: { at: behind } }\n  - last: { set: { at: last } }\n",
			`{"stop": true}`, `{"at": "inside"}`,
		},
		"a task that is skipped leads to the next": {
			"do:\n  - outer:\n      do:\n        - stop: { if: .stop, set: { at: inside }, then: end }\n        - on: { set: { at: behind } }\n  - last: { set: { at: '${ .at + \" last\" }' } }\n",
			`{"stop": false}`, `{"at": "behind last"}`,
		},
		"exit leaves its block": {
			"do:\n  - outer:\n      do:\n        - a: { set: { at: [a] }, then: exit }\n        - b: { set: { at: [b] } }\n  - last: { set: { at: '${ .at + [\"last\"] }' } }\n",
			`{}`, `{"at": ["a", "last"]}`,
		},
		"loops inside loops have numbers of their own": {
			"do:\n  - rows:\n      for: { each: row, in: .rows, at: y }\n      do:\n        - cells:\n            for: { each: cell, in: $row, at: x }\n            do:\n" +
				"              - note: { set: { seen: '${ $context.none // (.seen + [[$y, $x, $cell]]) }', rows: '${ .rows }' } }\n",
			`{"rows": [["a"], ["b", "c"]]}`, `{"rows": [["a"], ["b", "c"]], "seen": [[0, 0, "a"], [1, 0, "b"], [1, 1, "c"]]}`,
		},
		"a loop ends when its condition fails": {
			"do:\n  - add:\n      for: { each: n, in: .list }\n      while: (.sum // 0) < 5\n      do:\n        - one: { set: { list: '${ .list }', sum: '${ (.sum // 0) + $n }', last: '${ $index }' } }\n",
			`{"list": [1, 2, 3, 4, 5]}`, `{"list": [1, 2, 3, 4, 5], "sum": 6, "last": 2}`,
		},
		"a loop ends the run": {
			"do:\n  - find:\n      for: { each: n, in: .list }\n      do:\n        - hit: { if: $n > 2, set: { found: '${ $n }' }, then: end }\n  - none: { set: { found: none } }\n",
			`{"list": [1, 2, 3, 4]}`, `{"found": 3}`,
		},
		"branches give a list": {
			"do:\n  - both:\n      fork:\n        branches:\n          - a: { set: { a: '${ .n }' } }\n          - b: { do: [ { c: { set: { b: '${ .n + 1 }' } } } ] }\n",
			`{"n": 1}`, `[{"a": 1}, {"b": 2}]`,
		},
		"tasks export a context": {
			"do:\n  - a: { set: { x: 1 }, export: { as: '$context + { a: .x, was: $input.n }' } }\n  - b: { set: { x: 2 }, export: { as: '$context + { b: .x }' } }\n  - c: { set: { all: '${ $context }' } }\n",
			`{"n": 7}`, `{"all": {"a": 1, "was": 7, "b": 2}}`,
		},
		"inputs and outputs are transformed": {
			"input: { from: .order }\ndo:\n  - a: { input: { from: .lines }, set: { first: '${ .[0] }' }, output: { as: '{ first, of: ($input | length) }' } }\n" +
				"  - outer: { do: [ { b: { set: { second: true } } } ], output: { as: '$input + .' } }\noutput: { as: { all: '${ . }', id: '${ $input.id }', name: '${ $workflow.definition.document.name }' } }\n",
			`{"order": {"id": 3, "lines": ["x", "y"]}}`, `{"all": {"first": "x", "of": 2, "second": true}, "id": 3, "name": "story"}`,
		},
		"texts stay as they are": {
			"do:\n  - a: { set: { a: '{{ x }}', b: 'secret:x', c: 'yes', d: '010', e: 1.50, f: '$ { }', g: \"two\\nlines\", h: '#', i: ~, 'a b': { 'x: y': [true, -3] } } }\n",
			`{}`, `{"a": "{{ x }}", "b": "secret:x", "c": "yes", "d": "010", "e": 1.5, "f": "$ { }", "g": "two\nlines", "h": "#", "i": null, "a b": {"x: y": [true, -3]}}`,
		},
		"what is raised is caught": {
			"use: { errors: { full: { type: 'https://example.com/errors/full', status: 507, title: Full, detail: '${ \"no room for \\(.n)\" }' } } }\n" +
				"do:\n  - risky:\n      try:\n        - lose: { set: { lost: true } }\n        - fail: { raise: { error: full }, input: { from: '{ n: 3 }' } }\n      catch:\n        errors: { with: { status: 507 } }\n        when: '.keep'\n        as: e\n        do:\n          - tell: { set: { kept: '${ .keep }', e: '${ $e }' } }\n",
			`{"keep": true}`, `{"kept": true, "e": {"type": "https://example.com/errors/full", "status": 507, "title": "Full", "detail": "no room for 3", "instance": "/do/0/risky/try/1/fail"}}`,
		},
		"an error without a handler is swallowed": {
			"do:\n  - risky:\n      try: [ { fail: { raise: { error: { type: 'https://example.com/e', status: 1 } } } } ]\n      catch: {}\n  - last: { set: { n: '${ .n + 1 }' } }\n",
			`{"n": 1}`, `{"n": 2}`,
		},
		"an expression that fails is an error": {
			"do:\n  - risky:\n      try: [ { half: { set: { x: '${ .text / 2 }' } } } ]\n      catch: { errors: { with: { type: 'https://serverlessworkflow.io/spec/1.0.0/errors/expression', status: 400 } }, do: [ { tell: { set: { status: '${ $error.status }', at: '${ $error.instance }' } } } ] }\n",
			`{"text": "a"}`, `{"status": 400, "at": "/do/0/risky/try/0/half"}`,
		},
		"what takes too long is an error": {
			"do:\n  - risky:\n      try: [ { slow: { wait: PT1H, timeout: { after: { seconds: 30 } } } } ]\n      catch: { errors: { with: { status: 408 } }, do: [ { tell: { set: { late: true } } } ] }\n",
			`{}`, `{"late": true}`,
		},
		"tasks know their names": {
			"do:\n  - greet: { set: { a: '${ $task.name + $task.reference }', b: '${ $task.input.n }', c: '${ $workflow.input.n }' } }\n",
			`{"n": 1}`, `{"a": "greet/do/0/greet", "b": 1, "c": 1}`,
		},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			s := newStage(t)
			w := s.translate(document(c.body))
			run := s.run(w, decode(t, c.input))
			require.Equal(t, deviceops.RunSucceeded, run.Status, "%v\n%s", run.Error, w.Source)
			require.Equal(t, decode(t, c.want), dsl.Canonical(run.Outputs["output"]), string(w.Source))
		})
	}
}

func decode(t *testing.T, text string) any {
	t.Helper()
	v, err := dsl.DecodeJSON([]byte(text))
	require.NoError(t, err, text)
	return v
}

// TestErrorsGoOnWhenNobodyCatchesThem fails runs with the error that was raised.
func TestErrorsGoOnWhenNobodyCatchesThem(t *testing.T) {
	t.Parallel()
	s := newStage(t)
	w := s.translate(document("do:\n  - risky:\n      try: [ { fail: { raise: { error: { type: 'https://example.com/errors/full', status: 507 } } } } ]\n      catch: { errors: { with: { status: 500 } }, exceptWhen: .n == 1 }\n"))
	run := s.run(w, decode(t, `{"n": 2}`))
	require.Equal(t, deviceops.RunFailed, run.Status)
	require.Equal(t, "full", run.Error.Code)
	require.EqualValues(t, 507, run.Error.Data["status"])
}

// TestRetries asks a server that fails twice, and one that always does.
func TestRetries(t *testing.T) {
	t.Parallel()
	for healthy, want := range map[int64]deviceops.RunStatus{3: deviceops.RunSucceeded, 99: deviceops.RunFailed} {
		var asked atomic.Int64
		s := newStage(t)
		s.server = httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			require.Equal(t, "/v1/a%20b%2Fc?n=1", r.URL.RequestURI())
			if asked.Add(1) < healthy {
				w.WriteHeader(http.StatusServiceUnavailable)
				return
			}
			w.Header().Set("Content-Type", "application/json")
			fmt.Fprint(w, `{"ok": true}`)
		}))
		t.Cleanup(s.server.Close)
		w := s.translate(document(`use:
  functions: { ask: { call: http, with: { method: get, endpoint: 'https://example.com/v1/{id}?n={n}' } } }
  retries: { patient: { delay: { seconds: 1 }, backoff: { exponential: {} }, limit: { attempt: { count: 3 } }, when: '$error.status == 503' } }
do:
  - risky:
      try: [ { ask: { call: ask, with: { id: '${ .name }', n: 1 } } } ]
      catch: { errors: { with: { type: 'https://serverlessworkflow.io/spec/1.0.0/errors/communication' } }, retry: patient }
`))
		run := s.run(w, decode(t, `{"name": "a b/c"}`))
		require.Equal(t, want, run.Status, "%v\n%s", run.Error, w.Source)
		if want == deviceops.RunSucceeded {
			require.Equal(t, map[string]any{"ok": true}, dsl.Canonical(run.Outputs["output"]))
		}
		require.EqualValues(t, min(healthy, 4), asked.Load())
	}
}

// TestEvents emits and hears events.
func TestEvents(t *testing.T) {
	t.Parallel()
	s := newStage(t)
	s.events = []deviceops.Event{
		{ID: 1, Type: "vitals.temperature", Data: map[string]any{"value": 37}},
		{ID: 2, Type: "vitals.temperature", Data: map[string]any{"value": 39}},
		{ID: 3, Type: "vitals.pulse", Data: map[string]any{"value": 70}},
	}
	w := s.translate(document(`do:
  - hot: { listen: { to: { one: { with: { type: vitals.temperature, data: '${ .value > 38 }' } } } } }
  - all: { listen: { to: { all: [ { with: { type: vitals.pulse } }, { with: { type: vitals.temperature } } ] } }, export: { as: '{ hot: $input, all: . }' } }
  - any: { listen: { to: { any: [ { with: { type: vitals.pulse } }, { with: { type: vitals.none } } ] }, read: envelope } }
  - note: { set: { hot: '${ $context.hot[0].value }', all: '${ $context.all | map(.value) }', any: '${ .[0].type }', items: [1, 2] } }
  - tell:
      for: { in: .items }
      do: [ { one: { emit: { event: { with: { source: 'https://example.com', type: told, data: { n: '${ $item }' } } } }, output: { as: $input } } } ]
`))
	run := s.run(w, nil)
	require.Equal(t, deviceops.RunSucceeded, run.Status, "%v\n%s", run.Error, w.Source)
	require.Equal(t, decode(t, `{"hot": 39, "all": [70, 37], "any": "vitals.pulse", "items": [1, 2]}`), dsl.Canonical(run.Outputs["output"]))
	require.Len(t, s.emitted, 2)
	require.EqualValues(t, 2, s.emitted[1].Data["n"])
	require.NotEqual(t, s.emitted[0].ID, s.emitted[1].ID)
}

// TestSubflow runs a translated workflow from another one.
func TestSubflow(t *testing.T) {
	t.Parallel()
	s := newStage(t)
	inner := "document: { dsl: '1.0.0', namespace: test, name: inner, version: '1.0.0' }\ndo: [ { double: { set: '${ .n * 2 }' } } ]\n"
	s.translate(inner)
	w := s.translate(document("do: [ { sub: { run: { workflow: { namespace: test, name: inner, version: latest, input: { n: '${ .n + 1 }' } } } } } ]\n"))
	run := s.run(w, decode(t, `{"n": 3}`))
	require.Equal(t, deviceops.RunSucceeded, run.Status, "%v", run.Error)
	require.EqualValues(t, 8, run.Outputs["output"])
}

// TestScheduleAndCredentials shows what is beside the tasks.
func TestScheduleAndCredentials(t *testing.T) {
	t.Parallel()
	w := newStage(t).translate(document(`schedule: { cron: '0 3 * * *' }
timeout: { after: PT1H30M }
input: { schema: { document: { type: object } } }
use:
  secrets: [shop]
  authentications: { shop: { basic: { username: maria, password: '${ $secrets.shop.password }' } } }
do:
  - ask: { call: http, with: { method: post, endpoint: { uri: 'https://example.com/', authentication: { use: shop } }, headers: { X-A: b }, query: { q: 1 }, body: '${ . }' } }
`))
	for _, part := range []string{
		"password: \"secret:shop#password\"", "timeout: \"1h30m\"", "# note: the schema of the input is not checked beyond its type",
		"---\nautomation: story\ntrigger:\n  schedule:\n    cron: \"0 3 * * *\"\nconcurrency: parallel\nrun: \"story@latest\"\n",
		"json: ${{ vars.data }}",
	} {
		require.Contains(t, string(w.Source), part)
	}
	w = newStage(t).translate(document("input: { schema: { document: { type: array } } }\ndo: [ { a: { set: '${ . | length }' } } ]\n"))
	require.Contains(t, string(w.Source), "input: list")
}

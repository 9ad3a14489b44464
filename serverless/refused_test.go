package serverless_test

import (
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/deviceops/deviceops/activities"
	"github.com/deviceops/deviceops/serverless"
)

// TestWhatIsRefused names what has no counterpart, where it stands.
func TestWhatIsRefused(t *testing.T) {
	t.Parallel()
	task := func(body string) string { return document("do:\n  - it: " + body + "\n") }
	for name, c := range map[string]struct{ source, want string }{
		"an older specification":  {"id: x\nspecVersion: '0.8'\nstates: []\n", `1:1: error: this is no workflow of the DSL 1.0: it has no document`},
		"another language":        {document("evaluate: { language: js }\ndo: [ { a: { set: { x: 1 } } } ]\n"), `2:23: error: expressions in js are not translated`},
		"extensions":              {document("use: { extensions: [] }\ndo: [ { a: { set: { x: 1 } } } ]\n"), `2:8: error: extensions of a workflow is not translated`},
		"an unknown target":       {task("{ set: { x: 1 }, then: elsewhere }"), `3:32: error: there is no task "elsewhere" beside this one`},
		"two kinds":               {task("{ set: { x: 1 }, wait: PT1S }"), `3:5: error: the task it has to be of one kind, and it is of 2`},
		"an unknown key":          {task("{ set: { x: 1 }, sleep: 1 }"), `error: a set task has no key "sleep" in DSL 1.0`},
		"a container":             {task("{ run: { container: { image: x } } }"), `error: container of run is not translated`},
		"not waiting":             {task("{ run: { await: false, workflow: { name: x, version: '1' } } }"), `error: running a workflow without waiting for it is not translated`},
		"all events":              {task("{ listen: { to: { any: [] } } }"), `error: listening to all events there are is not translated`},
		"a correlation":           {task("{ listen: { to: { one: { with: { type: a }, correlate: {} } } } }"), `error: correlate of a filter is not translated`},
		"a computed type":         {task("{ emit: { event: { with: { source: x, type: '${ .t }' } } } }"), `error: this type of events is not translated`},
		"a calendar duration":     {task("{ wait: P1M }"), `3:17: error: a wait must be a duration`},
		"ending from a fork":      {task("{ fork: { branches: [ { a: { do: [ { b: { set: { x: 1 }, then: end } }, { c: { set: { x: 1 } } } ] } } ] } }"), `error: ending the run from inside a fork is not translated`},
		"credentials as text":     {task("{ call: http, with: { method: get, endpoint: { uri: 'https://x.example', authentication: { bearer: { token: abc } } } } }"), `error: credentials have to be a secret`},
		"a catalog":               {task("{ call: 'log:1.0.0@global' }"), `error: functions of catalogs are not translated`},
		"text with an expression": {task("{ set: { x: 'Hello ${ .name }!' } }"), `3:28: error: an expression has to be the whole text`},
		"a function of jq":        {task("{ set: { x: '${ [.a[] | test(\"b\")] }' } }"), `3:33: error: the function test/1 is not translated`},
		"several values":          {task("{ set: { x: '${ .a[] }' } }"), `3:25: error: this gives any number of values, and one is needed`},
		"assignment":              {task("{ set: '${ .a |= 1 }' }"), `error: the operator |=, which changes parts of a value, is not translated`},
		"names in a list":         {task("{ set: '${ [1].a }' }"), `error: a list has no names in it`},
		"syntax":                  {task("{ set: '${ .a + }' }"), `error: the expression ends too early`},
		"secrets":                 {task("{ set: '${ $secrets.a }' }"), `error: $secrets is not translated: secrets are out of reach of expressions`},
		"no tasks":                {document("do: []\n"), `2:5: error: there is no task`},
		"a definition":            {task("{ set: '${ $workflow.definition.do }' }"), `error: $workflow.definition is not translated`},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			w, found := serverless.Import("workflow.yaml", c.source, activities.Actions())
			require.Empty(t, w.Source)
			require.ErrorContains(t, found.Err(), c.want)
			for _, d := range found {
				require.NotEqual(t, "untranslatable", d.Code, d.Message)
			}
		})
	}
}

// TestWhatOnlyTheCheckerSees is refused as a whole.
func TestWhatOnlyTheCheckerSees(t *testing.T) {
	t.Parallel()
	body, end := "", ""
	for range 6 { // each becomes a while inside a switch
		body, end = body+"{ if: .go, for: { in: .l }, while: .on, do: [ { a: ", end+" } ] }"
	}
	_, found := serverless.Import("workflow.yaml", document("do: [ { a: "+body+"{ set: { x: 1 } }"+end+" } ]\n"), activities.Actions())
	require.ErrorContains(t, found.Err(), "the translation is not a workflow that can run: ")
}

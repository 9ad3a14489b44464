package dsl

import (
	"encoding/json"
	"os"
	"path/filepath"
	"testing"
	"time"
	"unicode/utf8"

	"github.com/stretchr/testify/require"
)

// FuzzCheckFile: whatever the text, checking ends soon, without a panic, with
// diagnostics that lie inside the file; and what compiles, compiles again from
// its own source.
func FuzzCheckFile(f *testing.F) {
	for _, pattern := range []string{"testdata/broken/*.yaml", "../examples/*.yaml"} {
		paths, err := filepath.Glob(pattern)
		require.NoError(f, err)
		for _, path := range paths {
			text, err := os.ReadFile(path)
			require.NoError(f, err)
			f.Add(string(text))
		}
	}
	f.Add(workflowSource)
	f.Fuzz(func(t *testing.T, text string) {
		if len(text) > 16<<10 {
			return
		}
		start := time.Now()
		docs, found := CheckFile("f.yaml", text, checked)
		require.Less(t, time.Since(start), 5*time.Second)
		for _, d := range found {
			require.GreaterOrEqual(t, d.Line, 1)
			require.GreaterOrEqual(t, d.Column, 1)
			require.Greater(t, d.EndColumn, d.Column)
			require.LessOrEqual(t, d.Column, utf8.RuneCountInString(d.Snippet)+1)
			require.NotEmpty(t, d.Message)
			_ = d.String()
		}
		for _, d := range docs {
			if d.Program != nil {
				again, found := Compile(d.Source)
				require.NoError(t, found.Err())
				require.Equal(t, d.Program.Hash, again.Hash)
			}
			if d.Rollout != nil {
				again, found := CompileRollout("f.yaml", d.Source, Options{})
				require.NoError(t, found.Err())
				require.Equal(t, d.Rollout.Name, again.Name)
				require.NotEmpty(t, again.Rings)
			}
		}
	})
}

// FuzzExpression: whatever the expression, compiling and evaluating it ends
// soon, without a panic, with the same result each time, in canonical form.
func FuzzExpression(f *testing.F) {
	for _, source := range []string{
		`inputs.n + 1`, `keys(inputs.map)`, `any(inputs.list, # > 1)`, `steps.done?.output.n ?? 3`, `run.now.Add(duration("1h"))`,
		`reduce(1..40, [#acc, #acc], 1)`, `let a = [1, 2]; map(a, # * 2)`, `toJSON({a: inputs.x, b: [nil, true]})`, `inputs.s matches "k.*"`,
		`sort(values(inputs.map), "desc")`, `1..10 | filter(# % 2 == 0) | sum()`, `device.metrics.x in [1, 2.5]`, `if inputs.b { 1 } else { 2 }`,
	} {
		f.Add(source)
	}
	env := testEnv()
	f.Fuzz(func(t *testing.T, source string) {
		start := time.Now()
		e, problems := compileExpression(source, testScope(), wantAny)
		for _, p := range problems {
			require.NotEmpty(t, p.message)
		}
		if e == nil {
			require.NotEmpty(t, problems)
			return
		}
		first, firstErr := e.Eval(env)
		again, againErr := e.Eval(env)
		require.Less(t, time.Since(start), 5*time.Second)
		require.Equal(t, first, again)
		require.Equal(t, firstErr == nil, againErr == nil)
		if firstErr != nil {
			require.Equal(t, firstErr.Error(), againErr.Error())
			return
		}
		data, err := json.Marshal(first)
		require.NoError(t, err)
		back, err := DecodeJSON(data)
		require.NoError(t, err)
		if utf8.Valid(data) && utf8.ValidString(source) {
			require.Equal(t, Format(first), Format(back))
		}
	})
}

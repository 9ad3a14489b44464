package dsl

import (
	"bufio"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/expr-lang/expr/types"
	"github.com/stretchr/testify/require"
)

// corpora are files of expressions in the module of expr: those that it generated
// for its own tests, and those that fuzzing it starts from. Of every so many lines
// one is taken; the floors are a little below what was measured.
var corpora = []struct {
	path                string
	every               int
	admitted, evaluated int
}{
	{"testdata/generated.txt", 5, 3900, 3800},
	{"test/fuzz/fuzz_corpus.txt", 1, 13_500, 13_000},
}

// TestExprCorpus holds that what is admitted gives the same JSON each time, never
// panics, and ends in time (the bound leaves room for a busy machine).
func TestExprCorpus(t *testing.T) {
	t.Parallel()
	for _, c := range corpora {
		t.Run(filepath.Base(c.path), func(t *testing.T) {
			t.Parallel()
			sources, sc := corpus(t, c.path, c.every), corpusScope()
			admitted, evaluated, longest := 0, 0, time.Duration(0)
			for _, source := range sources {
				e, problems := compileExpression(source, sc, wantAny)
				if e == nil {
					require.NotEmpty(t, problems, source)
					continue
				}
				admitted++
				began := time.Now()
				if givesTheSame(t, e) {
					evaluated++
				}
				longest = max(longest, time.Since(began))
			}
			t.Logf("of %d expressions %d are admitted, %d give a value; three evaluations took %s at most", len(sources), admitted, evaluated, longest)
			require.Greater(t, admitted, c.admitted)
			require.Greater(t, evaluated, c.evaluated)
			require.Less(t, longest, 5*time.Second)
		})
	}
}

// corpusScope has the names that the expressions of the corpora use, as far as
// the language has such values.
func corpusScope() *scope {
	return newScope(types.Map{
		"ok": types.Bool, "i": types.Int64, "i64": types.Int64, "i32": types.Int64, "str": types.String, "f64": types.Float64, "f32": types.Float64,
		"array": types.Array(types.Int64), "foo": types.Map{"Bar": types.String}, "list": types.Array(types.Map{"Bar": types.String}),
	})
}

func corpusVariables() map[string]any {
	foo := map[string]any{"Bar": "foo"}
	return map[string]any{
		"ok": true, "i": int64(1), "i64": int64(1), "i32": int64(1), "str": "str", "f64": .5, "f32": .5,
		"array": []any{int64(1), int64(2), int64(3), int64(4), int64(5)}, "foo": foo, "list": []any{foo, map[string]any{"Bar": "baz"}},
	}
}

// givesTheSame evaluates three times and reports whether there is a value.
func givesTheSame(t *testing.T, e *Expression) bool {
	t.Helper()
	first, failed := e.run(corpusVariables())
	for range 2 {
		again, err := e.run(corpusVariables())
		require.Equal(t, failed == nil, err == nil, e.Source)
		if failed != nil {
			require.Equal(t, failed.Error(), err.Error(), e.Source)
			continue
		}
		require.Equal(t, formatJSON(first), formatJSON(again), e.Source)
	}
	return failed == nil
}

// corpus gives every so many lines of a file of expr's module.
func corpus(t *testing.T, path string, every int) []string {
	t.Helper()
	dir, err := exec.Command("go", "list", "-m", "-f", "{{.Dir}}", "github.com/expr-lang/expr").Output()
	require.NoError(t, err)
	file, err := os.Open(filepath.Join(strings.TrimSpace(string(dir)), path))
	require.NoError(t, err)
	defer func() { require.NoError(t, file.Close()) }()
	var sources []string
	lines := bufio.NewScanner(file)
	lines.Buffer(nil, 1<<20)
	for i := 0; lines.Scan(); i++ {
		if i%every == 0 {
			sources = append(sources, lines.Text())
		}
	}
	require.NoError(t, lines.Err())
	return sources
}

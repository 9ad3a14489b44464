package dsl

import (
	"bufio"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"github.com/expr-lang/expr/types"
	"github.com/stretchr/testify/require"
)

// TestExprCorpus runs the expressions that expr generated for its own tests
// (they are in its module): what is admitted gives the same each time, and never
// panics.
func TestExprCorpus(t *testing.T) {
	t.Parallel()
	sc := newScope(types.Map{
		"ok": types.Bool, "i": types.Int64, "str": types.String, "f64": types.Float64, "array": types.Array(types.Int64),
		"foo": types.Map{"Bar": types.String}, "list": types.Array(types.Map{"Bar": types.String}),
	})
	variables := func() map[string]any {
		foo := map[string]any{"Bar": "foo"}
		return map[string]any{
			"ok": true, "i": int64(1), "str": "str", "f64": .5, "array": []any{int64(1), int64(2), int64(3)},
			"foo": foo, "list": []any{foo, map[string]any{"Bar": "baz"}},
		}
	}
	admitted, evaluated := 0, 0
	for _, source := range corpus(t) {
		e, problems := compileExpression(source, sc, wantAny)
		if e == nil {
			require.NotEmpty(t, problems, source)
			continue
		}
		admitted++
		first, firstErr := e.run(variables())
		for range 2 {
			again, err := e.run(variables())
			require.Equal(t, firstErr == nil, err == nil, source)
			if firstErr != nil {
				require.Equal(t, firstErr.Error(), err.Error(), source)
				continue
			}
			require.Equal(t, first, again, source)
		}
		if firstErr == nil {
			evaluated++
		}
	}
	t.Logf("%d expressions admitted, %d gave a value", admitted, evaluated)
	require.Greater(t, evaluated, 1000)
}

// corpus gives every fifth expression of expr's generated ones.
func corpus(t *testing.T) []string {
	t.Helper()
	dir, err := exec.Command("go", "list", "-m", "-f", "{{.Dir}}", "github.com/expr-lang/expr").Output()
	require.NoError(t, err)
	file, err := os.Open(filepath.Join(strings.TrimSpace(string(dir)), "testdata", "generated.txt"))
	require.NoError(t, err)
	defer func() { require.NoError(t, file.Close()) }()
	var sources []string
	lines := bufio.NewScanner(file)
	lines.Buffer(nil, 1<<20)
	for i := 0; lines.Scan(); i++ {
		if i%5 == 0 {
			sources = append(sources, lines.Text())
		}
	}
	require.NoError(t, lines.Err())
	return sources
}

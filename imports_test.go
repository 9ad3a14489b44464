package deviceops_test

import (
	"encoding/json"
	"errors"
	"io"
	"os/exec"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
)

const module = "github.com/deviceops/deviceops"

// layers is the table of docs/architecture.md. A package may import packages of
// lower layers only; what breaks that is listed in exceptions, with the reason.
var layers = map[string]int{
	"cmd":        5,
	"dev":        4,
	"cli":        4,
	"bench":      4,
	"serve":      4,
	"deploy":     4, // files and their tests, no code
	"worker":     3,
	"starter":    3,
	"ingest":     3,
	"gateway":    3,
	"forward":    3,
	"postgres":   3,
	"vault":      3,
	"channel":    3,
	"artifact":   3,
	"api":        3,
	"client":     3,
	"simulator":  3,
	"cluster":    3,
	"rehearsal":  3,
	"serverless": 3,
	"workflows":  2,
	"activities": 1,
	"codec":      1,
	"dsl":        1,
	"outbound":   1,
	"protocol":   1,
	"examples":   1,
	"":           0,
}

// exceptions are the arrows within a layer, or the packages that only tests
// use. Each has its reason.
var exceptions = map[string]string{
	"activities → outbound":   "every request leaves through one guard",
	"dev → serve":             "dev runs the production roles beside the embedded parts",
	"bench → dev":             "bench brings up a dev stack of its own",
	"bench → serve":           "bench measures the production roles",
	"postgrestest → postgres": "the test database is of that store",
	"postgrestest → cluster":  "the test database lives in that cluster",
}

// foreign are the packages outside this module that the inner layers may use.
// A layer that is not named may use what DESIGN and go.mod allow.
var foreign = map[string][]string{
	"": {},
	"workflows": {
		"go.temporal.io/sdk/workflow", "go.temporal.io/sdk/temporal", "go.temporal.io/sdk/converter", "go.temporal.io/api/enums/v1",
	},
	"activities": {"go.temporal.io/sdk/activity", "go.temporal.io/sdk/temporal"},
	"codec":      {"go.temporal.io/sdk/converter", "go.temporal.io/api/common/v1", "github.com/klauspost/compress/zstd"},
}

type goPackage struct {
	ImportPath string
	Imports    []string
	Standard   bool
}

func TestImportsPointDown(t *testing.T) {
	for _, tags := range []string{"", "lean"} {
		t.Run("tags="+tags, func(t *testing.T) {
			t.Parallel()
			for _, p := range list(t, tags) {
				checkPackage(t, p)
			}
		})
	}
}

func TestLeanLeavesTheEmbeddedServerOut(t *testing.T) {
	t.Parallel()
	cmd := exec.Command("go", "list", "-tags", "lean", "-deps", "./cmd/...")
	out, err := cmd.CombinedOutput()
	require.NoError(t, err, string(out))
	for _, heavy := range []string{"go.temporal.io/server/", "mochi-mqtt/server", "embedded-postgres", "/vaulttest"} {
		require.NotContains(t, string(out), heavy, "the container image must not carry the embedded parts")
	}
}

func checkPackage(t *testing.T, p goPackage) {
	from := place(p.ImportPath)
	fromLayer, known := layers[from]
	if from == "postgrestest" {
		fromLayer, known = 4, true
	}
	require.True(t, known, "package %s is not in the table of layers", p.ImportPath)
	for _, imported := range p.Imports {
		if !strings.HasPrefix(imported, module) {
			checkForeign(t, from, imported)
			continue
		}
		to := place(imported)
		if to == from || exceptions[from+" → "+to] != "" {
			continue
		}
		require.Less(t, layers[to], fromLayer, "%s imports %s: arrows point down, siblings never import each other", p.ImportPath, imported)
	}
}

func checkForeign(t *testing.T, from, imported string) {
	allowed, limited := foreign[from]
	first, _, _ := strings.Cut(imported, "/")
	if !limited || !strings.Contains(first, ".") {
		return
	}
	require.Contains(t, allowed, imported, "package %q may not import %s", from, imported)
}

// place gives the key of the table for an import path: the folder below the
// module, "" for the root, or "postgrestest" for the store's test databases.
func place(path string) string {
	if strings.HasSuffix(path, "/postgrestest") {
		return "postgrestest"
	}
	rest := strings.TrimPrefix(strings.TrimPrefix(path, module), "/")
	first, _, _ := strings.Cut(rest, "/")
	return first
}

func list(t *testing.T, tags string) []goPackage {
	out, err := exec.Command("go", "list", "-tags", tags, "-json=ImportPath,Imports,Standard", "./...").Output()
	require.NoError(t, err)
	var packages []goPackage
	for dec := json.NewDecoder(strings.NewReader(string(out))); ; {
		var p goPackage
		if err := dec.Decode(&p); errors.Is(err, io.EOF) {
			return packages
		} else {
			require.NoError(t, err)
		}
		packages = append(packages, p)
	}
}

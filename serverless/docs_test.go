package serverless

import (
	"flag"
	"fmt"
	"os"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
)

var update = flag.Bool("update", false, "write the files that tests compare with")

// TestImportPage compares the tables of docs/import.md with those by which
// workflows are translated.
func TestImportPage(t *testing.T) {
	const path = "../docs/import.md"
	page, err := os.ReadFile(path)
	require.NoError(t, err)
	want := string(page)
	for name, table := range map[string]string{"tasks": tableOfTasks(), "operators": tableOfOperators(), "functions": tableOfFunctions()} {
		block := regexp.MustCompile(`(?s)(<!-- ` + name + `: [^\n]*-->\n).*?(<!-- /` + name + ` -->)`)
		require.Regexp(t, block, want)
		want = block.ReplaceAllStringFunc(want, func(old string) string {
			m := block.FindStringSubmatch(old)
			return m[1] + table + m[2]
		})
	}
	if *update {
		require.NoError(t, os.WriteFile(path, []byte(want), 0o644))
	}
	page, err = os.ReadFile(path)
	require.NoError(t, err)
	require.Equal(t, want, string(page), "run: go test ./serverless -run TestImportPage -update")
}

func tableOfTasks() string {
	names := keys(taskKinds)
	slices.Sort(names)
	var b strings.Builder
	b.WriteString("| task | becomes | not translated, or different |\n|---|---|---|\n")
	for _, name := range names {
		fmt.Fprintf(&b, "| `%s` | %s | %s |\n", name, taskKinds[name].becomes, taskKinds[name].remark)
	}
	return b.String()
}

func tableOfOperators() string {
	var b strings.Builder
	b.WriteString("| operator | becomes | different |\n|---|---|---|\n")
	for _, o := range binaries {
		fmt.Fprintf(&b, "| `%s` | %s | %s |\n", strings.ReplaceAll(strings.Join(o.ops, "` `"), "|", `\|`), o.gives, o.remark)
	}
	return b.String()
}

func tableOfFunctions() string {
	var b strings.Builder
	b.WriteString("| function | becomes | different |\n|---|---|---|\n")
	names := keys(functions)
	slices.Sort(names)
	for _, name := range names {
		f := functions[name]
		shown, _, _ := strings.Cut(name, "/")
		if f.args > 0 {
			shown += "(" + strings.Join([]string{"a", "b"}[:f.args], "; ") + ")"
		}
		fmt.Fprintf(&b, "| `%s` | %s | %s |\n", shown, f.gives, f.remark)
	}
	formatNames := keys(formats)
	slices.Sort(formatNames)
	for _, name := range formatNames {
		fmt.Fprintf(&b, "| `%s` | %s | |\n", name, formats[name].gives)
	}
	return b.String()
}

// TestTablesAreComplete holds that each function of the table has as many
// arguments as its name says, and an example that the tests compare with jq.
func TestTablesAreComplete(t *testing.T) {
	t.Parallel()
	for name, f := range functions {
		require.Equal(t, fmt.Sprint(f.args), name[strings.Index(name, "/")+1:], name)
		e, tr := translateForTest(f.example)
		require.Empty(t, tr.problems, name)
		got, err := evaluate(t, e.src, inputs(t))
		require.NoError(t, err, name)
		want, ok := oracle(t, f.example, inputs(t))
		require.True(t, ok, name)
		require.Equal(t, want, got, "%s: %s", name, e.src)
	}
}

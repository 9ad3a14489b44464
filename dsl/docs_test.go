package dsl

import (
	"os"
	"regexp"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
)

var yamlBlock = regexp.MustCompile("(?s)```yaml\n(.*?)```")

// TestLanguagePage checks the documents that docs/language.md shows, and that
// its tables are those of the parser. The workflows among them are executed by a
// test of package workflows. It may write the page, so it runs by itself.
func TestLanguagePage(t *testing.T) {
	const path = "../docs/language.md"
	written, err := os.ReadFile(path)
	require.NoError(t, err)
	page := between(t, string(written), "verbs", verbTable())
	page = between(t, page, "modifiers", modifierTable())
	if *update {
		require.NoError(t, os.WriteFile(path, []byte(page), 0o644))
	} else {
		require.Equal(t, page, string(written), "run: go test ./dsl -run TestLanguagePage -update")
	}
	var documents []string
	for _, m := range yamlBlock.FindAllStringSubmatch(page, -1) {
		if !strings.HasPrefix(m[1], "#") {
			documents = append(documents, strings.ReplaceAll(m[1], "sha256: 9f86d0...", ""))
		}
	}
	require.Empty(t, schemaErrors(t, compiledSchema(t), strings.Join(documents, "---\n")))
	docs, found := CheckFile("language.md", strings.Join(documents, "---\n"), checked)
	require.NoError(t, found.Err())
	require.Empty(t, found)
	require.Greater(t, len(docs), 5)
}

// between replaces what stands between <!-- name --> and <!-- /name -->.
func between(t *testing.T, page, name, content string) string {
	t.Helper()
	head, rest, ok := strings.Cut(page, "<!-- "+name+" -->\n")
	require.True(t, ok, name)
	_, tail, ok := strings.Cut(rest, "<!-- /"+name+" -->")
	require.True(t, ok, name)
	return head + "<!-- " + name + " -->\n" + content + "<!-- /" + name + " -->" + tail
}

func verbTable() string {
	var b strings.Builder
	b.WriteString("| verb | does | output | modifiers besides `id`, `if` and `device` |\n|---|---|---|---|\n")
	for _, name := range sortedKeys(verbs) {
		v := verbs[name]
		b.WriteString("| `" + strings.Join(append([]string{name}, fieldNames(v.fields)...), ":`, `") + ":` | " + v.summary + " | " + v.gives + " | ")
		for i, m := range v.modifiers {
			if i > 0 {
				b.WriteString(", ")
			}
			b.WriteString("`" + m + "`")
		}
		b.WriteString(" |\n")
	}
	return b.String()
}

func modifierTable() string {
	var b strings.Builder
	b.WriteString("| modifier | says |\n|---|---|\n")
	for _, m := range modifierKeys {
		b.WriteString("| `" + m.name + ":` | " + modifierSays[m.name] + " |\n")
	}
	return b.String()
}

// modifierSays is what the page says of the modifiers whose schema is a
// reference, which has no words of its own there.
var modifierSays = func() map[string]string {
	says := map[string]string{
		"retry": "`{ times, delay, if }`: " + retrySchema()["description"].(string),
		"undo":  "steps that take this step back, when what is around it fails or is canceled",
	}
	for _, m := range modifierKeys {
		if text, ok := m.schema["description"].(string); ok {
			says[m.name] = text
		}
	}
	return says
}()

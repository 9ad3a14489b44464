package dsl

import (
	"os"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
)

const automationsPage = "../docs/automations.md"

// TestAutomationsPageHasAllKeys holds that docs/automations.md has all keys that
// the reader knows.
func TestAutomationsPageHasAllKeys(t *testing.T) {
	written, err := os.ReadFile(automationsPage)
	require.NoError(t, err)
	page := between(t, string(written), "automation", keyTable("", automationKeys[1:]))
	page = between(t, page, "trigger", keyTable("", triggerKeys))
	if *update {
		require.NoError(t, os.WriteFile(automationsPage, []byte(page), 0o644))
	} else {
		require.Equal(t, page, string(written), "run: go test ./dsl -run TestAutomationsPageHasAllKeys -update")
	}
}

// TestAutomationsPage checks the documents that docs/automations.md shows.
func TestAutomationsPage(t *testing.T) {
	t.Parallel()
	page, err := os.ReadFile(automationsPage)
	require.NoError(t, err)
	var documents []string
	for _, m := range yamlBlock.FindAllStringSubmatch(string(page), -1) {
		if strings.HasPrefix(m[1], "automation:") {
			documents = append(documents, m[1])
		}
	}
	text := strings.Join(documents, "---\n")
	require.Empty(t, schemaErrors(t, compiledSchema(t), text))
	docs, found := CheckFile("automations.md", text, checked)
	require.Empty(t, found)
	require.GreaterOrEqual(t, len(docs), 4)
}

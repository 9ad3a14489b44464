package dsl

import (
	"os"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
)

// TestAutomationsPage checks the documents that docs/automations.md shows.
func TestAutomationsPage(t *testing.T) {
	t.Parallel()
	page, err := os.ReadFile("../docs/automations.md")
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

package dsl

import (
	"os"
	"regexp"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
)

var yamlBlock = regexp.MustCompile("(?s)```yaml\n(.*?)```")

// TestLanguagePage checks the documents that docs/language.md shows.
func TestLanguagePage(t *testing.T) {
	t.Parallel()
	page, err := os.ReadFile("../docs/language.md")
	require.NoError(t, err)
	var documents []string
	for _, m := range yamlBlock.FindAllStringSubmatch(string(page), -1) {
		if !strings.HasPrefix(m[1], "#") {
			documents = append(documents, strings.ReplaceAll(m[1], "sha256: 9f86d0...", ""))
		}
	}
	require.Len(t, documents, 2)
	require.Empty(t, schemaErrors(t, compiledSchema(t), strings.Join(documents, "---\n")))
	docs, found := CheckFile("language.md", strings.Join(documents, "---\n"), checked)
	require.NoError(t, found.Err())
	require.NotNil(t, docs[0].Profile)
	require.NotNil(t, docs[1].Program)
	for _, verb := range sortedKeys(verbs) {
		require.Contains(t, string(page), "| `"+verb+":", "the verb %s is not on the page", verb)
	}
}

package dsl

import (
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
)

// TestForeign reads documents of another language and points into them.
func TestForeign(t *testing.T) {
	t.Parallel()
	f, found := ReadForeign("a.yaml", "# comment\n---\ndo:\n  - set: \"\\u00e4 ${ .a }\"\n")
	require.Empty(t, found)
	list := f.Root().Content[1]
	set := list.Content[0].Content[1]
	require.Equal(t, "ä ${ .a }", set.Value)
	f.ReportPart(set, 5, 7, "some-code", "do better", "this is %s", "wrong")
	f.Report(set, "other-code", "", "something else")
	f.Report(set, "other-code", "", "which follows from it")
	require.Len(t, f.Found(), 2)
	f.Warn(list.Content[0].Content[0], "approximated", "", "nearly the same")
	var b strings.Builder
	require.NoError(t, WriteText(&b, f.Found()))
	require.Equal(t, `a.yaml:4:5: warning: nearly the same [approximated]
  4 |   - set: "\u00e4 ${ .a }"
    |     ^^^

a.yaml:4:10: error: something else [other-code]
  4 |   - set: "\u00e4 ${ .a }"
    |          ^^^^^^^^^^^^^^^^

a.yaml:4:21: error: this is wrong [some-code]
  4 |   - set: "\u00e4 ${ .a }"
    |                     ^^
fix: do better
`, b.String())
}

func TestForeignJSON(t *testing.T) {
	t.Parallel()
	f, found := ReadForeign("a.json", "{\n\t\"do\": [\n\t\t{\"a\": {\"set\": \"x\"}}\n\t]\n}\n")
	require.Empty(t, found)
	require.Equal(t, "do", f.Root().Content[0].Value)
}

func TestForeignThatCannotBeRead(t *testing.T) {
	t.Parallel()
	for text, want := range map[string]string{
		"":                      "this file holds no document",
		"a: 1\n---\nb: 2\n":     "this file holds 2 documents",
		"a: &x 1\n":             "anchors (&x) are not allowed",
		"a: 1\na: 2\n":          `the key "a" is given twice`,
		"? [a]\n: 1\n":          "a key must be a name",
		"a: [1\n":               "this bracket is not closed",
		strings.Repeat("[", 50): "",
		"a: " + strings.Repeat("[", 45) + strings.Repeat("]", 45): "nested more than",
	} {
		f, found := ReadForeign("a.yaml", text)
		require.Nil(t, f, text)
		require.ErrorContains(t, found.Err(), want, text)
	}
}

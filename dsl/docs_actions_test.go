package dsl

import (
	"fmt"
	"os"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/deviceops/deviceops"
)

// Marks between which docs/language.md has the actions.
const (
	actionsBegin = "<!-- actions: go test ./dsl -run TestLanguagePageShowsActions -update -->\n"
	actionsEnd   = "<!-- end of actions -->\n"
)

// TestLanguagePageShowsActions holds that the page says of actions what the
// checker knows of them.
func TestLanguagePageShowsActions(t *testing.T) {
	t.Parallel()
	const path = "../docs/language.md"
	page, err := os.ReadFile(path)
	require.NoError(t, err)
	before, rest, begins := strings.Cut(string(page), actionsBegin)
	_, after, ends := strings.Cut(rest, actionsEnd)
	require.True(t, begins && ends, "the page has no place for the actions")
	want := before + actionsBegin + actionsPage(checked.Actions) + actionsEnd + after
	if *update {
		require.NoError(t, os.WriteFile(path, []byte(want), 0o644))
		return
	}
	require.Equal(t, want, string(page), "run: go test ./dsl -run TestLanguagePageShowsActions -update")
}

func actionsPage(specs []deviceops.ActionSpec) string {
	var b strings.Builder
	for _, spec := range specs {
		fmt.Fprintf(&b, "\n#### `%s`\n\nIt %s.", spec.Name, spec.Summary)
		if spec.Device {
			b.WriteString(" It works on the step's device.")
		}
		if spec.Description != "" {
			b.WriteString("\n" + spec.Description)
		}
		b.WriteString("\n\n")
		if rows := fieldRows(schemaOf(spec.Args), ""); len(rows) > 0 {
			b.WriteString("| argument | type | |\n|---|---|---|\n" + strings.Join(rows, "") + "\n")
		}
		b.WriteString(outputLine(schemaOf(spec.Output)))
		fmt.Fprintf(&b, "<details><summary>Example</summary>\n\n```\n%s\n```\n\n</details>\n", spec.Example)
	}
	return b.String() + "\n"
}

func fieldRows(s argSchema, below string) (rows []string) {
	for _, name := range sortedKeys(s.properties()) {
		p := s.properties()[name]
		notes := []string{p.text("description")}
		if contains(s.texts("required"), name) {
			notes = append(notes, "required")
		}
		if def := p["default"]; def != nil {
			notes = append(notes, "default `"+Format(Canonical(def))+"`")
		}
		rows = append(rows, fmt.Sprintf("| `%s%s` | %s | %s |\n", below, name, argumentKind(p), strings.Join(notes, "; ")))
		rows = append(rows, fieldRows(p, below+name+".")...)
	}
	return rows
}

func argumentKind(s argSchema) string {
	switch values := s.texts("enum"); {
	case len(values) > 0:
		return "`" + strings.Join(values, "` `") + "`"
	case s.text("format") == deviceops.FormatSecret, s.text("format") == deviceops.FormatDuration:
		return s.text("format")
	case s.text("type") == "array":
		return "list"
	case s.text("type") == "object":
		return "map"
	case s.text("type") == "":
		return "any"
	}
	return s.text("type")
}

func outputLine(s argSchema) string {
	names := sortedKeys(s.properties())
	switch {
	case s.text("format") == deviceops.FormatDevice:
		return "Output: the fields of `device` in expressions.\n\n"
	case len(names) == 0:
		return ""
	}
	for i, name := range names {
		names[i] = fmt.Sprintf("`%s` (%s)", name, s.properties()[name].text("description"))
	}
	return "Output: " + strings.Join(names, ", ") + ".\n\n"
}

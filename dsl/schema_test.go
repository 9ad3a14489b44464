package dsl

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/santhosh-tekuri/jsonschema/v6"
	"github.com/stretchr/testify/require"
	"go.yaml.in/yaml/v4"
)

const schemaFile = "../examples/deviceops.schema.json"

func compiledSchema(t *testing.T) *jsonschema.Schema {
	t.Helper()
	s, err := compileSchema(Schema(checked.Actions...))
	require.NoError(t, err)
	return s
}

// schemaErrors validates every document of a file.
func schemaErrors(t *testing.T, s *jsonschema.Schema, text string) []error {
	t.Helper()
	var failed []error
	for _, d := range newSource("x", normalize(text)).split() {
		root, err := decode(d.text)
		require.NoError(t, err)
		var v any
		timesAsText(root)
		require.NoError(t, root.Decode(&v))
		if err := s.Validate(v); err != nil {
			failed = append(failed, err)
		}
	}
	return failed
}

// timesAsText makes times what they are to editors, and to JSON: texts.
func timesAsText(n *yaml.Node) {
	if n.Tag == "!!timestamp" {
		n.Tag = "!!str"
	}
	for _, inner := range n.Content {
		timesAsText(inner)
	}
}

func TestSchemaFileIsCurrent(t *testing.T) {
	t.Parallel()
	if *update {
		require.NoError(t, os.WriteFile(schemaFile, Schema(checked.Actions...), 0o644))
	}
	data, err := os.ReadFile(schemaFile)
	require.NoError(t, err)
	require.Equal(t, string(Schema(checked.Actions...)), string(data), "run: go test ./dsl -run TestSchemaFileIsCurrent -update")
}

func TestSchemaAcceptsExamples(t *testing.T) {
	t.Parallel()
	s := compiledSchema(t)
	for path, text := range examples(t) {
		require.Empty(t, schemaErrors(t, s, text), path)
	}
}

// examples gives the texts of all examples by path.
func examples(t *testing.T) map[string]string {
	t.Helper()
	paths, err := filepath.Glob("../examples/*.yaml")
	require.NoError(t, err)
	require.GreaterOrEqual(t, len(paths), 3)
	texts := map[string]string{}
	for _, path := range paths {
		data, err := os.ReadFile(path)
		require.NoError(t, err)
		texts[path] = string(data)
	}
	return texts
}

func TestExamplesCompile(t *testing.T) {
	t.Parallel()
	for path, text := range examples(t) {
		require.True(t, strings.HasPrefix(text, "# yaml-language-server: $schema=deviceops.schema.json\n"), path)
		docs, found := CheckFile(path, text, checked)
		require.Empty(t, found, path)
		require.NotEmpty(t, docs)
		for _, d := range docs {
			require.True(t, d.Program != nil || d.Profile != nil || d.Automation != nil || d.Test != nil || d.Release != nil || d.Rollout != nil || d.Calendar != nil || d.Route != nil, "%s: %s %s", path, d.Kind, d.Name)
		}
	}
}

func TestSchemaRefusesWhatTheCheckerRefuses(t *testing.T) {
	t.Parallel()
	s := compiledSchema(t)
	for name, text := range map[string]string{
		"unknown key of a workflow": "workflow: w\nstep: []\nsteps: [ { wait: 1m } ]",
		"no steps":                  "workflow: w",
		"unknown verb":              "workflow: w\nsteps: [ { comand: reboot } ]",
		"two verbs":                 "workflow: w\nsteps: [ { wait: 1m, command: reboot } ]",
		"modifier without meaning":  "workflow: w\nsteps: [ { set: { a: 1 }, retry: { times: 1 } } ]",
		"unknown key of retry":      "workflow: w\nsteps: [ { command: c, retry: { time: 1 } } ]",
		"duration":                  "workflow: w\nsteps: [ { wait: PT30M } ]",
		"type of an input":          "workflow: w\ninputs: { a: strin }\nsteps: [ { wait: 1m } ]",
		"who may decide":            "workflow: w\nsteps: [ { approve: Sure?, by: [operator] } ]",
		"unknown key of a profile":  "profile: p\nmetrix: {}",
		"unknown key of a command":  "profile: p\ncommands: { c: { idempotnt: true } }",
		"unknown key of software":   "profile: p\nprovision: { software: { os: { wnat: '1' } } }",
		"another kind":              "automation: a",
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			require.NotEmpty(t, schemaErrors(t, s, text))
			_, found := CheckFile("x.yaml", text, checked)
			require.True(t, found.HasErrors())
		})
	}
}

package protocol

import (
	"os"
	"reflect"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
	"go.yaml.in/yaml/v4"
)

// asyncAPI is docs/asyncapi.yaml.
type asyncAPI map[string]any

func readAsyncAPI(t *testing.T) asyncAPI {
	t.Helper()
	raw, err := os.ReadFile("../docs/asyncapi.yaml")
	require.NoError(t, err)
	var doc map[string]any
	require.NoError(t, yaml.Load(raw, &doc))
	return doc
}

// at gives what a path such as channels/hello leads to.
func (a asyncAPI) at(t *testing.T, path string) map[string]any {
	t.Helper()
	node := map[string]any(a)
	for part := range strings.SplitSeq(path, "/") {
		next, ok := node[part].(map[string]any)
		require.True(t, ok, "%s: no %s", path, part)
		node = next
	}
	return node
}

// follow resolves a $ref, if node is one.
func (a asyncAPI) follow(t *testing.T, node map[string]any) map[string]any {
	t.Helper()
	if ref, ok := node["$ref"].(string); ok {
		return a.at(t, strings.TrimPrefix(ref, "#/"))
	}
	return node
}

// properties gives those of an object's schema, inherited ones included.
func (a asyncAPI) properties(t *testing.T, schema map[string]any) map[string]map[string]any {
	t.Helper()
	all := map[string]map[string]any{}
	parents, _ := schema["allOf"].([]any)
	for _, parent := range parents {
		for name, p := range a.properties(t, a.follow(t, parent.(map[string]any))) {
			all[name] = p
		}
	}
	own, _ := schema["properties"].(map[string]any)
	for name, p := range own {
		all[name] = p.(map[string]any)
	}
	return all
}

// fields gives the JSON names of a struct's fields, embedded ones included.
func fields(t reflect.Type) map[string]reflect.Type {
	all := map[string]reflect.Type{}
	for f := range t.Fields() {
		if f.Anonymous {
			for name, inner := range fields(f.Type) {
				all[name] = inner
			}
			continue
		}
		name, _, _ := strings.Cut(f.Tag.Get("json"), ",")
		all[name] = f.Type
	}
	return all
}

// requireSame holds a schema against a Go type, all the way down.
func (a asyncAPI) requireSame(t *testing.T, path string, schema map[string]any, goType reflect.Type) {
	t.Helper()
	schema = a.follow(t, schema)
	if goType.Kind() == reflect.Pointer {
		goType = goType.Elem()
	}
	require.Equal(t, jsonType(goType), schema["type"], path)
	switch {
	case goType.Kind() == reflect.Slice:
		a.requireSame(t, path+"[]", schema["items"].(map[string]any), goType.Elem())
	case goType.Kind() == reflect.Struct && goType != reflect.TypeFor[Timestamp]():
		described, coded := a.properties(t, schema), fields(goType)
		for name := range coded {
			require.Contains(t, described, name, "%s: the description lacks a field", path)
		}
		for name, p := range described {
			require.Contains(t, coded, name, "%s: the code lacks a field", path)
			a.requireSame(t, path+"."+name, p, coded[name])
		}
	}
}

func jsonType(t reflect.Type) any {
	if t == reflect.TypeFor[Timestamp]() {
		return []any{"string", "integer"}
	}
	switch t.Kind() {
	case reflect.String:
		return "string"
	case reflect.Bool:
		return "boolean"
	case reflect.Int, reflect.Int64:
		return "integer"
	case reflect.Float64:
		return "number"
	case reflect.Slice:
		return "array"
	}
	return "object"
}

func TestAsyncAPIDescribesEveryMessage(t *testing.T) {
	t.Parallel()
	doc := readAsyncAPI(t)
	types := map[Leaf]reflect.Type{}
	for _, leaf := range UpLeaves() {
		types[leaf] = reflect.TypeOf(newMessage(leaf)).Elem()
	}
	for _, leaf := range DownLeaves() {
		types[leaf] = reflect.TypeOf(newDown(leaf)).Elem()
	}
	require.Len(t, doc.at(t, "channels"), len(types))
	require.Len(t, doc.at(t, "operations"), len(types))
	for leaf, goType := range types {
		payload := doc.follow(t, doc.at(t, "components/messages/"+string(leaf)+"/payload"))
		if mayBeArray(leaf) {
			forms := payload["oneOf"].([]any)
			require.Len(t, forms, 2)
			payload = forms[0].(map[string]any)
			require.Equal(t, payload, forms[1].(map[string]any)["items"], leaf)
		}
		doc.requireSame(t, string(leaf), payload, goType)
	}
}

func TestAsyncAPIDescribesEveryTopic(t *testing.T) {
	t.Parallel()
	doc := readAsyncAPI(t)
	check := func(leaf Leaf, address, action string) {
		require.Equal(t, address, doc.at(t, "channels/"+string(leaf))["address"])
		require.Equal(t, action, doc.at(t, "operations/"+string(leaf))["action"])
	}
	for _, leaf := range UpLeaves() {
		check(leaf, Topics{}.Up("{device}", leaf), "receive")
	}
	for _, leaf := range DownLeaves() {
		check(leaf, Topics{}.Down("{device}", leaf), "send")
	}
}

func TestAsyncAPIDescribesArguments(t *testing.T) {
	t.Parallel()
	doc := readAsyncAPI(t)
	for name, goType := range map[string]reflect.Type{
		"install_args": reflect.TypeFor[Install](), "configure_args": reflect.TypeFor[Configure](),
		"collect_args": reflect.TypeFor[Collect](), "reference": reflect.TypeFor[Reference](),
	} {
		doc.requireSame(t, name, doc.at(t, "components/schemas/"+name), goType)
	}
}

func TestAsyncAPIReferencesLeadSomewhere(t *testing.T) {
	t.Parallel()
	doc := readAsyncAPI(t)
	var walk func(node any)
	walk = func(node any) {
		switch n := node.(type) {
		case map[string]any:
			doc.follow(t, n)
			for _, child := range n {
				walk(child)
			}
		case []any:
			for _, child := range n {
				walk(child)
			}
		}
	}
	walk(map[string]any(doc))
}

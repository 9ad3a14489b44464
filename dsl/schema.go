package dsl

import (
	"encoding/json"
	"sort"

	"github.com/deviceops/deviceops"
)

// schema is a JSON Schema.
type schema = map[string]any

// fieldSpec is a key of the language, for the parser and the schema.
type fieldSpec struct {
	name   string
	schema schema
}

func fieldNames(fields []fieldSpec) []string {
	names := make([]string, len(fields))
	for i, f := range fields {
		names[i] = f.name
	}
	return names
}

// SchemaID is the identity of the schema that Schema gives.
const SchemaID = "https://deviceops.github.io/schema/deviceops.schema.json"

// Schema gives the JSON Schema (draft 2020-12) of all documents that this
// version reads, for editors. It is made from the tables that the parser uses,
// and from the actions that there are.
func Schema(actions ...deviceops.ActionSpec) []byte {
	var kindSchemas []any
	for _, k := range kinds() {
		kindSchemas = append(kindSchemas, k.schema())
	}
	root := schema{
		"$schema": "https://json-schema.org/draft/2020-12/schema",
		"$id":     SchemaID,
		"title":   "DeviceOps documents",
		"oneOf":   kindSchemas,
		"$defs": schema{
			"steps":      schema{"type": "array", "minItems": 1, "maxItems": MaxSteps, "items": refTo("step"), "description": "run one after the other"},
			"step":       stepSchema(actions),
			"retry":      retrySchema(),
			"duration":   schema{"type": "string", "pattern": `^(?:(?:\d+(?:\.\d+)?(?:ms|s|m|h|d))+|.*\$\{\{[\s\S]*\}\}.*)$`},
			"expression": schema{"type": []any{"string", "boolean", "number"}},
			"type":       shortTypeSchema(),
			"people":     peopleSchema(),
		},
	}
	data, err := json.MarshalIndent(root, "", "  ")
	if err != nil {
		panic("dsl: the schema is not JSON: " + err.Error()) // it is built from constants
	}
	return append(data, '\n')
}

// stepSchema is one branch per verb, so that an editor offers the keys that
// belong to the verb that was chosen.
func stepSchema(actions []deviceops.ActionSpec) schema {
	var branches []any
	for _, name := range sortedKeys(verbs) {
		branch := verbs[name].schema()
		if name == "action" {
			addActions(branch, actions)
		}
		branches = append(branches, branch)
	}
	return schema{"oneOf": branches}
}

// description says in a sentence what a step with the verb does and gives.
func (v *verb) description() string {
	if v.gives == "" {
		return v.summary
	}
	return v.summary + "; output: " + v.gives
}

func (v *verb) schema() schema {
	fields := []fieldSpec{{v.name, v.value}}
	fields = append(fields, v.fields...)
	for _, m := range modifierKeys {
		if v.takes(m.name) {
			fields = append(fields, m)
		}
	}
	return objectSchema(v.description(), append([]string{v.name}, v.required...), fields)
}

// objectSchema describes a map with known keys.
func objectSchema(description string, required []string, fields []fieldSpec) schema {
	properties := schema{}
	for _, f := range fields {
		properties[f.name] = f.schema
	}
	s := schema{"type": "object", "properties": properties, "additionalProperties": false, "description": description}
	if len(required) > 0 {
		sort.Strings(required)
		s["required"] = required
	}
	return s
}

func described(s schema, description string) schema {
	if description != "" {
		s["description"] = description
	}
	return s
}

func refTo(name string) schema { return schema{"$ref": "#/$defs/" + name} }

func textSchema(description string) schema {
	return described(schema{"type": "string"}, description)
}

func templateSchema(description string) schema {
	return described(schema{"type": "string"}, description)
}

func valueSchema(description string) schema { return described(schema{}, description) }

func expressionSchema(description string) schema {
	return described(refTo("expression"), description)
}

func durationSchema(description string) schema {
	return described(refTo("duration"), description)
}

func booleanSchema(description string) schema {
	return described(schema{"type": "boolean"}, description)
}

func integerSchema(description string, minimum int) schema {
	return described(schema{"type": "integer", "minimum": minimum}, description)
}

func mapOf(description string, values schema) schema {
	return described(schema{"type": "object", "additionalProperties": values}, description)
}

// argumentsSchema describes a map of arguments, or one template that gives it.
func argumentsSchema(description string) schema {
	return schema{"description": description, "anyOf": []any{
		schema{"type": "object"}, schema{"type": "string", "pattern": `^\s*\$\{\{[\s\S]*\}\}\s*$`},
	}}
}

func peopleSchema() schema {
	return schema{
		"type": "array", "minItems": 1, "items": schema{"type": "string", "pattern": "^(role|user):.+$"},
		"description": "who may decide: role:NAME or user:NAME, any of them",
	}
}

// shortTypeSchema describes `number 0..100` and the other short types.
func shortTypeSchema() schema {
	return schema{"type": "string", "pattern": `^(string|boolean|duration|map|list|(number|integer)( +-?[\d.]*\.\.-?[\d.]*)?|device( +[a-z0-9._-]+)?)$`}
}

// typeSchema describes a type, short or as a map with some of these keys.
func typeSchema(keys ...string) schema {
	all := map[string]schema{
		"default": valueSchema("used when nothing is given"), "description": textSchema(""),
		"min": {"type": "number"}, "max": {"type": "number"}, "optional": booleanSchema("may be left out"),
	}
	fields := []fieldSpec{{"type", refTo("type")}, {"enum", schema{"type": "array", "minItems": 1}}}
	for _, key := range keys {
		fields = append(fields, fieldSpec{key, all[key]})
	}
	long := objectSchema("a type with more to say", nil, fields)
	long["oneOf"] = []any{schema{"required": []string{"type"}}, schema{"required": []string{"enum"}}}
	return schema{"anyOf": []any{refTo("type"), long}}
}

func workflowSchema() schema {
	return objectSchema("what must happen to a device or a fleet", []string{"workflow", "steps"}, workflowKeys)
}

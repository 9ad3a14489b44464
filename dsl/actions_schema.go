package dsl

import "github.com/deviceops/deviceops"

// addActions makes the schema of a step with an action know which there are and
// what each of them takes.
func addActions(step schema, actions []deviceops.ActionSpec) {
	if len(actions) == 0 {
		return
	}
	var names, rules []any
	for _, spec := range actions {
		names = append(names, schema{"const": spec.Name, "description": spec.Summary})
		args := schemaOf(spec.Args)
		then := schema{"properties": schema{"with": templated(args)}}
		if args["required"] != nil {
			then["required"] = []any{"with"}
		}
		rules = append(rules, schema{"if": schema{"properties": schema{"action": schema{"const": spec.Name}}}, "then": then})
	}
	name := schema{"anyOf": names, "description": "the name of the action"}
	step["properties"].(schema)["action"] = name
	step["allOf"] = rules
}

// anyTemplate is a text with a template, which may give anything.
var anyTemplate = schema{"type": "string", "pattern": `\$\{\{`}

// templated gives the schema of an argument as a document writes it: beside the
// value there may be a template, but not where a secret is.
func templated(s argSchema) schema {
	written := schema{}
	for key, value := range s {
		written[key] = value
	}
	switch s.text("format") {
	case deviceops.FormatSecret:
		return written
	case deviceops.FormatDuration:
		return described(refTo("duration"), s.text("description"))
	case deviceops.FormatChannel: // editors do not know which there are
		delete(written, "format")
		delete(written, "operation")
	}
	for _, key := range []string{"items", "additionalProperties"} {
		if inner := s.below(key); inner != nil {
			written[key] = templated(inner)
		}
	}
	properties := schema{}
	for name, p := range s.properties() {
		properties[name] = templated(p)
	}
	if len(properties) > 0 {
		written["properties"] = properties
		return written
	}
	if s.text("type") == "" || s.text("type") == "string" && s["enum"] == nil {
		return written
	}
	delete(written, "description")
	return described(schema{"anyOf": []any{written, anyTemplate}}, s.text("description"))
}

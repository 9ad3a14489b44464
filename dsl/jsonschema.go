package dsl

import (
	"bytes"
	"encoding/json"
	"regexp"
	"strings"

	"github.com/santhosh-tekuri/jsonschema/v6"

	"github.com/deviceops/deviceops"
)

// jsonSchema gives the schema of a declared type.
func (t Type) jsonSchema() schema {
	s := schema{}
	switch t.Kind {
	case TypeEnum:
		s["enum"] = t.Enum
		return s
	case TypeDevice, TypeDuration:
		s["type"] = "string"
	case TypeMap:
		s["type"] = "object"
	case TypeList:
		s["type"] = "array"
	default:
		s["type"] = string(t.Kind)
	}
	if t.Min != nil {
		s["minimum"] = *t.Min
	}
	if t.Max != nil {
		s["maximum"] = *t.Max
	}
	return s
}

// compileSchema compiles a schema for validation. It loads nothing.
func compileSchema(raw []byte) (*jsonschema.Schema, error) {
	doc, err := jsonschema.UnmarshalJSON(bytes.NewReader(raw))
	if err != nil {
		return nil, err
	}
	c := jsonschema.NewCompiler()
	if err := c.AddResource("mem:///schema.json", doc); err != nil {
		return nil, err
	}
	return c.Compile("mem:///schema.json")
}

// validateJSON checks one value against one schema.
func validateJSON(raw []byte, v any) error {
	s, err := compileSchema(raw)
	if err != nil {
		return invalid("the schema cannot be used: %s", firstLine(err.Error()))
	}
	return explainInvalid(s.Validate(v))
}

var validationLine = regexp.MustCompile(`- at '/?([^']*)': (.*)$`)

// explainInvalid turns what the validator says into one sentence, about the
// innermost place that is wrong.
func explainInvalid(err error) error {
	if err == nil {
		return nil
	}
	lines := strings.Split(strings.TrimSpace(err.Error()), "\n")
	m := validationLine.FindStringSubmatch(lines[len(lines)-1])
	switch {
	case m == nil:
		return invalid("%s", lines[0])
	case m[1] == "":
		return invalid("%s", m[2])
	}
	return invalid("%s: %s", strings.ReplaceAll(m[1], "/", "."), m[2])
}

// prepareFunc gives the function that checks a command's arguments and fills in
// defaults. Nil arguments are an empty map.
func prepareFunc(command string, raw []byte, defaults map[string]any) (func(map[string]any) (map[string]any, error), error) {
	s, err := compileSchema(raw)
	if err != nil {
		return nil, err
	}
	return func(args map[string]any) (map[string]any, error) {
		prepared, _ := Canonical(orEmpty(args)).(map[string]any)
		for name, v := range defaults {
			if prepared[name] == nil {
				prepared[name] = copyTree(v)
			}
		}
		if err := explainInvalid(s.Validate(prepared)); err != nil {
			return nil, deviceops.Errorf(deviceops.EINVALID, "arguments of the command %s: %w", command, err)
		}
		return prepared, nil
	}, nil
}

// refuseArguments is the Prepare of a command that takes none.
func refuseArguments(command string) func(map[string]any) (map[string]any, error) {
	return func(args map[string]any) (map[string]any, error) {
		if len(args) > 0 {
			return nil, invalid("the command %s takes no arguments, and %q is given", command, sortedKeys(args)[0])
		}
		return map[string]any{}, nil
	}
}

func mustJSON(s schema) []byte {
	data, err := json.Marshal(s)
	if err != nil {
		return nil // schemas hold nothing but what JSON has
	}
	return data
}

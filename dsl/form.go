package dsl

import (
	"github.com/expr-lang/expr/types"
	"go.yaml.in/yaml/v4"

	"github.com/deviceops/deviceops"
)

// Form is what a person fills in when approving, in the order of the document.
// It can be carried as JSON.
type Form []Input

// form reads the fields of a form: names and types, as those of inputs, and
// optional besides.
func (b *builder) form(n *yaml.Node) Form {
	o := b.names(n, "fields of a form")
	if o == nil {
		return nil
	}
	if len(o.order) == 0 {
		b.report(n, "empty-form", "write a field such as mode: { enum: [soft, hard] }, or leave out form", "this form has no fields")
	}
	var f Form
	for _, name := range o.order {
		if !b.word(o.keys[name], "the name of a form field") {
			continue
		}
		d, ok := b.declaration(o.get(name), "the form field "+name, "optional")
		if !ok {
			d.Kind = ""
		}
		if d.Kind == TypeMap || d.Kind == TypeList {
			b.report(o.get(name), "bad-type", "ask for its parts, each in a field of its own", "a person cannot fill in a %s", d.Kind)
		}
		b.knownProfile(o.get(name), d.Profile)
		f = append(f, Input{
			Name: name, Type: d.Type, Default: d.def, Required: !d.hasDefault && !d.optional, Description: d.description,
		})
	}
	return f
}

// exprType gives the type that expressions see of a form that was filled in.
func (f Form) exprType() types.Type {
	fields := types.Map{}
	for _, in := range f {
		fields[in.Name] = in.Type.exprType()
		if !in.Required && in.Default == nil {
			fields[in.Name] = types.Any // it may be nil
		}
	}
	return fields
}

// Schema gives the JSON Schema of the form; nil for one without fields.
func (f Form) Schema() map[string]any {
	if len(f) == 0 {
		return nil
	}
	properties, required := schema{}, []any{}
	for _, in := range f {
		s := described(in.Type.jsonSchema(), in.Description)
		if in.Default != nil {
			s["default"] = in.Default
		}
		if in.Required {
			required = append(required, in.Name)
		}
		properties[in.Name] = s
	}
	s := schema{"type": "object", "properties": properties, "additionalProperties": false}
	if len(required) > 0 {
		s["required"] = required
	}
	return s
}

// Fill checks what was filled in and gives all fields in canonical form,
// defaults filled in; an optional field that was left out is nil. Numbers may be
// given as text. EINVALID names the field.
func (f Form) Fill(given map[string]any) (map[string]any, error) {
	for _, name := range sortedKeys(given) {
		if !contains(f.names(), name) {
			return nil, deviceops.Errorf(deviceops.EINVALID, "the form has no field %q%s", name, didYouMean(name, f.names()))
		}
	}
	filled := make(map[string]any, len(f))
	for _, in := range f {
		v, err := in.fill(given[in.Name])
		if err != nil {
			return nil, err
		}
		filled[in.Name] = v
	}
	return filled, nil
}

func (in Input) fill(v any) (any, error) {
	if v == nil && in.Required {
		return nil, deviceops.Errorf(deviceops.EINVALID, "the form field %q is missing: it needs %s", in.Name, in.Type)
	}
	if v == nil {
		return Canonical(in.Default), nil
	}
	filled, err := in.Type.Coerce(v)
	if err != nil {
		return nil, deviceops.Errorf(deviceops.EINVALID, "the form field %q: %w", in.Name, err)
	}
	return Canonical(filled), nil
}

func (f Form) names() []string {
	names := make([]string, len(f))
	for i, in := range f {
		names[i] = in.Name
	}
	return names
}

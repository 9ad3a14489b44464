package dsl

import (
	"strings"
	"time"

	"github.com/deviceops/deviceops"
)

// Value is a compiled field: a literal, a template, or a list or map of values.
// Its methods may be called on nil, which stands for a field that is not there.
type Value struct {
	literal any         // when nothing below is set
	parts   []part      // a template of several parts gives text
	expr    *Expression // a lone ${{ }} keeps its type
	items   []*Value
	fields  []field
	kind    valueKind
}

type valueKind int

const (
	literalValue valueKind = iota
	exprValue
	templateValue
	listValue
	mapValue
)

// part is a piece of a template: text, or an expression.
type part struct {
	text string
	expr *Expression
}

// field is an entry of a map, in the order of the document.
type field struct {
	name  string
	value *Value
}

// Literal makes a value that is always v.
func Literal(v any) *Value { return &Value{literal: Canonical(v)} }

// Eval gives the value in env, in canonical form; nil for a nil Value.
// EINVALID if an expression fails, EEXHAUSTED if it needs too much.
func (v *Value) Eval(env Env) (any, error) {
	if v == nil {
		return nil, nil
	}
	switch v.kind {
	case exprValue:
		return v.expr.Eval(env)
	case templateValue:
		return v.evalTemplate(env)
	case listValue:
		return v.evalList(env)
	case mapValue:
		return v.evalMap(env)
	}
	return copyTree(v.literal), nil
}

func (v *Value) evalTemplate(env Env) (any, error) {
	var b strings.Builder
	for _, p := range v.parts {
		if p.expr == nil {
			b.WriteString(p.text)
			continue
		}
		result, err := p.expr.Eval(env)
		if err != nil {
			return nil, err
		}
		if err := p.expr.readable(result); err != nil {
			return nil, err
		}
		b.WriteString(Format(result))
	}
	return b.String(), nil
}

func (v *Value) evalList(env Env) (any, error) {
	out := make([]any, len(v.items))
	for i, item := range v.items {
		result, err := item.Eval(env)
		if err != nil {
			return nil, err
		}
		out[i] = result
	}
	return out, nil
}

func (v *Value) evalMap(env Env) (any, error) {
	out := make(map[string]any, len(v.fields))
	for _, f := range v.fields {
		result, err := f.value.Eval(env)
		if err != nil {
			return nil, err
		}
		out[f.name] = result
	}
	return out, nil
}

// Text evaluates the value and formats it; "" for a nil Value.
func (v *Value) Text(env Env) (string, error) {
	result, err := v.Eval(env)
	if err == nil && v != nil {
		err = v.expr.readable(result)
	}
	if err != nil {
		return "", err
	}
	return Format(result), nil
}

// Map evaluates a value that has to be a map; nil gives nil.
func (v *Value) Map(env Env) (map[string]any, error) {
	result, err := v.Eval(env)
	if err != nil || result == nil {
		return nil, err
	}
	if s, ok := result.(stored); ok && s().Type == "map" {
		return s().Map(), nil
	}
	m, ok := result.(map[string]any)
	if !ok {
		return nil, deviceops.Errorf(deviceops.EINVALID, "%s gives %s, where a map is needed", v, describe(result))
	}
	return m, nil
}

// Duration evaluates a value that has to be a duration; 0 for a nil Value.
func (v *Value) Duration(env Env) (time.Duration, error) {
	result, err := v.Eval(env)
	if err != nil || result == nil {
		return 0, err
	}
	text, ok := result.(string)
	if !ok {
		return 0, deviceops.Errorf(deviceops.EINVALID, "%s gives %s, where a duration such as 30s or 10m is needed", v, describe(result))
	}
	return ParseDuration(text)
}

// List evaluates a value that has to be a list. EEXHAUSTED if it is too large to
// be read.
func (v *Value) List(env Env) ([]any, error) {
	result, err := v.Eval(env)
	if err == nil && v != nil {
		err = v.expr.readable(result)
	}
	if err != nil {
		return nil, err
	}
	list, ok := result.([]any)
	if !ok {
		return nil, deviceops.Errorf(deviceops.EINVALID, "items gives %s, where a list is needed", Format(result))
	}
	return list, nil
}

// Constant gives the value if it is the same in every Env.
func (v *Value) Constant() (any, bool) {
	switch {
	case v == nil:
		return nil, true
	case v.kind == literalValue:
		return copyTree(v.literal), true
	default:
		return nil, false
	}
}

// Keys gives the names of a map as written; nil for other values.
func (v *Value) Keys() []string {
	if v == nil {
		return nil
	}
	names := make([]string, 0, len(v.fields))
	for _, f := range v.fields {
		names = append(names, f.name)
	}
	return names
}

// String gives the value as a document would write it, for messages.
func (v *Value) String() string {
	if v == nil {
		return ""
	}
	switch v.kind {
	case exprValue:
		return "${{ " + v.expr.Source + " }}"
	case templateValue:
		var b strings.Builder
		for _, p := range v.parts {
			b.WriteString(p.text)
			if p.expr != nil {
				b.WriteString("${{ " + p.expr.Source + " }}")
			}
		}
		return b.String()
	case listValue:
		return "the list"
	case mapValue:
		return "the map"
	}
	return Format(v.literal)
}

// copyTree copies lists and maps, so that whoever gets a literal may change it.
func copyTree(v any) any {
	switch v := v.(type) {
	case map[string]any:
		out := make(map[string]any, len(v))
		for k, item := range v {
			out[k] = copyTree(item)
		}
		return out
	case []any:
		out := make([]any, len(v))
		for i, item := range v {
			out[i] = copyTree(item)
		}
		return out
	}
	return v
}

// describe names the type of a canonical value.
func describe(v any) string {
	switch v := v.(type) {
	case nil:
		return "nothing"
	case bool:
		return "the boolean " + Format(v)
	case string:
		return "the text " + quoteShort(v)
	case int64, float64:
		return "the number " + Format(v)
	case []any:
		return "a list"
	case map[string]any:
		return "a map"
	case stored:
		return v.describe()
	}
	return "something else"
}

func quoteShort(s string) string {
	if r := []rune(s); len(r) > 40 {
		s = string(r[:40]) + "…"
	}
	return `"` + s + `"`
}

package dsl

import (
	"encoding/json"
	"strings"

	"go.yaml.in/yaml/v4"

	"github.com/deviceops/deviceops"
)

// argSchema is the JSON Schema of an argument of an action.
type argSchema map[string]any

// schemaOf reads a schema; one that was made by another version and cannot be
// read allows anything.
func schemaOf(raw json.RawMessage) argSchema {
	var s argSchema
	_ = json.Unmarshal(raw, &s)
	return s
}

func (s argSchema) text(key string) string {
	text, _ := s[key].(string)
	return text
}

func (s argSchema) below(key string) argSchema {
	inner, _ := s[key].(map[string]any)
	return inner
}

// properties gives the schemas of the fields that an object has.
func (s argSchema) properties() map[string]argSchema {
	all := map[string]argSchema{}
	for name, p := range s.below("properties") {
		if m, ok := p.(map[string]any); ok {
			all[name] = m
		}
	}
	return all
}

// texts gives a list of texts, such as the values of an enum.
func (s argSchema) texts(key string) []string {
	list, _ := s[key].([]any)
	var texts []string
	for _, item := range list {
		texts = append(texts, Format(item))
	}
	return texts
}

// actionReader reads the arguments of one action against their schemas.
type actionReader struct {
	*builder
	name  string
	scope *scope
}

// actionArguments reads with: against the arguments that the action declares.
func (b *builder) actionArguments(s *reading, spec *deviceops.ActionSpec) *Value {
	r := actionReader{b, "the action " + spec.Name, s.scope}
	args := schemaOf(spec.Args)
	n := s.get("with")
	if n == nil {
		r.missing(s.own(), args, nil, "")
		return nil
	}
	if len(args.properties()) == 0 && n.Kind == yaml.MappingNode && len(n.Content) > 0 {
		b.report(n.Content[0], "unknown-argument", "remove with:", "the action %s takes no arguments", spec.Name)
		return nil
	}
	return r.object(n, s.own(), args, "")
}

// object reads a map of which the schema names the fields. Fields that are
// missing are reported at blame.
func (r actionReader) object(n, blame *yaml.Node, s argSchema, path string) *Value {
	properties := s.properties()
	what := r.name
	if path != "" {
		what = strings.TrimSuffix(path, ".")
	}
	o := r.builder.object(n, what, sortedKeys(properties)...)
	if o == nil {
		return nil
	}
	r.missing(blame, s, o, path)
	v := &Value{kind: mapValue}
	for _, name := range o.order {
		v.fields = append(v.fields, field{name, r.argument(o.get(name), properties[name], path+name)})
	}
	return v
}

// missing reports the required fields that are not given.
func (r actionReader) missing(blame *yaml.Node, s argSchema, given *object, path string) {
	for _, name := range s.texts("required") {
		if given == nil || !given.has(name) {
			place := "below with:"
			if path != "" {
				place = "below " + strings.TrimSuffix(path, ".") + ":"
			}
			r.report(blame, "missing-argument", "add "+name+": "+place, "%s needs the argument %q: %s", r.name, path+name, s.properties()[name].text("description"))
		}
	}
}

// argument reads one argument.
func (r actionReader) argument(n *yaml.Node, s argSchema, path string) *Value {
	kind := s.text("type")
	switch {
	case s.text("format") == deviceops.FormatSecret:
		return r.secret(n, path)
	case isText(n) && strings.Contains(n.Value, "${{"):
		return r.templateFor(n, r.scope, kindWants[kind])
	case kind == "object" && s["properties"] != nil:
		return r.object(n, n, s, path+".")
	case kind == "object":
		return r.entries(n, s, path)
	case kind == "array":
		return r.items(n, s, path)
	case kind == "string":
		return r.textArgument(n, s, path)
	case kind == "":
		return r.value(n, r.scope)
	default:
		return r.scalarArgument(n, s, path)
	}
}

// entries reads a map whose keys the author chooses.
func (r actionReader) entries(n *yaml.Node, s argSchema, path string) *Value {
	o := r.builder.entries(n, path)
	if o == nil {
		return nil
	}
	v := &Value{kind: mapValue}
	for _, name := range o.order {
		v.fields = append(v.fields, field{name, r.argument(o.get(name), s.below("additionalProperties"), path+"."+name)})
	}
	return v
}

func (r actionReader) items(n *yaml.Node, s argSchema, path string) *Value {
	v := &Value{kind: listValue}
	for _, item := range r.list(n, path, "write it as [a, b]") {
		v.items = append(v.items, r.argument(item, s.below("items"), path))
	}
	if high, ok := s["maxItems"].(float64); ok && float64(len(v.items)) > high {
		r.report(n, "bad-argument", "", "%s has %d items; at most %g are allowed", path, len(v.items), high)
	}
	return v
}

func (r actionReader) textArgument(n *yaml.Node, s argSchema, path string) *Value {
	if s.text("format") == deviceops.FormatDuration {
		return r.durationValue(n, path, r.scope)
	}
	v := r.textValue(n, path, r.scope)
	if name, ok := v.literal.(string); ok && s.text("format") == deviceops.FormatChannel {
		r.channelName(n, name, s.text("operation"))
	}
	text, ok := v.literal.(string)
	values := s.texts("enum")
	switch high, bounded := s["maxLength"].(float64); {
	case !ok:
	case len(values) > 0 && !contains(values, text):
		r.report(n, "bad-argument", orElse(fixWrite("", closest(text, values)), "use one of "+joinNames(values)),
			"%s must be one of %s, and this is %s", path, joinNames(values), quoteShort(text))
	case bounded && float64(runes(text)) > high:
		r.report(n, "bad-argument", "shorten it", "%s has %d characters; at most %g are allowed", path, runes(text), high)
	}
	return v
}

// scalarArgument reads a number or boolean.
func (r actionReader) scalarArgument(n *yaml.Node, s argSchema, path string) *Value {
	if n.Kind != yaml.ScalarNode {
		r.report(n, "wrong-type", "", "%s must be %s, and this is %s", path, kindName(s.text("type")), kindOf(n))
		return nil
	}
	v := scalar(n)
	if isText(n) {
		v = n.Value
	}
	raw, _ := json.Marshal(s) // it came from JSON
	if err := validateJSON(raw, v); err != nil {
		r.report(n, "bad-argument", "", "%s: %s", path, err)
	}
	return &Value{literal: v}
}

func kindName(kind string) string {
	if kind == "integer" {
		return "a whole number"
	}
	return "a " + kind
}

// secret reads a reference; it stays a reference until the action resolves it.
func (r actionReader) secret(n *yaml.Node, path string) *Value {
	ref := r.reference(n, path)
	if ref == "" {
		return nil
	}
	return &Value{literal: ref}
}

// looseArguments reads with: when it is not asked which arguments there are.
func (b *builder) looseArguments(n *yaml.Node, sc *scope) *Value {
	if n == nil || n.Kind != yaml.MappingNode {
		return nil
	}
	return b.looseValue(n, sc)
}

// looseValue reads a value in which any text may be a reference to a secret.
func (b *builder) looseValue(n *yaml.Node, sc *scope) *Value {
	switch {
	case n.Kind == yaml.MappingNode:
		v := &Value{kind: mapValue}
		for i := 0; i+1 < len(n.Content); i += 2 {
			v.fields = append(v.fields, field{n.Content[i].Value, b.looseValue(n.Content[i+1], sc)})
		}
		return v
	case n.Kind == yaml.SequenceNode:
		v := &Value{kind: listValue}
		for _, item := range n.Content {
			v.items = append(v.items, b.looseValue(item, sc))
		}
		return v
	case isText(n) && strings.HasPrefix(n.Value, secretPrefix):
		return &Value{literal: n.Value}
	default:
		return b.value(n, sc)
	}
}

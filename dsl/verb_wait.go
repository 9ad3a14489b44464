package dsl

import (
	"strings"
	"time"

	"go.yaml.in/yaml/v4"
)

// Wait pauses the run: for a duration, until a time, or until an event of the
// step's device (of any device of the account, where the step has none) comes
// in after the step began. The output of a wait for an event is the event. One
// that does not come in time fails the step with the code timeout.
type Wait struct {
	For     *Value // a duration
	Until   *Value // a time, or its text
	Event   string // a type of events
	Where   *Expression
	Timeout *Value // of Event, a duration; nil: none
}

func (*Wait) op() {}

var _ = register(verb{
	name:    "wait",
	summary: "pauses the run: for a time, until a time, or until an event",
	gives:   "of a wait for an event: the event",
	value: schema{"anyOf": []any{
		durationSchema("how long: 30s, 10m, 2h, 7d"),
		objectSchema("until a time", []string{"until"}, []fieldSpec{{"until", expressionSchema("an expression that gives a time, or a time such as 2026-05-01T12:00:00Z")}}),
		objectSchema("until an event comes in", []string{"event"}, []fieldSpec{
			{"event", schema{"type": "string", "pattern": eventName.String(), "description": "the type of the event"}},
			{"where", expressionSchema("over event; left out, any event of the type")},
			{"timeout", durationSchema("the step fails with the code timeout after this; left out, it waits for ever")},
		}),
	}},
	instead: map[string]string{"timeout": "write wait: { event: ..., timeout: 10m }"},
	read:    readWait,
})

func readWait(b *builder, s *reading) Op {
	n := s.own()
	if n.Kind != yaml.MappingNode || objectDuration(n) != "" {
		return &Wait{For: b.durationValue(n, "wait", s.scope)}
	}
	o := b.object(n, "wait", "until", "event", "where", "timeout")
	switch {
	case o == nil:
		return &Wait{}
	case o.has("until") == o.has("event"):
		b.report(n, "missing-key", "write wait: 10m, wait: { until: TIME } or wait: { event: TYPE }", "wait needs either until or event")
		return &Wait{}
	case o.has("until"):
		b.onlyWith(o, "event", "where", "timeout")
		return &Wait{Until: b.timeValue(o.get("until"), s.scope)}
	}
	return b.waitForEvent(o, s)
}

// onlyWith reports keys that have a meaning only beside another one.
func (b *builder) onlyWith(o *object, other string, keys ...string) {
	for _, key := range keys {
		if o.has(key) {
			b.report(o.keys[key], "no-meaning", "remove it", "%s has a meaning only with %s", key, other)
		}
	}
}

func (b *builder) waitForEvent(o *object, s *reading) Op {
	op := &Wait{}
	op.Event, _ = b.eventType(o.get("event"))
	if n := o.get("where"); n != nil {
		op.Where = b.expression(n, "where", s.scope.with("event", eventType), wantBool)
	}
	if n := o.get("timeout"); n != nil {
		op.Timeout = b.durationValue(n, "timeout", s.scope)
	}
	s.outputs = eventType
	return op
}

// eventType reads the type of an event, which has to be known when the workflow
// is published.
func (b *builder) eventType(n *yaml.Node) (string, bool) {
	name, ok := b.text(n, "the type of an event")
	switch {
	case !ok:
		return "", false
	case strings.Contains(name, "${{"):
		b.report(n, "template-place", "write the type itself, and what varies into the event's data", "the type of an event has to be known when the workflow is published")
	case !eventName.MatchString(name):
		b.report(n, "bad-name", "write a type such as device.battery", "the type of an event has small letters, digits, '-' and '_', in parts separated by '.'")
	default:
		return name, true
	}
	return "", false
}

// timeValue reads a time, or an expression that gives one.
func (b *builder) timeValue(n *yaml.Node, sc *scope) *Value {
	if isText(n) {
		if _, err := time.Parse(time.RFC3339, n.Value); err == nil {
			return &Value{literal: n.Value}
		}
	}
	return &Value{kind: exprValue, expr: b.expression(n, "until", sc, wantTime)}
}

package dsl

import "regexp"

// Emit makes an event of the run, with the step's device if there is one. It is
// stored once, however often the step is carried out again.
type Emit struct {
	Type     string
	Severity string
	Data     *Value // a map; nil: none
}

func (*Emit) op() {}

var severities = []string{"debug", "info", "warning", "error", "critical"}

var eventName = regexp.MustCompile(`^[a-z0-9_-]+(\.[a-z0-9_-]+)*$`)

var _ = register(verb{
	name:    "emit",
	summary: "makes an event, which others can wait for or act on",
	value:   schema{"type": "string", "pattern": eventName.String(), "description": "the type of the event, such as store.closed"},
	fields: []fieldSpec{
		{"with", argumentsSchema("the data of the event")},
		{"severity", schema{"enum": anyTexts(severities), "description": "info when left out"}},
	},
	modifiers: []string{"undo"},
	read:      readEmit,
})

func readEmit(b *builder, s *reading) Op {
	op := &Emit{Severity: "info"}
	op.Type, _ = b.eventType(s.own())
	if n := s.get("severity"); n != nil {
		op.Severity = b.choice(n, "severity", severities...)
	}
	if n := s.get("with"); n != nil {
		op.Data = b.arguments(n, s.scope)
	}
	return op
}

func anyTexts(words []string) []any {
	out := make([]any, len(words))
	for i, w := range words {
		out[i] = w
	}
	return out
}

package dsl

import (
	"strings"
	"time"

	"go.yaml.in/yaml/v4"
)

// MaxRetries is the largest retry.times.
const MaxRetries = 100

// modifierKeys are the keys that steps have besides their verb's own.
var modifierKeys = []fieldSpec{
	{"id", schema{"type": "string", "pattern": "^[A-Za-z_][A-Za-z0-9_]{0,63}$", "description": "name of the step, used by expressions as steps.ID"}},
	{"if", expressionSchema("the step is skipped unless this is true")},
	{"timeout", durationSchema("how long the whole step may take, with all re-tries")},
	{"attempt_timeout", durationSchema("how long one try may take")},
	{"retry", refTo("retry")},
	{"device", templateSchema("the device of this step and of those inside it")},
}

func isModifier(key string) bool {
	for _, m := range modifierKeys {
		if m.name == key {
			return true
		}
	}
	return false
}

func retrySchema() schema {
	return objectSchema("when and how often a failed step is tried again", []string{"times"}, []fieldSpec{
		{"times", schema{"type": "integer", "minimum": 1, "maximum": MaxRetries, "description": "re-tries; 3 means up to four attempts"}},
		{"delay", schema{"type": "string", "description": "pause before a re-try: 10s, or 10s..2m, which doubles from the first to the second"}},
		{"if", expressionSchema("over error; left out, whenever error.retryable is true")},
	})
}

func (b *builder) readModifiers(s *reading) {
	if n := s.get("if"); n != nil {
		s.step.If = b.expression(n, "if", s.scope, wantBool)
	}
	if n := s.get("timeout"); n != nil {
		s.step.Timeout = b.durationValue(n, "timeout", s.scope)
	}
	if n := s.get("attempt_timeout"); n != nil {
		s.step.AttemptTimeout = b.durationValue(n, "attempt_timeout", s.scope)
	}
	if n := s.get("retry"); n != nil {
		s.step.Retry = b.retry(n, s.scope)
	}
	if n := s.get("device"); n != nil {
		s.around.device, s.around.profile = b.deviceValue(n, s.scope), b.deviceProfile(n)
	}
	s.step.Device = s.around.device
}

// Pause before a re-try where the document says nothing.
const (
	defaultMinDelay = 5 * time.Second
	defaultMaxDelay = 5 * time.Minute
)

func (b *builder) retry(n *yaml.Node, sc *scope) *Retry {
	r := &Retry{Min: defaultMinDelay, Max: defaultMaxDelay}
	if n.Kind == yaml.ScalarNode && n.Tag == "!!int" {
		b.report(n, "wrong-type", "write retry: { times: "+n.Value+" }", "retry must be a map, and this is %s", kindOf(n))
		return r
	}
	o := b.object(n, "retry", "times", "delay", "if")
	if o == nil {
		return r
	}
	if !o.has("times") {
		b.report(n, "missing-key", "write retry: { times: 3 }", "retry needs times")
	} else {
		r.Times = b.integer(o.get("times"), "times", 1, MaxRetries)
	}
	if v := o.get("delay"); v != nil {
		r.Min, r.Max = b.delay(v)
	}
	if v := o.get("if"); v != nil {
		r.If = b.expression(v, "retry.if", sc.with("error", errorType), wantBool)
	}
	return r
}

// delay reads 10s or 10s..2m.
func (b *builder) delay(n *yaml.Node) (low, high time.Duration) {
	const what, form = "a delay", "write it as 10s or 10s..2m"
	if !b.isDurationText(n, what) {
		return defaultMinDelay, defaultMaxDelay
	}
	first, second, isRange := strings.Cut(n.Value, "..")
	if !isRange {
		second = first
	}
	low, err := ParseDuration(strings.TrimSpace(first))
	if err == nil {
		high, err = ParseDuration(strings.TrimSpace(second))
	}
	switch {
	case err != nil:
		b.report(n, "bad-duration", form, "%s is not a delay", quoteShort(n.Value))
	case low > high:
		b.report(n, "bad-duration", form, "the delay %s gets shorter", n.Value)
	}
	return low, high
}

package dsl

import (
	"strings"
	"time"

	"github.com/expr-lang/expr/types"
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
	{"until", expressionSchema("over output; the step is repeated until this is true, or its timeout is over")},
	{"every", durationSchema("pause between two rounds of until; 15s when left out")},
	{"undo", refTo("steps")},
	{"offline", schema{"enum": []any{"wait", "fail"}, "description": "what to do when the device is not online: wait for it (the default), or fail at once"}},
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
		if s.step.If.always(false) {
			b.warn(n, "unreachable", "remove the step", "this step never runs: its condition is always false")
		}
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
	if n := s.get("offline"); n != nil {
		s.step.FailOffline = b.choice(n, "offline", "wait", "fail") == "fail"
	}
}

// defaultEvery is the pause between two rounds where the document says nothing.
const defaultEvery = 15 * time.Second

// readUntil reads until and every. The condition sees what the step gave as
// output.
func (b *builder) readUntil(s *reading) {
	every, until := s.get("every"), s.get("until")
	switch {
	case until == nil && every != nil:
		b.report(s.keys["every"], "missing-key", "add until: with a condition over output", "every has a meaning only with until")
		return
	case until == nil:
		return
	case !s.has("timeout"):
		b.report(s.keys["until"], "missing-key", "add timeout: 5m, or how long it may take", "until needs a timeout, or it might never end")
	}
	output := s.outputs
	if output == nil {
		output = types.Any
	}
	s.step.Until = b.expression(until, "until", s.scope.with("output", output), wantBool)
	s.step.Every = defaultEvery
	if every != nil {
		s.step.Every = b.positive(every, "every")
	}
}

// readUndo reads the steps that take the step back. They run after a failure,
// so the step itself may have no result.
func (b *builder) readUndo(s *reading) {
	n := s.get("undo")
	if n == nil {
		return
	}
	if s.around.cleanup != "" {
		b.report(s.keys["undo"], "no-meaning", "remove it", "undo has no meaning below %s: nothing takes that back", s.around.cleanup)
		return
	}
	inner := s.around.inside()
	inner.cleanup = "undo"
	own, named := b.scope.steps[s.step.ID]
	if named {
		unsure := own
		unsure.missing = orElse(unsure.missing, "may have failed without an answer")
		b.scope.steps[s.step.ID] = unsure
	}
	s.step.Undo = b.apart(n, s.step.Path+".undo", inner, forUndo, b.scope.with("error", errorType))
	if named {
		b.scope.steps[s.step.ID] = own
	}
}

// choice reads one of a few words.
func (c *checker) choice(n *yaml.Node, what string, words ...string) string {
	s, ok := c.text(n, what)
	if ok && !contains(words, s) {
		c.report(n, "wrong-value", orElse(fixWrite("", closest(s, words)), "use one of "+joinNames(words)), "%s must be one of %s, and this is %s", what, joinNames(words), quoteShort(s))
	}
	return s
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
func (c *checker) delay(n *yaml.Node) (low, high time.Duration) {
	const what, form = "a delay", "write it as 10s or 10s..2m"
	if !c.isDurationText(n, what) {
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
		c.report(n, "bad-duration", form, "%s is not a delay", quoteShort(n.Value))
	case low > high:
		c.report(n, "bad-duration", form, "the delay %s gets shorter", n.Value)
	}
	return low, high
}

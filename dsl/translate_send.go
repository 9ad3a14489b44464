package dsl

import (
	"regexp"
	"strings"

	"github.com/expr-lang/expr/types"
	"go.yaml.in/yaml/v4"

	"github.com/deviceops/deviceops"
)

var sendKeys = []fieldSpec{
	{"topic", templateSchema("where the device listens; {device} stands for its id")},
	{"payload", valueSchema("what it is told, with templates over args, command and device")},
	{"encode", schema{"enum": asAny(sortedKeys(encodings)), "description": "how the payload is written: json when left out; hex and base64 are of a text"}},
}

var replyKeys = append(originKeys("the topic on which devices answer"), []fieldSpec{
	{"id", expressionSchema("the id of the command; left out, it is the one that is under way, and the command has to be exclusive")},
	{"attempt", expressionSchema("the attempt that this answers; left out, the present one")},
	{"ok", expressionSchema("whether it was done; else it failed")},
	{"status", expressionSchema("in place of ok: accepted, progress, succeeded, failed, rejected or deferred")},
	{"percent", expressionSchema("of progress")},
	{"phase", expressionSchema("of progress")},
	{"retry_in", expressionSchema("of deferred: seconds")},
	{"output", mapOf("the output of the command, by name", expressionSchema(""))},
	{"error", objectSchema("why it failed", nil, replyErrorKeys)},
}...)

var replyErrorKeys = []fieldSpec{
	{"code", templateSchema("a word for it; failed when left out")},
	{"message", templateSchema("in words")},
	{"retryable", expressionSchema("trying again may help; false when left out")},
}

// commandTranslation reads how devices are told a command and how they answer.
func (c *checker) commandTranslation(name string, n *yaml.Node, t *translation, spec deviceops.CommandSpec) {
	o := &object{}
	if n.Kind == yaml.MappingNode {
		o = c.entries(n, "the command "+name)
	}
	if !o.has("send") || !o.has("reply") {
		c.report(n, "missing-send", "add send: { topic: ..., payload: ... } and reply: { on: ..., ok: ... }",
			"devices of this profile know only their own topics, and it is not said how they are told the command %s and how they answer", name)
		return
	}
	t.sends[name] = c.send(o.get("send"), spec)
	if r := o.get("reply"); r.Kind == yaml.SequenceNode {
		for _, item := range r.Content {
			t.replies = append(t.replies, c.reply(item, name, t, spec))
		}
	} else {
		t.replies = append(t.replies, c.reply(r, name, t, spec))
	}
}

func (c *checker) send(n *yaml.Node, spec deviceops.CommandSpec) *send {
	s := &send{encode: "json", again: spec.Idempotent}
	o := c.object(n, "send", fieldNames(sendKeys)...)
	if o == nil || !c.needs(o, "send", "topic") {
		return s
	}
	sc := newScope(types.Map{
		"args":    openMap,
		"command": types.Map{"id": types.String, "name": types.String, "attempt": types.Int64, "expires_in": types.Any},
		"device":  types.Map{"id": types.String, "serial": types.String},
	})
	s.topic = c.downTopic(o.get("topic"), sc)
	s.told = toldTopics(o.get("topic").Value)
	if v := o.get("payload"); v != nil {
		s.payload = c.value(v, sc)
	}
	if v := o.get("encode"); v != nil {
		s.encode, _ = c.text(v, "encode")
		if encodings[s.encode] == nil {
			c.report(v, "bad-encode", "use one of "+joinNames(sortedKeys(encodings)), "there is no such way to write a payload")
		}
	}
	return s
}

// downTopic reads the topic of a command; {device} is short for a template.
func (c *checker) downTopic(n *yaml.Node, sc *scope) *Value {
	text, ok := c.text(n, "the topic")
	if !ok {
		return &Value{}
	}
	switch {
	case strings.HasPrefix(text, "$"), strings.HasPrefix(text, enginePrefix), strings.ContainsAny(text, "+#"):
		c.report(n, "bad-topic", "write it as acme/{device}/cmd", "a command cannot be published to this topic")
	case !strings.Contains(text, devicePlace) && !strings.Contains(text, "${{"):
		c.report(n, "bad-topic", "write it as acme/{device}/cmd", "all devices would be told what one of them is told")
	}
	long := *n
	long.Value = strings.ReplaceAll(text, devicePlace, "${{ device.id }}")
	if long.Value != text && strings.Contains(text, "${{") {
		c.report(n, "bad-topic", "write ${{ device.id }} in place of {device}", "{device} and templates cannot stand in one topic")
		return &Value{}
	}
	return c.template(&long, sc)
}

var (
	templatePlace = regexp.MustCompile(`(?s)\$\{\{.*?\}\}`)
	topicPlace    = regexp.MustCompile(templatePlace.String() + `|` + regexp.QuoteMeta(devicePlace))
)

// toldTopics gives what the topic of a command may come to. The first level has to
// be written as it is: a profile does not lay claim to the topics of everybody.
func toldTopics(topic string) *regexp.Regexp {
	first, _, _ := strings.Cut(topic, "/")
	if topicPlace.MatchString(first) || strings.Contains(first, "${{") {
		return nil
	}
	var parts []string
	for _, literal := range topicPlace.Split(topic, -1) {
		parts = append(parts, regexp.QuoteMeta(literal))
	}
	return regexp.MustCompile("^" + strings.Join(parts, "[^/]+") + "$")
}

func (c *checker) reply(n *yaml.Node, name string, t *translation, spec deviceops.CommandSpec) reply {
	r := reply{command: name}
	o := c.object(n, "a reply", fieldNames(replyKeys)...)
	if o == nil || !c.needs(o, "a reply", "on") {
		return r
	}
	sc := c.origin(o, &r.origin)
	for key, field := range map[string]struct {
		into **Expression
		want want
	}{
		"id": {&r.id, wantAny}, "attempt": {&r.attempt, wantNumber}, "ok": {&r.ok, wantPredicate}, "status": {&r.status, wantText},
		"percent": {&r.percent, wantNumber}, "phase": {&r.phase, wantText}, "retry_in": {&r.retryIn, wantNumber},
	} {
		if v := o.get(key); v != nil {
			*field.into = c.expression(v, key, sc, field.want)
		}
	}
	if v := o.get("output"); v != nil {
		r.output = c.named(v, "output", sc)
	}
	c.replyError(o.get("error"), &r, sc)
	t.usesFacts = t.usesFacts || sc.used.Device
	c.replyMakesSense(o, &r, spec)
	return r
}

func (c *checker) replyError(n *yaml.Node, r *reply, sc *scope) {
	if n == nil {
		return
	}
	o := c.object(n, "error", fieldNames(replyErrorKeys)...)
	if o == nil {
		return
	}
	if v := o.get("code"); v != nil {
		r.code = c.value(v, sc)
	}
	if v := o.get("message"); v != nil {
		r.message = c.value(v, sc)
	}
	if v := o.get("retryable"); v != nil {
		r.retryable = c.expression(v, "retryable", sc, wantPredicate)
	}
}

func (c *checker) replyMakesSense(o *object, r *reply, spec deviceops.CommandSpec) {
	if o.has("ok") == o.has("status") {
		c.report(o.keys["on"], "bad-reply", "add ok: payload.rc == 0, for example", "a reply has ok or status, one of them")
	}
	if r.id == nil && !spec.Exclusive {
		c.report(o.keys["on"], "reply-without-id", "add id: and what the device repeats of command.id, or exclusive: true to the command",
			"it could not be told which command is answered: several may be under way at a time")
	}
}

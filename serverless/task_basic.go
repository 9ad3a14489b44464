package serverless

import (
	"regexp"
	"strings"

	"go.yaml.in/yaml/v4"
)

// setTask: its output is what it sets, and nothing else.
func (b *builder) setTask(t task, sc scope) done {
	n := t.get("set")
	if n.Kind == yaml.ScalarNode && !wholeExpression.MatchString(n.Value) {
		b.Report(n, codeWrongType, "write set: { name: value }, or ${ } around an expression", "set must be a map or an expression")
	}
	return done{value: b.value(n, sc.env())}
}

func (b *builder) doTask(t task, sc scope) done {
	return done{steps: b.block(b.tasks(t.get("do"), t.pointer+"/do"), sc, false)}
}

func (b *builder) waitTask(t task, _ scope) done {
	d, ok := b.duration(t.get("wait"), "a wait")
	if !ok {
		return done{}
	}
	return done{steps: []*yaml.Node{step(b.stepID(t), "wait", durationNode(d))}}
}

// errorKeys are the keys of an error, as RFC 7807 has them.
var errorKeys = []string{"type", "status", "title", "detail", "instance"}

// raiseTask: the error of the specification is the data of the failure.
func (b *builder) raiseTask(t task, sc scope) done {
	raise := b.object(t.get("raise"), "raise", "error")
	n := b.component(b.required(raise, "error", "raise"), "errors", "error")
	if n == nil {
		return done{}
	}
	o := b.object(n, "an error", errorKeys...)
	kind := b.required(o, "type", "an error")
	b.required(o, "status", "an error")
	if o == nil || kind == nil {
		return done{}
	}
	data := mapping()
	for _, key := range errorKeys {
		if v := o.get(key); v != nil {
			put(data, key, b.value(v, sc.env()))
		}
	}
	if !o.has("instance") {
		put(data, "instance", literal(t.pointer))
	}
	message := get(data, "detail")
	if message == nil {
		message = get(data, "title")
	}
	if message == nil {
		message = get(data, "type")
	}
	id := b.stepID(t)
	return done{steps: []*yaml.Node{step(id, "fail", mapping("code", textNodeOf(errorCode(kind.Value)), "message", message, "data", data))}}
}

var (
	lastWord  = regexp.MustCompile(`[A-Za-z0-9_-]+/?$`)
	notInCode = regexp.MustCompile(`[^A-Za-z0-9_]+`)
)

// errorCode makes the code of a failure out of the type of an error.
func errorCode(kind string) string {
	if word := lastWord.FindString(kind); word != "" && !wholeExpression.MatchString(kind) {
		return strings.Trim(notInCode.ReplaceAllString(word, "_"), "_")
	}
	return "raised"
}

var eventType = regexp.MustCompile(`^[a-z0-9_-]+(\.[a-z0-9_-]+)*$`)

// eventTypeOf reads the type of an event, which the language has to know.
func (b *builder) eventTypeOf(o *object, what string) *yaml.Node {
	n := b.required(o, "type", what)
	if n == nil {
		return nil
	}
	name, ok := b.text(n, "the type of an event")
	if ok && !eventType.MatchString(name) {
		b.Report(n, codeUnsupported, "write it out, as small letters, digits, '-' and '_' in parts separated by '.'", "this type of events is not translated")
		return nil
	}
	return textNodeOf(name)
}

// emitTask: the event carries the data alone. The task's output is the event as
// CloudEvents has it.
func (b *builder) emitTask(t task, sc scope) done {
	emit := b.object(t.get("emit"), "emit", "event")
	event := b.object(orEmpty(b.required(emit, "event", "emit")), "event", "with")
	with := b.required(event, "with", "event")
	if with == nil {
		return done{}
	}
	o := b.entries(with, "with")
	kind := b.eventTypeOf(o, "an event")
	if kind == nil {
		return done{}
	}
	b.lost(o)
	id := b.stepID(t)
	output := mapping("specversion", textNodeOf("1.0"), "id", template(eventID(id, sc)), "time", template(atom(kindText, "string(run.now)")))
	data := b.eventData(o.get("data"), sc)
	for _, key := range o.order {
		if key != "id" && key != "time" && key != "data" {
			put(output, key, b.value(o.get(key), sc.env()))
		}
	}
	for _, key := range []string{"id", "time"} {
		if v := o.get(key); v != nil {
			replace(output, key, b.value(v, sc.env()))
		}
	}
	if data == nil {
		return done{steps: []*yaml.Node{step(id, "emit", kind)}, value: output}
	}
	put(output, "data", b.value(o.get("data"), sc.env()))
	return done{steps: []*yaml.Node{step(id, "emit", kind, "with", data)}, value: output}
}

// lost tells which attributes an event of the engine does not carry.
func (b *builder) lost(o *object) {
	for _, key := range o.order {
		if key != "type" && key != "data" && key != "time" && key != "id" {
			b.approximate(o.keys[key], "put it into data, if whoever hears the event needs it", "events carry no "+key+": it is in the output of the task alone")
		}
	}
}

// eventID gives an id that is another one in each run, and in each round of a
// loop.
func eventID(step string, sc scope) exp {
	e := exp{src: "run.id + " + quote("/"+step), level: levelSum, kind: kindText}
	for _, number := range sc.loops {
		e.src += ` + "/" + string(` + variable(number).src + ")"
	}
	return e
}

// eventData translates the data of an event, which has to be a map.
func (b *builder) eventData(n *yaml.Node, sc scope) *yaml.Node {
	switch {
	case n == nil:
		return nil
	case n.Kind == yaml.MappingNode || isText(n) && wholeExpression.MatchString(n.Value):
		return b.value(n, sc.env())
	}
	b.Report(n, codeUnsupported, "write data: { value: ... }", "events carry a map, and this is none")
	return nil
}

// replace gives an entry of a map another value.
func replace(n *yaml.Node, key string, value *yaml.Node) {
	for i := 0; i+1 < len(n.Content); i += 2 {
		if n.Content[i].Value == key {
			n.Content[i+1] = value
		}
	}
}

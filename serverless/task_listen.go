package serverless

import (
	"strconv"

	"go.yaml.in/yaml/v4"
)

// listenTask: one event is a wait, several are waits beside one another.
func (b *builder) listenTask(t task, sc scope) done {
	b.unsupported(t.object, "listen", "wait for the events one by one in a for task", "foreach")
	listen := b.object(t.get("listen"), "listen", "to", "read")
	to := b.object(orEmpty(b.required(listen, "to", "listen")), "to", "one", "any", "all", "until")
	b.unsupported(to, "listen", "wait for one event, and let then lead back", "until")
	l := &listening{builder: b, sc: sc, read: b.reading(listen.get("read"))}
	id := b.stepID(t)
	switch {
	case to.has("one"):
		return l.one(id, to.get("one"))
	case to.has("any"):
		return l.several(id, to.get("any"), true)
	case to.has("all"):
		b.approximate(to.keys["all"], "", "the events stand in the order of their filters, not in that of their arrival")
		return l.several(id, to.get("all"), false)
	}
	b.Report(t.get("listen"), codeMissingKey, "add one, any or all", "it is not said which events to listen to")
	return done{}
}

// reading gives what is read of an event, as an expression over it.
func (b *builder) reading(n *yaml.Node) func(event string) string {
	switch {
	case n == nil, n.Value == "data":
		return func(event string) string { return event + ".data" }
	case n.Value == "envelope":
		return func(event string) string {
			return `({"specversion": "1.0", "id": string(` + event + `.id), "type": ` + event + `.type, "source": ` + event + `.device, "time": ` + event + `.at, "data": ` + event + `.data})`
		}
	}
	b.Report(n, codeUnsupported, "write data or envelope", "reading events as %s is not translated", n.Value)
	return func(event string) string { return event }
}

// listening is a listen task that is translated.
type listening struct {
	*builder
	sc   scope
	read func(event string) string
}

func (l *listening) one(id string, filter *yaml.Node) done {
	wait := l.wait(filter)
	if wait == nil {
		return done{}
	}
	out := atom(kindList, "[%s]", l.read("steps."+id+".output"))
	return done{steps: []*yaml.Node{step(id, "wait", wait)}, main: wait, out: &out}
}

// several waits for the first of some events, or for all of them.
func (l *listening) several(id string, list *yaml.Node, first bool) done {
	if list.Kind != yaml.SequenceNode || len(list.Content) == 0 {
		l.Report(list, codeUnsupported, "name the events, each as - with: { type: ... }", "listening to all events there are is not translated")
		return done{}
	}
	branches := mapping()
	for i, filter := range list.Content {
		if wait := l.wait(filter); wait != nil {
			put(branches, "event_"+strconv.Itoa(i+1), sequence(step("", "wait", wait)))
		}
	}
	main := step(id, "parallel", branches)
	out := "["
	for i := range list.Content {
		if i > 0 {
			out += ", "
		}
		out += l.read("steps." + id + ".output.event_" + strconv.Itoa(i+1))
	}
	e := atom(kindList, "%s]", out)
	if first {
		put(main, "race", boolNode(true))
		e = atom(kindList, "[%s]", l.read("steps."+id+".output.output"))
	}
	return done{steps: []*yaml.Node{main}, main: main, out: &e}
}

// wait translates a filter of events.
func (l *listening) wait(filter *yaml.Node) *yaml.Node {
	o := l.object(filter, "a filter", "with", "correlate")
	l.unsupported(o, "a filter", "compare in data: ${ ... }", "correlate")
	with := l.required(o, "with", "a filter")
	if with == nil {
		return nil
	}
	attributes := l.entries(with, "with")
	kind := l.eventTypeOf(attributes, "a filter")
	if kind == nil {
		return nil
	}
	for _, key := range attributes.order {
		if key != "type" && key != "data" {
			l.Report(attributes.keys[key], codeUnsupported, "compare what is in data", "events are not told apart by %s", key)
		}
	}
	wait := mapping("event", kind)
	data := attributes.get("data")
	if data == nil {
		return wait
	}
	if !isText(data) || !wholeExpression.MatchString(data.Value) {
		l.Report(data, codeUnsupported, "write a condition over it: data: ${ .temperature > 38 }", "data of a filter is translated when it is an expression")
		return nil
	}
	event := exp{src: "event.data", level: levelAtom, kind: kindMap, data: true}
	put(wait, "where", condition(l.expression(data, "data", l.sc.env().with(event)).truth()))
	return wait
}

// runTask runs another workflow.
func (b *builder) runTask(t task, sc scope) done {
	o := b.object(t.get("run"), "run", "workflow", "container", "script", "shell", "await", "return")
	b.unsupported(o, "run", "add an action to the engine (activities.NewAction), or call a service", "container", "script", "shell")
	if !b.boolean(o.get("await"), "await", true) {
		b.Report(o.keys["await"], codeUnsupported, "emit an event, and let an automation run the workflow", "running a workflow without waiting for it is not translated")
	}
	b.unsupported(o, "run", "remove it: a workflow gives its output", "return")
	n := o.get("workflow")
	if n == nil {
		if len(o.order) == 0 {
			b.Report(t.get("run"), codeMissingKey, "add workflow:", "it is not said what to run")
		}
		return done{}
	}
	called := b.object(n, "workflow", "namespace", "name", "version", "input")
	name, _ := b.text(b.required(called, "name", "workflow"), "the name of a workflow")
	if !workflowName.MatchString(name) {
		b.Report(n, codeUnsupported, "write the name that the workflow has here", "this cannot be the name of a workflow")
		return done{}
	}
	if v := called.get("version"); v != nil && v.Value != "latest" {
		b.approximate(v, "write the version that it has here: "+name+"@1", "the latest version of "+name+" is run, since versions are numbers here")
	}
	id := b.stepID(t)
	main := step(id, "run", textNodeOf(name+"@latest"))
	if input := called.get("input"); input != nil {
		put(main, "with", mapping("input", b.value(input, sc.env())))
	}
	out := exp{src: "steps." + id + ".output?.output", level: levelAtom, data: true}
	return done{steps: []*yaml.Node{main}, main: main, out: &out}
}
